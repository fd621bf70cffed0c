import { Scissors, Shuffle, Undo2 } from "lucide-react";
import type { Message, RunInfo } from "../../protocol.ts";
import { count } from "../format.ts";
import { useView } from "../room.ts";

/** What the reader of an answer should know about how it came about. */
export function RunNotes({ run, message }: { run: RunInfo; message: Message | undefined }) {
  const notes = useView((view) => view.runNotes.get(run.run));
  const passedOver = message?.passed_over ?? [];
  if (!notes && passedOver.length === 0) return null;
  const { trimmed, reverted } = notes ?? {};
  return (
    <div className="run-notes" data-testid="run-notes">
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
    </div>
  );
}

function leftOut(trimmed: { messages_dropped: number; files_without_text: number }): string {
  const parts = [
    trimmed.messages_dropped > 0 && `the oldest ${count(trimmed.messages_dropped, "message")}`,
    trimmed.files_without_text > 0 && `the text of ${count(trimmed.files_without_text, "file")}`,
  ];
  return parts.filter(Boolean).join(" and ") || "all of it";
}
