import { ChevronLeft, Pencil, RotateCcw, Sparkles, Sprout, SquareTerminal, Undo2 } from "lucide-react";
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from "react";
import type { FileEntry } from "../../protocol.ts";
import { filesAt, type HistoryPoint, listHistory } from "../api.ts";
import { lineDiff } from "../code/line-diff.ts";
import { SideBySide } from "../code/SideBySide.tsx";
import { explain } from "../errors.ts";
import { count, dateTime, timeAgo } from "../format.ts";
import { useNarrow } from "../media.ts";
import { Dialog } from "../parts/Dialog.tsx";
import { Spinner } from "../parts/Spinner.tsx";
import { type Room, useCanEdit, useName, useRoom, useView } from "../room.ts";
import { toast } from "../toasts.ts";
import { compared, hashesOf, type Row } from "./compare.ts";
import "./history.css";

const CodeView = lazy(() => import("../code/CodeView.tsx"));

/** Moments to go back to, what the files were then, and the way back. */
export function HistoryDialog({ onClose }: { onClose: () => void }) {
  const { project } = useRoom();
  const narrow = useNarrow();
  const [points, setPoints] = useState<HistoryPoint[]>();
  const [failure, setFailure] = useState<string>();
  const [picked, setPicked] = useState<number>();
  // A run that ends or a save makes another point.
  const changes = useView((view) => view.state.files);

  const load = useCallback(async () => {
    try {
      setPoints(await listHistory(project));
      setFailure(undefined);
    } catch (error) {
      setFailure(explain(error).title);
    }
  }, [project]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what it lists has changed
  useEffect(() => void load(), [load, changes]);

  const shown = points?.find((point) => point.seq === picked) ?? (narrow ? undefined : points?.[0]);
  return (
    <Dialog title="History" onClose={onClose} large testId="history-dialog">
      <div className="history">
        {!(narrow && shown) && (
          <ol className="points" aria-label="Moments to go back to" data-testid="points">
            {failure && (
              <li className="bad" role="alert">
                {failure}{" "}
                <button type="button" className="link-button" onClick={() => void load()}>
                  Try again
                </button>
              </li>
            )}
            {!points && !failure && (
              <li>
                <Spinner />
              </li>
            )}
            {points?.map((point, index) => (
              <PointRow
                key={point.seq}
                point={point}
                isNewest={index === 0}
                isShown={point === shown}
                onPick={() => setPicked(point.seq)}
              />
            ))}
          </ol>
        )}
        {shown && (
          <Then
            key={shown.seq}
            point={shown}
            previous={points?.[points.indexOf(shown) + 1]?.seq}
            isNewest={shown === points?.[0]}
            onBack={narrow ? () => setPicked(undefined) : undefined}
            onRestored={onClose}
          />
        )}
      </div>
    </Dialog>
  );
}

interface PointRowProps {
  point: HistoryPoint;
  isNewest: boolean;
  isShown: boolean;
  onPick: () => void;
}

function PointRow({ point, isNewest, isShown, onPick }: PointRowProps) {
  const name = useName(point.by);
  const Icon = iconOf(point);
  const author = point.by === undefined ? "" : `${name} · `;
  return (
    <li>
      <button type="button" className="point" aria-current={isShown} onClick={onPick} data-testid="point">
        <Icon size={15} aria-hidden="true" />
        <span className="point-words">
          <strong>{titleOf(point)}</strong>
          <small>
            {author}
            <time dateTime={point.at} title={dateTime(point.at)}>
              {timeAgo(point.at)}
            </time>{" "}
            · {count(point.files_changed, "file")}
          </small>
        </span>
        {isNewest && <span className="live-badge">now</span>}
      </button>
    </li>
  );
}

function iconOf({ cause, kind }: HistoryPoint) {
  if (cause === "created" || cause === "base") return Sprout;
  if (cause === "restore") return Undo2;
  if (cause === "edit") return Pencil;
  return kind === "exec" || kind === "install" ? SquareTerminal : Sparkles;
}

function titleOf({ cause, kind, prompt, outcome, by }: HistoryPoint): string {
  if (cause === "created") return "The project began";
  if (cause === "base") return "Everything before";
  if (cause === "restore") return "Went back to an earlier moment";
  if (cause === "edit") return by === undefined ? "Changed in the sandbox" : "Edited by hand";
  const what =
    prompt ??
    { install: "Installed packages", exec: "Ran a command", import: "Took over a repository" }[
      kind as string
    ] ??
    "A reply";
  return outcome === undefined || outcome === "completed" ? what : `${what} (${outcome})`;
}

interface ThenProps {
  point: HistoryPoint;
  /** The moment before, to which the difference is shown. */
  previous: number | undefined;
  isNewest: boolean;
  onBack: (() => void) | undefined;
  onRestored: () => void;
}

/** What each state is called: of a step, and of the first moment, which is compared with now. */
const STEP_STATES = { same: "", changed: "changed", gone: "deleted", new: "added" };
const SINCE_STATES = { same: "", changed: "changed since", gone: "gone since", new: "new since" };

/** The files at a moment, and what that step did to them. */
function Then({ point, previous, isNewest, onBack, onRestored }: ThenProps) {
  const room = useRoom();
  const canEdit = useCanEdit();
  const now = useView((view) => view.state.files);
  const [files, setFiles] = useState<FileEntry[]>();
  const [earlier, setEarlier] = useState<FileEntry[]>();
  const [failure, setFailure] = useState<string>();
  const [picked, setPicked] = useState<string>();
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    const failed = (error: unknown) => setFailure(explain(error).title);
    filesAt(room.project, point.seq).then(setFiles, failed);
    if (previous !== undefined) filesAt(room.project, previous).then(setEarlier, failed);
  }, [room, point.seq, previous]);

  const sinceThen = useMemo(() => files && compared(hashesOf(files), now), [files, now]);
  const differing = sinceThen?.filter((row) => row.state !== "same") ?? [];
  const step = useMemo(
    () => files && earlier && compared(hashesOf(earlier), hashesOf(files)),
    [files, earlier],
  );
  const rows = previous === undefined ? sinceThen : step;
  const states = previous === undefined ? SINCE_STATES : STEP_STATES;
  // Those that differ come first.
  const shown = rows?.find((row) => row.path === picked) ?? rows?.[0];

  return (
    <div className="then">
      <header className="then-head">
        {onBack && (
          <button type="button" className="icon-button" onClick={onBack} aria-label="Back to the list">
            <ChevronLeft size={17} />
          </button>
        )}
        <p>
          {!rows && !failure && "Looking it up…"}
          {failure && <span className="bad">{failure}</span>}
          {rows &&
            differing.length === 0 &&
            (isNewest ? "The files are as they are now." : "No file differs from now.")}
          {rows &&
            differing.length > 0 &&
            `${count(differing.length, "file")} ${differing.length === 1 ? "differs" : "differ"} from now.`}
        </p>
        <button
          type="button"
          className="button primary"
          disabled={!canEdit || busy || differing.length === 0}
          title={canEdit ? undefined : "You are watching; an editor can do this"}
          onClick={() => {
            setBusy(true);
            void restore(room, point).then((done) => {
              setBusy(false);
              if (done) onRestored();
            });
          }}
          data-testid="restore"
        >
          <RotateCcw size={14} aria-hidden="true" /> {isNewest ? "Restore" : "Go back to this"}
        </button>
      </header>
      {rows && (
        <ul className="then-files" aria-label="Files then">
          {rows.map((row) => (
            <li key={row.path}>
              <button type="button" aria-current={row === shown} onClick={() => setPicked(row.path)}>
                <span className="truncate">{row.path}</span>
                {row.state !== "same" && (
                  <span className={`then-state ${row.state}`}>{states[row.state]}</span>
                )}
              </button>
            </li>
          ))}
        </ul>
      )}
      {shown && <FileThen key={shown.path} row={shown} seq={point.seq} previous={previous} />}
    </div>
  );
}

interface FileThenProps {
  row: Row;
  seq: number;
  previous: number | undefined;
}

/** A file before and after a step; at the first moment, then and now. */
function FileThen({ row, seq, previous }: FileThenProps) {
  const room = useRoom();
  const { path, before: then, after: now } = row;
  const isStep = previous !== undefined;
  const before = useView((view) => (then ? view.contents.get(then) : undefined));
  const after = useView((view) => (now ? view.contents.get(now) : undefined));
  useEffect(() => {
    if (then) void room.read(path, then, { at: previous ?? seq });
    if (now) void room.read(path, now, isStep ? { at: seq } : {});
  }, [room, path, then, now, seq, previous, isStep]);

  const pieces = useMemo(
    () =>
      before?.kind === "text" && after?.kind === "text" && then !== now
        ? lineDiff(before.text, after.text)
        : undefined,
    [before, after, then, now],
  );
  if (pieces) {
    return <SideBySide pieces={pieces} left={isStep ? "Before" : "Then"} right={isStep ? "After" : "Now"} />;
  }
  const content = then === undefined ? after : before;
  if (!content) return <p className="then-note">Loading…</p>;
  if (content.kind !== "text") {
    return <p className="then-note">{content.kind === "binary" ? "Not a text file." : content.message}</p>;
  }
  return (
    <div className="then-code">
      {then === undefined && (
        <p className="then-note">
          {isStep ? "New with this step." : "There was no such file then. This is what it is now."}
        </p>
      )}
      {isStep && now === undefined && <p className="then-note">Deleted by this step. This is what it was.</p>}
      <Suspense fallback={<p className="then-note">Loading…</p>}>
        <CodeView path={path} text={content.text} isEdit={false} isTyping={false} />
      </Suspense>
    </div>
  );
}

/** Brings the files back, and says how to undo that. */
async function restore(room: Room, point: HistoryPoint): Promise<boolean> {
  const reply = await room.send({ type: "restore", to: point.seq });
  if (!reply) return false;
  const before = (reply.seq ?? 1) - 1;
  toast({
    tone: "info",
    title: "The files are as they were",
    text: "Nothing of what came after is lost: it stays in the history.",
    action: { label: "Undo", run: () => void room.send({ type: "restore", to: before }) },
  });
  return true;
}
