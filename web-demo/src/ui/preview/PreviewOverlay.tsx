import { Play, TriangleAlert } from "lucide-react";
import type { PreviewInfo, SandboxInfo } from "../../protocol.ts";
import { Logo } from "../parts/Logo.tsx";
import { Spinner } from "../parts/Spinner.tsx";
import { useCanEdit, useRoom, useView } from "../room.ts";
import { isWithoutSandboxes, runsNothing } from "../select.ts";

interface Notice {
  tone: "busy" | "idle" | "bad";
  title: string;
  text?: string | undefined;
  action?: string;
}

/** Over the preview while there is none: what is going on, or what went wrong and what helps. */
export function PreviewOverlay() {
  const room = useRoom();
  const sandbox = useView((view) => view.state.sandbox);
  const preview = useView((view) => view.state.preview);
  const loaded = useView((view) => view.loaded);
  const canEdit = useCanEdit();
  const notice: Notice = loaded ? describe(sandbox, preview) : { tone: "busy", title: "Opening the project" };
  return (
    <div
      className={`preview-overlay ${notice.tone}`}
      role={notice.tone === "bad" ? "alert" : "status"}
      data-testid="preview-overlay"
    >
      <span className="overlay-icon">
        {notice.tone === "busy" && <Spinner size={22} />}
        {notice.tone === "idle" && <Logo size={26} />}
        {notice.tone === "bad" && <TriangleAlert size={22} />}
      </span>
      <h2>{notice.title}</h2>
      {notice.text && <p>{notice.text}</p>}
      {notice.action && canEdit && (
        <button
          type="button"
          className="button primary"
          onClick={() => void room.send({ type: "start_sandbox" })}
          data-testid="start-sandbox"
        >
          <Play size={14} fill="currentColor" /> {notice.action}
        </button>
      )}
    </div>
  );
}

function describe(sandbox: SandboxInfo, preview: PreviewInfo): Notice {
  if (isWithoutSandboxes(sandbox)) {
    const text = sandbox.error ?? "The files are written all the same; the app does not run here.";
    return { tone: "idle", title: "No sandboxes on this server", text };
  }
  if (runsNothing(sandbox) && preview.state === "ready") {
    const text = "This server keeps sandboxes in memory only. The files are written all the same.";
    return { tone: "idle", title: "Nothing runs here", text };
  }
  if (sandbox.state === "creating")
    return { tone: "busy", title: "Preparing the sandbox", text: sandbox.detail };
  if (sandbox.state === "restoring") {
    return { tone: "busy", title: "Restoring the sandbox from the project’s files", text: sandbox.detail };
  }
  if (sandbox.error && sandbox.state !== "ready") {
    const title = sandbox.state === "lost" ? "The sandbox was lost" : "The sandbox cannot be started";
    return { tone: "bad", title, text: sandbox.error, action: "Try again" };
  }
  if (sandbox.state === "lost") {
    const text = "It ended by itself. The project’s files are safe.";
    return { tone: "bad", title: "The sandbox was lost", text, action: "Start it again" };
  }
  if (preview.state === "starting") return { tone: "busy", title: "Starting the app" };
  if (preview.state === "failed") {
    return { tone: "bad", title: "The app could not be started", text: preview.error, action: "Try again" };
  }
  const text = "It starts with the next prompt, or right now.";
  return { tone: "idle", title: "The preview is not running", text, action: "Start the preview" };
}
