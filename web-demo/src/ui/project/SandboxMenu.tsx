import { Box } from "lucide-react";
import type { SandboxInfo } from "../../protocol.ts";
import { Menu } from "../parts/Menu.tsx";
import { useCanEdit, useRoom, useView } from "../room.ts";

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
  const words = sandbox.error && sandbox.state === "stopped" ? "Sandbox failed" : WORDS[sandbox.state];
  const isOn = sandbox.state !== "stopped" && sandbox.state !== "lost";
  return (
    <Menu
      className={`status-chip ${tone(sandbox)}`}
      label={words}
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
            {sandbox.provider && <span className="mono"> · {sandbox.provider}</span>}
          </p>
          {sandbox.detail && <p className="soft">{sandbox.detail}</p>}
          {sandbox.error && <p className="bad">{sandbox.error}</p>}
          <p className="soft">
            The app runs in it, apart from everything else on this machine. The files stay without it.
          </p>
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
        </div>
      )}
    </Menu>
  );
}

function tone(sandbox: SandboxInfo): string {
  if (sandbox.error || sandbox.state === "lost") return "bad";
  if (sandbox.state === "ready") return "good";
  return sandbox.state === "stopped" ? "" : "busy";
}
