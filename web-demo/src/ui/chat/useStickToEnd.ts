import { useCallback, useEffect, useRef, useState } from "react";

/** Closer than this to the end counts as being there. */
const NEAR_PX = 48;

/** Keeps a growing list at its end, as long as its reader is there. */
export function useStickToEnd() {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const sticking = useRef(true);
  const [atEnd, setAtEnd] = useState(true);

  const toEnd = useCallback(() => {
    const area = scroller.current;
    if (!area) return;
    sticking.current = true;
    area.scrollTop = area.scrollHeight;
  }, []);

  useEffect(() => {
    const area = scroller.current;
    const list = content.current;
    if (!area || !list) return;
    let lastTop = area.scrollTop;
    const scrolled = () => {
      const isNear = area.scrollHeight - area.scrollTop - area.clientHeight < NEAR_PX;
      // Growth moves the end away without anybody scrolling; only a move upwards is a wish to stay.
      if (isNear) sticking.current = true;
      else if (area.scrollTop < lastTop) sticking.current = false;
      lastTop = area.scrollTop;
      setAtEnd(isNear || sticking.current);
    };
    const grown = new ResizeObserver(() => {
      if (sticking.current) area.scrollTop = area.scrollHeight;
    });
    area.addEventListener("scroll", scrolled, { passive: true });
    grown.observe(list);
    grown.observe(area);
    return () => {
      area.removeEventListener("scroll", scrolled);
      grown.disconnect();
    };
  }, []);

  return { scroller, content, atEnd, toEnd };
}
