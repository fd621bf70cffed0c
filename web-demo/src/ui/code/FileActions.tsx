import { Lock, LockOpen, Pencil, Save } from "lucide-react";
import { useState } from "react";
import { explain } from "../errors.ts";
import { Spinner } from "../parts/Spinner.tsx";
import { type Room, useCanEdit, useIsOwner, useMe, useName, useRoom, useView } from "../room.ts";
import { toast } from "../toasts.ts";

/** What a person can do to the file they look at: change it, and keep others from changing it. */
export function FileActions({ path, onEdit }: { path: string; onEdit: () => void }) {
  const room = useRoom();
  const me = useMe();
  const canEdit = useCanEdit();
  const hash = useView((view) => view.state.files[path]?.hash);
  const content = useView((view) => (hash ? view.contents.get(hash) : undefined));
  const edit = useView((view) => view.edits.get(path));
  const locker = useView((view) => view.state.locks[path]);
  const isOthers = locker !== undefined && locker !== me;
  const [busy, setBusy] = useState(false);

  function begin() {
    if (hash === undefined || content?.kind !== "text") return;
    onEdit();
    room.edits.begin(path, content.text, hash);
  }
  async function finish() {
    setBusy(true);
    await save(room, path);
    setBusy(false);
  }

  return (
    <>
      <LockButton path={path} locker={locker} />
      {edit ? (
        <>
          <button type="button" className="button small" onClick={() => room.edits.end(path)}>
            {edit.text === edit.original ? "Done" : "Discard"}
          </button>
          <button
            type="button"
            className="button small primary"
            disabled={busy || !canEdit || edit.text === edit.original}
            onClick={() => void finish()}
            title="Save (Ctrl S)"
            data-testid="save"
          >
            {busy ? <Spinner size={13} /> : <Save size={13} aria-hidden="true" />} Save
          </button>
        </>
      ) : (
        canEdit && (
          <button
            type="button"
            className="button small"
            disabled={isOthers || content?.kind !== "text"}
            title={isOthers ? "Somebody else has locked it" : "Edit this file"}
            onClick={begin}
            data-testid="edit"
          >
            <Pencil size={13} aria-hidden="true" /> Edit
          </button>
        )
      )}
    </>
  );
}

function LockButton({ path, locker }: { path: string; locker: string | undefined }) {
  const room = useRoom();
  const me = useMe();
  const canEdit = useCanEdit();
  const isOwner = useIsOwner();
  const name = useName(locker);
  const mayUnlock = canEdit && locker !== undefined && (locker === me || isOwner);
  return (
    <>
      {locker !== undefined && (
        <span className="lock-badge" data-testid="locked">
          <Lock size={12} aria-hidden="true" /> {locker === me ? "Locked by you" : `Locked by ${name}`}
        </span>
      )}
      {(mayUnlock || (locker === undefined && canEdit)) && (
        <button
          type="button"
          className="icon-button"
          aria-label={mayUnlock ? "Unlock this file" : "Lock this file"}
          title={mayUnlock ? "Unlock: others can change it again" : "Lock: only you can change it"}
          onClick={() => void room.send({ type: mayUnlock ? "unlock_file" : "lock_file", path })}
          data-testid="lock"
        >
          {mayUnlock ? <LockOpen size={16} /> : <Lock size={16} />}
        </button>
      )}
    </>
  );
}

/** Saves an edit and says what became of it: written, merged with somebody's change, or kept beside it. */
export async function save(room: Room, path: string): Promise<void> {
  const edit = room.edits.all.get(path);
  if (!edit || edit.text === edit.original) return;
  try {
    const event = await room.carryOut({ type: "write_file", path, content: edit.text, base: edit.base });
    const later = room.edits.all.get(path);
    // What was typed while it was saved is not saved.
    if (later && later.text !== edit.text) {
      // A merged file holds somebody else's change too, which the text here is not based on.
      const isMine = event?.type === "file_written" && event.origin === "participant";
      if (isMine) room.edits.rebase(path, edit.text, event.hash);
      return;
    }
    room.edits.end(path);
    if (event?.type === "file_conflicted") {
      const { conflict } = event;
      toast({
        tone: "bad",
        title: `Somebody else changed the same lines of ${path}`,
        text: "Your version is kept beside theirs.",
        action: { label: "Decide", run: () => room.dialog.set({ type: "conflict", conflict }) },
      });
    } else if (event?.type === "file_written" && event.origin === "merge") {
      toast({ tone: "info", title: `Saved ${path}`, text: "Merged with what somebody else has changed." });
    } else {
      toast({ tone: "quiet", title: `Saved ${path}` });
    }
  } catch (error) {
    toast({ tone: "bad", ...explain(error) });
  }
}
