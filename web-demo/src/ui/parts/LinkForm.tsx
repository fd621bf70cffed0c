import { KeyRound } from "lucide-react";
import { useId, useState } from "react";
import { parseLink } from "../access.ts";
import "./link-form.css";

interface LinkFormProps {
  onLink: (link: { token: string; project?: string }) => void;
}

/** Takes a link, or a token, that somebody was sent. */
export function LinkForm({ onLink }: LinkFormProps) {
  const [text, setText] = useState("");
  const [isWrong, setWrong] = useState(false);
  const id = useId();
  return (
    <form
      className="link-form"
      onSubmit={(event) => {
        event.preventDefault();
        const link = parseLink(text);
        if (link) onLink(link);
        else setWrong(true);
      }}
    >
      <label htmlFor={id}>Paste your link</label>
      <input
        id={id}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setWrong(false);
        }}
        placeholder={`${location.origin}/#token=…`}
        autoComplete="off"
        spellCheck={false}
        aria-invalid={isWrong}
        aria-describedby={isWrong ? `${id}-wrong` : undefined}
        data-testid="link-input"
      />
      <button type="submit" className="button primary" disabled={text.trim() === ""} data-testid="link-open">
        <KeyRound size={14} aria-hidden="true" /> Open
      </button>
      {isWrong && (
        <p id={`${id}-wrong`} className="link-wrong" role="alert">
          That is no link with a token in it. It ends in <span className="mono">#token=…</span>
        </p>
      )}
    </form>
  );
}

/** How whoever runs the server gets in. */
export function OwnerHint() {
  return (
    <details className="owner-hint">
      <summary>This is my server</summary>
      <p>
        It printed its link when it was started. The token in it is also in the file <code>owner-token</code>{" "}
        of its data folder. With <code>JWT_SECRET</code> or <code>JWKS_URL</code> configured,{" "}
        <code>cobuild token</code> or your identity provider makes tokens.
      </p>
    </details>
  );
}
