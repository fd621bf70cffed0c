import { expect, it } from "vitest";
import { lineDiff, mix, type Piece } from "./line-diff.ts";

const same = (...lines: string[]): Piece => ({ type: "same", lines });
const change = (left: string[], right: string[]): Piece => ({ type: "change", left, right });

it.each([
  ["a\nb", "a\nb", [same("a", "b")]],
  ["a\nb\nc", "a\nx\nc", [same("a"), change(["b"], ["x"]), same("c")]],
  ["a\nc", "a\nb\nc", [same("a"), change([], ["b"]), same("c")]],
  ["a\nb\nc\nd", "b\nx\nd", [change(["a"], []), same("b"), change(["c"], ["x"]), same("d")]],
  ["", "a", [change([""], ["a"])]],
  ["a\n", "a", [same("a"), change([""], [])]],
])("%j and %j", (left, right, expected) => {
  expect(lineDiff(left, right)).toEqual(expected);
});

it("gives back either text, and any mix", () => {
  const [left, right] = ["1\n2\n3\n4\n5\n", "0\n1\n2\nthree\n4\n"];
  const pieces = lineDiff(left, right);
  expect(mix(pieces, [])).toBe(left);
  expect(mix(pieces, ["right", "right", "right"])).toBe(right);
  expect(mix(pieces, ["right", "left", "left"])).toBe("0\n1\n2\n3\n4\n5\n");
  expect(mix(pieces, ["left", "both", "left"])).toBe("1\n2\n3\nthree\n4\n5\n");
});

it("does not spend for ever on texts that have nothing in common", () => {
  const text = (mark: string) => Array.from({ length: 5_000 }, (_, line) => `${mark}${line}`).join("\n");
  expect(lineDiff(text("a"), text("b"))).toHaveLength(1);
});
