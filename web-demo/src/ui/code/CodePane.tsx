import { Check, Copy, LocateFixed, PanelLeft } from "lucide-react";
import { lazy, Suspense, useCallback, useDeferredValue, useEffect, useMemo, useState } from "react";
import { count, lineCount, size } from "../format.ts";
import { useNarrow } from "../media.ts";
import { useMe, useRoom, useView } from "../room.ts";
import { type FilePart, pendingFiles, typingFile } from "../select.ts";
import { toast } from "../toasts.ts";
import type { Edit } from "./edits.ts";
import { FileActions, save } from "./FileActions.tsx";
import { FileMenu } from "./FileMenu.tsx";
import { FileTree } from "./FileTree.tsx";
import type { Mark } from "./Marks.tsx";
import { entryFile } from "./tree.ts";
import "./code.css";

// The highlighter is of no use before somebody looks at code.
const CodeView = lazy(() => import("./CodeView.tsx"));
const Editor = lazy(() => import("./Editor.tsx"));

/** The project's files, and one of them to read or to change. While an answer is written, the file that grows. */
export function CodePane({ active }: { active: boolean }) {
  const room = useRoom();
  const narrow = useNarrow();
  const files = useView((view) => view.state.files);
  const typing = useView((view) => typingFile(view.state));
  const state = useView((view) => view.state);
  const edits = useView((view) => view.edits);
  const [picked, setPicked] = useState<string>();
  const [following, setFollowing] = useState(true);
  const [lastTyped, setLastTyped] = useState<string>();
  const [goal, setGoal] = useState<{ line: number }>();
  const [treeOpen, setTreeOpen] = useState(!narrow);
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());

  useEffect(() => {
    if (typing) setLastTyped(typing.path);
  }, [typing]);

  // Where a click elsewhere on the page, or somebody who is followed, leads.
  useEffect(
    () =>
      room.destination.subscribe(() => {
        const there = room.destination.get();
        if (there?.file === undefined) return;
        setPicked(there.file);
        setFollowing(false);
        setGoal(there.line === undefined ? undefined : { line: there.line });
        if (narrow) setTreeOpen(false);
      }),
    [room, narrow],
  );

  const pending = pendingFiles(state);
  const known = (path: string | undefined) =>
    path !== undefined && (path in files || pending.some((file) => file.path === path));
  const followed = typing?.path ?? lastTyped;
  const wanted = following && followed !== undefined ? followed : picked;
  const shown = known(wanted) ? wanted : entryFile(Object.keys(files));
  const edit = shown === undefined ? undefined : edits.get(shown);
  const part = edit ? undefined : pending.findLast((file) => file.path === shown);

  useEffect(() => room.stand({ file: shown, line: undefined }), [room, shown]);

  function pick(path: string) {
    room.follow(undefined);
    setPicked(path);
    setGoal(undefined);
    setFollowing(path === typing?.path);
    if (narrow) setTreeOpen(false);
  }

  // Unseen, it would only cost time with every delta.
  if (!active) return null;
  return (
    <div className={treeOpen ? "code with-tree" : "code"}>
      {treeOpen && (
        <FileTree
          files={files}
          pending={pending}
          selected={shown}
          onPick={pick}
          closed={closed}
          onToggle={(path) => setClosed(toggled(closed, path))}
        />
      )}
      <div className="code-main">
        <div className="code-bar">
          <button
            type="button"
            className="icon-button"
            aria-pressed={treeOpen}
            aria-label={treeOpen ? "Hide the files" : "Show the files"}
            title="Files"
            onClick={() => setTreeOpen(!treeOpen)}
          >
            <PanelLeft size={16} />
          </button>
          {shown && <FilePath path={shown} />}
          {part && (
            <span className="live-badge">
              {part.state === "typing" ? "being written" : "written, not applied yet"}
            </span>
          )}
          <span className="code-space" />
          {typing && !following && !edit && (
            <button type="button" className="button small" onClick={() => setFollowing(true)}>
              <LocateFixed size={14} /> Follow
            </button>
          )}
          {shown && shown in files && (
            <FileActions
              key={shown}
              path={shown}
              // What is being edited stays where it is, whatever the answer types next.
              onEdit={() => pick(shown)}
            />
          )}
          {shown && <CopyButton path={shown} part={part} />}
          {shown && shown in files && !edit && <FileMenu key={`${shown} menu`} path={shown} />}
        </div>
        {shown && <Content key={shown} path={shown} part={part} edit={edit} goal={goal} />}
        {!shown && <p className="code-empty">There are no files yet.</p>}
      </div>
    </div>
  );
}

function toggled(set: ReadonlySet<string>, path: string): ReadonlySet<string> {
  const next = new Set(set);
  if (!next.delete(path)) next.add(path);
  return next;
}

function FilePath({ path }: { path: string }) {
  const slash = path.lastIndexOf("/") + 1;
  return (
    <h2 className="code-path truncate" title={path}>
      <span>{path.slice(0, slash)}</span>
      {path.slice(slash)}
    </h2>
  );
}

/** The text to show: what is being typed, or what the tree has. */
function useText(path: string, part: FilePart | undefined): { text?: string; note?: string } {
  const room = useRoom();
  const file = useView((view) => view.state.files[path]);
  const content = useView((view) => (file ? view.contents.get(file.hash) : undefined));
  const typed = part?.text;
  useEffect(() => {
    if (typed === undefined && file && !content) void room.read(path, file.hash);
  }, [room, typed, path, file, content]);

  if (typed !== undefined) return { text: typed };
  if (content?.kind === "text") return { text: content.text };
  if (content?.kind === "binary") return { note: `Not a text file (${size(file?.size_bytes ?? 0)}).` };
  if (content?.kind === "error") return { note: content.message };
  return { note: "Loading…" };
}

interface ContentProps {
  path: string;
  part: FilePart | undefined;
  edit: Edit | undefined;
  goal: { line: number } | undefined;
}

function Content({ path, part, edit, goal }: ContentProps) {
  const room = useRoom();
  const { text: newest, note } = useText(path, part);
  const marks = useMarks(path);
  const onLine = useCallback((line: number) => room.stand({ line }), [room]);
  // Colouring a long file takes longer than a frame; typing into the prompt box must not wait for it.
  const text = useDeferredValue(newest);
  if (edit) {
    return (
      <Suspense fallback={<p className="code-empty">Loading…</p>}>
        <ChangedMeanwhile path={path} edit={edit} />
        <Editor
          path={path}
          text={edit.text}
          onChange={(text) => room.edits.change(path, text)}
          onSave={() => void save(room, path)}
          goal={goal}
          marks={marks}
          onLine={onLine}
        />
        <Status text={edit.text} note={edit.text === edit.original ? undefined : "not saved yet"} />
      </Suspense>
    );
  }
  if (text === undefined) return <p className="code-empty">{note}</p>;
  return (
    <Suspense fallback={<p className="code-empty">Loading…</p>}>
      <CodeView
        path={path}
        text={text}
        isEdit={part?.action === "edit"}
        isTyping={part?.state === "typing"}
        goal={goal}
        marks={marks}
        onLine={onLine}
      />
      <Status text={text} note={undefined} />
    </Suspense>
  );
}

function Status({ text, note }: { text: string; note: string | undefined }) {
  return (
    <p className="code-status">
      {count(lineCount(text), "line")} · {size(new Blob([text]).size)}
      {note && ` · ${note}`}
    </p>
  );
}

/** The file has another content than the one the edit began with. */
function ChangedMeanwhile({ path, edit }: { path: string; edit: Edit }) {
  const now = useView((view) => view.state.files[path]?.hash);
  if (now === edit.base) return null;
  return (
    <p className="code-note" role="status" data-testid="changed-meanwhile">
      {now === undefined
        ? "Somebody has deleted this file meanwhile."
        : "Somebody has changed this file meanwhile."}{" "}
      Saving merges both; where that is impossible, both versions are kept.
    </p>
  );
}

/** The others in this file, and their lines. */
function useMarks(path: string): Mark[] {
  const presence = useView((view) => view.presence);
  const participants = useView((view) => view.state.participants);
  const me = useMe();
  return useMemo(
    () =>
      [...presence].flatMap(([participant, { file, line }]) => {
        const name = participants[participant]?.name;
        const isHere = participant !== me && file === path && line !== undefined && name !== undefined;
        return isHere ? [{ participant, name, line }] : [];
      }),
    [presence, participants, me, path],
  );
}

function CopyButton({ path, part }: { path: string; part: FilePart | undefined }) {
  const { text } = useText(path, part);
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1_500);
    return () => clearTimeout(timer);
  }, [copied]);

  async function copy() {
    try {
      await navigator.clipboard.writeText(text ?? "");
      setCopied(true);
    } catch {
      toast({ tone: "bad", title: "The browser did not allow copying." });
    }
  }
  return (
    <button
      type="button"
      className="icon-button"
      disabled={text === undefined}
      onClick={() => void copy()}
      aria-label={copied ? "Copied" : "Copy the file’s content"}
      title="Copy"
    >
      {copied ? <Check size={16} /> : <Copy size={16} />}
    </button>
  );
}
