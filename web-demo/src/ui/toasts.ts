import { createSignal } from "./signal.ts";

/** A toast without an action leaves after this long: time to read two sentences. */
const SHOWN_MS = 8_000;
/** Somebody came or went: a glance is enough. */
const SHOWN_QUIET_MS = 4_000;
/** Long enough to think about it. */
const SHOWN_WITH_ACTION_MS = 20_000;
/** More than this would hide the page; the oldest leaves. */
const TOASTS_MAX = 4;

export interface Toast {
  id: number;
  tone: "quiet" | "info" | "bad";
  title: string;
  text?: string;
  action?: { label: string; run: () => void };
}

export const toasts = createSignal<readonly Toast[]>([]);
let nextId = 1;

export function toast(message: Omit<Toast, "id">): void {
  const id = nextId++;
  const same = (other: Toast) => other.title === message.title && other.text === message.text;
  const others = toasts.get().filter((other) => !same(other));
  toasts.set([...others.slice(1 - TOASTS_MAX), { ...message, id }]);
  const shown = message.action ? SHOWN_WITH_ACTION_MS : message.tone === "quiet" ? SHOWN_QUIET_MS : SHOWN_MS;
  setTimeout(() => dismiss(id), shown);
}

export function dismiss(id: number): void {
  toasts.set(toasts.get().filter((toast) => toast.id !== id));
}
