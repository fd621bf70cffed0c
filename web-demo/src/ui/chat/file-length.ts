import type { FileInfo } from "../../protocol.ts";
import { size } from "../format.ts";
import type { FilePart } from "../select.ts";

/** How long a file is that an answer has written. Only the newest content's size is known to everybody. */
export function lengthOf({ hash }: Pick<FilePart, "hash">, current: FileInfo | undefined): string {
  if (!current) return "gone since";
  return hash === current.hash ? size(current.size_bytes) : "changed since";
}
