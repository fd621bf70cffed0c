import { useSyncExternalStore } from "react";

/** Below this the panes don't fit beside each other; they become tabs. Also in project.css and elsewhere. */
const NARROW = matchMedia("(max-width: 860px)");
/** Below this the top bar's buttons don't fit beside each other; most of them go into a menu. */
const COMPACT = matchMedia("(max-width: 1240px)");
/** Below this the top bar has room for little more than icons. */
const PHONE = matchMedia("(max-width: 520px)");

export function usePhone(): boolean {
  return useMedia(PHONE);
}

export function useNarrow(): boolean {
  return useMedia(NARROW);
}

export function useCompact(): boolean {
  return useMedia(COMPACT);
}

function useMedia(query: MediaQueryList): boolean {
  return useSyncExternalStore(
    (listener) => {
      query.addEventListener("change", listener);
      return () => query.removeEventListener("change", listener);
    },
    () => query.matches,
  );
}
