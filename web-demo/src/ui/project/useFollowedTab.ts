import { useEffect, useRef, useState } from "react";
import { useView } from "../room.ts";
import { activeRun, typingFile } from "../select.ts";
import type { TabId } from "./Tabs.tsx";

/**
 * The tab that is shown. During a project's first run there is nothing to see in the preview: the code is shown while
 * it is typed, then the preview – unless somebody chose a tab themselves.
 */
export function useFollowedTab(narrow: boolean): [TabId, (tab: TabId) => void] {
  const [tab, setTab] = useState<TabId>("chat");
  const chosen = useRef(false);
  const followed = useRef(false);
  const isFirst = useView((view) => view.loaded && !view.state.runs.some((run) => run.state === "finished"));
  const isTyping = useView((view) => typingFile(view.state) !== undefined);
  const isRunning = useView((view) => activeRun(view.state) !== undefined);

  useEffect(() => {
    if (narrow || chosen.current) return;
    if (isFirst && isTyping) {
      followed.current = true;
      setTab("code");
    } else if (followed.current && !isRunning) {
      followed.current = false;
      setTab("preview");
    }
  }, [narrow, isFirst, isTyping, isRunning]);

  function choose(tab: TabId) {
    chosen.current = true;
    setTab(tab);
  }
  return [tab, choose];
}
