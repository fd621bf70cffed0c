import { ExternalLink, Monitor, RotateCw, Smartphone } from "lucide-react";
import { type FormEvent, useCallback, useEffect, useRef, useState } from "react";
import type { RunId, RunInfo } from "../../protocol.ts";
import { useRoom, useView } from "../room.ts";
import { runsNothing } from "../select.ts";
import { PreviewErrorBar } from "./PreviewErrorBar.tsx";
import { PreviewOverlay } from "./PreviewOverlay.tsx";
import "./preview.css";

/** What a page of another origin may do inside of ours: be an app, and nothing to us. */
const PERMISSIONS =
  "allow-scripts allow-same-origin allow-forms allow-modals allow-popups allow-popups-to-escape-sandbox allow-downloads";

/** The running app, in a frame of its own origin. */
export function PreviewPane() {
  const room = useRoom();
  const preview = useView((view) => view.state.preview);
  const [path, setPath] = useState("/");
  const [typed, setTyped] = useState("/");
  const [loads, setLoads] = useState(0);
  /** Which of the loads is through; until then the pane keeps the page's own colour instead of flashing white. */
  const [arrived, setArrived] = useState<number>();
  const reload = useCallback(() => setLoads((loads) => loads + 1), []);
  const [phone, setPhone] = useState(false);
  const frame = useRef<HTMLIFrameElement>(null);
  const isEmpty = useView((view) => runsNothing(view.state.sandbox));
  const isReady = preview.state === "ready" && !isEmpty;
  const address = preview.url && new URL(path, preview.url).href;

  // A page that is shown stays while its server is away, which has nothing to do with it when it comes back.
  const [isShown, setShown] = useState(isReady);
  const wasReady = useRef(isReady);
  useEffect(() => {
    if (isReady && !wasReady.current && isShown) reload();
    wasReady.current = isReady;
    if (isReady) setShown(true);
    if (!address) {
      setShown(false);
      setArrived(undefined);
    }
  }, [isReady, isShown, address, reload]);

  // New packages make the dev server bundle its dependencies anew; a page from before asks for files that are gone.
  const lastInstall = useView((view) => (view.loaded ? (installedBy(view.state.runs) ?? "none") : undefined));
  const knownInstall = useRef(lastInstall);
  useEffect(() => {
    if (knownInstall.current !== undefined && knownInstall.current !== lastInstall) reload();
    knownInstall.current = lastInstall;
  }, [lastInstall, reload]);

  useEffect(() => room.stand({ route: path }), [room, path]);
  // To where somebody else is who is followed.
  useEffect(
    () =>
      room.destination.subscribe(() => {
        const route = room.destination.get()?.route;
        if (route === undefined || !route.startsWith("/")) return;
        setTyped(route);
        setPath(route);
      }),
    [room],
  );

  function go(event: FormEvent) {
    event.preventDefault();
    const next = typed.startsWith("/") ? typed : `/${typed}`;
    room.follow(undefined);
    setTyped(next);
    setPath(next);
    reload();
    frame.current?.focus();
  }

  return (
    <>
      <div className="preview-bar">
        <button
          type="button"
          className="icon-button"
          disabled={!isReady}
          onClick={reload}
          aria-label="Reload the preview"
          title="Reload"
          data-testid="preview-reload"
        >
          <RotateCw size={16} />
        </button>
        <form className="address" onSubmit={go}>
          <span className="address-host truncate" title={preview.url}>
            {preview.url ? hostOf(preview.url) : "No preview yet"}
          </span>
          {preview.url && (
            <input
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
              onFocus={(event) => event.target.select()}
              aria-label="Path of the preview"
              spellCheck={false}
            />
          )}
        </form>
        <button
          type="button"
          className="icon-button preview-phone"
          aria-pressed={phone}
          onClick={() => setPhone(!phone)}
          aria-label={phone ? "Show at full width" : "Show as on a phone"}
          title={phone ? "Full width" : "Phone width"}
        >
          {phone ? <Monitor size={16} /> : <Smartphone size={16} />}
        </button>
        <a
          className="icon-button"
          href={address}
          target="_blank"
          rel="noreferrer"
          aria-disabled={!isReady}
          aria-label="Open the preview in a new tab"
          title="Open in a new tab"
          data-testid="preview-open"
        >
          <ExternalLink size={16} />
        </a>
      </div>
      <div className={phone ? "preview-stage phone" : "preview-stage"}>
        {address && !isEmpty && (isReady || isShown) && (
          <iframe
            ref={frame}
            key={loads}
            className={arrived === loads ? "preview-frame arrived" : "preview-frame"}
            onLoad={() => setArrived(loads)}
            src={address}
            title="Preview of the app"
            sandbox={PERMISSIONS}
            allow="clipboard-write; fullscreen"
            data-testid="preview-frame"
          />
        )}
        {isReady && arrived !== loads && (
          <div className="preview-loading" role="progressbar" aria-label="The preview is loading" />
        )}
        {!isReady && <PreviewOverlay />}
        {isReady && <PreviewErrorBar />}
      </div>
    </>
  );
}

/** The last run that ended and had installed packages. */
function installedBy(runs: RunInfo[]): RunId | undefined {
  const installed = (run: RunInfo) => run.steps.some((step) => step.type === "install" && !step.error);
  return runs.findLast((run) => run.state === "finished" && installed(run))?.run;
}

/** The host without the project's unguessable label, which nobody wants to read. */
function hostOf(url: string): string {
  const { host } = new URL(url);
  const [label = "", ...rest] = host.split(".");
  return label.length > 12 && rest.length > 0 ? `${label.slice(0, 6)}….${rest.join(".")}` : host;
}
