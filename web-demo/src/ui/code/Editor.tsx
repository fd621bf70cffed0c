import { type KeyboardEvent, useMemo, useRef } from "react";
import { coloured, Line } from "./CodeView.tsx";
import { lineOf, type Mark, Marks, useGoal } from "./Marks.tsx";

const INDENT = "  ";

interface EditorProps {
  path: string;
  text: string;
  onChange: (text: string) => void;
  onSave: () => void;
  goal?: { line: number } | undefined;
  marks?: Mark[];
  onLine?: (line: number) => void;
}

/** A file to write in: the browser's own text field, with the colours laid underneath. */
export default function Editor({ path, text, onChange, onSave, goal, marks, onLine }: EditorProps) {
  const area = useRef<HTMLDivElement>(null);
  const leaving = useRef(false);
  const lines = useMemo(() => coloured(path, `${text}\n`), [path, text]);
  useGoal(area, goal);

  function keyDown(event: KeyboardEvent<HTMLTextAreaElement>) {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") {
      event.preventDefault();
      return onSave();
    }
    // Tab indents, as in every editor; after Escape it leaves the field, so that nobody is caught in it.
    if (event.key === "Escape") leaving.current = true;
    else if (event.key === "Tab" && !event.shiftKey && !leaving.current) {
      event.preventDefault();
      const field = event.currentTarget;
      field.setRangeText(INDENT, field.selectionStart, field.selectionEnd, "end");
      onChange(field.value);
    } else if (event.key !== "Shift") leaving.current = false;
  }

  return (
    <div className="code-scroll" ref={area}>
      <div className="editor">
        <Marks marks={marks} />
        <pre className="code-lines" aria-hidden="true">
          {lines.map((line, index) => (
            <Line key={index} kind={line.kind} source={line.source} tokens={line.tokens} />
          ))}
        </pre>
        <textarea
          value={text}
          onChange={(event) => onChange(event.target.value)}
          onKeyDown={keyDown}
          onSelect={(event) => onLine?.(lineOf(text, event.currentTarget.selectionStart))}
          aria-label={`Edit ${path}`}
          aria-describedby="editor-keys"
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          wrap="off"
          // biome-ignore lint/a11y/noAutofocus: somebody has just asked to edit
          autoFocus
          data-testid="editor"
        />
      </div>
      <p id="editor-keys" className="visually-hidden">
        Control S saves. Tab indents; press Escape and then Tab to leave the field.
      </p>
    </div>
  );
}
