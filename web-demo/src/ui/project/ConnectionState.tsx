import type { Connection } from "@cobuild/client";
import { useEffect, useState, useSyncExternalStore } from "react";
import { useRoom, useView } from "../room.ts";

type Tone = "good" | "busy" | "bad";

/** Whether this page is in step with the room; when not, what happens next, and a way to hurry. */
export function ConnectionState() {
  const room = useRoom();
  const connection = useView((view) => view.connection);
  const online = useOnline();
  const seconds = useSecondsUntil(connection.phase === "waiting" ? connection.retryAt : undefined);
  const [tone, words] = describe(connection, online, seconds);
  const canRetry = connection.phase === "waiting" && online;
  return (
    <span className={`status-chip ${tone}`} data-testid="connection-state" data-phase={connection.phase}>
      <i className="status-dot" aria-hidden="true" />
      <span>{words}</span>
      {canRetry && (
        <button type="button" className="link-button" onClick={() => room.retryNow()}>
          Now
        </button>
      )}
    </span>
  );
}

function describe(connection: Connection, online: boolean, seconds: number): [Tone, string] {
  switch (connection.phase) {
    case "live":
      return ["good", "Live"];
    case "waiting":
      if (!online) return ["bad", "Offline"];
      return ["busy", seconds > 0 ? `${lossOf(connection.code)} · again in ${seconds} s` : "Reconnecting…"];
    case "refused":
      return ["bad", "Disconnected"];
    // Before the first attempt, for a moment; and when the page is being left.
    case "closed":
    case "connecting":
      return ["busy", "Connecting…"];
  }
}

/** Why the connection is lost, in a word or two; the server's own goodbyes have codes. */
function lossOf(code: number): string {
  switch (code) {
    case 1001:
    case 1012:
    case 4000:
      return "Server restarting";
    case 4008:
      return "Too slow a line";
    case 4029:
      return "Too much at once";
    default:
      return "Disconnected";
  }
}

function useOnline(): boolean {
  return useSyncExternalStore(
    (listener) => {
      window.addEventListener("online", listener);
      window.addEventListener("offline", listener);
      return () => {
        window.removeEventListener("online", listener);
        window.removeEventListener("offline", listener);
      };
    },
    () => navigator.onLine,
  );
}

/** Counts down to a point in time. */
function useSecondsUntil(at: number | undefined): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (at === undefined) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [at]);
  return at === undefined ? 0 : Math.max(0, Math.ceil((at - now) / 1000));
}
