import { type ReactNode, useState } from "react";
import type { Piece } from "./line-diff.ts";
import "./side-by-side.css";

/** Of a longer stretch that is the same on both sides, this many lines are shown at either end. */
const CONTEXT = 3;

interface SideBySideProps {
  pieces: Piece[];
  left: string;
  right: string;
  /** What stands between the sides of the nth change: how to choose. */
  between?: (change: number) => ReactNode;
}

/** Two texts beside each other; on a narrow page below each other. */
export function SideBySide({ pieces, left, right, between }: SideBySideProps) {
  let changes = 0;
  return (
    <section
      className={between ? "sides to-choose" : "sides"}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
      tabIndex={0}
      aria-label={`${left} and ${right}`}
    >
      <div className="side-heads">
        <strong>{left}</strong>
        <strong>{right}</strong>
      </div>
      {pieces.map((piece, index) => {
        if (piece.type === "same") {
          const isFirst = index === 0;
          const isLast = index === pieces.length - 1;
          return <Same key={index} lines={piece.lines} isFirst={isFirst} isLast={isLast} />;
        }
        const number = changes++;
        return (
          <div key={index} className="side-change" data-testid="change">
            {between?.(number)}
            <Lines lines={piece.left} kind="removed" side={left} />
            <Lines lines={piece.right} kind="added" side={right} />
          </div>
        );
      })}
    </section>
  );
}

function Lines({ lines, kind, side }: { lines: string[]; kind: "removed" | "added"; side: string }) {
  return (
    <pre className={`side ${kind}`}>
      <span className="visually-hidden">{side}:</span>
      {lines.length === 0 && <code className="nothing">–</code>}
      {lines.map((line, index) => (
        <code key={index}>{line || " "}</code>
      ))}
    </pre>
  );
}

function Same({ lines, isFirst, isLast }: { lines: string[]; isFirst: boolean; isLast: boolean }) {
  const [open, setOpen] = useState(false);
  const before = isFirst ? 0 : CONTEXT;
  const after = isLast ? 0 : CONTEXT;
  const hidden = lines.length - before - after;
  if (open || hidden < 3) return <SameLines lines={lines} />;
  return (
    <>
      {before > 0 && <SameLines lines={lines.slice(0, before)} />}
      <button type="button" className="side-fold" onClick={() => setOpen(true)}>
        {hidden} lines are the same
      </button>
      {after > 0 && <SameLines lines={lines.slice(-after)} />}
    </>
  );
}

function SameLines({ lines }: { lines: string[] }) {
  return (
    <pre className="side same">
      {lines.map((line, index) => (
        <code key={index}>{line || " "}</code>
      ))}
    </pre>
  );
}
