import { useCallback, useSyncExternalStore } from "react";
import { createSignal } from "./signal.ts";
import { read, remove, write } from "./storage.ts";

export type Theme = "system" | "light" | "dark";
/** Shared with public/theme.js, which applies it before the first paint. */
const KEY = "cobuild.theme";

const theme = createSignal<Theme>(parse(read(KEY)));

function parse(text: string | null): Theme {
  return text === "light" || text === "dark" ? text : "system";
}

/** The chosen theme, and how to choose the next of system, light and dark. */
export function useTheme(): [Theme, () => void] {
  const current = useSyncExternalStore(theme.subscribe, theme.get);
  const cycle = useCallback(() => {
    const next = ({ system: "light", light: "dark", dark: "system" } as const)[theme.get()];
    theme.set(next);
    if (next === "system") remove(KEY);
    else write(KEY, next);
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
  }, []);
  return [current, cycle];
}
