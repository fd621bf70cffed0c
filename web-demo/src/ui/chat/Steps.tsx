import { Check, ChevronRight, CircleX, Package, SquareTerminal } from "lucide-react";
import { memo, useEffect, useRef, useState } from "react";
import type { Step } from "../../protocol.ts";
import { Spinner } from "../parts/Spinner.tsx";
import { ErrorText } from "./ErrorText.tsx";
import "./steps.css";

/** What a run did in the sandbox. */
export function Steps({ steps }: { steps: Step[] }) {
  if (steps.length === 0) return null;
  return (
    <ul className="steps">
      {steps.map((step, index) => (
        <StepView key={index} step={step} />
      ))}
    </ul>
  );
}

const StepView = memo(function StepView({ step }: { step: Step }) {
  const isBad =
    step.error !== undefined || (step.type === "command" && step.finished && step.exit_code !== 0);
  const [chosen, setOpen] = useState<boolean>();
  const open = chosen ?? isBad;
  const Icon = step.type === "install" ? Package : SquareTerminal;
  return (
    <li className={isBad ? "step bad" : "step"} data-testid="step">
      <button type="button" className="step-row" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon size={15} aria-hidden="true" />
        <span className="step-title truncate">{titleOf(step)}</span>
        <span className="step-state">
          {!step.finished && <Spinner size={14} />}
          {step.finished && isBad && <CircleX size={15} aria-label="Failed" />}
          {step.finished && !isBad && <Check size={15} strokeWidth={2.6} aria-label="Done" />}
        </span>
        <ChevronRight className="file-chevron" size={14} aria-hidden="true" />
      </button>
      {step.error && (
        <div className="step-error">
          <ErrorText text={step.error} />
        </div>
      )}
      {open && <Output text={step.output} showsEnd={!step.finished || isBad} />}
    </li>
  );
});

function titleOf(step: Step) {
  if (step.type === "command") return <span className="mono">{step.command}</span>;
  // A newer server may do more in a sandbox than this page knows of.
  if (step.type !== "install") return "Something in the sandbox";
  const words = step.finished ? (step.error ? "Could not install" : "Installed") : "Installing";
  return (
    <>
      {words} <span className="mono">{step.packages.join(", ")}</span>
    </>
  );
}

/** Colours and cursor moves that a terminal would carry out. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what it looks for
const ESCAPES = /\u001b\[[0-9;?]*[A-Za-z]/g;

/** The end of what a command says tells why it failed, and how far it is while it runs. */
function Output({ text, showsEnd }: { text: string; showsEnd: boolean }) {
  const area = useRef<HTMLPreElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: it scrolls because the text has grown
  useEffect(() => {
    if (showsEnd && area.current) area.current.scrollTop = area.current.scrollHeight;
  }, [text, showsEnd]);
  const shown = (text ?? "").replace(ESCAPES, "").trim();
  return (
    <pre className="step-output" ref={area}>
      {shown || "No output"}
    </pre>
  );
}
