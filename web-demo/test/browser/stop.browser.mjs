// Stop is a fact; what goes wrong is said; and all of it fits a phone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestServer } from "./server.mjs";
import { launch, until, Visitor } from "./visitor.mjs";

let server;
let browser;
let ada;

before(async () => {
  [server, browser] = await Promise.all([TestServer.start(), launch()]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test("the stop button ends the answer, and nothing of it follows", async () => {
  ada = await Visitor.arrive(browser, server.url);
  await ada.prompt("A dashboard with charts");
  await ada.page.locator('[data-testid="file-card"][data-state="typing"]').first().waitFor();
  await ada.see("stop").click();
  await ada.runEnds(1, "cancelled");
  const stopped = await ada.conversation();
  await ada.see("stop").waitFor({ state: "detached" });
  await ada.screenshot("10-stopped");

  // The next prompt is answered, and the one before is as it was.
  await ada.prompt("A counter");
  await ada.runEnds(2);
  const now = await ada.conversation();
  assert.deepEqual(now.slice(0, stopped.length), stopped);
  await ada.app.getByRole("button").first().waitFor();
});

test("a prompt the demo has no answer for says what it can do", async () => {
  await ada.prompt("a compiler for COBOL");
  await ada.runEnds(3);
  const answer = (await ada.conversation()).at(-1);
  assert.match(answer, /todo|kanban/i);
});

test("a package that does not exist fails with npm's own reason", async () => {
  await server.command(ada.project, { type: "install", packages: ["cobuild-no-such-package-0a1b2c"] });
  const step = ada.page.locator('[data-testid="step"].bad');
  await step.first().waitFor();
  await ada.runEnds(4, "failed");
  assert.match(await step.first().innerText(), /404|not found|could not/i);
  await ada.screenshot("11-failed-install");
});

test("the project is in the list, in light and in dark", async () => {
  await ada.page.goto(server.url);
  await ada.see("project-list").getByText("A dashboard with charts").waitFor();
  await ada.screenshot("12-projects-light");
  await ada.page.emulateMedia({ colorScheme: "dark" });
  await ada.stillness();
  await ada.screenshot("12-projects-dark");
  const dark = () => ada.page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
  const system = await dark();
  await ada.see("theme-toggle").click();
  await until("the chosen theme wins over the system's", async () => (await dark()) !== system);
  await ada.page.evaluate(() => localStorage.clear());
});

test("it fits a phone", async () => {
  const phone = await Visitor.arrive(browser, server.url, {
    viewport: { width: 390, height: 844 },
    hasTouch: true,
    isMobile: true,
  });
  await phone.screenshot("13-phone-start");
  await phone.see("project-list").getByText("A dashboard with charts").click();
  await phone.isConnected();
  await phone.see("message").first().waitFor();
  for (const tab of ["chat", "preview", "code"]) {
    await phone.see(`tab-${tab}`).click();
    if (tab === "code") await phone.see("code-view").getByText("import").first().waitFor();
    if (tab === "preview") await phone.app.getByRole("button").first().waitFor();
    await phone.screenshot(`13-phone-${tab}`);
    const overflow = await phone.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `nothing sticks out at the side of ${tab}`);
  }
  assert.deepEqual(phone.complaints, []);
});

test("an address that leads nowhere says so", async () => {
  const lost = await Visitor.arrive(browser, `${server.url}/p/no-such-project`);
  await lost.page
    .getByText(/no project|not found|no such|does not exist/i)
    .first()
    .waitFor();
  await lost.screenshot("14-no-such-project");
});

test("no page had anything to complain about", () => {
  assert.deepEqual(ada.complaints, []);
});
