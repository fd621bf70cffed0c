// The server folds the same events in its own tests, and must come to the same state.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { EventFrame } from "./protocol.ts";
import { emptyState, reduce } from "./reducer.ts";

const folder = new URL("../../../protocol/tests/fold/", import.meta.url);

test("the fold of all events is the server's", () => {
  const lines = readFileSync(new URL("events.ndjson", folder), "utf8").trim().split("\n");
  const events = lines.map((line) => JSON.parse(line) as EventFrame);
  const expected: unknown = JSON.parse(readFileSync(new URL("state.json", folder), "utf8"));
  expect(events.reduce(reduce, emptyState())).toEqual(expected);
});
