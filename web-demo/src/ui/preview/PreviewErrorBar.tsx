import { TriangleAlert, X } from "lucide-react";
import { draft } from "../chat/draft.ts";
import { useCanEdit, useRoom, useView } from "../room.ts";

/** Longest piece of an error that is worth quoting in a prompt. */
const QUOTE_LENGTH_MAX = 1_500;

/** The dev server shows an error instead of the app: says so, and offers to have it fixed. */
export function PreviewErrorBar() {
  const room = useRoom();
  const error = useView((view) => view.previewError);
  const canEdit = useCanEdit();
  if (!error) return null;
  const where = error.file ? ` in ${error.file}` : "";
  return (
    <div className="preview-error" role="alert" data-testid="preview-error">
      <TriangleAlert size={17} aria-hidden="true" />
      <div className="preview-error-words">
        <strong>
          {error.source === "page" ? "The app has thrown an error" : "The preview shows an error"}
          {where}
        </strong>
        <p className="mono">{error.message}</p>
      </div>
      <button
        type="button"
        className="button small"
        disabled={!canEdit}
        onClick={() => draft.set(`Fix this error${where}:\n${error.message.slice(0, QUOTE_LENGTH_MAX)}`)}
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
