import { Check, Copy, Link2, Trash2 } from "lucide-react";
import { type FormEvent, useCallback, useEffect, useState } from "react";
import type { Role } from "../../protocol.ts";
import { listShareLinks, makeShareLink, revokeShareLink, type ShareLink, shareUrl } from "../api.ts";
import { explain } from "../errors.ts";
import { dateTime, timeUntil } from "../format.ts";
import { Dialog } from "../parts/Dialog.tsx";
import { Spinner } from "../parts/Spinner.tsx";
import { useIsOwner, useRoom, useView } from "../room.ts";
import { presentOwners } from "../select.ts";
import { toast } from "../toasts.ts";
import "./share.css";

/** As the server cuts it. */
const LABEL_LENGTH_MAX = 100;
/** Whoever looks for help needs a few names, not all. */
const OWNERS_NAMED_MAX = 5;
const TIMES: [hours: number, words: string][] = [
  [1, "1 hour"],
  [24, "1 day"],
  [24 * 7, "1 week"],
  [24 * 30, "30 days"],
  [24 * 366, "1 year"],
];
const ROLES: [role: Role, word: string, meaning: string][] = [
  ["viewer", "Viewer", "sees everything live, changes nothing"],
  ["editor", "Editor", "prompts and edits along with everybody"],
];

/** Links that let guests in: make one, see which there are, take one back. */
export function ShareDialog({ onClose }: { onClose: () => void }) {
  const isOwner = useIsOwner();
  return (
    <Dialog title="Share this project" onClose={onClose} testId="share-dialog">
      <div className="sheet-body share">{isOwner ? <Links /> : <NotAnOwner />}</div>
    </Dialog>
  );
}

function NotAnOwner() {
  const names = useView((view) => presentOwners(view.state).slice(0, OWNERS_NAMED_MAX).join(", "));
  return (
    <p className="soft">
      Only an owner can create links.{" "}
      {names ? `Here now: ${names}.` : "None is here now; ask whoever runs the server."}
    </p>
  );
}

function Links() {
  const { project } = useRoom();
  const [links, setLinks] = useState<ShareLink[]>();
  const [failure, setFailure] = useState<string>();
  const [made, setMade] = useState<ShareLink & { token: string }>();

  const load = useCallback(async () => {
    try {
      setLinks(await listShareLinks(project));
      setFailure(undefined);
    } catch (error) {
      setFailure(explain(error).title);
    }
  }, [project]);
  useEffect(() => void load(), [load]);

  return (
    <>
      <NewLink
        onMade={(link) => {
          setMade(link);
          void load();
        }}
      />
      {made && <MadeLink url={shareUrl(project, made.token)} role={made.role} />}
      <h3>Active links</h3>
      {failure && (
        <p className="bad" role="alert">
          {failure}{" "}
          <button type="button" className="link-button" onClick={() => void load()}>
            Try again
          </button>
        </p>
      )}
      {!failure && !links && <Spinner />}
      {links?.length === 0 && <p className="soft">There are no links yet.</p>}
      <ul className="share-links" data-testid="share-links">
        {links?.map((link) => (
          <Line
            key={link.id}
            link={link}
            onRevoked={() => {
              if (made?.id === link.id) setMade(undefined);
              void load();
            }}
          />
        ))}
      </ul>
    </>
  );
}

function NewLink({ onMade }: { onMade: (link: ShareLink & { token: string }) => void }) {
  const { project } = useRoom();
  const [role, setRole] = useState<Role>("viewer");
  const [hours, setHours] = useState(24 * 7);
  const [label, setLabel] = useState("");
  const [busy, setBusy] = useState(false);

  async function make(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    try {
      const named = label.trim() === "" ? {} : { label: label.trim() };
      onMade(await makeShareLink(project, { role, hours, ...named }));
      setLabel("");
    } catch (error) {
      toast({ tone: "bad", ...explain(error) });
    } finally {
      setBusy(false);
    }
  }

  return (
    <form className="new-link" onSubmit={(event) => void make(event)}>
      <fieldset className="role-cards">
        <legend className="visually-hidden">What a guest may do</legend>
        {ROLES.map(([value, word, meaning]) => (
          <label key={value} className="role-card">
            <input
              type="radio"
              name="share-role"
              value={value}
              checked={role === value}
              onChange={() => setRole(value)}
            />
            <span>
              <strong>{word}</strong>
              <small>{meaning}</small>
            </span>
          </label>
        ))}
      </fieldset>
      <div className="new-link-line">
        <label>
          <span>For whom (optional)</span>
          <input
            value={label}
            maxLength={LABEL_LENGTH_MAX}
            onChange={(event) => setLabel(event.target.value)}
            data-testid="share-label"
          />
        </label>
        <label>
          <span>Valid for</span>
          <select value={hours} onChange={(event) => setHours(Number(event.target.value))}>
            {TIMES.map(([value, words]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" className="button primary" disabled={busy} data-testid="share-make">
          {busy ? <Spinner size={14} /> : <Link2 size={15} aria-hidden="true" />} Create link
        </button>
      </div>
    </form>
  );
}

/** The one time a link can be seen. */
function MadeLink({ url, role }: { url: string; role: Role }) {
  const [copied, setCopied] = useState(false);
  const isLocal = /^(localhost|.*\.localhost|127\.|\[::1\])/.test(location.hostname);

  async function copy() {
    try {
      await navigator.clipboard.writeText(url);
      setCopied(true);
    } catch {
      toast({ tone: "bad", title: "The browser did not allow copying. Select the link and copy it." });
    }
  }
  return (
    <div className="made-link" role="status">
      <p>
        <strong>Your link for {role === "viewer" ? "a viewer" : "an editor"}.</strong> Copy it now: it is not
        shown again.
      </p>
      <div className="made-link-line">
        <input
          readOnly
          value={url}
          aria-label="The link"
          onFocus={(event) => event.target.select()}
          data-testid="share-url"
        />
        <button type="button" className="button" onClick={() => void copy()}>
          {copied ? <Check size={15} aria-hidden="true" /> : <Copy size={15} aria-hidden="true" />}
          {copied ? "Copied" : "Copy"}
        </button>
      </div>
      {isLocal && (
        <p className="soft">
          This page is open at <code>{location.hostname}</code>, so the link works on this machine only. For
          others, start the server with <code>HOST=0.0.0.0</code> and make the link on a page opened at the
          machine’s own address.
        </p>
      )}
    </div>
  );
}

function Line({ link, onRevoked }: { link: ShareLink; onRevoked: () => void }) {
  const { project } = useRoom();
  const [busy, setBusy] = useState(false);

  async function revoke() {
    setBusy(true);
    try {
      await revokeShareLink(project, link.id);
    } catch (error) {
      toast({ tone: "bad", ...explain(error) });
    }
    setBusy(false);
    onRevoked();
  }
  return (
    <li>
      <Link2 size={15} aria-hidden="true" />
      <span className="share-words">
        <strong className="truncate">{link.label ?? "Without a name"}</strong>
        <small title={`Made ${dateTime(link.created_at)}, ends ${dateTime(link.expires_at)}`}>
          {link.role} · ends {timeUntil(link.expires_at)}
        </small>
      </span>
      <button
        type="button"
        className="button small"
        disabled={busy}
        onClick={() => void revoke()}
        title="Whoever came by it is out at once"
        data-testid="share-revoke"
      >
        <Trash2 size={13} aria-hidden="true" /> Revoke
      </button>
    </li>
  );
}
