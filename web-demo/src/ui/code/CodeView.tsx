import { memo, type ReactNode, useEffect, useMemo, useRef } from "react";
import { type ParsedLine, type ParseOptions, parse } from "sugar-high/core";
import * as css from "sugar-high/lang/css";
import * as html from "sugar-high/lang/html";
import * as javascript from "sugar-high/lang/javascript";
import * as json from "sugar-high/lang/json";
import * as markdown from "sugar-high/lang/markdown";
import * as typescript from "sugar-high/lang/typescript";
import { editLines } from "./edit-lines.ts";
import { type Mark, Marks, middleLine, useGoal } from "./Marks.tsx";

/** Above this, colouring on every change costs more than it helps. */
const COLOURED_LENGTH_MAX = 120_000;
/** More lines than anybody reads in a browser tab; the archive has all of them. */
const LINES_MAX = 6_000;

// The presets are made for `parse`, but their own types are a little behind it.
const LANGUAGES = {
  js: javascript,
  mjs: javascript,
  cjs: javascript,
  jsx: javascript,
  ts: typescript,
  tsx: typescript,
  css,
  html,
  svg: html,
  json,
  md: markdown,
} as unknown as { [extension: string]: ParseOptions };

interface CodeViewProps {
  path: string;
  text: string;
  /** The text is search/replace blocks. */
  isEdit: boolean;
  isTyping: boolean;
  /** To be brought into sight. */
  goal?: { line: number } | undefined;
  /** Others who look at this file. */
  marks?: Mark[];
  /** Told which line is looked at. */
  onLine?: (line: number) => void;
}

export default function CodeView(props: CodeViewProps) {
  const { path, text, isEdit, isTyping, goal, marks, onLine } = props;
  const area = useRef<HTMLDivElement>(null);
  const lines = useMemo(() => (isEdit ? edited(text) : coloured(path, text)), [path, text, isEdit]);
  const shown = lines.slice(0, LINES_MAX);

  // biome-ignore lint/correctness/useExhaustiveDependencies: it scrolls because the text has grown
  useEffect(() => {
    if (isTyping && area.current) area.current.scrollTop = area.current.scrollHeight;
  }, [text, isTyping]);

  useGoal(area, goal);

  return (
    <section
      className="code-scroll"
      ref={area}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
      tabIndex={0}
      aria-label={path}
      data-testid="code-view"
      onScroll={onLine && ((event) => onLine(middleLine(event.currentTarget)))}
    >
      <Marks marks={marks} />
      <pre className={isTyping ? "code-lines typing" : "code-lines"}>
        {shown.map((line, index) => (
          <Line key={index} kind={line.kind} source={line.source} tokens={line.tokens} />
        ))}
      </pre>
      {lines.length > shown.length && (
        <p className="code-empty">
          {lines.length - shown.length} more lines; download the project to see them.
        </p>
      )}
    </section>
  );
}

export interface CodeLine {
  kind: string;
  source: string;
  tokens: ParsedLine["tokens"] | undefined;
}

/** A line is drawn again only when its text or its colours have changed. */
export const Line = memo(
  function Line({ kind, source, tokens }: CodeLine) {
    const words: ReactNode = tokens
      ? tokens.map((token, index) => (
          <span key={index} className={`t-${token.type}`}>
            {token.value}
          </span>
        ))
      : source;
    return <code className={kind}>{source === "" ? "\n" : words}</code>;
  },
  (before, after) =>
    before.kind === after.kind && before.source === after.source && sameTypes(before.tokens, after.tokens),
);

function sameTypes(before: CodeLine["tokens"], after: CodeLine["tokens"]): boolean {
  if (!before || !after || before.length !== after.length) return before === after;
  return before.every((token, index) => token.type === after[index]?.type);
}

export function coloured(path: string, text: string): CodeLine[] {
  const language = LANGUAGES[path.slice(path.lastIndexOf(".") + 1).toLowerCase()];
  const whole = text.endsWith("\n") ? text.slice(0, -1) : text;
  if (!language || text.length > COLOURED_LENGTH_MAX) {
    return whole.split("\n").map((source) => ({ kind: "", source, tokens: undefined }));
  }
  return parse(whole, language).lines.map((line) => ({ kind: "", source: line.value, tokens: line.tokens }));
}

function edited(text: string): CodeLine[] {
  return editLines(text).map((line) => ({ kind: line.type, source: line.text, tokens: undefined }));
}
