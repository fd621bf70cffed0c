import { type RefObject, useEffect } from "react";
import { hue } from "../format.ts";

/** As in code.css: the height of a line and the space above the first. */
const LINE_HEIGHT_PX = 12.5 * 1.65;
const SPACE_ABOVE_PX = 10;

/** Somebody else in the same file. */
export interface Mark {
  participant: string;
  name: string;
  line: number;
}

/** At the right edge, who is at which line. */
export function Marks({ marks }: { marks: Mark[] | undefined }) {
  return (
    <div className="code-marks" aria-hidden="true">
      {marks?.map(({ participant, name, line }) => {
        const style = { "--at": line, "--hue": hue(participant + name) };
        return (
          <span key={participant} className="code-mark" style={style as React.CSSProperties}>
            {name}
          </span>
        );
      })}
    </div>
  );
}

/** Brings a line into sight whenever a new goal is set. */
export function useGoal(area: RefObject<HTMLElement | null>, goal: { line: number } | undefined): void {
  useEffect(() => {
    const scroller = area.current;
    if (!scroller || !goal) return;
    const middle = SPACE_ABOVE_PX + (goal.line - 0.5) * LINE_HEIGHT_PX - scroller.clientHeight / 2;
    scroller.scrollTo({ top: Math.max(0, middle) });
  }, [area, goal]);
}

/** The line in the middle of what is in sight. */
export function middleLine(scroller: HTMLElement): number {
  return lineAt(scroller.scrollTop + scroller.clientHeight / 2);
}

export function lineAt(top: number): number {
  return Math.max(1, Math.floor((top - SPACE_ABOVE_PX) / LINE_HEIGHT_PX) + 1);
}

/** The line a place in a text is in. */
export function lineOf(text: string, place: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < place; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}
