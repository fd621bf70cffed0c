// An app that needs packages its template does not have, on a server that has never made a sandbox before.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestServer } from "./server.mjs";
import { launch, until, Visitor } from "./visitor.mjs";

/** Everything is fetched and built for the first time, on a machine that has other things to do. */
const FIRST_APP_MS_MAX = 240_000;

let server;
let browser;
let ada;

before(async () => {
  [server, browser] = await Promise.all([TestServer.start({ env: { DEMO_SPEED: "6000" } }), launch()]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test("a dashboard with charts is installed and drawn in the preview", async () => {
  ada = await Visitor.arrive(browser, server.url);
  await ada.prompt("A dashboard with charts");
  const isDone = async () => (await ada.see("run-footer").count()) > 0;
  await until("the run has ended", isDone, FIRST_APP_MS_MAX);
  await ada.runEnds(1);
  const step = ada.see("step").filter({ hasText: "recharts" });
  assert.match(await step.innerText(), /^Installed/);
  await ada.app.locator("svg.recharts-surface").first().waitFor({ timeout: FIRST_APP_MS_MAX });
  await ada.app.getByRole("heading", { name: "Revenue per day" }).waitFor();
  const drawn = () => ada.app.locator(".recharts-surface path").count();
  await until("lines and bars are drawn", async () => (await drawn()) > 2);
  assert.equal(await ada.see("preview-error").count(), 0);
  await ada.stillness();
  await ada.screenshot("15-charts");
});

test("what was installed is in the project's files", async () => {
  const { data } = await server.command(ada.project, { type: "read_file", path: "package.json" });
  assert.match(data.content, /"recharts"/);
});

test("no page had anything to complain about", () => {
  assert.deepEqual(ada.complaints, []);
});
