import { CircleAlert, Info, UserRound, X } from "lucide-react";
import { useSyncExternalStore } from "react";
import { dismiss, toasts } from "../toasts.ts";
import "./toasts.css";

export function Toasts() {
  const shown = useSyncExternalStore(toasts.subscribe, toasts.get);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map(({ id, tone, title, text, action }) => (
        <div key={id} className={`toast ${tone}`} data-testid="toast">
          {tone === "bad" && <CircleAlert size={17} aria-hidden="true" />}
          {tone === "info" && <Info size={17} aria-hidden="true" />}
          {tone === "quiet" && <UserRound size={17} aria-hidden="true" />}
          <div className="toast-words">
            <strong>{title}</strong>
            {text && <p>{text}</p>}
          </div>
          {action && (
            <button
              type="button"
              className="button small"
              onClick={() => {
                dismiss(id);
                action.run();
              }}
            >
              {action.label}
            </button>
          )}
          <button
            type="button"
            className="icon-button small"
            aria-label="Dismiss"
            onClick={() => dismiss(id)}
          >
            <X size={15} />
          </button>
        </div>
      ))}
    </div>
  );
}
