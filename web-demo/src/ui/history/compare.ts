// Two trees of files beside each other.

import type { FileEntry } from "../../protocol.ts";

export interface Row {
  path: string;
  /** Its content in the earlier tree; absent: there was no such file. */
  before?: string;
  after?: string;
  state: "same" | "changed" | "gone" | "new";
}

type Hashes = { [path: string]: { hash: string } };

export function hashesOf(files: FileEntry[]): Hashes {
  return Object.fromEntries(files.map(({ path, hash }) => [path, { hash }]));
}

/** Every file of either tree, those that differ first. */
export function compared(earlier: Hashes, later: Hashes): Row[] {
  const paths = [...new Set([...Object.keys(earlier), ...Object.keys(later)])];
  const rows = paths
    .sort((a, b) => a.localeCompare(b))
    .map((path): Row => {
      const [before, after] = [earlier[path]?.hash, later[path]?.hash];
      const state =
        before === undefined ? "new" : after === undefined ? "gone" : before === after ? "same" : "changed";
      return {
        path,
        state,
        ...(before !== undefined && { before }),
        ...(after !== undefined && { after }),
      };
    });
  return [...rows.filter((row) => row.state !== "same"), ...rows.filter((row) => row.state === "same")];
}
