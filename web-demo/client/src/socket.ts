// One WebSocket from its opening to its end: frames in and out, and the watch over its silence. It knows nothing of
// projects, replay or reconnecting.

import type { ClientFrame, ServerFrame } from "./protocol.ts";

/** How long a connection may take until its first frame, before the server has said what its heartbeat is. */
const FIRST_FRAME_MS_MAX = 15_000;
/**
 * How long it may seem silent before its snapshot is there. A browser tells of frames only when they are whole, and that
 * one is large. Events are small; while they are replayed, silence means what it always does.
 */
const SNAPSHOT_MS_MAX = 300_000;
/** Silent for this many heartbeats, a connection is dead even if nobody said so. */
const HEARTBEATS_SILENT_MAX = 2;
/** A close code that says nothing: the server need not care why a client leaves. */
const CLOSE_NORMAL = 1000;

/** The part of the browser's `WebSocket` that is used here. */
export interface WebSocketLike {
  readonly readyState: number;
  onopen: ((event: unknown) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: unknown) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export interface SocketListener {
  opened(): void;
  received(frame: ServerFrame): void;
  /** Called once. `code` is 1006 when the connection just went dead. */
  closed(code: number, reason: string): void;
}

const OPEN = 1;

export class Socket {
  readonly #socket: WebSocketLike;
  #listener: SocketListener | undefined;
  #silenceMs = FIRST_FRAME_MS_MAX;
  #watchdog: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: WebSocketLike, listener: SocketListener) {
    this.#socket = socket;
    this.#listener = listener;
    this.#watch();
    socket.onopen = () => this.#listener?.opened();
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#end(code, reason);
    socket.onerror = null;
  }

  /** A snapshot comes next, and it may take long until it is whole. */
  expectSnapshot(): void {
    this.#silenceMs = SNAPSHOT_MS_MAX;
    this.#watch();
  }

  /** From now on the server is expected to say something at least this often. */
  expectHeartbeat(heartbeatMs: number): void {
    this.#silenceMs = heartbeatMs * HEARTBEATS_SILENT_MAX;
    this.#watch();
  }

  send(frame: ClientFrame): void {
    if (this.#socket.readyState === OPEN) this.#socket.send(JSON.stringify(frame));
  }

  /** Closes it and forgets the listener: nothing more is heard of it. */
  drop(reason: string): void {
    this.#listener = undefined;
    clearTimeout(this.#watchdog);
    this.#socket.close(CLOSE_NORMAL, reason);
  }

  #receive(data: unknown): void {
    this.#watch();
    if (typeof data !== "string") return;
    let frame: unknown;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (isFrame(frame)) this.#listener?.received(frame);
  }

  #watch(): void {
    clearTimeout(this.#watchdog);
    if (!this.#listener) return;
    this.#watchdog = setTimeout(() => {
      // The browser may take minutes to notice that nobody is there; its own close event is not waited for.
      this.#end(1006, "The server has gone silent.");
      this.#socket.close(CLOSE_NORMAL, "silent");
    }, this.#silenceMs);
  }

  #end(code: number, reason: string): void {
    const listener = this.#listener;
    this.#listener = undefined;
    clearTimeout(this.#watchdog);
    listener?.closed(code, reason);
  }
}

function isFrame(value: unknown): value is ServerFrame {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}
