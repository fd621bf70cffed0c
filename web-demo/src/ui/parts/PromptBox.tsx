import { ArrowUp, Square } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useEffect, useLayoutEffect, useRef } from "react";
import { Spinner } from "./Spinner.tsx";
import "./prompt-box.css";

interface PromptBoxProps {
  value: string;
  onChange: (value: string) => void;
  onSend: () => void;
  /** Shown beside the send button while something runs that can be stopped. */
  onStop?: (() => void) | undefined;
  placeholder: string;
  /** Above the text. */
  head?: ReactNode;
  footer?: ReactNode;
  /** Files that were pasted or dropped. */
  onFiles?: (files: File[]) => void;
  large?: boolean;
  autoFocus?: boolean;
  /** A prompt is on its way; another one has to wait. */
  busy?: boolean;
  /** The text may be changed but not sent. */
  blocked?: boolean;
  disabled?: boolean;
}

/** A growing text field: Enter sends, Shift+Enter begins a new line. */
export function PromptBox(props: PromptBoxProps) {
  const { value, onChange, onSend, onStop, placeholder, footer, large, autoFocus, busy, blocked, disabled } =
    props;
  const { head, onFiles } = props;
  const field = useRef<HTMLTextAreaElement>(null);
  const canSend = value.trim() !== "" && !busy && !blocked && !disabled;

  useEffect(() => {
    // Only with a mouse: on a phone the focus would open the keyboard over the page.
    if (autoFocus && matchMedia("(pointer: fine)").matches) field.current?.focus();
  }, [autoFocus]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the height follows the text
  useLayoutEffect(() => {
    const area = field.current;
    if (!area) return;
    area.style.height = "0";
    area.style.height = `${area.scrollHeight}px`;
  }, [value]);

  function keyDown(event: KeyboardEvent) {
    // While an input method composes a word, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    if (canSend) onSend();
  }

  /** Takes files over from the browser; text is its own business. */
  function take(event: { preventDefault: () => void }, data: DataTransfer | null) {
    const files = [...(data?.files ?? [])];
    if (files.length === 0 || !onFiles || disabled) return;
    event.preventDefault();
    onFiles(files);
  }

  return (
    <form
      onPaste={(event) => take(event, event.clipboardData)}
      onDrop={(event) => take(event, event.dataTransfer)}
      onDragOver={(event) => onFiles && event.preventDefault()}
      className={large ? "prompt-box large" : "prompt-box"}
      onSubmit={(event) => {
        event.preventDefault();
        if (canSend) onSend();
      }}
    >
      {head}
      <textarea
        ref={field}
        rows={1}
        value={value}
        placeholder={placeholder}
        aria-label="Prompt"
        disabled={disabled}
        data-testid="prompt-input"
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={keyDown}
      />
      <div className="prompt-bar">
        <div className="prompt-footer">{footer}</div>
        {onStop && (
          <button
            type="button"
            className="stop-button"
            onClick={onStop}
            aria-label="Stop"
            title="Stop"
            data-testid="stop"
          >
            <Square size={11} fill="currentColor" /> Stop
          </button>
        )}
        <button
          type="submit"
          className="send-button"
          disabled={!canSend}
          aria-label="Send"
          title="Send"
          data-testid="send"
        >
          {busy ? <Spinner size={17} /> : <ArrowUp size={18} strokeWidth={2.4} />}
        </button>
      </div>
    </form>
  );
}
