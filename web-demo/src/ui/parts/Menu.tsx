import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import "./menu.css";

interface MenuProps {
  /** What the button shows. */
  button: ReactNode;
  label: string;
  className: string;
  testId?: string;
  /** Opens above the button, from its left edge. */
  up?: boolean;
  onOpen?: () => void;
  /** What opens below it; `close` shuts it. */
  children: (close: () => void) => ReactNode;
}

/** A button with a small panel that opens below it; Escape or a click elsewhere shuts it. */
export function Menu({ button, label, className, testId, up, onOpen, children }: MenuProps) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const root = useRef<HTMLDivElement>(null);
  const trigger = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!open) return;
    const away = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    const escaped = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      setOpen(false);
      trigger.current?.focus();
    };
    // A click into the preview does not reach this page; losing the focus to it does.
    const blurred = () => setOpen(false);
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", escaped);
    window.addEventListener("blur", blurred);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", escaped);
      window.removeEventListener("blur", blurred);
    };
  }, [open]);

  return (
    <div className="menu" ref={root}>
      <button
        ref={trigger}
        type="button"
        className={className}
        aria-label={label}
        title={label}
        aria-expanded={open}
        aria-controls={id}
        data-testid={testId}
        onClick={() => {
          if (!open) onOpen?.();
          setOpen(!open);
        }}
      >
        {button}
      </button>
      {open && (
        <div className={up ? "menu-panel up" : "menu-panel"} id={id}>
          {children(() => setOpen(false))}
        </div>
      )}
    </div>
  );
}
