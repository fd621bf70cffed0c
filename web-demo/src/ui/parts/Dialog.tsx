import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef } from "react";
import "./dialog.css";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
  /** As wide and high as the page allows. */
  large?: boolean;
  testId?: string;
}

/** Over the page, with the focus inside; Escape, the cross or a click beside it shuts it. */
export function Dialog({ title, onClose, children, large, testId }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape does the same, and is the browser's own
    <dialog
      ref={dialog}
      className={large ? "dialog sheet large" : "dialog sheet"}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === event.currentTarget) event.currentTarget.close();
      }}
      aria-labelledby={id}
      data-testid={testId}
    >
      <div className="sheet-inside">
        <header className="sheet-head">
          <h2 id={id}>{title}</h2>
          <button
            type="button"
            className="icon-button"
            aria-label="Close"
            title="Close"
            onClick={() => dialog.current?.close()}
          >
            <X size={17} />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
