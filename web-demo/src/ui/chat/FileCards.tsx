import { Check, ChevronRight, CircleAlert, CircleSlash, FileCode2, TriangleAlert } from "lucide-react";
import { memo, useState } from "react";
import type { RunInfo } from "../../protocol.ts";
import { countLines, editLines } from "../code/edit-lines.ts";
import { count } from "../format.ts";
import { Spinner } from "../parts/Spinner.tsx";
import { useRoom, useView } from "../room.ts";
import type { FilePart } from "../select.ts";
import { lengthOf } from "./file-length.ts";
import "./file-cards.css";

const ACTIONS: Record<FilePart["action"], string> = { create: "new", replace: "rewrite", edit: "edit" };
/** How many of the last lines are shown of a file that is being typed. */
const LIVE_LINES = 9;
/** Opened in the chat, a file is shown up to here; the code tab shows all of it. */
const OPEN_LINES_MAX = 400;

/** Files of an answer, one row each. */
export function FileCards({ files, run, isRunning }: { files: FilePart[]; run: Run; isRunning: boolean }) {
  return (
    <ul className="file-cards">
      {files.map((file, index) => (
        <FileCard key={index} file={file} run={run} isRunning={isRunning} />
      ))}
    </ul>
  );
}

type Progress = "typing" | "typed" | "written" | "refused" | "cut" | "unused";

/** A file whose run has ended is not going to be typed or written any more. */
function progressOf(file: FilePart, isRunning: boolean): Progress {
  if (isRunning || file.state === "written" || file.state === "refused") return file.state;
  return file.state === "typing" ? "cut" : "unused";
}

type Run = RunInfo | undefined;

interface FileCardProps {
  file: FilePart;
  run: Run;
  isRunning: boolean;
}

const FileCard = memo(function FileCard({ file, run, isRunning }: FileCardProps) {
  const [open, setOpen] = useState(false);
  const progress = progressOf(file, isRunning);
  const isTyping = progress === "typing";
  const slash = file.path.lastIndexOf("/") + 1;
  return (
    <li
      className={`file-card ${progress}`}
      data-testid="file-card"
      data-path={file.path}
      data-state={progress}
    >
      <button
        type="button"
        className="file-row"
        aria-expanded={open || isTyping}
        onClick={() => setOpen(!open)}
      >
        <ProgressIcon progress={progress} />
        <span className="file-path truncate" title={file.path}>
          {slash > 0 && <span>{file.path.slice(0, slash)}</span>}
          <b>{file.path.slice(slash)}</b>
        </span>
        <span className="file-lines">
          <Length file={file} />
        </span>
        <span className={`badge ${file.action}`}>{ACTIONS[file.action]}</span>
        <ChevronRight className="file-chevron" size={14} aria-hidden="true" />
      </button>
      {progress === "refused" && <p className="file-note">{file.reason ?? "It was refused."}</p>}
      {progress === "cut" && <p className="file-note">Cut off in the middle; it was not written.</p>}
      {progress === "unused" && <Unused path={file.path} run={run} />}
      {(isTyping || open) && <FileText file={file} isTyping={isTyping && !open} />}
    </li>
  );
});

/** Typed, but not what the project has: the run ended before, or the file was changed by somebody else as well. */
function Unused({ path, run }: { path: string; run: Run }) {
  const room = useRoom();
  const conflict = useView((view) => view.state.conflicts.findLast((open) => open.path === path)?.conflict);
  if (conflict !== undefined) {
    return (
      <p className="file-note">
        It was changed elsewhere too, so both versions are kept.{" "}
        <button
          type="button"
          className="link-button"
          onClick={() => room.dialog.set({ type: "conflict", conflict })}
        >
          Decide
        </button>
      </p>
    );
  }
  if (run?.mode === "plan") return <p className="file-note">Part of the plan; nothing was written.</p>;
  const words =
    run?.outcome === "completed"
      ? "It was changed elsewhere too; what is in the project was made of both, or chosen."
      : "The run ended before it was written.";
  return <p className="file-note">{words}</p>;
}

function ProgressIcon({ progress }: { progress: Progress }) {
  const name = {
    typing: "Being typed",
    typed: "Typed",
    written: "Written",
    refused: "Refused",
    cut: "Cut off",
    unused: "Not written",
  };
  const icon = {
    typing: <Spinner size={15} />,
    typed: <FileCode2 size={15} />,
    written: <Check size={15} strokeWidth={2.6} />,
    refused: <CircleSlash size={15} />,
    cut: <TriangleAlert size={15} />,
    unused: <CircleAlert size={15} />,
  };
  return (
    <span className="file-icon" role="img" aria-label={name[progress]} title={name[progress]}>
      {icon[progress]}
    </span>
  );
}

/** While it is typed, how much there is; afterwards what everybody in the room knows, whenever they came. */
function Length({ file }: { file: FilePart }) {
  const current = useView((view) => view.state.files[file.path]);
  const lines = file.text === undefined ? undefined : countLines(file.action, file.text);
  if (!lines) return lengthOf(file, current);
  if ("lines" in lines) return count(lines.lines, "line");
  return (
    <>
      <ins>+{lines.added}</ins> <del>−{lines.removed}</del>
    </>
  );
}

function FileText({ file, isTyping }: { file: FilePart; isTyping: boolean }) {
  const room = useRoom();
  const current = useView((view) => view.state.files[file.path]?.hash);
  const content = useView((view) => (file.hash ? view.contents.get(file.hash) : undefined));
  if (file.text === undefined) {
    if (content?.kind === "text") return <Text text={content.text} isEdit={false} isTyping={false} />;
    if (content?.kind === "binary") return <p className="file-note">Not a text file.</p>;
    if (content?.kind === "error") return <p className="file-note">{content.message}</p>;
    // The tree only has the newest content; an older one is in the log, and the card of the newer answer shows it.
    if (file.hash === undefined || current !== file.hash)
      return <p className="file-note">It has changed since.</p>;
    void room.read(file.path, file.hash);
    return <p className="file-note">Loading…</p>;
  }
  return <Text text={file.text} isEdit={file.action === "edit"} isTyping={isTyping} />;
}

function Text({ text, isEdit, isTyping }: { text: string; isEdit: boolean; isTyping: boolean }) {
  const plain = () => text.split("\n").map((line) => ({ type: "same" as const, text: line }));
  const all = isEdit ? editLines(text) : plain();
  const lines = isTyping ? all.slice(-LIVE_LINES) : all.slice(0, OPEN_LINES_MAX);
  const first = isTyping ? all.length - lines.length : 0;
  return (
    <pre className={isTyping ? "file-text live" : "file-text"}>
      {lines.map((line, index) => (
        <code key={first + index} className={line.type}>
          {line.text || " "}
        </code>
      ))}
      {all.length > first + lines.length && (
        <code className="more">… {all.length - lines.length} more lines</code>
      )}
    </pre>
  );
}
