import { describe, expect, it } from "vitest";
import { countLines, editLines } from "./edit-lines.ts";

const BLOCK = "<<<<<<< SEARCH\nold\n=======\nnew\nmore\n>>>>>>> REPLACE\n";

describe("search/replace blocks", () => {
  it("become removed and added lines", () => {
    expect(editLines(BLOCK)).toEqual([
      { type: "removed", text: "old" },
      { type: "added", text: "new" },
      { type: "added", text: "more" },
    ]);
  });

  it("are divided when there are several", () => {
    expect(editLines(BLOCK + BLOCK).map((line) => line.type)).toEqual([
      ...["removed", "added", "added"],
      "divider",
      ...["removed", "added", "added"],
    ]);
  });

  it("can be looked at while they are typed", () => {
    for (let length = 0; length <= BLOCK.length; length += 1) editLines(BLOCK.slice(0, length));
    expect(editLines("<<<<<<< SEARCH\nol")).toEqual([{ type: "removed", text: "ol" }]);
  });

  it("keep lines that only look like markers", () => {
    expect(editLines("<<<<<<< SEARCH\na\n=======\n=======\n>>>>>>> REPLACE").at(-1)).toEqual({
      type: "added",
      text: "=======",
    });
  });

  it("are counted by what came and went, whole files by their lines", () => {
    expect(countLines("edit", BLOCK)).toEqual({ added: 2, removed: 1 });
    expect(countLines("create", "\na\nb\n")).toEqual({ lines: 2 });
  });
});
