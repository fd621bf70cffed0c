import type { ContentHash } from "../protocol.ts";

/** How many file contents, or facts about them, are kept at hand. */
const KEPT_MAX = 200;

/** Adds an entry; the oldest leave. */
export function remember<V>(
  map: ReadonlyMap<ContentHash, V>,
  hash: ContentHash,
  value: V,
): ReadonlyMap<ContentHash, V> {
  const others = [...map].filter(([key]) => key !== hash);
  return new Map([...others.slice(1 - KEPT_MAX), [hash, value]]);
}
