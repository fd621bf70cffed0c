import { expect, it } from "vitest";
import { compared, hashesOf } from "./compare.ts";

it("puts first what a step changed", () => {
  const earlier = hashesOf([
    { path: ".gitignore", hash: "a", size_bytes: 1 },
    { path: "old.js", hash: "b", size_bytes: 1 },
    { path: "src/App.jsx", hash: "c", size_bytes: 1 },
  ]);
  const later = { ".gitignore": { hash: "a" }, "new.js": { hash: "d" }, "src/App.jsx": { hash: "e" } };
  expect(compared(earlier, later)).toEqual([
    { path: "new.js", state: "new", after: "d" },
    { path: "old.js", state: "gone", before: "b" },
    { path: "src/App.jsx", state: "changed", before: "c", after: "e" },
    { path: ".gitignore", state: "same", before: "a", after: "a" },
  ]);
});
