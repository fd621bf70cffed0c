// What a prompt may come with, which model answers it, and what that consumed.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestServer } from "./server.mjs";
import { launch, until, Visitor } from "./visitor.mjs";

/** One red dot. */
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==",
  "base64",
);

let server;
let browser;
let ada;

before(async () => {
  [server, browser] = await Promise.all([TestServer.start({ env: { DEMO_SPEED: "3000" } }), launch()]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const files = async () => {
  const answer = await fetch(`http://127.0.0.1:${server.port}/api/v1/projects/${ada.project}/files`);
  return (await answer.json()).files;
};

test("a plan touches no file", async () => {
  ada = await Visitor.arrive(browser, server.url);
  await ada.see("new-project").click();
  await until("the project has an address of its own", () => ada.project);
  await ada.isConnected();
  const before = await files();
  await ada.see("extras").click();
  await ada.see("plan").click();
  await ada.see("extras-shown").getByText("Plan only").waitFor();
  await ada.prompt("A todo list");
  await ada.runEnds(1);
  await ada.see("message").first().getByText("plan only").waitFor();
  assert.deepEqual(await files(), before);
  await ada.page.getByText("nothing was written").first().waitFor();
  await ada.screenshot("50-plan");
  // It stays chosen until it is taken back.
  await ada.page.getByRole("button", { name: "Remove plan only" }).click();
});

test("a picture goes along, is shown, and can be taken away", async () => {
  await ada.see("image-input").setInputFiles([
    { name: "dot.png", mimeType: "image/png", buffer: PNG },
    { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no picture") },
  ]);
  await ada.see("toast").getByText("notes.txt is no PNG").waitFor();
  await ada.see("extras-shown").getByRole("img", { name: "dot.png" }).waitFor();
  await ada.page.getByRole("button", { name: "Remove dot.png" }).click();
  await ada.see("extras-shown").waitFor({ state: "detached" });
  await ada.see("image-input").setInputFiles([{ name: "dot.png", mimeType: "image/png", buffer: PNG }]);
  await ada.see("extras-shown").getByRole("img", { name: "dot.png" }).waitFor();
  const composer = await ada.page.locator(".composer").boundingBox();
  for (const part of [".prompt-box", '[data-testid="send"]', '[data-testid="model-picker"]']) {
    const box = await ada.page.locator(part).first().boundingBox();
    assert.ok(box.x + box.width <= composer.x + composer.width + 1, `${part} is inside of the pane`);
  }
  await ada.screenshot("51-picture");
});

test("canned answers are not counted in tokens and money", async () => {
  const footer = await ada.runEnds(1);
  assert.doesNotMatch(footer, /token|\$/);
  assert.equal(await ada.see("usage").count(), 0);
});

test("the model can be chosen among those the server has", async () => {
  await ada.see("model-picker").click();
  const entry = ada.see("model-entry").first();
  await entry.getByText("costs nothing").waitFor();
  assert.equal(await entry.getAttribute("aria-pressed"), "true");
  await ada.page.getByText("Others").click();
  await ada.page.locator(".model-others").getByText("ANTHROPIC_API_KEY").first().waitFor();
  await ada.stillness();
  await ada.screenshot("53-models");
  await ada.shutMenu();
});

test("no page had anything to complain about", () => {
  assert.deepEqual(ada.complaints, []);
});
