import { useCallback, useEffect, useRef, useState } from "react";
import { useView } from "../room.ts";
import { pendingFiles, typingFile } from "../select.ts";
import type { TabId } from "./Tabs.tsx";

/**
 * The tab that is shown. While the first answer of a project is written there is nothing to see in the preview: the
 * code is shown until the files are in the tree, then the preview – unless somebody chose a tab themselves.
 */
export function useFollowedTab(narrow: boolean): [TabId, (tab: TabId) => void] {
  const [tab, setTab] = useState<TabId>("chat");
  const chosen = useRef(false);
  const followed = useRef(false);
  const isFirst = useView((view) => view.loaded && !view.state.runs.some((run) => run.state === "finished"));
  const isTyping = useView((view) => typingFile(view.state) !== undefined);
  const isApplied = useView((view) => pendingFiles(view.state).length === 0);

  useEffect(() => {
    if (narrow || chosen.current) return;
    if (isFirst && isTyping) {
      followed.current = true;
      setTab("code");
    } else if (followed.current && isApplied) {
      followed.current = false;
      setTab("preview");
    }
  }, [narrow, isFirst, isTyping, isApplied]);

  const choose = useCallback((tab: TabId) => {
    chosen.current = true;
    setTab(tab);
  }, []);
  return [tab, choose];
}
