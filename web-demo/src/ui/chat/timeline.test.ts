import { expect, it } from "vitest";
import type { Message, RunInfo } from "../../protocol.ts";
import { timeline } from "./timeline.ts";

const message = (id: string, at: string, run: string): Message => ({
  message: id,
  role: "user",
  run,
  at,
  parts: [],
});
const run = (id: string, accepted_at: string, overrides: Partial<RunInfo> = {}): RunInfo => ({
  run: id,
  kind: "generate",
  state: "finished",
  accepted_at,
  steps: [],
  files: [],
  ...overrides,
});

function names(messages: Message[], runs: RunInfo[]): string[] {
  return timeline(messages, runs).map((item) =>
    item.type === "run" ? item.run.run : `${item.message.message}${item.isLast ? "!" : ""}`,
  );
}

it("puts a run's outcome below its last message", () => {
  const messages = [message("m1", "1", "r1"), message("m2", "2", "r1"), message("m3", "3", "r2")];
  expect(names(messages, [run("r1", "1"), run("r2", "3")])).toEqual(["m1", "m2!", "m3!"]);
});

it("puts runs without messages where they happened", () => {
  const messages = [message("m1", "1", "r1"), message("m2", "5", "r3")];
  const runs = [
    run("r1", "1"),
    run("r2", "3", { kind: "exec" }),
    run("r3", "5"),
    run("r4", "7", { kind: "install" }),
  ];
  expect(names(messages, runs)).toEqual(["m1!", "r2", "m2!", "r4"]);
});

it("leaves out what waits, and runs whose messages have been forgotten", () => {
  const messages = [message("m8", "8", "r8"), message("m9", "9", "r9")];
  const runs = [run("r1", "1"), run("r8", "8"), run("r9", "9", { state: "queued" })];
  expect(names(messages, runs)).toEqual(["m8!"]);
});
