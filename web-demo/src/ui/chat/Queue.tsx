import { Clock, X } from "lucide-react";
import { useMemo } from "react";
import { useRoom, useView } from "../room.ts";
import { nameOf, queuedRuns } from "../select.ts";

const KINDS = {
  generate: "Prompt",
  apply: "A reply to apply",
  install: "Packages to install",
  exec: "A command",
};

/** Prompts that wait for their turn, everybody's, and those that have not reached the server yet. */
export function Queue() {
  const room = useRoom();
  const state = useView((view) => view.state);
  const pending = useView((view) => view.pending);
  const isLive = useView((view) => view.connection.phase === "live");
  const canEdit = useView((view) => view.welcome?.role !== "viewer");
  const queued = useMemo(() => queuedRuns(state), [state]);
  // Over a good connection the reply comes at once; only what has to wait is worth a line.
  const unsent = isLive ? [] : pending;
  if (queued.length + unsent.length === 0) return null;
  return (
    <ol className="queue" aria-label="Waiting prompts" data-testid="queue">
      {queued.map((run, index) => (
        <li key={run.run}>
          <Clock size={14} aria-hidden="true" />
          <span className="truncate">{run.prompt ?? KINDS[run.kind]}</span>
          <span className="queue-by">
            {nameOf(state, run.by)} · {index + 1}
          </span>
          {canEdit && (
            <button
              type="button"
              className="icon-button small"
              aria-label="Remove from the queue"
              title="Remove from the queue"
              onClick={() => room.cancel(run.run)}
            >
              <X size={14} />
            </button>
          )}
        </li>
      ))}
      {unsent.map((prompt) => (
        <li key={prompt.id}>
          <Clock size={14} aria-hidden="true" />
          <span className="truncate">{prompt.text}</span>
          <span className="queue-by">sent once connected</span>
        </li>
      ))}
    </ol>
  );
}
