/** The first wait after a lost connection. */
const DELAY_MS_MIN = 400;
/** The longest: a server that comes back is noticed soon, and a room of clients does not storm it. */
const DELAY_MS_MAX = 15_000;

/**
 * How long to wait before attempt `attempt` (from 0): doubling, with half of it left to chance so that many clients
 * that were cut off together don't come back together.
 */
export function backoffMs(attempt: number, random: () => number): number {
  const ceiling = Math.min(DELAY_MS_MAX, DELAY_MS_MIN * 2 ** Math.min(attempt, 20));
  return Math.round(ceiling / 2 + (ceiling / 2) * random());
}
