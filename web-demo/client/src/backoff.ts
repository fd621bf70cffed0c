/** The first wait after a lost connection. */
const DELAY_MS_MIN = 400;
/** The longest: a server that comes back is noticed soon, and a room of clients does not storm it. */
const DELAY_MS_MAX = 15_000;

/** How long a server may ask to be left alone; beyond that it is asked again anyway. */
const DELAY_MS_ASKED_MAX = 60_000;

/**
 * How long to wait before attempt `attempt` (from 0): doubling, with half of it left to chance so that many clients
 * that were cut off together don't come back together.
 */
export function backoffMs(attempt: number, random: () => number): number {
  const ceiling = Math.min(DELAY_MS_MAX, DELAY_MS_MIN * 2 ** Math.min(attempt, 20));
  return Math.round(ceiling / 2 + (ceiling / 2) * random());
}

/** When a server that goes away wants to see its clients again: `going away; retry_after_ms=700`. 0: it did not say. */
export function askedForMs(reason: string): number {
  const digits = /retry_after_ms=(\d{1,9})/.exec(reason)?.[1];
  return Math.min(DELAY_MS_ASKED_MAX, Number(digits ?? 0));
}
