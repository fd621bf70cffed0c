import { Box } from "lucide-react";
import type { SandboxInfo } from "../../protocol.ts";
import { Menu } from "../parts/Menu.tsx";
import { useCanEdit, useRoom, useView } from "../room.ts";
import { isWithoutSandboxes } from "../select.ts";

const WORDS: Record<SandboxInfo["state"], string> = {
  stopped: "Sandbox off",
  creating: "Sandbox starting",
  ready: "Sandbox ready",
  lost: "Sandbox lost",
  restoring: "Sandbox restoring",
};

/** The sandbox's state, and how to change it. */
export function SandboxMenu() {
  const room = useRoom();
  const sandbox = useView((view) => view.state.sandbox);
  const canEdit = useCanEdit();
  const isCurrent = useView((view) => view.connection.phase === "live");
  const isMissing = isWithoutSandboxes(sandbox);
  const words = isMissing ? "No sandboxes" : wordsOf(sandbox);
  const isOn = sandbox.state !== "stopped" && sandbox.state !== "lost";
  return (
    <Menu
      className={`status-chip ${isCurrent && !isMissing ? tone(sandbox) : "stale"}`}
      label={isCurrent ? words : `${words}, as last known`}
      testId="sandbox-state"
      button={
        <>
          <Box size={14} aria-hidden="true" />
          <span>{words}</span>
        </>
      }
    >
      {(close) => (
        <div className="sandbox-panel">
          <p>
            <strong>{words}</strong>
            {sandbox.provider && !isMissing && <span className="mono"> · {sandbox.provider}</span>}
          </p>
          {!isCurrent && <p className="soft">As last known: there is no connection to the server now.</p>}
          {sandbox.detail && <p className="soft">{sandbox.detail}</p>}
          {sandbox.error && <p className={isMissing ? "soft" : "bad"}>{sandbox.error}</p>}
          {!isMissing && (
            <p className="soft">
              The app runs in it, apart from everything else on this machine. The files stay without it.
            </p>
          )}
          {isMissing && !sandbox.error && (
            <p className="soft">This server writes the files of an app but does not run it.</p>
          )}
          {!isMissing && (
            <button
              type="button"
              className="button small"
              disabled={!canEdit}
              title={canEdit ? undefined : "You are viewing; an editor can do this"}
              onClick={() => {
                void room.send({ type: isOn ? "stop_sandbox" : "start_sandbox" });
                close();
              }}
            >
              {isOn ? "Stop the sandbox" : "Start the sandbox"}
            </button>
          )}
        </div>
      )}
    </Menu>
  );
}

function wordsOf({ error, state }: SandboxInfo): string {
  return error && state === "stopped" ? "Sandbox failed" : WORDS[state];
}

function tone(sandbox: SandboxInfo): string {
  if (sandbox.error || sandbox.state === "lost") return "bad";
  if (sandbox.state === "ready") return "good";
  return sandbox.state === "stopped" ? "" : "busy";
}
