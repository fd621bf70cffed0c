import { useSyncExternalStore } from "react";

/** Below this the panes don't fit beside each other; they become tabs. Also in project.css and elsewhere. */
const NARROW = matchMedia("(max-width: 860px)");

export function useNarrow(): boolean {
  return useSyncExternalStore(
    (listener) => {
      NARROW.addEventListener("change", listener);
      return () => NARROW.removeEventListener("change", listener);
    },
    () => NARROW.matches,
  );
}
