// Opens previews in a real browser, as people do: reads `{"open":"<url>"}` and `{"text":"<url>","has":"<words>"}`, one per
// line, and says when each is done. Ends with its input, and with 3 where there is no browser.

import { createInterface } from "node:readline";

const WAIT_MS_MAX = 60_000;

async function start() {
  try {
    const { launch } = await import("../../web-demo/test/browser/visitor.mjs");
    return await launch();
  } catch (error) {
    console.error(String(error).split("\n")[0]);
    process.exit(3);
  }
}

const browser = await start();
const pages = new Map();

async function carryOut({ open, close, text, has }) {
  if (open) {
    const page = await browser.newPage();
    pages.set(open, page);
    await page.goto(open, { timeout: WAIT_MS_MAX });
    return { done: open };
  }
  if (close) {
    await pages.get(close)?.close();
    return { done: close };
  }
  const shown = pages.get(text).getByText(has).first();
  await shown.waitFor({ timeout: WAIT_MS_MAX });
  return { done: text };
}

console.log(JSON.stringify({ done: "start" }));
const running = [];
for await (const line of createInterface(process.stdin)) {
  const asked = JSON.parse(line);
  const failed = (error) => ({ done: asked.open ?? asked.close ?? asked.text, error: String(error) });
  running.push(carryOut(asked).catch(failed).then((done) => console.log(JSON.stringify(done))));
}
await browser.close();
process.exit(0);
