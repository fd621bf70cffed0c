// One open project as the page sees it: the protocol client's state plus what only this page needs to know, handed to
// React at most once per frame however fast events come in.

import {
  type Change,
  type Command,
  type Connection,
  ProjectClient,
  type Reply,
  randomId,
} from "@cobuild/client";
import { createContext, useContext, useSyncExternalStore } from "react";
import type { ContentHash, FilePath, PreviewError, ProjectState, RunId, Welcome } from "../protocol.ts";
import { socketUrl } from "./api.ts";
import { countLines, type LineCount } from "./code/edit-lines.ts";
import { explain } from "./errors.ts";
import { clientId, displayName, setDisplayName } from "./identity.ts";
import { toast } from "./toasts.ts";

/** A hidden page gets no animation frames; it is brought up to date this often. */
const HIDDEN_UPDATE_MS = 1_000;
/** How many file contents are kept at hand. */
const CONTENTS_KEPT_MAX = 200;

/** A prompt that has no reply yet. */
export interface PendingPrompt {
  id: string;
  text: string;
}

/** A file's content, or why there is none to show. */
export type FileContent =
  | { kind: "text"; text: string }
  | { kind: "binary" }
  | { kind: "error"; message: string };

export interface RoomView {
  state: ProjectState;
  connection: Connection;
  welcome: Welcome | undefined;
  /** Whether the project's state has ever arrived. */
  loaded: boolean;
  /** What the preview shows instead of the app, until the next run or write. */
  previewError: PreviewError | undefined;
  pending: readonly PendingPrompt[];
  contents: ReadonlyMap<ContentHash, FileContent>;
  /** The answers' files that were seen being typed, by what they became; the state forgets their text. */
  lineCounts: ReadonlyMap<ContentHash, LineCount>;
}

export class Room {
  readonly project: string;
  readonly #client: ProjectClient;
  readonly #listeners = new Set<() => void>();
  readonly #reading = new Set<ContentHash>();
  #view: RoomView;
  #loaded = false;
  #previewError: PreviewError | undefined;
  #pending: readonly PendingPrompt[] = [];
  #contents: ReadonlyMap<ContentHash, FileContent> = new Map();
  #lineCounts: ReadonlyMap<ContentHash, LineCount> = new Map();
  /** The state before the change that is being told. */
  #before: ProjectState;
  #scheduled: (() => void) | undefined;
  #leaving: ReturnType<typeof setTimeout> | undefined;

  constructor(project: string) {
    this.project = project;
    this.#client = new ProjectClient({ url: socketUrl(project), client: clientId(), name: displayName() });
    this.#before = this.#client.state;
    this.#client.subscribe((change) => this.#changed(change));
    this.#view = this.#look();
  }

  /** Connects; the returned function disconnects. React's strict mode enters twice: leaving waits for a tick. */
  enter(): () => void {
    clearTimeout(this.#leaving);
    this.#client.connect();
    const online = () => this.retryNow();
    window.addEventListener("online", online);
    return () => {
      window.removeEventListener("online", online);
      this.#leaving = setTimeout(() => this.#client.close(), 0);
    };
  }

  retryNow(): void {
    if (this.#client.connection.phase === "waiting") this.#client.connect();
  }

  rename(name: string): void {
    setDisplayName(name);
    this.#client.rename(name);
  }

  /** Sends a prompt. Resolves to whether it was accepted; when not, the person has been told why. */
  async prompt(text: string, id: string = randomId()): Promise<boolean> {
    this.#pending = [...this.#pending.filter((prompt) => prompt.id !== id), { id, text }];
    this.#schedule();
    const reply = await this.send({ type: "generate", prompt: text }, id);
    this.#pending = this.#pending.filter((prompt) => prompt.id !== id);
    this.#schedule();
    return reply !== undefined;
  }

  cancel(run: RunId): void {
    void this.send({ type: "cancel", run });
  }

  /** Sends a command; a failure becomes a toast and `undefined`. */
  async send(command: Command, id: string = randomId()): Promise<Reply | undefined> {
    try {
      return await this.#client.send(command, id);
    } catch (error) {
      if (this.#client.connection.phase !== "closed") toast({ tone: "bad", ...explain(error) });
      return undefined;
    }
  }

  dismissPreviewError(): void {
    this.#previewError = undefined;
    this.#schedule();
  }

  /** Fetches a file's content into `contents`, unless it is there or on its way. What failed is tried again. */
  async read(path: FilePath, hash: ContentHash): Promise<void> {
    const known = this.#contents.get(hash);
    if ((known && known.kind !== "error") || this.#reading.has(hash)) return;
    this.#reading.add(hash);
    try {
      const { data } = await this.#client.send({ type: "read_file", path }, randomId());
      const file = data as { hash: ContentHash; encoding?: string; content: string };
      // A write may have come between; then this is the newer content, and the next event names its hash.
      const isText = (file.encoding ?? "utf8") === "utf8";
      this.#keep(file.hash, isText ? { kind: "text", text: file.content } : { kind: "binary" });
    } catch (error) {
      this.#keep(hash, { kind: "error", message: explain(error).text ?? explain(error).title });
    } finally {
      this.#reading.delete(hash);
    }
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly view = (): RoomView => this.#view;

  #keep(hash: ContentHash, content: FileContent): void {
    this.#contents = remember(this.#contents, hash, content);
    this.#schedule();
  }

  #changed(change: Change): void {
    if (change.type === "snapshot") this.#loaded = true;
    if (change.type === "fault") toast({ tone: "bad", title: change.rejected.error.message });
    if (change.type === "event") {
      const { event } = change;
      this.#loaded = true;
      if (event.type === "preview_error") {
        this.#previewError = event;
      } else if (["run_started", "file_written", "preview_changed"].includes(event.type)) {
        this.#previewError = undefined;
      }
      if (event.type === "file_written") this.#count(event.hash, event.run, event.path);
    }
    this.#before = this.#client.state;
    this.#schedule();
  }

  #count(hash: ContentHash, run: RunId | undefined, path: FilePath): void {
    const answer = this.#before.messages.findLast(
      (message) => message.run === run && message.role === "assistant",
    );
    const part = answer?.parts.findLast((part) => part.type === "file" && part.path === path);
    if (part?.type === "file" && part.text !== undefined) {
      this.#lineCounts = remember(this.#lineCounts, hash, countLines(part.action, part.text));
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    const update = () => {
      this.#scheduled = undefined;
      this.#view = this.#look();
      for (const listener of this.#listeners) listener();
    };
    this.#scheduled = update;
    if (document.hidden) setTimeout(update, HIDDEN_UPDATE_MS);
    else requestAnimationFrame(update);
  }

  #look(): RoomView {
    return {
      state: this.#client.state,
      connection: this.#client.connection,
      welcome: this.#client.welcome,
      loaded: this.#loaded,
      previewError: this.#previewError,
      pending: this.#pending,
      contents: this.#contents,
      lineCounts: this.#lineCounts,
    };
  }
}

/** Adds an entry; the oldest leave. */
function remember<V>(
  map: ReadonlyMap<ContentHash, V>,
  hash: ContentHash,
  value: V,
): ReadonlyMap<ContentHash, V> {
  return new Map([...[...map].slice(1 - CONTENTS_KEPT_MAX), [hash, value]]);
}

const RoomContext = createContext<Room | undefined>(undefined);
export const RoomProvider = RoomContext.Provider;

export function useRoom(): Room {
  const room = useContext(RoomContext);
  if (!room) throw new Error("not inside of a room");
  return room;
}

/** A part of the room's view; the component is drawn again only when that part is another one. */
export function useView<T>(select: (view: RoomView) => T): T {
  const room = useRoom();
  return useSyncExternalStore(room.subscribe, () => select(room.view()));
}
