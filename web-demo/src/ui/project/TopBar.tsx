import { Download, Ellipsis, EyeIcon, History, Share2 } from "lucide-react";
import type { ReactNode } from "react";
import { downloadZip } from "../api.ts";
import { explain } from "../errors.ts";
import { useCompact } from "../media.ts";
import { Logo } from "../parts/Logo.tsx";
import { Menu } from "../parts/Menu.tsx";
import { ThemeToggle } from "../parts/ThemeToggle.tsx";
import { People } from "../people/People.tsx";
import { useRoom, useView } from "../room.ts";
import { follow } from "../router.ts";
import { toast } from "../toasts.ts";
import { ConnectionState } from "./ConnectionState.tsx";
import { SandboxMenu } from "./SandboxMenu.tsx";
import "./top-bar.css";

export function TopBar({ project, tabs }: { project: string; tabs: ReactNode }) {
  const name = useView((view) => view.state.name);
  const isViewer = useView((view) => view.role === "viewer");
  const compact = useCompact();
  return (
    <header className="top-bar">
      <div className="top-name">
        <a className="top-home" href="/" onClick={follow} aria-label="All projects" title="All projects">
          <Logo />
        </a>
        <h1 className="truncate" title={name}>
          {name || project}
        </h1>
        {isViewer && (
          <span className="viewer-badge" title="You see everything live. To change something, ask an owner.">
            <EyeIcon size={13} aria-hidden="true" /> Viewing
          </span>
        )}
      </div>
      <div className="top-tabs">{tabs}</div>
      <div className="top-state">
        <ConnectionState />
        <SandboxMenu />
      </div>
      <People />
      {compact ? <MoreMenu /> : <Buttons />}
    </header>
  );
}

function Buttons() {
  const room = useRoom();
  return (
    <>
      <button
        type="button"
        className="button small"
        onClick={() => room.dialog.set({ type: "share" })}
        data-testid="share"
      >
        <Share2 size={14} aria-hidden="true" /> Share
      </button>
      <button
        type="button"
        className="icon-button"
        onClick={() => room.dialog.set({ type: "history" })}
        aria-label="History"
        title="History"
        data-testid="history"
      >
        <History size={17} />
      </button>
      <button
        type="button"
        className="icon-button"
        onClick={() => void download(room.project)}
        aria-label="Download the files as a ZIP archive"
        title="Download as ZIP"
        data-testid="export"
      >
        <Download size={17} />
      </button>
      <ThemeToggle />
    </>
  );
}

function MoreMenu() {
  const room = useRoom();
  return (
    <Menu
      className="icon-button"
      label="More"
      testId="more"
      button={<Ellipsis size={18} aria-hidden="true" />}
    >
      {(close) => {
        const then = (action: () => void) => () => {
          close();
          action();
        };
        return (
          <div className="more-panel">
            <button
              type="button"
              onClick={then(() => room.dialog.set({ type: "share" }))}
              data-testid="share"
            >
              <Share2 size={16} aria-hidden="true" /> Share…
            </button>
            <button
              type="button"
              onClick={then(() => room.dialog.set({ type: "history" }))}
              data-testid="history"
            >
              <History size={16} aria-hidden="true" /> History…
            </button>
            <button type="button" onClick={then(() => void download(room.project))} data-testid="export">
              <Download size={16} aria-hidden="true" /> Download as ZIP
            </button>
            <ThemeToggle withWords />
          </div>
        );
      }}
    </Menu>
  );
}

async function download(project: string) {
  try {
    await downloadZip(project);
  } catch (error) {
    toast({ tone: "bad", ...explain(error) });
  }
}
