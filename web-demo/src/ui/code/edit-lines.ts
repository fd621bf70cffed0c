import type { FileAction } from "../../protocol.ts";
import { lineCount } from "../format.ts";

export interface EditLine {
  type: "same" | "removed" | "added" | "divider";
  text: string;
}

/** The lines of search/replace blocks, also of one that is still being typed, as a difference to look at. */
export function editLines(text: string): EditLine[] {
  const lines: EditLine[] = [];
  let type: EditLine["type"] = "same";
  for (const line of text.split("\n")) {
    const marker = line.trimEnd();
    if (/^<{5,9} ?SEARCH$/.test(marker)) {
      if (lines.length > 0) lines.push({ type: "divider", text: "⋯" });
      type = "removed";
    } else if (/^={5,9}$/.test(marker) && type === "removed") {
      type = "added";
    } else if (/^>{5,9} ?REPLACE$/.test(marker)) {
      type = "same";
    } else if (type !== "same" || line.trim() !== "") {
      lines.push({ type, text: line });
    }
  }
  return lines;
}

/** How much was written of a file: of a whole one its lines, of an edit those that came and went. */
export type LineCount = { lines: number } | { added: number; removed: number };

export function countLines(action: FileAction, text: string): LineCount {
  if (action !== "edit") return { lines: lineCount(text.trim()) };
  const lines = editLines(text);
  const count = (type: EditLine["type"]) => lines.filter((line) => line.type === type).length;
  return { added: count("added"), removed: count("removed") };
}
