import assert from "node:assert/strict";

/** Waits until a condition holds, and says what it was when it never does. */
export async function until(what, condition, withinMs = 60_000) {
  const deadline = Date.now() + withinMs;
  let seen = await condition();
  while (!seen) {
    assert.ok(Date.now() < deadline, `in ${withinMs} ms it did not come to this: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
    seen = await condition();
  }
  return seen;
}
