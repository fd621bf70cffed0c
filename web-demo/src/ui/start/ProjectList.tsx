import { RotateCw, Trash2 } from "lucide-react";
import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError, deleteProject, listProjects, type ProjectSummary } from "../api.ts";
import { explain } from "../errors.ts";
import { dateTime, hue, timeAgo } from "../format.ts";
import { follow } from "../router.ts";
import { toast } from "../toasts.ts";
import "../parts/dialog.css";

type List =
  | { state: "loading" }
  | { state: "failed"; message: string }
  | { state: "ready"; projects: ProjectSummary[] };

/** `onRefused` is told the server's sentence when it lets nobody in who has no token. */
export function ProjectList({ onRefused }: { onRefused: (reason: string) => void }) {
  const [list, setList] = useState<List>({ state: "loading" });
  const [doomed, setDoomed] = useState<ProjectSummary>();

  const load = useCallback(async () => {
    try {
      const projects = await listProjects();
      setList({ state: "ready", projects: projects.toSorted(byLastUse) });
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) onRefused(error.message);
      setList({ state: "failed", message: explain(error).title });
    }
  }, [onRefused]);
  useEffect(() => void load(), [load]);

  async function remove(project: ProjectSummary) {
    setDoomed(undefined);
    try {
      await deleteProject(project.project);
    } catch (error) {
      toast({ tone: "bad", ...explain(error) });
    }
    await load();
  }

  if (list.state === "failed") {
    return (
      <div className="projects-empty" role="alert">
        <p>{list.message}</p>
        <button type="button" className="button small" onClick={() => void load()}>
          <RotateCw size={14} /> Try again
        </button>
      </div>
    );
  }
  if (list.state === "ready" && list.projects.length === 0) {
    return (
      <p className="projects-empty">
        Nothing here yet. What you build stays on this machine and shows up here.
      </p>
    );
  }
  const projects = list.state === "ready" ? list.projects : undefined;
  return (
    <>
      <ul className="project-grid" data-testid="project-list" aria-busy={!projects}>
        {projects?.map((project) => (
          <li key={project.project} className="project-card">
            <a href={`/p/${project.project}`} onClick={follow}>
              <span className="project-tile" style={{ "--hue": hue(project.project) } as React.CSSProperties}>
                <i />
                <i />
                <i />
              </span>
              <span className="project-words">
                <strong className="truncate">{project.name || project.project}</strong>
                <time dateTime={project.updated_at} title={dateTime(project.updated_at)}>
                  {timeAgo(project.updated_at)}
                </time>
              </span>
            </a>
            <button
              type="button"
              className="icon-button small"
              aria-label={`Delete ${project.name || project.project}`}
              title="Delete"
              onClick={() => setDoomed(project)}
            >
              <Trash2 size={15} />
            </button>
          </li>
        )) ?? [1, 2, 3].map((n) => <li key={n} className="project-card skeleton" />)}
      </ul>
      {doomed && (
        <ConfirmDelete
          project={doomed}
          onCancel={() => setDoomed(undefined)}
          onConfirm={() => void remove(doomed)}
        />
      )}
    </>
  );
}

function byLastUse(a: ProjectSummary, b: ProjectSummary): number {
  return b.updated_at.localeCompare(a.updated_at);
}

interface ConfirmDeleteProps {
  project: ProjectSummary;
  onCancel: () => void;
  onConfirm: () => void;
}

function ConfirmDelete({ project, onCancel, onConfirm }: ConfirmDeleteProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} className="dialog ask" onClose={onCancel} aria-labelledby="delete-title">
      <h2 id="delete-title">Delete “{project.name || project.project}”?</h2>
      <p>Its files and its conversation are gone for good, for everybody.</p>
      <div className="dialog-buttons">
        <button type="button" className="button" onClick={onCancel}>
          Keep it
        </button>
        <button type="button" className="button danger" onClick={onConfirm}>
          Delete
        </button>
      </div>
    </dialog>
  );
}
