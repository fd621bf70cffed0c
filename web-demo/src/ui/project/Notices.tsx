import { CloudOff, GitMerge, LocateFixed } from "lucide-react";
import { count } from "../format.ts";
import { whereabouts } from "../people/company.ts";
import { useRoom, useView } from "../room.ts";
import { nameOf } from "../select.ts";
import { RefusedBar } from "./Refused.tsx";
import type { Refusal } from "./refusal.ts";

/** What everybody looking at the page must know now. Most of the time, nothing. */
export function Notices({ refusal }: { refusal: Refusal | undefined }) {
  return (
    <div className="notices">
      {refusal ? <RefusedBar refusal={refusal} /> : <Away />}
      <Following />
      <Undecided />
    </div>
  );
}

/** The connection is lost: what waits for it. */
function Away() {
  const waiting = useView((view) => view.connection.phase === "waiting");
  const loaded = useView((view) => view.loaded);
  const unanswered = useView((view) => view.unanswered);
  // A short interruption is told by the chip above; this bar is for when something depends on it.
  if (!waiting || !loaded || unanswered === 0) return null;
  return (
    <div className="notice-bar caution" role="status" data-testid="outbox">
      <CloudOff size={16} aria-hidden="true" />
      <span>
        {unanswered === 1 ? "One thing you asked for waits" : `${unanswered} things you asked for wait`} for
        the connection. {unanswered === 1 ? "It is" : "They are"} sent once it is back, and once only.
      </span>
    </div>
  );
}

function Following() {
  const room = useRoom();
  const followed = useView((view) => view.following);
  const name = useView((view) => nameOf(view.state, followed));
  const where = useView((view) =>
    whereabouts(followed === undefined ? undefined : view.presence.get(followed)),
  );
  if (!followed) return null;
  return (
    <div className="notice-bar following" role="status" data-testid="following">
      <LocateFixed size={16} aria-hidden="true" />
      <span className="truncate">
        Following <strong>{name}</strong>
        {where && ` · ${where}`}
      </span>
      <button type="button" className="button small" onClick={() => room.follow(undefined)}>
        Stop
      </button>
    </div>
  );
}

/** Files of which there are two versions. */
function Undecided() {
  const room = useRoom();
  const conflicts = useView((view) => view.state.conflicts);
  const first = conflicts[0];
  if (!first) return null;
  return (
    <div className="notice-bar caution" role="status" data-testid="conflicts">
      <GitMerge size={16} aria-hidden="true" />
      <span className="truncate">
        {conflicts.length === 1
          ? `There are two versions of ${first.path}`
          : `There are two versions of ${count(conflicts.length, "file")}`}
      </span>
      <button
        type="button"
        className="button small"
        onClick={() => room.dialog.set({ type: "conflict" })}
        data-testid="conflicts-open"
      >
        Decide
      </button>
    </div>
  );
}
