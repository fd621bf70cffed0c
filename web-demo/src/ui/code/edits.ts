// Files that are being edited on this page and not saved yet, each with the content the change is based on.

import type { ContentHash, FilePath } from "../../protocol.ts";

export interface Edit {
  text: string;
  /** The text it began as. */
  original: string;
  base: ContentHash;
}

export class Edits {
  readonly #changed: () => void;
  #all: ReadonlyMap<FilePath, Edit> = new Map();

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get all(): ReadonlyMap<FilePath, Edit> {
    return this.#all;
  }

  begin(path: FilePath, text: string, base: ContentHash): void {
    this.#set(path, { text, original: text, base });
  }

  change(path: FilePath, text: string): void {
    const edit = this.#all.get(path);
    if (edit) this.#set(path, { ...edit, text });
  }

  /** What was saved is what the rest is based on. */
  rebase(path: FilePath, original: string, base: ContentHash): void {
    const edit = this.#all.get(path);
    if (edit) this.#set(path, { ...edit, original, base });
  }

  end(path: FilePath): void {
    const all = new Map(this.#all);
    if (!all.delete(path)) return;
    this.#all = all;
    this.#changed();
  }

  /** Whether leaving the page would lose something. */
  get areDirty(): boolean {
    return [...this.#all.values()].some((edit) => edit.text !== edit.original);
  }

  #set(path: FilePath, edit: Edit): void {
    this.#all = new Map(this.#all).set(path, edit);
    this.#changed();
  }
}
