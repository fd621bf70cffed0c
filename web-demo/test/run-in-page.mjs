// Runs a program in a page of a real browser and prints what it logs: `node run-in-page.mjs URL FILE`. Ends with 3 where
// there is no browser.

import { readFile } from "node:fs/promises";

const [url, file] = process.argv.slice(2);

async function open() {
  try {
    const { launch } = await import("./browser/visitor.mjs");
    return await launch();
  } catch (error) {
    console.error(String(error).split("\n")[0]);
    process.exit(3);
  }
}

const browser = await open();
const page = await browser.newPage();
page.on("console", (message) => message.type() === "log" && console.log(message.text()));
await page.goto(url);
// As in a module, where a program may wait at its top level.
await page.evaluate(`(async () => {\n${await readFile(file, "utf8")}\n})()`);
await browser.close();
