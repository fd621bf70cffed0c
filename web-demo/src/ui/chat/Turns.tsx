import { ChevronRight, Hammer, Layers, MessageSquarePlus, RotateCw } from "lucide-react";
import { useState } from "react";
import type { RunTurn } from "../../protocol.ts";
import { usageWords } from "./usage.ts";

const REASONS: Record<RunTurn["reason"], { icon: typeof Hammer; words: string; counts?: boolean }> = {
  prompt: { icon: RotateCw, words: "Answered the prompt" },
  edit_unmatched: { icon: Hammer, words: "Changes did not fit their files", counts: true },
  continuation: { icon: RotateCw, words: "Went on after the output limit", counts: true },
  repair: { icon: Hammer, words: "The app did not work: repair", counts: true },
  steer: { icon: MessageSquarePlus, words: "Took up another prompt", counts: true },
  compaction: { icon: Layers, words: "Summed up the older conversation" },
};
/** A newer server may have more reasons. */
const OTHER = { icon: RotateCw, words: "Asked the model once more", counts: false };

/** Each time the model was asked once more in a run: why, and what that consumed. */
export function Turns({ turns, isFree }: { turns: RunTurn[] | undefined; isFree: boolean }) {
  if (!turns || turns.length === 0) return null;
  return (
    <ul className="steps" aria-label="Further rounds">
      {turns.map((turn) => (
        <TurnRow key={turn.turn} turn={turn} isFree={isFree} />
      ))}
    </ul>
  );
}

function TurnRow({ turn, isFree }: { turn: RunTurn; isFree: boolean }) {
  const [open, setOpen] = useState(false);
  const { icon: Icon, words, counts } = REASONS[turn.reason] ?? OTHER;
  const { detail, usage } = turn;
  return (
    <li className="step" data-testid="turn" data-reason={turn.reason}>
      <button
        type="button"
        className="step-row"
        aria-expanded={open}
        disabled={!detail}
        onClick={() => setOpen(!open)}
      >
        <Icon size={15} aria-hidden="true" />
        <span className="step-title truncate">
          {words}
          {counts && ` (${turn.round})`}
        </span>
        {usage && !isFree && <span className="queue-by">{usageWords(usage)}</span>}
        {detail && <ChevronRight className="file-chevron" size={14} aria-hidden="true" />}
      </button>
      {open && detail && <pre className="step-output wrapped">{detail}</pre>}
    </li>
  );
}
