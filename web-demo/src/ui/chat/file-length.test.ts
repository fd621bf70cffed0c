import { expect, it } from "vitest";
import { lengthOf } from "./file-length.ts";

it("says of a written file what every viewer knows, and is never empty", () => {
  const current = { hash: "a", size_bytes: 594 };
  expect(lengthOf({ hash: "a" }, current)).toBe("594 B");
  expect(lengthOf({ hash: "b" }, current)).toBe("changed since");
  expect(lengthOf({}, undefined)).toBe("gone since");
});
