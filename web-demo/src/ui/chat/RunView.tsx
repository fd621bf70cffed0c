import { memo } from "react";
import type { RunInfo } from "../../protocol.ts";
import { timeOfDay } from "../format.ts";
import { RunFooter } from "./RunFooter.tsx";
import { RunNotes } from "./RunNotes.tsx";
import { Steps } from "./Steps.tsx";

const TITLES: Record<RunInfo["kind"], string> = {
  generate: "sent a prompt",
  apply: "applied a reply",
  install: "installed packages",
  exec: "ran a command",
  import: "took over a git repository",
};

/** A run without messages: an install or a command somebody asked for. */
export const RunView = memo(function RunView({ run, by }: { run: RunInfo; by: string | undefined }) {
  return (
    <article className="message run">
      <header className="message-head">
        <span>
          <strong>{by ?? "Somebody"}</strong> {TITLES[run.kind] ?? "did something"}
        </span>
        <time dateTime={run.accepted_at}>{timeOfDay(run.accepted_at)}</time>
      </header>
      {run.prompt && <p className="soft">{run.prompt}</p>}
      <Steps steps={run.steps} />
      <RunNotes run={run} message={undefined} />
      <RunFooter run={run} by={undefined} />
    </article>
  );
});
