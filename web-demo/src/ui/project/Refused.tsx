import { useRoom, useView } from "../room.ts";
import { follow } from "../router.ts";

const TITLES: { [code: number]: string } = {
  4501: "You need to sign in",
  4503: "This project is not open to you",
  4504: "There is no such project",
  4505: "This page is out of date",
};
const SENTENCES: { [code: number]: string } = {
  4501: "The link you used is not valid any more. Ask its owner for a new one.",
  4503: "Ask its owner for a link.",
  4504: "It may have been deleted, or the address has a typo.",
  4505: "The server speaks another version of the protocol. Reload the page.",
};

/** In place of a project whose server said that coming back is no use. */
export function Refused() {
  const room = useRoom();
  const connection = useView((view) => view.connection);
  if (connection.phase !== "refused") return null;
  return (
    <main className="full-notice" role="alert">
      <h1>{TITLES[connection.code] ?? "The server refused the connection"}</h1>
      <p>{SENTENCES[connection.code] ?? connection.reason}</p>
      <p className="mono">
        {room.project} · {connection.code}
        {connection.reason && ` · ${connection.reason}`}
      </p>
      <a className="button primary" href="/" onClick={follow}>
        To the start page
      </a>
    </main>
  );
}
