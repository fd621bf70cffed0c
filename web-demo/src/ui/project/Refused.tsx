import { Ban, KeyRound, RotateCw } from "lucide-react";
import { forgetProjectToken, hasOtherToken, keepToken, tokenFor } from "../access.ts";
import { LinkForm, OwnerHint } from "../parts/LinkForm.tsx";
import { useRoom, useView } from "../room.ts";
import { follow } from "../router.ts";
import { type Refusal, refusalOf } from "./refusal.ts";

/** Why the server wants no connection of this page; nothing while it does. */
export function useRefusal(): (Refusal & { code: number }) | undefined {
  const room = useRoom();
  const connection = useView((view) => view.connection);
  if (connection.phase !== "refused") return undefined;
  const { code, reason } = connection;
  return { ...refusalOf(code, reason, tokenFor(room.project) !== undefined), code };
}

/** In place of a project whose server said that coming back is no use. */
export function Refused({ refusal }: { refusal: Refusal & { code: number } }) {
  const room = useRoom();
  const { title, text, asksForLink, tellsOwner, reloads, code } = refusal;
  return (
    <main className="full-notice" role="alert" data-testid="refused" data-code={code}>
      <span className="notice-icon" aria-hidden="true">
        {asksForLink ? <KeyRound size={22} /> : <Ban size={22} />}
      </span>
      <h1>{title}</h1>
      <p>{text}</p>
      {asksForLink && <OtherLink />}
      {tellsOwner && <OwnerHint />}
      <div className="notice-buttons">
        {hasOtherToken(room.project) && (
          <button
            type="button"
            className="button"
            onClick={() => {
              forgetProjectToken(room.project);
              location.reload();
            }}
          >
            Come in with your own access
          </button>
        )}
        {reloads && (
          <button type="button" className="button" onClick={() => location.reload()}>
            <RotateCw size={14} aria-hidden="true" /> Load again
          </button>
        )}
        <a className={asksForLink ? "button" : "button primary"} href="/" onClick={follow}>
          To the start page
        </a>
      </div>
      <p className="mono">{room.project}</p>
    </main>
  );
}

/** Over a page whose link has run out: what is there can still be read and copied. */
export function RefusedBar({ refusal }: { refusal: Refusal }) {
  return (
    <div className="refused-bar" role="alert" data-testid="refused-bar">
      <div>
        <strong>{refusal.title}</strong>
        <p>{refusal.text} Until then nothing you see here changes.</p>
      </div>
      <OtherLink />
    </div>
  );
}

function OtherLink() {
  const room = useRoom();
  return (
    <LinkForm
      onLink={({ token, project }) => {
        if (project === undefined || project === room.project) return room.authenticate(token);
        keepToken(token, project);
        location.assign(`/p/${project}`);
      }}
    />
  );
}
