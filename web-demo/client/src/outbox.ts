// Commands that have no reply yet. They survive the loss of a connection: after the next one is in step they are sent
// again with the same id, and the server sees to it that each takes effect once.

import type { Accepted, CommandFrame, ErrorBody, RefreshTokenFrame, RequestId } from "./protocol.ts";

/** How many commands may wait for a reply. More than a person can cause; a program in a loop is told to stop. */
const COMMANDS_WAITING_MAX = 200;

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
        this.#waiting.set(frame.id, { frame, resolve, reject });
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

  settle(id: RequestId, reply: Reply): void {
    this.#take(id)?.resolve(reply);
  }

  fail(id: RequestId, error: ErrorBody): void {
    this.#take(id)?.reject(new CommandError(error));
  }

  failAll(error: ErrorBody): void {
    for (const id of [...this.#waiting.keys()]) this.fail(id, error);
  }

  #take(id: RequestId): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    if (this.#waiting.delete(id)) this.#changed();
    return waiting;
  }
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
