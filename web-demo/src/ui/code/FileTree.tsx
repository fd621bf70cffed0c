import {
  ChevronRight,
  File,
  FileCode2,
  FileJson2,
  FileText,
  Image,
  Lock,
  type LucideIcon,
  Palette,
} from "lucide-react";
import { type KeyboardEvent, useMemo } from "react";
import type { FileInfo } from "../../protocol.ts";
import { Avatar } from "../parts/Avatar.tsx";
import { useView } from "../room.ts";
import { type FilePart, nameOf } from "../select.ts";
import { NewFile } from "./FileMenu.tsx";
import { buildTree, type Directory } from "./tree.ts";

interface FileTreeProps {
  files: { [path: string]: FileInfo };
  /** Files of the running answer that are not in the tree yet. */
  pending: FilePart[];
  selected: string | undefined;
  onPick: (path: string) => void;
  /** Directories that are folded. */
  closed: ReadonlySet<string>;
  onToggle: (path: string) => void;
}

export function FileTree({ files, pending, selected, onPick, closed, onToggle }: FileTreeProps) {
  const pendingPaths = pending.map((file) => file.path).join("\n");
  const tree = useMemo(
    () => buildTree([...Object.keys(files), ...pendingPaths.split("\n").filter(Boolean)]),
    [files, pendingPaths],
  );
  const typing = pending.findLast((file) => file.state === "typing")?.path;

  return (
    <nav className="file-tree" aria-label="Files" data-testid="file-tree" onKeyDown={moveFocus}>
      <Entries
        directory={tree}
        depth={0}
        closed={closed}
        toggle={onToggle}
        selected={selected}
        typing={typing}
        isNew={(path) => !(path in files)}
        onPick={onPick}
      />
      <NewFile />
    </nav>
  );
}

interface EntriesProps {
  directory: Directory;
  depth: number;
  closed: ReadonlySet<string>;
  toggle: (path: string) => void;
  selected: string | undefined;
  typing: string | undefined;
  isNew: (path: string) => boolean;
  onPick: (path: string) => void;
}

function Entries(props: EntriesProps) {
  const { directory, depth, closed, toggle, selected, typing, isNew, onPick } = props;
  const indent = { "--depth": depth } as React.CSSProperties;
  return (
    <ul className="tree-entries">
      {directory.directories.map((inner) => {
        const isOpen = !closed.has(inner.path);
        return (
          <li key={inner.path}>
            <button
              type="button"
              className="tree-row directory"
              style={indent}
              aria-expanded={isOpen}
              onClick={() => toggle(inner.path)}
            >
              <ChevronRight className="file-chevron" size={14} aria-hidden="true" />
              <span className="truncate">{inner.name}</span>
            </button>
            {isOpen && <Entries {...props} directory={inner} depth={depth + 1} />}
          </li>
        );
      })}
      {directory.files.map(({ name, path }) => {
        const Icon = iconOf(name);
        return (
          <li key={path}>
            <button
              type="button"
              className={isNew(path) ? "tree-row new" : "tree-row"}
              style={indent}
              aria-current={path === selected}
              title={path}
              onClick={() => onPick(path)}
            >
              <Icon size={14} aria-hidden="true" />
              <span className="truncate">{name}</span>
              <Company path={path} />
              {path === typing && <i className="typing-dot" role="img" aria-label="being written" />}
            </button>
          </li>
        );
      })}
    </ul>
  );
}

/** Who has locked the file, and who else looks at it. */
function Company({ path }: { path: string }) {
  const locker = useView((view) => view.state.locks[path]);
  const lockedBy = useView((view) => locker && nameOf(view.state, locker));
  const here = useView((view) =>
    [...view.presence]
      .filter(([participant, { file }]) => file === path && participant !== view.welcome?.participant)
      .map(([participant]) => participant)
      .slice(0, 3)
      .join(" "),
  );
  const participants = useView((view) => view.state.participants);
  return (
    <>
      {lockedBy && <Lock className="tree-lock" size={12} aria-label={`locked by ${lockedBy}`} />}
      {here
        .split(" ")
        .filter(Boolean)
        .map((participant) => {
          const name = participants[participant]?.name ?? "";
          return <Avatar key={participant} id={participant} name={name} size={16} />;
        })}
    </>
  );
}

/** Arrow keys go from row to row, as in a list. */
function moveFocus(event: KeyboardEvent<HTMLElement>) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>(".tree-row")];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  const next = rows[at + step];
  if (at === -1 || !next) return;
  event.preventDefault();
  next.focus();
}

const ICONS: { [extension: string]: LucideIcon } = {
  js: FileCode2,
  jsx: FileCode2,
  ts: FileCode2,
  tsx: FileCode2,
  html: FileCode2,
  json: FileJson2,
  css: Palette,
  md: FileText,
  txt: FileText,
  svg: Image,
  png: Image,
  jpg: Image,
  ico: Image,
};

function iconOf(name: string): LucideIcon {
  return ICONS[name.slice(name.lastIndexOf(".") + 1).toLowerCase()] ?? File;
}
