import type { Connection } from "@cobuild/client";
import { useRoom, useView } from "../room.ts";
import { follow } from "../router.ts";

const REASONS: { [code: number]: [title: string, sentence: string] } = {
  4501: ["You need to sign in", "The link you used is not valid any more. Ask its owner for a new one."],
  4503: ["This project is not open to you", "Ask its owner for a link."],
  4504: ["There is no such project", "It may have been deleted, or the address has a typo."],
  4505: ["This page is out of date", "The server speaks another version of the protocol. Reload the page."],
};

/** What a final close code means to the person in front of the page. */
export function reasonOf({ code, reason }: Extract<Connection, { phase: "refused" }>): [string, string] {
  return REASONS[code] ?? ["The server refused the connection", reason];
}

/** In place of a project whose server said that coming back is no use. */
export function Refused() {
  const room = useRoom();
  const connection = useView((view) => view.connection);
  if (connection.phase !== "refused") return null;
  const [title, sentence] = reasonOf(connection);
  return (
    <main className="full-notice" role="alert">
      <h1>{title}</h1>
      <p>{sentence}</p>
      <p className="mono">
        {room.project} · {connection.code}
      </p>
      <a className="button primary" href="/" onClick={follow}>
        To the start page
      </a>
    </main>
  );
}
