// An independent reader of a project's events: npm `eventsource`, which reconnects by itself as browsers do.
// `node eventsource.mjs <url>`: prints each event as a line of JSON, with the number of the connection it came over, until
// somebody ends it.

import { EventSource } from "eventsource";

const [url] = process.argv.slice(2);
const source = new EventSource(url);
let connections = 0;

source.addEventListener("open", () => {
  connections += 1;
});

source.addEventListener("reset", () => {
  console.error("reset: the server no longer has what was missed");
  process.exit(1);
});

source.addEventListener("message", (event) => {
  console.log(JSON.stringify({ id: event.lastEventId, data: event.data, connections }));
});
