// Who is where, outside of the log: the others' latest words, and one's own, said no more often than anybody can follow.

import type { ParticipantId, Presence, PresenceFrame } from "./protocol.ts";

/** Between two words about oneself: a cursor still seems to move, and a fast typist is one frame. */
const SAY_MS_MIN = 150;

export class PresenceBoard {
  readonly #send: (own: Presence) => void;
  #all: ReadonlyMap<ParticipantId, Presence> = new Map();
  #own: Presence | undefined;
  #attached = false;
  /** While it runs, the next word waits for its end. */
  #pause: ReturnType<typeof setTimeout> | undefined;
  #waiting = false;

  constructor(send: (own: Presence) => void) {
    this.#send = send;
  }

  get all(): ReadonlyMap<ParticipantId, Presence> {
    return this.#all;
  }

  /** In step with the room: the next frame has everybody who said something. */
  attached(): void {
    this.#all = new Map();
    this.#attached = true;
    if (this.#own) this.#speak();
  }

  detached(): void {
    this.#attached = false;
  }

  close(): void {
    this.detached();
    clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  hear(news: PresenceFrame["participants"]): void {
    const all = new Map(this.#all);
    for (const [participant, presence] of Object.entries(news ?? {})) {
      if (presence) all.set(participant, presence);
      else all.delete(participant);
    }
    this.#all = all;
  }

  say(own: Presence): void {
    if (this.#own && JSON.stringify(own) === JSON.stringify(this.#own)) return;
    this.#own = own;
    this.#speak();
  }

  #speak(): void {
    if (this.#pause !== undefined) {
      this.#waiting = true;
      return;
    }
    if (!this.#attached || !this.#own) return;
    this.#send(this.#own);
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      if (this.#waiting) {
        this.#waiting = false;
        this.#speak();
      }
    }, SAY_MS_MIN);
  }
}
