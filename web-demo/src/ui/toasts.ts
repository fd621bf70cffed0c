import { createSignal } from "./signal.ts";

/** A toast without an action leaves after this long: time to read two sentences. */
const SHOWN_MS = 8_000;
/** More than this would hide the page; the oldest leaves. */
const TOASTS_MAX = 4;

export interface Toast {
  id: number;
  tone: "info" | "bad";
  title: string;
  text?: string;
}

export const toasts = createSignal<readonly Toast[]>([]);
let nextId = 1;

export function toast(message: Omit<Toast, "id">): void {
  const id = nextId++;
  const same = (other: Toast) => other.title === message.title && other.text === message.text;
  const others = toasts.get().filter((other) => !same(other));
  toasts.set([...others.slice(1 - TOASTS_MAX), { ...message, id }]);
  setTimeout(() => dismiss(id), SHOWN_MS);
}

export function dismiss(id: number): void {
  toasts.set(toasts.get().filter((toast) => toast.id !== id));
}
