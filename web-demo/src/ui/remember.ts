/** How many file contents, or facts about them or about runs, are kept at hand. */
const KEPT_MAX = 200;

/** Adds an entry; the oldest leave. */
export function remember<V>(map: ReadonlyMap<string, V>, key: string, value: V): ReadonlyMap<string, V> {
  const others = [...map].filter(([other]) => other !== key);
  return new Map([...others.slice(1 - KEPT_MAX), [key, value]]);
}
