// The client package as anybody would use it, for a test that cuts its connections: says every event it is told on standard
// output, one a line, and sends commands meanwhile.
//
//   node watch.mjs <folder with the built client> <ws://…> <number of commands> <number of cuts>
//
// Ends when all commands are answered and the connection has been lost that often.

import { pathToFileURL } from "node:url";

const [folder, url, count, cuts] = process.argv.slice(2);
const { ProjectClient } = await import(pathToFileURL(`${folder}/index.js`).href);

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const client = new ProjectClient({ url, client: "watcher", name: "Watcher", random: () => 0 });
let connections = 0;
let allCuts;
const cutOff = new Promise((resolve) => {
  allCuts = resolve;
});
client.subscribe((change) => {
  if (change.type === "event") say({ event: change.event });
  if (change.type === "snapshot") say({ snapshot: client.seq });
  if (change.type === "connection" && client.connection.phase === "connecting") connections += 1;
  if (change.type === "connection" && client.connection.phase === "live" && connections > Number(cuts))
    allCuts();
  if (change.type === "connection" && client.connection.phase === "refused")
    say({ refused: client.connection });
});
client.connect();
for (let number = 0; number < Number(count); number += 1) {
  const path = `watcher/${number}.txt`;
  await client.send({ type: "write_file", path, content: `${number}` }, `watcher-${number}`);
}
await cutOff;
const files = () => Object.keys(client.state.files).filter((path) => path.startsWith("watcher/")).length;
// A reply may come before its event.
await new Promise((resolve) => {
  const look = () => files() === Number(count) && resolve();
  client.subscribe(look);
  look();
});
say({ connections, files: files() });
client.close();
