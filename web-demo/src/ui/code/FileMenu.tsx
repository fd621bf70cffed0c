import { Ellipsis, FilePlus2, Trash2 } from "lucide-react";
import { type FormEvent, useState } from "react";
import { Menu } from "../parts/Menu.tsx";
import { useCanEdit, useMe, useRoom, useView } from "../room.ts";

/** What is done to a file as a whole: another name, or its end. */
export function FileMenu({ path }: { path: string }) {
  const room = useRoom();
  const me = useMe();
  const canEdit = useCanEdit();
  const hash = useView((view) => view.state.files[path]?.hash);
  const locker = useView((view) => view.state.locks[path]);
  const [asking, setAsking] = useState(false);
  if (!canEdit || (locker !== undefined && locker !== me)) return null;
  return (
    <Menu
      className="icon-button"
      label={`More about ${path}`}
      testId="file-menu"
      onOpen={() => setAsking(false)}
      button={<Ellipsis size={16} aria-hidden="true" />}
    >
      {(close) => (
        <div className="file-menu">
          <PathForm
            label="Name"
            action="Rename"
            initial={path}
            onPath={async (to) => {
              const moved = await room.send({
                type: "rename_file",
                from: path,
                to,
                ...(hash !== undefined && { base: hash }),
              });
              if (moved) room.go({ file: to });
              return moved !== undefined;
            }}
            onDone={close}
          />
          {asking ? (
            <div className="person-ask">
              <button
                type="button"
                className="button small danger"
                // biome-ignore lint/a11y/noAutofocus: the question is the answer to a click right here
                autoFocus
                onClick={() => {
                  close();
                  // Only the version that was looked at: a newer one nobody has seen stays.
                  void room.send({ type: "delete_file", path, ...(hash !== undefined && { base: hash }) });
                }}
                data-testid="delete-confirm"
              >
                <Trash2 size={13} aria-hidden="true" /> Delete this file
              </button>
              <button type="button" className="button small" onClick={() => setAsking(false)}>
                Keep it
              </button>
            </div>
          ) : (
            <button type="button" className="button small" onClick={() => setAsking(true)}>
              <Trash2 size={13} aria-hidden="true" /> Delete…
            </button>
          )}
        </div>
      )}
    </Menu>
  );
}

/** Makes an empty file. */
export function NewFile() {
  const room = useRoom();
  const canEdit = useCanEdit();
  const [open, setOpen] = useState(false);
  if (!canEdit) return null;
  if (!open) {
    return (
      <button
        type="button"
        className="tree-row new-file"
        onClick={() => setOpen(true)}
        data-testid="new-file"
      >
        <FilePlus2 size={14} aria-hidden="true" /> New file
      </button>
    );
  }
  return (
    <PathForm
      label="Path of the new file"
      action="Make"
      initial="src/"
      onPath={async (path) => {
        const made = await room.send({ type: "write_file", path, content: "" });
        if (made) room.go({ file: path });
        return made !== undefined;
      }}
      onDone={() => setOpen(false)}
    />
  );
}

interface PathFormProps {
  label: string;
  action: string;
  initial: string;
  /** Whether it worked; when not, the person has been told why. */
  onPath: (path: string) => Promise<boolean>;
  onDone: () => void;
}

function PathForm({ label, action, initial, onPath, onDone }: PathFormProps) {
  const [text, setText] = useState(initial);
  const path = text.trim();
  async function submit(event: FormEvent) {
    event.preventDefault();
    if (await onPath(path)) onDone();
  }
  return (
    <form className="path-form" onSubmit={(event) => void submit(event)}>
      <input
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => event.key === "Escape" && onDone()}
        aria-label={label}
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        // biome-ignore lint/a11y/noAutofocus: somebody has just asked to type a name
        autoFocus
        data-testid="path-input"
      />
      <button type="submit" className="button small" disabled={path === "" || path === initial}>
        {action}
      </button>
    </form>
  );
}
