import { Download } from "lucide-react";
import type { ReactNode } from "react";
import { exportUrl } from "../api.ts";
import { Logo } from "../parts/Logo.tsx";
import { ThemeToggle } from "../parts/ThemeToggle.tsx";
import { useView } from "../room.ts";
import { follow } from "../router.ts";
import { ConnectionState } from "./ConnectionState.tsx";
import { People } from "./People.tsx";
import { SandboxMenu } from "./SandboxMenu.tsx";
import "./top-bar.css";

export function TopBar({ project, tabs }: { project: string; tabs: ReactNode }) {
  const name = useView((view) => view.state.name);
  return (
    <header className="top-bar">
      <div className="top-name">
        <a className="top-home" href="/" onClick={follow} aria-label="All projects" title="All projects">
          <Logo />
        </a>
        <h1 className="truncate" title={name}>
          {name || project}
        </h1>
      </div>
      <div className="top-tabs">{tabs}</div>
      <div className="top-state">
        <ConnectionState />
        <SandboxMenu />
      </div>
      <People />
      <a
        className="icon-button"
        href={exportUrl(project)}
        download
        aria-label="Download the files as a ZIP archive"
        title="Download as ZIP"
        data-testid="export"
      >
        <Download size={17} />
      </a>
      <ThemeToggle />
    </header>
  );
}
