import { CircleCheck, CircleSlash, CircleX, Unplug } from "lucide-react";
import type { Message, RunInfo } from "../../protocol.ts";
import { count, duration } from "../format.ts";
import { isDemo } from "../models/models.ts";
import { ErrorText } from "./ErrorText.tsx";
import { runFailure } from "./run-error.ts";
import { usageWords } from "./usage.ts";
import "./run-footer.css";

const OUTCOMES = {
  completed: { icon: CircleCheck, words: "Done" },
  failed: { icon: CircleX, words: "Failed" },
  cancelled: { icon: CircleSlash, words: "Stopped" },
  interrupted: { icon: Unplug, words: "Interrupted: the server was restarted" },
};

/** A newer server may know more ends than this page. */
const OTHER_OUTCOME = { icon: CircleCheck, words: "Ended" };

/** How a run ended, what it took, and why it went wrong if it did. */
export function RunFooter({ run, message, by }: { run: RunInfo; message?: Message; by: string | undefined }) {
  if (run.state !== "finished" || !run.outcome) return null;
  const { icon: Icon, words } = OUTCOMES[run.outcome] ?? OTHER_OUTCOME;
  const files = message?.parts.filter((part) => part.type === "file" && part.state === "written").length ?? 0;
  const facts = [
    duration(run.started_at, run.finished_at),
    files > 0 && count(files, "file"),
    by && `for ${by}`,
    run.usage && !isDemo(message?.model ?? run.model) && usageWords(run.usage),
  ].filter(Boolean);
  const failure = runFailure(run);
  const showsError = run.error && run.outcome !== "cancelled";
  return (
    <footer className={`run-footer ${run.outcome}`} data-testid="run-footer" data-outcome={run.outcome}>
      <p className="run-line">
        <Icon size={15} aria-hidden="true" />
        <strong>{words}</strong>
        <span>{facts.join(" · ")}</span>
      </p>
      {showsError && run.error && (
        <div className="run-error" role="note">
          <strong>{failure.title}</strong>
          {failure.text && <ErrorText text={failure.text} />}
          {run.error.retryable && <p className="soft">It may work when you try again.</p>}
        </div>
      )}
    </footer>
  );
}
