// What travels over a page's WebSockets, examined by the committed JSON Schema with a validator that others wrote.

import { appendFileSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const path = (relative) => fileURLToPath(new URL(`../../../${relative}`, import.meta.url));

/** `null`, said loudly, where the validator is not installed. */
const validators = load();

function load() {
  let Ajv;
  try {
    // Installed by `scripts/test`; the page itself has no use for it.
    ({ default: Ajv } = createRequire(path("tests/examiners/package.json"))("ajv/dist/2020"));
  } catch (error) {
    const line = `the browsers' frames: no JSON Schema validator (npm ci in tests/examiners): ${error.code}`;
    console.error(`NOT RUN: ${line}`);
    if (process.env.COBUILD_TEST_SKIPPED) appendFileSync(process.env.COBUILD_TEST_SKIPPED, `${line}\n`);
    return null;
  }
  const ajv = new Ajv({ strict: false, validateFormats: false });
  ajv.addSchema(JSON.parse(readFileSync(path("protocol/schema/protocol.json"), "utf8")), "protocol");
  const part = (name) => ajv.compile({ $ref: `protocol#/$defs/${name}` });
  return { server: part("ServerFrame"), client: part("ClientFrame") };
}

/** What the schema has against a frame of the `server` or the `client`; `null` if it is as it should be. */
export function complaint(from, text) {
  const validate = validators?.[from];
  if (!validate || validate(JSON.parse(text))) return null;
  return `the JSON Schema does not allow this frame of the ${from}: ${text.slice(0, 500)}`;
}

/** Examines every frame of the page's rooms, from now on. */
export function examineFrames(page, complain) {
  const examine = (from) => (frame) => {
    const found = complaint(from, frame.payload.toString());
    if (found) complain(found);
  };
  page.on("websocket", (socket) => {
    if (!socket.url().includes("/api/v1/projects/")) return;
    socket.on("framereceived", examine("server"));
    socket.on("framesent", examine("client"));
  });
}
