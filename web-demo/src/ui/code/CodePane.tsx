import { Check, Copy, LocateFixed, PanelLeft } from "lucide-react";
import { lazy, Suspense, useDeferredValue, useEffect, useState } from "react";
import { lineCount, size } from "../format.ts";
import { useNarrow } from "../media.ts";
import { useRoom, useView } from "../room.ts";
import { type FilePart, pendingFiles, typingFile } from "../select.ts";
import { toast } from "../toasts.ts";
import { FileTree } from "./FileTree.tsx";
import { entryFile } from "./tree.ts";
import "./code.css";

// The highlighter is of no use before somebody looks at code.
const CodeView = lazy(() => import("./CodeView.tsx"));

/** The project's files, and one of them to read. While an answer is written, the file that grows. */
export function CodePane({ active }: { active: boolean }) {
  const narrow = useNarrow();
  const files = useView((view) => view.state.files);
  const typing = useView((view) => typingFile(view.state));
  const state = useView((view) => view.state);
  const [picked, setPicked] = useState<string>();
  const [following, setFollowing] = useState(true);
  const [lastTyped, setLastTyped] = useState<string>();
  const [treeOpen, setTreeOpen] = useState(!narrow);
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());

  useEffect(() => {
    if (typing) setLastTyped(typing.path);
  }, [typing]);

  const pending = pendingFiles(state);
  const known = (path: string | undefined) =>
    path !== undefined && (path in files || pending.some((file) => file.path === path));
  const followed = typing?.path ?? lastTyped;
  const wanted = following && followed !== undefined ? followed : picked;
  const shown = known(wanted) ? wanted : entryFile(Object.keys(files));
  const part = pending.findLast((file) => file.path === shown);

  function pick(path: string) {
    setPicked(path);
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
          {typing && !following && (
            <button type="button" className="button small" onClick={() => setFollowing(true)}>
              <LocateFixed size={14} /> Follow
            </button>
          )}
          {shown && <CopyButton path={shown} part={part} />}
        </div>
        {shown && <Content key={shown} path={shown} part={part} />}
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

function Content({ path, part }: { path: string; part: FilePart | undefined }) {
  const { text: newest, note } = useText(path, part);
  // Colouring a long file takes longer than a frame; typing into the prompt box must not wait for it.
  const text = useDeferredValue(newest);
  if (text === undefined) return <p className="code-empty">{note}</p>;
  return (
    <Suspense fallback={<p className="code-empty">Loading…</p>}>
      <CodeView
        path={path}
        text={text}
        isEdit={part?.action === "edit"}
        isTyping={part?.state === "typing"}
      />
      <p className="code-status">
        {lineCount(text)} lines · {size(new Blob([text]).size)}
      </p>
    </Suspense>
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
