import { TriangleAlert, X } from "lucide-react";
import { draft } from "../chat/draft.ts";
import { useCanEdit, useRoom, useView } from "../room.ts";
import { promptFor, titleOf, wordsOf } from "./preview-error.ts";

/** The dev server shows an error instead of the app: says so, and offers to have it fixed. */
export function PreviewErrorBar() {
  const room = useRoom();
  const error = useView((view) => view.previewError);
  const canEdit = useCanEdit();
  if (!error) return null;
  return (
    <div className="preview-error" role="alert" data-testid="preview-error">
      <TriangleAlert size={17} aria-hidden="true" />
      <div className="preview-error-words">
        <strong>{titleOf(error)}</strong>
        <pre>{wordsOf(error)}</pre>
      </div>
      <button
        type="button"
        className="button small"
        disabled={!canEdit}
        onClick={() => draft.set(promptFor(error))}
      >
        Ask for a fix
      </button>
      <button
        type="button"
        className="icon-button small"
        aria-label="Dismiss"
        onClick={() => room.dismissPreviewError()}
      >
        <X size={15} />
      </button>
    </div>
  );
}
