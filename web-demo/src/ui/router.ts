// Two pages, told apart by their path.

import { type MouseEvent, useSyncExternalStore } from "react";

export type Route = { page: "start" } | { page: "project"; project: string } | { page: "unknown" };

/** What a page hands to the next one; kept in the browser's history, so that a reload does not lose it. */
export interface PageState {
  /** The prompt a new project begins with, and the id of the command that sends it. */
  prompt?: { text: string; id: string };
}

const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("popstate", listener);
  };
}

export function useRoute(): Route {
  return parse(useSyncExternalStore(subscribe, () => location.pathname));
}

function parse(path: string): Route {
  if (path === "/") return { page: "start" };
  const project = /^\/p\/([A-Za-z0-9_-]{1,64})\/?$/.exec(path)?.[1];
  return project ? { page: "project", project } : { page: "unknown" };
}

export function navigate(path: string, state: PageState = {}): void {
  history.pushState(state, "", path);
  window.scrollTo(0, 0);
  for (const listener of listeners) listener();
}

/** The prompt a page was opened with, until it is forgotten. */
export function openingPrompt(): PageState["prompt"] {
  return (history.state as PageState | null)?.prompt;
}

/** A later reload does not find the prompt again. */
export function forgetPrompt(id: string): void {
  if (openingPrompt()?.id === id) history.replaceState({}, "");
}

/** For `<a href>`: stays in the page, unless a new tab or window was asked for. */
export function follow(event: MouseEvent<HTMLAnchorElement>): void {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  navigate(event.currentTarget.pathname);
}
