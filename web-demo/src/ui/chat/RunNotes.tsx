import { CircleSlash, FileCheck, RotateCw, Scissors, Shuffle, Undo2 } from "lucide-react";
import type { Message, RunInfo } from "../../protocol.ts";
import { count } from "../format.ts";
import { type FileFate, useView } from "../room.ts";

/** What the reader of an answer should know about how it came about. */
export function RunNotes({ run, message }: { run: RunInfo; message: Message | undefined }) {
  const notes = useView((view) => view.runNotes.get(run.run));
  const passedOver = message?.passed_over ?? [];
  const { retried, trimmed, reverted } = notes ?? {};
  const files = filesWithoutCard(notes?.files, message);
  if (!retried && !trimmed && !reverted && files.length === 0 && passedOver.length === 0) return null;
  return (
    <div className="run-notes" data-testid="run-notes">
      {retried && (
        <p>
          <RotateCw size={14} aria-hidden="true" />
          <span>The model did not answer at once, so it was asked again: {retried.error.message}</span>
        </p>
      )}
      {passedOver.map(({ model, error }) => (
        <p key={model}>
          <Shuffle size={14} aria-hidden="true" />
          <span>
            <span className="mono">{model}</span> did not answer, so another model did: {error.message}
          </span>
        </p>
      ))}
      {trimmed && (
        <p>
          <Scissors size={14} aria-hidden="true" />
          <span>Not everything fits into the model’s window: it was not shown {leftOut(trimmed)}.</span>
        </p>
      )}
      {reverted && (
        <p>
          <Undo2 size={14} aria-hidden="true" />
          <span>
            The app did not work after {count(reverted.rounds, "attempt")} to repair it, so{" "}
            {count(reverted.paths.length, "file")} {reverted.paths.length === 1 ? "is" : "are"} as before.
          </span>
        </p>
      )}
      <Files files={files} isSilent={message === undefined} />
    </div>
  );
}

/** A run that nobody wrote a message about has no cards: what it did to files is said here. */
function Files({ files, isSilent }: { files: [path: string, fate: FileFate][]; isSilent: boolean }) {
  const changed = files.filter(([, fate]) => fate.kind !== "refused").map(([path]) => path);
  return (
    <>
      {isSilent && changed.length > 0 && (
        <p>
          <FileCheck size={14} aria-hidden="true" />
          <span>
            Changed {count(changed.length, "file")}: <span className="mono">{changed.join(", ")}</span>
          </span>
        </p>
      )}
      {files.map(
        ([path, fate]) =>
          fate.kind === "refused" && (
            <p key={path}>
              <CircleSlash size={14} aria-hidden="true" />
              <span>
                <span className="mono">{path}</span> was not changed: {fate.reason}
              </span>
            </p>
          ),
      )}
    </>
  );
}

function filesWithoutCard(
  files: ReadonlyMap<string, FileFate> | undefined,
  message: Message | undefined,
): [string, FileFate][] {
  const carded = new Set(message?.parts.map((part) => (part.type === "file" ? part.path : undefined)));
  return [...(files ?? [])].filter(([path]) => !carded.has(path));
}

function leftOut(trimmed: { messages_dropped: number; files_without_text: number }): string {
  const parts = [
    trimmed.messages_dropped > 0 && `the oldest ${count(trimmed.messages_dropped, "message")}`,
    trimmed.files_without_text > 0 && `the text of ${count(trimmed.files_without_text, "file")}`,
  ];
  return parts.filter(Boolean).join(" and ") || "all of it";
}
