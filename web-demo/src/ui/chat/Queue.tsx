import { ArrowDown, ArrowUp, Clock, CloudOff, FastForward, X } from "lucide-react";
import { useMemo } from "react";
import type { RunInfo } from "../../protocol.ts";
import { useCanEdit, useIsOwner, useMe, useRoom, useView } from "../room.ts";
import { activeRun, nameOf, queuedRuns } from "../select.ts";

const KINDS = {
  generate: "Prompt",
  apply: "A reply to apply",
  install: "Packages to install",
  exec: "A command",
  import: "A repository to take over",
};

/** Prompts that wait for their turn, everybody's, and those that have not reached the server yet. */
export function Queue() {
  const state = useView((view) => view.state);
  const pending = useView((view) => view.pending);
  const isLive = useView((view) => view.connection.phase === "live");
  const queued = useMemo(() => queuedRuns(state), [state]);
  // Over a good connection the reply comes at once; only what has to wait is worth a line.
  const unsent = isLive ? [] : pending;
  if (queued.length + unsent.length === 0) return null;
  return (
    <ol className="queue" aria-label="Waiting prompts" data-testid="queue">
      {queued.map((run, index) => (
        <Waiting key={run.run} run={run} position={index + 1} count={queued.length} />
      ))}
      {unsent.map((prompt) => (
        <li key={prompt.id} data-testid="unsent">
          <CloudOff size={14} aria-hidden="true" />
          <span className="truncate">{prompt.text}</span>
          <span className="queue-by">sent once connected</span>
        </li>
      ))}
    </ol>
  );
}

function Waiting({ run, position, count }: { run: RunInfo; position: number; count: number }) {
  const room = useRoom();
  const me = useMe();
  const isOwner = useIsOwner();
  const canEdit = useCanEdit();
  const name = useView((view) => (run.by === me ? "you" : nameOf(view.state, run.by)));
  const active = useView((view) => activeRun(view.state));
  const mayMove = canEdit && (isOwner || run.by === me);
  const mayInterrupt = mayMove && active !== undefined && (isOwner || active.by === me);
  const words = run.prompt ?? KINDS[run.kind];

  const move = (to: number) => void room.send({ type: "move_queued", run: run.run, position: to });

  async function sendNow() {
    const moved = await room.send({ type: "move_queued", run: run.run, position: 1 });
    if (moved && active) room.cancel(active.run);
  }

  return (
    <li data-testid="queued" data-run={run.run}>
      <Clock size={14} aria-hidden="true" />
      <span className="queue-place" title={`Number ${position} in the queue`}>
        {position}
      </span>
      <span className="truncate" title={words}>
        {words}
      </span>
      <span className="queue-by">{name}</span>
      {mayMove && (
        <span className="queue-buttons">
          {count > 1 && (
            <>
              <QueueButton label="Move up" disabled={position === 1} onClick={() => move(position - 1)}>
                <ArrowUp size={14} />
              </QueueButton>
              <QueueButton label="Move down" disabled={position === count} onClick={() => move(position + 1)}>
                <ArrowDown size={14} />
              </QueueButton>
            </>
          )}
          {mayInterrupt && (
            <QueueButton label="Now, instead of what runs" onClick={() => void sendNow()}>
              <FastForward size={14} />
            </QueueButton>
          )}
          <QueueButton
            label="Remove from the queue"
            onClick={() => void room.send({ type: "remove_queued", run: run.run })}
          >
            <X size={14} />
          </QueueButton>
        </span>
      )}
    </li>
  );
}

interface QueueButtonProps {
  label: string;
  onClick: () => void;
  disabled?: boolean;
  children: React.ReactNode;
}

function QueueButton({ label, onClick, disabled, children }: QueueButtonProps) {
  return (
    <button
      type="button"
      className="icon-button small"
      aria-label={label}
      title={label}
      disabled={disabled}
      onClick={onClick}
    >
      {children}
    </button>
  );
}
