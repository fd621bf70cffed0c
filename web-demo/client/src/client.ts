// A project as one client sees it: attaches, catches up, stays in step, comes back when the connection is lost, and
// carries commands. It knows the protocol and nothing of any page.

import { askedForMs, backoffMs } from "./backoff.ts";
import { Outbox, type Reply, type Unanswered } from "./outbox.ts";
import { PresenceBoard } from "./presence.ts";
import {
  type CommandFrame,
  type ErrorBody,
  type ErrorCode,
  type EventFrame,
  type ParticipantId,
  PROTOCOL_VERSION,
  type Presence,
  type ProjectState,
  type Rejected,
  type RequestId,
  type ServerFrame,
  type SnapshotFrame,
  type Welcome,
} from "./protocol.ts";
import { randomId } from "./random-id.ts";
import { Replica } from "./replica.ts";
import { Socket, type WebSocketLike } from "./socket.ts";

/** Close codes from here on up to 4999 are final; see the protocol's README. */
const CLOSE_FINAL_MIN = 4500;
const CLOSE_FINAL_MAX = 4999;
/** The token was refused. Another one may follow, so commands wait for it. */
const CLOSE_TOKEN = 4501;
/** What a command without a reply fails with when the server refused the connection. */
const CLOSE_ERRORS: { [code: number]: ErrorCode } = {
  4501: "unauthenticated",
  4503: "forbidden",
  4504: "not_found",
  4505: "bad_request",
};
/** A connection that was in step for this long was a good one: the next loss begins with a short wait again. */
const STABLE_MS = 5_000;

type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;
/** A command; its id is chosen when it is sent. */
export type Command = WithoutId<CommandFrame>;

export type Connection =
  /** A socket is being opened, or is catching up. */
  | { phase: "connecting" }
  /** In step with the room. */
  | { phase: "live" }
  /**
   * Lost; the next attempt is at `retryAt` (milliseconds since 1970). `code` and `reason` are the socket's: 4000 that
   * the server goes away and 1006 that the connection just broke; 0 that this client gave it up itself.
   */
  | { phase: "waiting"; retryAt: number; attempt: number; code: number; reason: string }
  /** The server said that coming back is no use. */
  | { phase: "refused"; code: number; reason: string }
  /** Not started yet, or closed by its owner. */
  | { phase: "closed" };

/** What a listener is told. After each, `state` and `connection` are up to date. */
export type Change =
  | { type: "connection" }
  | { type: "welcome"; welcome: Welcome }
  | { type: "snapshot" }
  | { type: "event"; event: EventFrame }
  /** Somebody is somewhere else; `presence` has everybody. */
  | { type: "presence" }
  /** A command was given or answered; `unanswered` has those that still wait. */
  | { type: "outbox" }
  /** The server could not read a frame and could not say which. */
  | { type: "fault"; rejected: Rejected };

export interface ClientOptions {
  /** `ws://host/api/v1/projects/{project}/ws` */
  url: string;
  /** A random text that stays the same for this browser. */
  client?: string;
  name?: string;
  token?: string;
  /** Stands in for the browser's own in tests and other runtimes. */
  webSocket?: (url: string) => WebSocketLike;
  random?: () => number;
}

export class ProjectClient {
  readonly #options: ClientOptions;
  readonly #listeners = new Set<(change: Change) => void>();
  readonly #outbox = new Outbox(() => this.#tell({ type: "outbox" }));
  readonly #replica = new Replica();
  readonly #presence = new PresenceBoard((own) => this.#saySelf(own));
  #connection: Connection = { phase: "closed" };
  #welcome: Welcome | undefined;
  #socket: Socket | undefined;
  #name: string | undefined;
  #token: string | undefined;
  #attempt = 0;
  #liveSince: number | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #behind: ReturnType<typeof setTimeout> | undefined;
  /** Commands wait until then, because the server asked for it. */
  #held: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#name = options.name;
    this.#token = options.token;
  }

  get state(): ProjectState {
    return this.#replica.state;
  }

  /** The last event that is part of `state`. */
  get seq(): number {
    return this.#replica.seq;
  }

  get connection(): Connection {
    return this.#connection;
  }

  /** What the server said about itself and us at the last attachment. */
  get welcome(): Welcome | undefined {
    return this.#welcome;
  }

  /** Where the others are and what they do, as far as they say. Not part of the log: the latest value of each. */
  get presence(): ReadonlyMap<ParticipantId, Presence> {
    return this.#presence.all;
  }

  /** The commands that have no reply yet, in the order they were given. */
  get unanswered(): readonly Unanswered[] {
    return this.#outbox.frames();
  }

  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Connects, or does so at once instead of waiting any longer. Without effect while there is a connection. */
  connect(): void {
    if (this.#socket) return;
    clearTimeout(this.#retry);
    this.#open();
  }

  /** Ends for good. Commands without a reply fail; they may or may not have taken effect. */
  close(): void {
    this.#detach("closed");
    clearTimeout(this.#retry);
    this.#presence.close();
    this.#outbox.failAll({ code: "cancelled", message: "The connection was closed.", retryable: false });
    this.#set({ phase: "closed" });
  }

  /** Goes by another name from now on. */
  rename(name: string): void {
    this.#name = name;
    this.#comeBackNow("renamed");
  }

  /** Shows another token from now on, also to a server that has refused the one before. */
  authenticate(token: string | undefined): void {
    this.#token = token;
    if (this.#connection.phase === "refused") this.#open();
    else this.#comeBackNow("another token");
  }

  /**
   * Shows a new token of the same person before the present one ends, without leaving the room. Resolves with when that
   * ends; fails with a `CommandError` when the server refuses it, and then the present one counts on.
   */
  async refreshToken(token: string): Promise<{ expires_at?: string }> {
    const before = this.#token;
    // Used by the next hello, should the connection be lost before there is an answer.
    this.#token = token;
    try {
      const { data } = await this.#submit({ type: "refresh_token", id: randomId(), token });
      return (data ?? {}) as { expires_at?: string };
    } catch (error) {
      if (this.#token === token) this.#token = before;
      throw error;
    }
  }

  /** Says where one is and what one does. Only the last word counts; it is said again after a reconnect. */
  setPresence(presence: Presence): void {
    this.#presence.say(presence);
  }

  /**
   * Sends a command and waits for its reply, however often the connection is lost meanwhile, the server is too busy for
   * it, or another token is needed. Fails with a `CommandError` when it is rejected. The same id is the same command, also after a reload of the page.
   */
  send(command: Command, id: RequestId = randomId()): Promise<Reply> {
    return this.#submit({ ...command, id } as CommandFrame);
  }

  #submit(frame: Unanswered): Promise<Reply> {
    const reply = this.#outbox.add(frame);
    this.#sendWaiting();
    return reply;
  }

  #sendWaiting(): void {
    if (this.#connection.phase !== "live" || this.#held !== undefined) return;
    for (const frame of this.#outbox.take()) this.#socket?.send(frame);
  }

  #rejected(id: RequestId, error: ErrorBody): void {
    const delay = this.#outbox.rejected(id, error);
    if (delay !== undefined) {
      clearTimeout(this.#held);
      this.#held = setTimeout(() => {
        this.#held = undefined;
        this.#sendWaiting();
      }, delay);
    }
    this.#sendWaiting();
  }

  #open(): void {
    this.#set({ phase: "connecting" });
    const make = this.#options.webSocket ?? ((url) => new WebSocket(url) as WebSocketLike);
    this.#socket = new Socket(make(this.#options.url), {
      opened: () => this.#hello(),
      received: (frame) => this.#receive(frame),
      closed: (code, reason) => this.#lost(code, reason),
    });
  }

  #hello(): void {
    const { client } = this.#options;
    const token = this.#token;
    const since = this.#replica.cursor;
    this.#socket?.send({
      type: "hello",
      protocol: PROTOCOL_VERSION,
      ...(token !== undefined && { token }),
      ...(this.#name !== undefined && { name: this.#name }),
      ...(client !== undefined && { client }),
      ...(since !== undefined && { since }),
    });
  }

  #receive(frame: ServerFrame): void {
    switch (frame.type) {
      case "welcome":
        return this.#greet(frame);
      case "snapshot":
        return this.#restore(frame);
      case "synced":
        return this.#synced(frame.seq);
      case "accepted":
      case "result": {
        const { type: _, ...reply } = frame;
        this.#outbox.settle(frame.id, reply);
        return this.#sendWaiting();
      }
      case "rejected":
        if (frame.id !== undefined) return this.#rejected(frame.id, frame.error);
        return this.#tell({ type: "fault", rejected: frame });
      case "ping":
        this.#socket?.send({ type: "pong", seq: this.seq });
        return this.#watchHead(frame.head);
      case "presence":
        this.#presence.hear(frame.participants);
        return this.#tell({ type: "presence" });
      default:
        // A kind of frame this client does not know and that is no event of the log.
        if (!("seq" in frame)) return;
        return this.#apply(frame);
    }
  }

  #greet(welcome: Welcome): void {
    this.#welcome = welcome;
    this.#socket?.expectHeartbeat(welcome.heartbeat_ms);
    if (welcome.mode === "snapshot") {
      this.#socket?.expectSnapshot();
      this.#replica.abandon();
    } else if (!this.#replica.enter(welcome.epoch)) {
      // It promises to continue a log we have never seen. Without a cursor there can only be a snapshot.
      this.#replica.abandon();
      return this.#reattach("another epoch");
    }
    this.#tell({ type: "welcome", welcome });
  }

  #restore(frame: SnapshotFrame): void {
    if (!this.#welcome) return;
    this.#socket?.expectHeartbeat(this.#welcome.heartbeat_ms);
    this.#replica.restore(this.#welcome.epoch, frame);
    this.#tell({ type: "snapshot" });
  }

  #apply(frame: EventFrame): void {
    // A frame without a place in the log is something newer than this client.
    if (!Number.isSafeInteger(frame.seq)) return;
    const verdict = this.#replica.accept(frame);
    if (verdict === "gap") return this.#reattach("gap");
    if (verdict === "unreadable") {
      // The server has folded it; its snapshot is the way past it.
      this.#replica.abandon();
      return this.#reattach("unreadable event");
    }
    if (verdict === "applied") this.#tell({ type: "event", event: frame });
  }

  #synced(seq: number): void {
    if (seq !== this.seq) return this.#reattach("gap");
    this.#liveSince = Date.now();
    this.#set({ phase: "live" });
    this.#presence.attached();
    this.#tell({ type: "presence" });
    this.#sendWaiting();
  }

  /** An event that was lost on the way to us shows in the head of the log, if we don't get there soon. */
  #watchHead(head: number): void {
    if (head <= this.seq || this.#behind !== undefined) return;
    this.#behind = setTimeout(() => {
      this.#behind = undefined;
      if (this.seq < head) this.#reattach("behind");
    }, this.#welcome?.heartbeat_ms);
  }

  /** Comes back with the cursor we have. */
  #reattach(reason: string): void {
    this.#detach(reason);
    this.#wait(0, reason);
  }

  /** The same at once: nothing is wrong, there is only something new to say in the hello. */
  #comeBackNow(reason: string): void {
    if (!this.#socket) return;
    this.#detach(reason);
    this.#open();
  }

  #saySelf(own: Presence): void {
    if (this.#connection.phase !== "live") return;
    // Not through the outbox: what was true before a lost connection is of no interest after it.
    this.#socket?.send({ type: "set_presence", id: randomId(), ...own });
  }

  #lost(code: number, reason: string): void {
    this.#detach(reason);
    if (code >= CLOSE_FINAL_MIN && code <= CLOSE_FINAL_MAX) {
      const message = reason || "The server refused the connection.";
      const error: ErrorBody = { code: CLOSE_ERRORS[code] ?? "forbidden", message, retryable: false };
      // A refresh is of the token that was refused.
      this.#outbox.failAll(error, ({ type }) => code !== CLOSE_TOKEN || type === "refresh_token");
      return this.#set({ phase: "refused", code, reason });
    }
    this.#wait(code, reason, askedForMs(reason));
  }

  #detach(reason: string): void {
    clearTimeout(this.#behind);
    this.#behind = undefined;
    clearTimeout(this.#held);
    this.#held = undefined;
    this.#outbox.recall();
    this.#socket?.drop(reason);
    this.#socket = undefined;
    this.#presence.detached();
    if (this.#liveSince !== undefined && Date.now() - this.#liveSince >= STABLE_MS) this.#attempt = 0;
    this.#liveSince = undefined;
  }

  #wait(code: number, reason: string, msMin = 0): void {
    const attempt = this.#attempt;
    const delay = Math.max(msMin, backoffMs(attempt, this.#options.random ?? Math.random));
    this.#attempt += 1;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#open(), delay);
    this.#set({ phase: "waiting", retryAt: Date.now() + delay, attempt, code, reason });
  }

  #set(connection: Connection): void {
    this.#connection = connection;
    this.#tell({ type: "connection" });
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners) listener(change);
  }
}
