import { expect, it } from "vitest";
import { buildTree, entryFile } from "./tree.ts";

it("groups files by directory, each once", () => {
  const tree = buildTree(["src/b.js", "index.html", "src/ui/x.js", "src/a.js", "src/a.js"]);
  expect(tree.files.map((file) => file.path)).toEqual(["index.html"]);
  expect(tree.directories.map((directory) => directory.path)).toEqual(["src"]);
  expect(tree.directories[0]?.files.map((file) => file.name)).toEqual(["a.js", "b.js"]);
  expect(tree.directories[0]?.directories[0]?.path).toBe("src/ui");
});

it("opens the file somebody most likely wants to see", () => {
  expect(entryFile(["z.md", "src/App.jsx", "a.js"])).toBe("src/App.jsx");
  expect(entryFile(["z.md", "a.js"])).toBe("a.js");
  expect(entryFile([])).toBeUndefined();
});
