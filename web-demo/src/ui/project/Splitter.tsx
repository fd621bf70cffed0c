import { type KeyboardEvent, type PointerEvent, useCallback, useState } from "react";
import { read, write } from "../storage.ts";

const KEY = "cobuild.chat-width";
const WIDTH_MIN = 320;
const WIDTH_MAX = 720;
const WIDTH_DEFAULT = 420;
const KEY_STEP = 24;

export function useChatWidth(): [number, (width: number) => void] {
  const [width, setWidth] = useState(() => clamp(Number(read(KEY)) || WIDTH_DEFAULT));
  const set = useCallback((width: number) => {
    setWidth(clamp(width));
    write(KEY, String(clamp(width)));
  }, []);
  return [width, set];
}

function clamp(width: number): number {
  return Math.round(Math.min(WIDTH_MAX, Math.max(WIDTH_MIN, width)));
}

/** The line between chat and workspace: drag it, or move it with the arrow keys. */
export function Splitter({ width, onChange }: { width: number; onChange: (width: number) => void }) {
  const [dragging, setDragging] = useState(false);

  function keyDown(event: KeyboardEvent) {
    const step = { ArrowRight: KEY_STEP, ArrowLeft: -KEY_STEP }[event.key];
    if (!step) return;
    event.preventDefault();
    onChange(width + step);
  }
  function down(event: PointerEvent<HTMLDivElement>) {
    event.currentTarget.setPointerCapture(event.pointerId);
    setDragging(true);
  }

  return (
    // biome-ignore lint/a11y/useSemanticElements: an <hr> cannot be dragged
    <div
      className={dragging ? "splitter dragging" : "splitter"}
      role="separator"
      aria-label="Width of the chat"
      aria-orientation="vertical"
      aria-valuenow={width}
      aria-valuemin={WIDTH_MIN}
      aria-valuemax={WIDTH_MAX}
      tabIndex={0}
      onKeyDown={keyDown}
      onPointerDown={down}
      onPointerMove={(event) => dragging && onChange(event.clientX)}
      onPointerUp={() => setDragging(false)}
      onPointerCancel={() => setDragging(false)}
      onDoubleClick={() => onChange(WIDTH_DEFAULT)}
    />
  );
}
