// The client's copy of the project: what it has seen, and the fold of it.

import type { Cursor, Epoch, EventFrame, ProjectState, SnapshotFrame } from "./protocol.ts";
import { emptyState, reduce } from "./reducer.ts";

/**
 * What became of an event: `gap` means that something before it is missing, `unreadable` that it is not what this client
 * takes an event of its kind to be.
 */
export type Verdict = "applied" | "duplicate" | "gap" | "unreadable";

export class Replica {
  #epoch: Epoch | undefined;
  #seq = 0;
  #state: ProjectState = emptyState();

  get state(): ProjectState {
    return this.#state;
  }

  /** The last event that is part of the state. */
  get seq(): number {
    return this.#seq;
  }

  /** Where to resume, or nothing before the first attachment. */
  get cursor(): Cursor | undefined {
    return this.#epoch === undefined ? undefined : { epoch: this.#epoch, seq: this.#seq };
  }

  /** Begins or continues a life of the log. False: the replica is of another life, and only a snapshot can help. */
  enter(epoch: Epoch): boolean {
    if (this.#epoch !== undefined && this.#epoch !== epoch) return false;
    this.#epoch = epoch;
    return true;
  }

  /** Gives up its place in the log: only a snapshot can help. What it knew stays to be looked at until then. */
  abandon(): void {
    this.#epoch = undefined;
    this.#seq = 0;
  }

  restore(epoch: Epoch, snapshot: SnapshotFrame): void {
    this.#epoch = epoch;
    this.#seq = snapshot.seq;
    this.#state = snapshot.state;
  }

  accept(frame: EventFrame): Verdict {
    if (this.#epoch === undefined) return "gap";
    if (frame.seq <= this.#seq) return "duplicate";
    if ((frame.seq_first ?? frame.seq) !== this.#seq + 1) return "gap";
    try {
      this.#state = reduce(this.#state, frame);
    } catch {
      return "unreadable";
    }
    this.#seq = frame.seq;
    return "applied";
  }
}
