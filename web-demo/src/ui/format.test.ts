import { describe, expect, it } from "vitest";
import { count, duration, initials, lineCount, size, timeAgo } from "./format.ts";

function check<T, R>(call: (input: T) => R, cases: [T, R][]) {
  for (const [input, expected] of cases) expect(call(input), JSON.stringify(input)).toBe(expected);
}

describe("words for numbers", () => {
  it("counts lines as an editor does", () => {
    check(lineCount, [
      ["", 0],
      ["a", 1],
      ["a\n", 1],
      ["a\nb", 2],
      ["\n\n", 2],
    ]);
  });

  it("says how long something took", () => {
    const to = (ms: number) =>
      duration("2026-01-01T00:00:00.000Z", new Date(Date.UTC(2026, 0, 1) + ms).toISOString());
    check(to, [
      [800, "0.8 s"],
      [9_940, "9.9 s"],
      [12_400, "12 s"],
      [185_000, "3 min 5 s"],
      [-1, ""],
    ]);
    expect(duration(undefined, "2026-01-01T00:00:00Z")).toBe("");
  });

  it("says how long ago something was", () => {
    const ago = (ms: number) => timeAgo(new Date(1e12 - ms).toISOString(), 1e12);
    check(ago, [
      [5_000, "just now"],
      [-5_000, "just now"],
      [120_000, "2 minutes ago"],
      [7_200_000, "2 hours ago"],
    ]);
    expect(timeAgo("nonsense")).toBe("");
  });

  it("says how much there is", () => {
    check(size, [
      [0, "0 B"],
      [2_048, "2.0 KB"],
      [3_145_728, "3.0 MB"],
    ]);
    expect([count(1, "file"), count(2, "file"), count(1_840, "token")]).toEqual([
      "1 file",
      "2 files",
      "1.8K tokens",
    ]);
  });

  it("makes initials of any name", () => {
    check(initials, [
      ["Ada Lovelace", "AL"],
      ["ada", "A"],
      ["", "?"],
      ["  x  y  z ", "XZ"],
      ["😀 b", "😀B"],
    ]);
  });
});
