// One open project as the page sees it: the protocol client's state plus what only this page needs to know, handed to
// React at most once per frame however fast events come in.

import {
  type Change,
  type Command,
  CommandError,
  type Connection,
  ProjectClient,
  type Reply,
  randomId,
} from "@cobuild/client";
import { createContext, useContext, useSyncExternalStore } from "react";
import type {
  ConflictId,
  ContentHash,
  ContextTrimmed,
  Delivery,
  EventFrame,
  FilePath,
  GenerateMode,
  ImageData,
  ModelRetried,
  ParticipantId,
  Presence,
  PreviewError,
  ProjectState,
  Reverted,
  Role,
  RunId,
  Welcome,
} from "../protocol.ts";
import { keepToken, tokenFor } from "./access.ts";
import { socketUrl } from "./api.ts";
import { tokensOf } from "./chat/usage.ts";
import { Edits } from "./code/edits.ts";
import { explain } from "./errors.ts";
import { clientId, displayName, setDisplayName } from "./identity.ts";
import { chooseModel, chosenModel } from "./models/models.ts";
import { Pending, type PendingPrompt } from "./pending.ts";
import { Company, type Destination, type Standpoint } from "./people/company.ts";
import { remember } from "./remember.ts";
import { nameOf } from "./select.ts";
import { createSignal } from "./signal.ts";
import { toast } from "./toasts.ts";

/** A hidden page gets no animation frames; it is brought up to date this often. */
const HIDDEN_UPDATE_MS = 1_000;
/** How many commands' first events are kept until somebody asks for them. */
const EVENTS_KEPT_MAX = 100;

/** A file's content, or why there is none to show. */
export type FileContent =
  | { kind: "text"; text: string }
  | { kind: "binary" }
  | { kind: "error"; message: string };

/** What is only told while it happens. */
export interface RunNotes {
  /** The model's last failure before its first byte, after which it was asked again. */
  retried?: ModelRetried;
  trimmed?: ContextTrimmed;
  reverted?: Reverted;
  /** What became of the files a run was to change; the last word about each. */
  files?: ReadonlyMap<FilePath, FileFate>;
}

export type FileFate = { kind: "written" | "deleted" } | { kind: "refused"; reason: string };

/** What a prompt may come with. */
export interface PromptOptions {
  delivery?: Delivery | undefined;
  mode?: GenerateMode | undefined;
  images?: ImageData[] | undefined;
  url?: string | undefined;
}

export type RoomDialog =
  | { type: "share" }
  | { type: "history" }
  | { type: "conflict"; conflict?: ConflictId | undefined };

export interface RoomView {
  state: ProjectState;
  connection: Connection;
  welcome: Welcome | undefined;
  /** What this browser's person may do now; an owner may change it at any time. */
  role: Role | undefined;
  /** Whether the project's state has ever arrived. */
  loaded: boolean;
  /** What the preview shows instead of the app, until the next run or write. */
  previewError: PreviewError | undefined;
  pending: readonly PendingPrompt[];
  /** How many commands have no reply yet. */
  unanswered: number;
  presence: ReadonlyMap<ParticipantId, Presence>;
  /** Whom this page follows. */
  following: ParticipantId | undefined;
  edits: Edits["all"];
  /** How much of the model's window the last call has filled, 0 to 1. */
  contextFill: number | undefined;
  runNotes: ReadonlyMap<RunId, RunNotes>;
  contents: ReadonlyMap<ContentHash, FileContent>;
}

export class Room {
  readonly project: string;
  /** Where the panes are asked to go: by following somebody, or by a click elsewhere on the page. */
  readonly destination = createSignal<Destination | undefined>(undefined);
  /** What is open over the page. */
  readonly dialog = createSignal<RoomDialog | undefined>(undefined);
  readonly edits = new Edits(() => this.#schedule());
  readonly #client: ProjectClient;
  readonly #company: Company;
  readonly #pending: Pending;
  readonly #listeners = new Set<() => void>();
  readonly #reading = new Set<ContentHash>();
  readonly #eventOf = new Map<string, EventFrame>();
  #view: RoomView;
  #loaded = false;
  #previewError: PreviewError | undefined;
  #contextFill: number | undefined;
  #runNotes: ReadonlyMap<RunId, RunNotes> = new Map();
  #contents: ReadonlyMap<ContentHash, FileContent> = new Map();
  /** The state before the change that is being told. */
  #before: ProjectState;
  #scheduled: (() => void) | undefined;
  /** The name that was asked for and not seen yet. */
  #wantedName: string | undefined;
  #leaving: ReturnType<typeof setTimeout> | undefined;

  constructor(project: string) {
    this.project = project;
    const token = tokenFor(project);
    this.#client = new ProjectClient({
      url: socketUrl(project),
      client: clientId(),
      name: displayName(),
      ...(token !== undefined && { token }),
    });
    this.#company = new Company(this.#client, (destination) => this.destination.set(destination));
    this.#pending = new Pending(project, () => this.#schedule());
    this.#before = this.#client.state;
    this.#client.subscribe((change) => this.#changed(change));
    this.#view = this.#look();
  }

  /** Connects; the returned function disconnects. React's strict mode enters twice: leaving waits for a tick. */
  enter(): () => void {
    clearTimeout(this.#leaving);
    this.#client.connect();
    // A page that was reloaded before there was a reply sends the same commands again; they have no second effect.
    for (const prompt of this.#pending.takeUnsent()) void this.prompt(prompt.text, prompt);
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
    this.#wantedName = name;
    this.#client.rename(name);
  }

  /** Shows another token, and keeps it. */
  authenticate(token: string): void {
    keepToken(token, this.project);
    this.#client.authenticate(token);
  }

  /** Sends a prompt. Resolves to whether it was accepted; when not, the person has been told why. */
  async prompt(
    text: string,
    { id = randomId(), ...options }: PromptOptions & { id?: string } = {},
  ): Promise<boolean> {
    this.#pending.add({ id, text, ...options });
    const { delivery, mode, images, url } = options;
    const model = chosenModel.get();
    const command: Command = {
      type: "generate",
      prompt: text,
      ...(model !== undefined && { model }),
      ...(delivery && { delivery }),
      ...(mode && { mode }),
      ...(images && images.length > 0 && { images }),
      ...(url !== undefined && { url }),
    };
    const reply = await this.send(command, id);
    // Left in the middle of it: whoever comes back to the page sends it again.
    if (this.#client.connection.phase !== "closed") this.#pending.remove(id);
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
      if (this.#client.connection.phase === "closed") return undefined;
      const isModelGone = error instanceof CommandError && (error.body.models?.length ?? 0) > 0;
      const action = { label: "Use the default", run: () => chooseModel(undefined) };
      toast({ tone: "bad", ...explain(error), ...(isModelGone && chosenModel.get() && { action }) });
      return undefined;
    }
  }

  /** Sends a command and waits for the first event it caused. A failure is thrown; no event: there was nothing to do. */
  async carryOut(command: Command): Promise<EventFrame | undefined> {
    const id = randomId();
    const reply = await this.#client.send(command, id);
    const recorded = () => this.#eventOf.get(id) ?? this.#client.seq >= (reply.seq ?? 0);
    if (!recorded()) {
      await new Promise<void>((resolve) => {
        const stop = this.#client.subscribe(() => {
          if (!recorded() && this.#client.connection.phase !== "closed") return;
          stop();
          resolve();
        });
      });
    }
    return this.#eventOf.get(id);
  }

  /** Says where this page is. */
  stand(at: Standpoint): void {
    this.#company.stand(at);
  }

  /** Goes where another participant is, and on with them; `undefined`: no longer. */
  follow(participant: ParticipantId | undefined): void {
    this.#company.follow(participant);
    this.#schedule();
  }

  /** Shows something on this page; whoever was followed is no longer. */
  go(destination: Destination): void {
    this.follow(undefined);
    this.destination.set({ ...destination });
  }

  dismissPreviewError(): void {
    this.#previewError = undefined;
    this.#schedule();
  }

  /** Fetches a file's content into `contents`, unless it is there or on its way. What failed is tried again. */
  async read(
    path: FilePath,
    hash: ContentHash,
    from: { at?: number; conflict?: string } = {},
  ): Promise<void> {
    const known = this.#contents.get(hash);
    if ((known && known.kind !== "error") || this.#reading.has(hash)) return;
    this.#reading.add(hash);
    try {
      const { data } = await this.#client.send({ type: "read_file", path, ...from }, randomId());
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
    if (change.type === "event") this.#took(change.event);
    if (change.type === "connection" && this.#client.connection.phase === "live") this.#checkName();
    this.#company.changed(change, this.#before);
    this.#before = this.#client.state;
    this.#schedule();
  }

  #took(event: EventFrame): void {
    this.#loaded = true;
    if (event.type === "preview_error") {
      this.#previewError = event;
    } else if (["run_started", "file_written", "preview_changed"].includes(event.type)) {
      this.#previewError = undefined;
    }
    if (event.type === "preview_unchecked") {
      toast({ tone: "info", title: "The preview could not be checked", text: event.reason });
    }
    if (event.type === "usage_updated" && event.context_tokens_max) {
      const tokens = tokensOf(event.usage);
      this.#contextFill = tokens === undefined ? undefined : tokens / event.context_tokens_max;
    }
    if (event.type === "context_trimmed") this.#note(event.run, { trimmed: event });
    if (event.type === "model_retried") this.#note(event.run, { retried: event });
    if (event.type === "reverted") this.#note(event.run, { reverted: event });
    this.#noteFile(event);
    if (event.type === "run_queued" && event.not_steered && event.by === this.#client.welcome?.participant) {
      const text = "It had no turn left to take it up. Your prompt waits in the queue instead.";
      toast({ tone: "info", title: "Not added to the answer under way", text });
    }
    if (event.command !== undefined) {
      this.#eventOf.set(event.command, event);
      const oldest = this.#eventOf.keys().next().value;
      if (this.#eventOf.size > EVENTS_KEPT_MAX && oldest !== undefined) this.#eventOf.delete(oldest);
    }
  }

  #note(run: RunId | undefined, note: RunNotes): void {
    if (run === undefined) return;
    this.#runNotes = remember(this.#runNotes, run, { ...this.#runNotes.get(run), ...note });
  }

  #noteFile(event: EventFrame): void {
    const fate = fateOf(event);
    if (event.run === undefined || fate === undefined) return;
    const files = this.#runNotes.get(event.run)?.files ?? new Map();
    this.#note(event.run, { files: remember(files, fate.path, fate.fate) });
  }

  #checkName(): void {
    const wanted = this.#wantedName;
    this.#wantedName = undefined;
    const name = nameOf(this.#client.state, this.#client.welcome?.participant);
    if (wanted === undefined || name === wanted) return;
    toast({
      tone: "info",
      title: `Your name stays ${name}`,
      text: "It comes with the token you came in by.",
    });
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
    const { state, connection, welcome, presence } = this.#client;
    const me = welcome && state.participants[welcome.participant];
    return {
      state,
      connection,
      welcome,
      role: me?.role ?? welcome?.role,
      loaded: this.#loaded,
      previewError: this.#previewError,
      pending: this.#pending.all,
      unanswered: this.#client.unanswered.length,
      presence,
      following: this.#company.following,
      edits: this.edits.all,
      contextFill: this.#contextFill,
      runNotes: this.#runNotes,
      contents: this.#contents,
    };
  }
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

/** Whether this person may change anything. Until the server has said so, nobody may. */
export function useCanEdit(): boolean {
  return useView(({ role }) => role === "editor" || role === "owner");
}

export function useIsOwner(): boolean {
  return useView(({ role }) => role === "owner");
}

export function useMe(): ParticipantId | undefined {
  return useView((view) => view.welcome?.participant);
}

export function useName(participant: ParticipantId | undefined): string {
  return useView((view) => nameOf(view.state, participant));
}

/** What an event says became of a file. */
function fateOf(event: EventFrame): { path: FilePath; fate: FileFate } | undefined {
  switch (event.type) {
    case "file_written":
      return event.origin === "sandbox" ? undefined : { path: event.path, fate: { kind: "written" } };
    case "file_deleted":
      return { path: event.path, fate: { kind: "deleted" } };
    case "file_refused":
      return { path: event.path, fate: { kind: "refused", reason: event.reason } };
    default:
      return undefined;
  }
}
