import { useView } from "../room.ts";
import { activeRun } from "../select.ts";

const OUTCOMES = {
  completed: "The last request is done.",
  failed: "The last request has failed.",
  cancelled: "The last request was stopped.",
  interrupted: "The last request was interrupted.",
};

/** Says in words what happens in the room, for those who don't see it. */
export function Announcer() {
  const connected = useView((view) => view.connection.phase === "live");
  const running = useView((view) => activeRun(view.state)?.prompt);
  const outcome = useView((view) => view.state.runs.findLast((run) => run.state === "finished")?.outcome);
  const preview = useView((view) => view.state.preview.state);
  const run = running ? `Working on: ${running}.` : outcome ? OUTCOMES[outcome] : "";
  return (
    <div className="visually-hidden" role="status" aria-live="polite">
      {!connected && "Not connected: what is shown may be out of date."}
      {connected && run} {connected && preview === "ready" && "The preview is ready."}
      {connected && preview === "failed" && "The preview has failed."}
    </div>
  );
}
