// Prompts that have no reply yet. They outlive a reload of the page, with the ids they were sent by.

import type { Delivery, GenerateMode, ImageData } from "../protocol.ts";

/** A prompt that has no reply yet. */
export interface PendingPrompt {
  id: string;
  text: string;
  delivery?: Delivery | undefined;
  mode?: GenerateMode | undefined;
  images?: ImageData[] | undefined;
  url?: string | undefined;
}

export class Pending {
  readonly #key: string;
  readonly #changed: () => void;
  #all: readonly PendingPrompt[] = [];
  #isRead = false;

  constructor(project: string, changed: () => void) {
    this.#key = `cobuild.pending.${project}`;
    this.#changed = changed;
  }

  get all(): readonly PendingPrompt[] {
    return this.#all;
  }

  add(prompt: PendingPrompt): void {
    this.#set([...this.#all.filter((other) => other.id !== prompt.id), prompt]);
  }

  remove(id: string): void {
    this.#set(this.#all.filter((prompt) => prompt.id !== id));
  }

  /** What an earlier life of this tab has left, once. */
  takeUnsent(): PendingPrompt[] {
    if (this.#isRead) return [];
    this.#isRead = true;
    try {
      const stored: unknown = JSON.parse(sessionStorage.getItem(this.#key) ?? "[]");
      return Array.isArray(stored) ? stored.filter(isPrompt) : [];
    } catch {
      return [];
    }
  }

  #set(all: readonly PendingPrompt[]): void {
    this.#all = all;
    try {
      if (all.length === 0) sessionStorage.removeItem(this.#key);
      else sessionStorage.setItem(this.#key, JSON.stringify(all));
    } catch {
      // Then they last as long as the page.
    }
    this.#changed();
  }
}

function isPrompt(value: unknown): value is PendingPrompt {
  if (typeof value !== "object" || value === null) return false;
  const { id, text } = value as { id?: unknown; text?: unknown };
  return typeof id === "string" && typeof text === "string";
}
