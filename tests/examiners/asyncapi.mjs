// What others make of our AsyncAPI document: `node asyncapi.mjs <file>` parses and validates it, and prints what it found
// as JSON. Errors and warnings go to standard error; an error ends it with 1.

import { readFile } from "node:fs/promises";
import { DiagnosticSeverity, Parser } from "@asyncapi/parser";

const [path] = process.argv.slice(2);
const { document, diagnostics } = await new Parser().parse(await readFile(path, "utf8"));
for (const { severity, message, path: at } of diagnostics) {
  if (severity <= DiagnosticSeverity.Warning) {
    console.error(`${DiagnosticSeverity[severity]}: ${message} at ${at.join(".")}`);
  }
}
if (!document || diagnostics.some((diagnostic) => diagnostic.severity === DiagnosticSeverity.Error)) {
  process.exit(1);
}
const channels = document.channels().all();
console.log(
  JSON.stringify({
    version: document.version(),
    channels: Object.fromEntries(channels.map((channel) => [channel.address(), channel.messages().all().length])),
    operations: document.operations().all().map((operation) => `${operation.action()} ${operation.id()}`),
    schemas: document.components().schemas().all().length,
  }),
);
