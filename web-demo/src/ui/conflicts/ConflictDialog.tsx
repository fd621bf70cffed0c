import { GitMerge } from "lucide-react";
import { useEffect, useMemo, useState } from "react";
import type { ConflictId, ContentHash, FileConflicted } from "../../protocol.ts";
import { type Choice, lineDiff, mix } from "../code/line-diff.ts";
import { SideBySide } from "../code/SideBySide.tsx";
import { Dialog } from "../parts/Dialog.tsx";
import { Segments } from "../parts/Segments.tsx";
import { type FileContent, useCanEdit, useRoom, useView } from "../room.ts";
import { toast } from "../toasts.ts";
import "./conflicts.css";

const CURRENT = "In the project now";
const PROPOSED = "Kept beside it";

/** Files of which there are two versions, and the choice between them. */
export function ConflictDialog({ first, onClose }: { first: ConflictId | undefined; onClose: () => void }) {
  const conflicts = useView((view) => view.state.conflicts);
  const [picked, setPicked] = useState(first);
  const shown = conflicts.find((open) => open.conflict === picked) ?? conflicts[0];
  return (
    <Dialog title="Two versions of a file" onClose={onClose} large testId="conflict-dialog">
      {conflicts.length > 1 && (
        <nav className="conflict-tabs" aria-label="Files with two versions">
          {conflicts.map((open) => (
            <button
              key={open.conflict}
              type="button"
              aria-current={open === shown}
              onClick={() => setPicked(open.conflict)}
            >
              {open.path}
            </button>
          ))}
        </nav>
      )}
      {shown ? (
        <Conflict key={shown.conflict} conflict={shown} />
      ) : (
        <div className="sheet-body conflict-none" data-testid="conflicts-resolved">
          <p>Nothing is left to decide.</p>
          <button type="button" className="button primary" onClick={onClose}>
            Close
          </button>
        </div>
      )}
    </Dialog>
  );
}

function Conflict({ conflict }: { conflict: FileConflicted }) {
  const room = useRoom();
  const canEdit = useCanEdit();
  const { path, proposed, reason } = conflict;
  const hash = useView((view) => view.state.files[path]?.hash);
  const locker = useView((view) => view.state.locks[path]);
  const isLocked = useView((view) => locker !== undefined && locker !== view.welcome?.participant);
  const now = useView((view) => (hash ? view.contents.get(hash) : undefined));
  const other = useView((view) => (proposed ? view.contents.get(proposed) : undefined));
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    if (hash) void room.read(path, hash);
    if (proposed) void room.read(path, proposed, { conflict: conflict.conflict });
  }, [room, path, hash, proposed, conflict.conflict]);

  async function resolve(keep: "current" | "proposed", content?: string, decidedOn = hash) {
    setBusy(true);
    const third = content === undefined ? {} : { content };
    const base = decidedOn === undefined ? {} : { base: decidedOn };
    const done = await room.send({
      type: "resolve_conflict",
      conflict: conflict.conflict,
      keep,
      ...third,
      ...base,
    });
    if (done) toast({ tone: "info", title: `${path} has one version again` });
    setBusy(false);
  }

  const why = !canEdit
    ? "You are watching; an editor decides."
    : isLocked
      ? "Somebody else has locked this file; it can be decided when they are done."
      : undefined;
  return (
    <>
      <p className="conflict-why">
        <strong className="mono">{path}</strong> {sentenceOf(reason)}{" "}
        <span className="soft">Nothing is lost: choose one, or make one of both.</span>
      </p>
      <Versions
        now={hash ? now : "gone"}
        other={proposed ? other : "deleted"}
        hash={hash}
        busy={busy || why !== undefined}
        onResolve={(keep, content, decidedOn) => void resolve(keep, content, decidedOn)}
      />
      {why && <p className="conflict-reason">{why}</p>}
    </>
  );
}

interface VersionsProps {
  /** `gone`: the file is no longer in the project. */
  now: FileContent | "gone" | undefined;
  /** `deleted`: it was to be deleted. */
  other: FileContent | "deleted" | undefined;
  /** Of what is in the project now. */
  hash: ContentHash | undefined;
  busy: boolean;
  /** `decidedOn`: what was in the project when this began to be decided, where that may be some time ago. */
  onResolve: (keep: "current" | "proposed", content?: string, decidedOn?: ContentHash) => void;
}

function Versions({ now, other, hash, busy, onResolve }: VersionsProps) {
  const left = textOf(now);
  const right = textOf(other);
  const pieces = useMemo(
    () => (left === undefined || right === undefined ? undefined : lineDiff(left, right)),
    [left, right],
  );
  const [choices, setChoices] = useState<Choice[]>([]);
  // By hand, and from which version on: what somebody else writes meanwhile must not go under.
  const [edited, setEdited] = useState<{ text: string; base: ContentHash | undefined }>();
  const written = edited?.text;
  const mixed = pieces && mix(pieces, choices);
  const result = written ?? mixed;
  const isThird = result !== undefined && result !== left && result !== right;

  if (now === undefined || other === undefined) return <p className="sheet-body soft">Loading…</p>;
  return (
    <>
      {written !== undefined && (
        <textarea
          className="conflict-text"
          value={written}
          onChange={(event) => setEdited({ text: event.target.value, base: edited?.base })}
          aria-label="The version made of both"
          spellCheck={false}
          data-testid="conflict-text"
        />
      )}
      {written === undefined && pieces && (
        <SideBySide
          pieces={pieces}
          left={CURRENT}
          right={PROPOSED}
          between={(change) => (
            <div className="side-choice">
              <Segments
                label={`What is to stand at change ${change + 1}`}
                value={choices[change] ?? "left"}
                options={[
                  { value: "left", label: "Now" },
                  { value: "right", label: "Beside" },
                  { value: "both", label: "Both" },
                ]}
                onChange={(choice) => setChoices(Object.assign([], choices, { [change]: choice }))}
              />
            </div>
          )}
        />
      )}
      {!pieces && (
        <div className="sheet-body soft conflict-plain">
          <p>
            {CURRENT}: {inWords(now)}
          </p>
          <p>
            {PROPOSED}: {inWords(other)}
          </p>
        </div>
      )}
      <footer className="conflict-buttons">
        {pieces && (
          <button
            type="button"
            className="button"
            disabled={busy}
            onClick={() => setEdited(edited ? undefined : { text: mixed ?? "", base: hash })}
            data-testid="conflict-edit"
          >
            {written === undefined ? "Edit by hand" : "Back to the two versions"}
          </button>
        )}
        <span className="code-space" />
        <button
          type="button"
          className="button"
          disabled={busy}
          onClick={() => onResolve("current")}
          data-testid="keep-current"
        >
          Keep what is there
        </button>
        <button
          type="button"
          className="button"
          disabled={busy}
          onClick={() => onResolve("proposed")}
          data-testid="keep-proposed"
        >
          {other === "deleted" ? "Delete the file" : "Take the other"}
        </button>
        <button
          type="button"
          className="button primary"
          disabled={busy || !isThird}
          onClick={() => onResolve("current", result, edited?.base)}
          data-testid="keep-mix"
        >
          <GitMerge size={14} aria-hidden="true" /> Take this mix
        </button>
      </footer>
    </>
  );
}

function textOf(content: FileContent | string | undefined): string | undefined {
  return typeof content === "object" && content.kind === "text" ? content.text : undefined;
}

function inWords(content: FileContent | string): string {
  if (content === "gone") return "the file is gone";
  if (content === "deleted") return "the file was to be deleted";
  if (typeof content === "string") return content;
  if (content.kind === "binary") return "not a text";
  return content.kind === "error" ? content.message : "a text";
}

/** The server's reason as a sentence of its own. */
function sentenceOf(reason: string): string {
  const begun = `${reason.charAt(0).toUpperCase()}${reason.slice(1)}`;
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
