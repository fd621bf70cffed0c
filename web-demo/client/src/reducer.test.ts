import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { EventFrame, MessagePart, ProjectState } from "./protocol.ts";
import { emptyState, reduce } from "./reducer.ts";
import { appendTail } from "./tail.ts";

const PROTOCOL_TESTS = new URL("../../../protocol/tests/", import.meta.url);

/** Folds events that only say what matters; places in the log and times are filled in. */
function fold(events: Partial<EventFrame>[], state = emptyState()): ProjectState {
  return events.reduce<ProjectState>(
    (state, event, index) => reduce(state, { seq: index + 1, at: `t${index + 1}`, ...event } as EventFrame),
    state,
  );
}

const run = { run: "r1" } as const;
const answer = { type: "message_added", message: "m2", role: "assistant", ...run } as const;

function parts(...events: Partial<EventFrame>[]): MessagePart[] | undefined {
  return fold([answer, ...events]).messages[0]?.parts;
}

const began = { type: "file_started", message: "m2", path: "a.js", action: "create", ...run } as const;
const typed = { type: "file_delta", message: "m2", path: "a.js", text: "xy", done: true, ...run } as const;
const written = {
  type: "file_written",
  path: "a.js",
  hash: "h",
  size_bytes: 2,
  origin: "reply",
  ...run,
} as const;

describe("the fold", () => {
  it("takes every golden event, and changes nothing in place", () => {
    const directory = new URL("golden/", PROTOCOL_TESTS);
    const files = readdirSync(directory).filter((file) => file.startsWith("event."));
    expect(files.length).toBeGreaterThan(20);
    const { state: snapshot } = JSON.parse(readFileSync(new URL("control.snapshot.json", directory), "utf8"));
    for (const file of files) {
      const event = JSON.parse(readFileSync(new URL(file, directory), "utf8"));
      expect(() => reduce(deepFreeze(structuredClone(snapshot)), deepFreeze(event)), file).not.toThrow();
    }
  });

  it("ignores events it does not know", () => {
    const state = emptyState();
    expect(reduce(state, { type: "from_tomorrow", seq: 1, at: "t" } as unknown as EventFrame)).toBe(state);
  });
});

describe("an answer", () => {
  it("grows by deltas into parts, in the order they were written", () => {
    const text = (text: string) => ({ type: "text_delta", message: "m2", text }) as const;
    const thought = (text: string) => ({ type: "reasoning_delta", message: "m2", text }) as const;
    expect(parts(thought("h"), thought("m"), text("a"), text("b"), began, typed, text("c"))).toEqual([
      { type: "reasoning", text: "hm" },
      { type: "text", text: "ab" },
      { type: "file", path: "a.js", action: "create", state: "typed", text: "xy" },
      { type: "text", text: "c" },
    ]);
  });

  it("has its files written by the run only, and only when typed to the end", () => {
    const state = (...events: Partial<EventFrame>[]) => parts(began, ...events)?.[0];
    const done = { type: "file", path: "a.js", action: "create", state: "written", hash: "h" };
    expect(state(typed, written)).toEqual(done);
    expect(state(written)).toMatchObject({ state: "typing" });
    expect(state(typed, { ...written, run: "r2" })).toMatchObject({ state: "typed" });
    expect(state(typed, { ...written, origin: "sandbox" })).toMatchObject({ state: "typed" });
    expect(state(typed, { ...written, path: "b.js" })).toMatchObject({ state: "typed" });
  });

  it("says why a file was refused", () => {
    const refused = { type: "file_refused", path: "a.js", reason: "too large", ...run } as const;
    expect(parts(began, typed, refused)?.[0]).toMatchObject({
      state: "refused",
      reason: "too large",
      text: "xy",
    });
    expect(parts(began, typed, written, refused)?.[0]).toMatchObject({ state: "written" });
  });

  it("keeps the identity of what did not change", () => {
    const before = fold([{ ...answer, message: "m1" }, answer, began]);
    const after = fold([{ type: "text_delta", message: "m2", text: "a" }], before);
    expect(after.messages[0]).toBe(before.messages[0]);
    expect(after.messages[1]?.parts[0]).toBe(before.messages[1]?.parts[0]);
    expect(after.files).toBe(before.files);
  });
});

describe("limits", () => {
  it("keeps the last 500 messages and counts the others", () => {
    const state = fold(Array.from({ length: 503 }, (_, n) => ({ ...answer, message: `m${n}` })));
    expect([state.messages.length, state.messages_dropped, state.messages[0]?.message]).toEqual([
      500,
      3,
      "m3",
    ]);
  });

  it("keeps the last 100 runs that ended, and all that wait", () => {
    const begin = (n: number) =>
      ({ type: "run_queued", kind: "generate", position: 2, run: `r${n}` }) as const;
    const end = (n: number) => ({ type: "run_finished", outcome: "completed", run: `r${n}` }) as const;
    const state = fold([
      begin(0),
      ...Array.from({ length: 102 }, (_, n) => [begin(n + 1), end(n + 1)]).flat(),
    ]);
    expect([state.runs.length, state.runs[0]?.run, state.runs[1]?.run]).toEqual([101, "r0", "r3"]);
  });

  it("keeps the last 16 KiB of a step's output, in whole characters", () => {
    expect(appendTail("abc", "def", 4)).toBe("cdef");
    expect(appendTail("", "aé", 3)).toBe("aé");
    expect(appendTail("", "éa", 2)).toBe("a");
    expect(appendTail("", "😀a", 4)).toBe("a");
    expect(appendTail("x", "😀", 4)).toBe("😀");
    const started = { type: "install_started", packages: ["a"], ...run } satisfies Partial<EventFrame>;
    const said = { type: "install_output", stream: "stdout", text: "ö".repeat(6_000), ...run } as const;
    const state = fold([{ type: "run_started", kind: "install", ...run }, started, said, said]);
    expect(state.runs[0]?.steps[0]).toMatchObject({ output: "ö".repeat(8_192) });
  });
});

describe("speed", () => {
  it("folds 20,000 deltas into a long conversation without noticeable delay", () => {
    const messages = Array.from({ length: 500 }, (_, n) => ({ ...answer, message: `m${n}` }) as const);
    const state = fold([...messages, { ...began, message: "m499" }]);
    const delta = { type: "file_delta", message: "m499", path: "a.js", text: "some text" } as const;
    const begin = performance.now();
    const after = fold(
      Array.from({ length: 20_000 }, () => delta),
      state,
    );
    expect(after.messages[499]?.parts[0]).toMatchObject({ text: "some text".repeat(20_000) });
    expect(performance.now() - begin).toBeLessThan(1_000);
  });
});

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
