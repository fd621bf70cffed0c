// Commands that have no reply yet. They survive the loss of a connection: after the next one is in step they are sent
// again with the same id, and the server sees to it that each takes effect once. Only a few are under way at a time, so
// that all that was given offline does not arrive as a flood; what the server is too busy for waits and goes again.

import type { Accepted, CommandFrame, ErrorBody, RefreshTokenFrame, RequestId } from "./protocol.ts";

/** How many commands may wait for a reply. More than a person can cause; a program in a loop is told to stop. */
const COMMANDS_WAITING_MAX = 200;
/** How many may be under way. Fewer than a server takes at once, so that another page of the same person fits in. */
const COMMANDS_UNDER_WAY_MAX = 16;
/** How long a command waits that was rejected "for now" without a word about for how long. */
const RETRY_MS = 1_000;
/** How often a command is sent at which the server has a fault it says nothing more about. */
const FAULTS_MAX = 5;

/** Anything that gets a reply. */
export type Unanswered = CommandFrame | RefreshTokenFrame;

/** What a command was answered with: the run it began, or the data it read. */
export type Reply = Partial<Accepted> & { data?: unknown };

/** A command that was rejected, or could not be sent. */
export class CommandError extends Error {
  readonly body: ErrorBody;

  constructor(body: ErrorBody) {
    super(body.message);
    this.name = "CommandError";
    this.body = body;
  }
}

interface Waiting {
  frame: Unanswered;
  resolve: (reply: Reply) => void;
  reject: (error: CommandError) => void;
  underWay: boolean;
  faults: number;
}

export class Outbox {
  readonly #waiting = new Map<RequestId, Waiting>();
  readonly #changed: () => void;

  constructor(changed: () => void = () => undefined) {
    this.#changed = changed;
  }

  /** Keeps the command until its reply comes. A command whose id is already waiting is the same command. */
  add(frame: Unanswered): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const earlier = this.#waiting.get(frame.id);
      if (earlier) {
        chain(earlier, resolve, reject);
      } else if (this.#waiting.size >= COMMANDS_WAITING_MAX) {
        const message = "Too many commands are waiting for an answer.";
        reject(new CommandError({ code: "rate_limited", message, retryable: true }));
      } else {
        this.#waiting.set(frame.id, { frame, resolve, reject, underWay: false, faults: 0 });
        this.#changed();
      }
    });
  }

  has(id: RequestId): boolean {
    return this.#waiting.has(id);
  }

  /** Everything without a reply, in the order it was given. */
  frames(): Unanswered[] {
    return [...this.#waiting.values()].map((waiting) => waiting.frame);
  }

  /** What may be sent now, in the order it was given. From here on it counts as under way. */
  take(): Unanswered[] {
    const waiting = [...this.#waiting.values()];
    const room = COMMANDS_UNDER_WAY_MAX - waiting.filter((one) => one.underWay).length;
    const taken = waiting.filter((one) => !one.underWay).slice(0, Math.max(0, room));
    for (const one of taken) one.underWay = true;
    return taken.map((one) => one.frame);
  }

  /** The connection is lost: nothing is under way any more. */
  recall(): void {
    for (const one of this.#waiting.values()) one.underWay = false;
  }

  /**
   * The command was rejected. When only for now, it is kept; returns after how many milliseconds to go on sending.
   * Undefined: that was the answer.
   */
  rejected(id: RequestId, error: ErrorBody): number | undefined {
    const waiting = this.#waiting.get(id);
    if (!waiting) return undefined;
    if (!(error.retryable && isPassing(waiting, error))) {
      this.fail(id, error);
      return undefined;
    }
    waiting.underWay = false;
    return error.retry_after_ms ?? RETRY_MS;
  }

  settle(id: RequestId, reply: Reply): void {
    this.#take(id)?.resolve(reply);
  }

  fail(id: RequestId, error: ErrorBody): void {
    this.#take(id)?.reject(new CommandError(error));
  }

  failAll(error: ErrorBody, which: (frame: Unanswered) => boolean = () => true): void {
    for (const frame of this.frames()) if (which(frame)) this.fail(frame.id, error);
  }

  #take(id: RequestId): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    if (this.#waiting.delete(id)) this.#changed();
    return waiting;
  }
}

/** Whether the server is just too busy, stops for a while, or may get over its fault. */
function isPassing(waiting: Waiting, { code, retry_after_ms }: ErrorBody): boolean {
  if (code === "rate_limited") return true;
  if (code !== "internal") return false;
  if (retry_after_ms === undefined) waiting.faults += 1;
  return waiting.faults < FAULTS_MAX;
}

/** Gives the reply to one more caller. */
function chain(waiting: Waiting, resolve: Waiting["resolve"], reject: Waiting["reject"]): void {
  const { resolve: resolveEarlier, reject: rejectEarlier } = waiting;
  waiting.resolve = (reply) => {
    resolveEarlier(reply);
    resolve(reply);
  };
  waiting.reject = (error) => {
    rejectEarlier(error);
    reject(error);
  };
}
