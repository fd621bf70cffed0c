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
