// The main job, end to end, as two people see it: prompt, watch, use, change, crash, carry on.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestServer } from "./server.mjs";
import { launch, until, Visitor } from "./visitor.mjs";

let server;
let browser;
let ada;
let grace;

before(async () => {
  [server, browser] = await Promise.all([TestServer.start(), launch()]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Both see the same conversation, word for word. */
async function seeTheSame() {
  await until("both windows show the same", async () => {
    const [one, other] = await Promise.all([ada.conversation(), grace.conversation()]);
    return one.length > 0 && JSON.stringify(one) === JSON.stringify(other);
  });
}

/** What the app is painted on, once there is an app: a page that is still loading has nothing to look at. */
const background = (visitor) =>
  visitor.app
    .locator("#root > *")
    .first()
    .evaluate((app) => getComputedStyle(app).backgroundColor);

test("a prompt becomes files, typed before your eyes", async () => {
  ada = await Visitor.arrive(browser, server.url);
  await ada.screenshot("1-start");
  await ada.prompt("A todo list");
  await until("the project has an address of its own", () => ada.project);
  grace = await Visitor.arrive(browser, ada.page.url(), { colorScheme: "dark" });

  const typed = ada.page.locator('[data-testid="file-card"][data-state="typing"]');
  await typed.first().waitFor();
  const length = async () =>
    (
      await typed
        .first()
        .innerText()
        .catch(() => "")
    ).length;
  const early = await length();
  await until("the card fills", async () => (await length()) > early + 40);
  await ada.screenshot("2-streaming");
  await grace.screenshot("2-streaming-dark");
  assert.match(await ada.see("notice").first().innerText(), /canned answers, no AI/);

  await ada.runEnds(1);
  const cards = ada.see("file-card");
  assert.ok((await cards.count()) >= 3, "an app of several files");
  for (const card of await cards.all()) assert.equal(await card.getAttribute("data-state"), "written");
});

test("the app works in the preview, on an origin of its own", async () => {
  await ada.app.getByRole("heading", { name: "Today" }).waitFor();
  const source = new URL(await ada.see("preview-frame").getAttribute("src"));
  assert.match(source.host, new RegExp(`^[0-9a-z]{16,}(\\.cobuild)?\\.localhost:${server.port}$`));

  await ada.app.getByLabel("New todo").fill("Feed the cat");
  await ada.app.getByRole("button", { name: "Add", exact: true }).click();
  await ada.app.getByText("Feed the cat").waitFor();
  await ada.app.getByText("Feed the cat").click();
  await ada.app.getByRole("img", { name: "2 of 4 done" }).waitFor();
  await ada.screenshot("3-preview");
});

test("a second window shows the same", async () => {
  await grace.runEnds(1);
  await seeTheSame();
  await grace.app.getByRole("heading", { name: "Today" }).waitFor();
  await grace.screenshot("4-second-window-dark");
});

test("a second prompt changes the app without loading the page again", async () => {
  // State that lives in the page alone, in both windows.
  const frames = await Promise.all([ada.appFrame(), grace.appFrame()]);
  for (const frame of frames) await frame.evaluate(() => (window.loadedOnce = true));
  await ada.app.getByLabel("New todo").fill("half a thou");
  const before = await background(ada);

  // By the other person, while the first one looks on.
  await grace.prompt("make it dark");
  await ada.runEnds(2);
  await until("the first window's app is dark", async () => (await background(ada)) !== before);
  await until("the second window's app is dark", async () => (await background(grace)) !== before);

  assert.equal(await ada.app.getByLabel("New todo").inputValue(), "half a thou");
  for (const frame of frames) assert.equal(await frame.evaluate(() => window.loadedOnce), true);
  await seeTheSame();
  await ada.screenshot("5-changed");
});

test("the code can be read", async () => {
  await ada.see("tab-code").click();
  await ada.see("file-tree").getByText("App.jsx").click();
  await ada.see("code-view").getByText("export default function App").waitFor();
  await ada.screenshot("6-code");
  await ada.see("tab-preview").click();
});

test("a preview that takes long says that it loads", async () => {
  let goOn;
  const held = new Promise((resolve) => {
    goOn = resolve;
  });
  const module = "**/src/App.jsx*";
  await ada.page.route(module, async (route) => {
    await held;
    await route.continue();
  });
  await ada.see("preview-reload").click();
  const loading = ada.page.getByRole("progressbar", { name: "The preview is loading" });
  await loading.waitFor();
  goOn();
  await loading.waitFor({ state: "detached" });
  await ada.page.unroute(module);
  await ada.app.getByRole("heading", { name: "Today" }).waitFor();
});

test("a mistake in the code is shown, and goes when it is mended", async () => {
  const apply = (reply) => server.command(ada.project, { type: "apply", reply });
  await apply(`<file path="src/Broken.jsx">export default () => <b>never closed</file>
<file path="src/main.jsx">import "./Broken.jsx"
</file>`);
  await ada.see("preview-error").waitFor();
  await ada.screenshot("7-error");
  const mended = `import { createRoot } from "react-dom/client"
import App from "./App.jsx"
import "./index.css"
createRoot(document.getElementById("root")).render(<App />)
`;
  await apply(`<file path="src/main.jsx">${mended}</file>`);
  await ada.see("preview-error").waitFor({ state: "detached" });
  await ada.app.getByRole("heading", { name: "Today" }).waitFor();
});

test("kill -9 in the middle of an answer loses nothing anybody has seen", async () => {
  const before = await ada.conversation();
  const dark = await background(ada);
  let loads = 0;
  ada.page.on("framenavigated", (frame) => {
    if (frame.parentFrame()) loads += 1;
  });
  await ada.prompt("A kanban board");
  const typing = ada.page.locator('[data-testid="file-card"][data-state="typing"]');
  await typing.first().waitFor();
  for (const visitor of [ada, grace]) visitor.serverIsAway = true;
  await server.kill9();
  await until(
    "the page notices",
    async () => (await ada.see("connection-state").getAttribute("data-phase")) !== "live",
  );
  const seen = await ada.conversation();
  await ada.screenshot("8-server-away");

  await server.run();
  await Promise.all([ada.isConnected(), grace.isConnected()]);
  await until(
    "the run is said to be interrupted",
    async () => (await ada.page.locator('[data-outcome="interrupted"]').count()) === 1,
  );
  const now = await ada.conversation();
  assert.deepEqual(now.slice(0, before.length), before, "what was there before is there still");
  assert.equal(now.length, seen.length, "no message was lost or doubled");
  await seeTheSame();
  await ada.screenshot("9-back-again");

  // The app is that of the last run that was completed, its sandbox made again from the files.
  for (const visitor of [ada, grace]) {
    await visitor.app.getByRole("heading", { name: "Today" }).waitFor();
    assert.equal(await background(visitor), dark, "it is still dark");
    visitor.serverIsAway = false;
  }
  assert.equal(loads, 1, "the app was loaded once, when it was there");

  // And somebody who comes only now sees all of it.
  const late = await Visitor.arrive(browser, ada.page.url());
  await late.isConnected();
  await late
    .see("message")
    .nth(now.length - 1)
    .waitFor();
  assert.deepEqual(await late.conversation(), await ada.conversation());
  assert.deepEqual(late.complaints, []);
  await late.leave();
});

test("work goes on after the crash", async () => {
  await ada.prompt("add a clear button");
  const completed = ada.page.locator('[data-testid="run-footer"][data-outcome="completed"]');
  await until(
    "the run is completed",
    async () => (await ada.see("run-footer").last().getAttribute("data-outcome")) === "completed",
    60_000,
  );
  assert.ok((await completed.count()) >= 3);
  await ada.app.getByRole("button", { name: /clear/i }).waitFor();
});

test("no page had anything to complain about", async () => {
  // A module with a mistake in it is served as an error, by design.
  const expected = /Broken\.jsx|\[vite\]|status of 500/;
  for (const visitor of [ada, grace])
    assert.deepEqual(
      visitor.complaints.filter((text) => !expected.test(text)),
      [],
    );
});
