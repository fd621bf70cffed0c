// A person with a browser of their own: a page, what they do on it, and everything that went wrong on it.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { examineFrames } from "./frames.mjs";

export { until } from "./until.mjs";

const SCREENSHOTS = fileURLToPath(new URL("../../../target/screenshots/", import.meta.url));
/** How long anything may take to show. The first preview of a data folder waits for the template to be built. */
const SHOW_MS_MAX = 120_000;

export async function launch() {
  await mkdir(SCREENSHOTS, { recursive: true });
  // Chromium's own sandbox does not run as root.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium", args });
}

export class Visitor {
  /** What the console complained about. */
  complaints = [];
  /** While the server is away, complaints about that are no fault of the page. */
  serverIsAway = false;

  static async arrive(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    context.setDefaultTimeout(SHOW_MS_MAX);
    const visitor = new Visitor();
    visitor.page = await context.newPage();
    examineFrames(visitor.page, (found) => visitor.complaints.push(found));
    visitor.page.on("pageerror", (error) => visitor.#complain(`uncaught: ${error}`));
    visitor.page.on("console", (message) => {
      const { url, lineNumber } = message.location();
      if (message.type() === "error") visitor.#complain(`${message.text()} (${url}:${lineNumber})`);
    });
    await visitor.page.goto(url);
    return visitor;
  }

  #complain(text) {
    if (!this.serverIsAway) this.complaints.push(text);
  }

  get project() {
    return /\/p\/([\w-]+)/.exec(this.page.url())?.[1];
  }

  get app() {
    return this.page.frameLocator('[data-testid="preview-frame"]');
  }

  see(testId) {
    return this.page.getByTestId(testId);
  }

  async prompt(text) {
    await this.see("prompt-input").fill(text);
    await this.see("send").click();
  }

  /** Waits for the nth run of the conversation to end, and checks how. */
  async runEnds(nth, outcome = "completed") {
    const footer = this.see("run-footer").nth(nth - 1);
    await footer.waitFor();
    const text = await footer.innerText();
    assert.equal(await footer.getAttribute("data-outcome"), outcome, text);
    return text;
  }

  /** The window inside the preview, for what only it knows. */
  async appFrame() {
    const frame = await (await this.see("preview-frame").elementHandle()).contentFrame();
    return frame;
  }

  /** What the conversation says, message by message. */
  conversation() {
    return this.see("message").evaluateAll((messages) =>
      messages.map((message) => message.textContent.replace(/\s+/g, " ").trim()),
    );
  }

  /** Gives this person a name; the menu closes by itself. */
  async isCalled(name) {
    await this.see("people").click();
    await this.see("my-name").fill(name);
    await this.see("my-name").press("Enter");
    await this.isConnected();
    await this.page.getByRole("button", { name: new RegExp(`In the room: .*${name}`) }).waitFor();
  }

  /** Somebody's line in the list of people, which is opened for that. */
  async person(name) {
    if (!(await this.see("people-list").isVisible())) await this.see("people").click();
    return this.page.locator(`[data-testid="person"][data-name="${name}"]`);
  }

  async shutMenu() {
    await this.page.keyboard.press("Escape");
  }

  async isConnected() {
    await this.page.locator('[data-testid="connection-state"][data-phase="live"]').waitFor();
  }

  /** Until nothing moves or fades. */
  async stillness() {
    await this.page.evaluate(() =>
      Promise.allSettled(document.getAnimations().map((animation) => animation.finished)),
    );
  }

  async screenshot(name) {
    await this.page.screenshot({ path: `${SCREENSHOTS}${name}.png` });
  }

  async leave() {
    await this.page.context().close();
  }
}
