// The script that runs in every page of a preview, in a page whose dev server is played here, message by message.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { launch, until } from "./visitor.mjs";

const ORIGIN = "http://app.example";
const SCRIPT = new URL("../../../src/http/preview/page.js", import.meta.url);
const PAGE = `<!doctype html><script src="/__cobuild/page.js"></script>
<script type="module" src="/@vite/client"></script>`;

/** As the real client does, it takes one message after the other; an update of this one never ends. */
const CLIENT = `
const listeners = {};
let queue = Promise.resolve();
export const createHotContext = () => ({
  on(event, listener) {
    listeners[event] = listener;
    globalThis.isListenedTo = event === "vite:beforeUpdate" || globalThis.isListenedTo;
  },
});
new WebSocket("ws://app.example/?token=1", "vite-hmr").onmessage = ({ data }) => {
  const { type } = JSON.parse(data);
  queue = queue.then(() => {
    if (type === "full-reload") return location.reload();
    listeners["vite:beforeUpdate"]?.({});
    return type === "update" ? new Promise(() => {}) : undefined;
  });
};`;

let browser;
let page;
/** What the dev server says it with, and how often the page was loaded. */
let devServer;
let loads = 0;

before(async () => {
  browser = await launch();
  page = await (await browser.newContext()).newPage();
  const script = await readFile(SCRIPT, "utf8");
  const texts = { "/": PAGE, "/@vite/client": CLIENT, "/__cobuild/page.js": script };
  await page.route(`${ORIGIN}/**`, (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === "/") loads += 1;
    const contentType = pathname === "/" ? "text/html" : "text/javascript";
    return route.fulfill({ contentType, body: texts[pathname] ?? "" });
  });
  await page.routeWebSocket(/^ws:\/\/app\.example\/\?token/, (socket) => {
    devServer = socket;
  });
  // What the page's script tells the server about: here it is only seen whether it knows of the update.
  await page.routeWebSocket(/__cobuild\/page$/, (socket) => {
    socket.onMessage((message) => heard.push(JSON.parse(message).type));
  });
});

after(() => browser?.close());

const heard = [];
const say = (message) => devServer.send(JSON.stringify(message));

/** The page with its script listening, in the middle of an update. */
async function inTheMiddleOfAnUpdate() {
  loads = 0;
  heard.length = 0;
  await page.goto(`${ORIGIN}/`);
  await until("the script listens", () => page.evaluate(() => globalThis.isListenedTo));
  await until("it has said that the page is there", () => heard.includes("renewed"));
  heard.length = 0;
  say({ type: "update" });
  await until("the script knows of the update", () => heard.includes("renewed"));
}

test("in the middle of an update, a page that is to be loaded anew goes at once", async () => {
  await inTheMiddleOfAnUpdate();
  const loaded = page.waitForEvent("load");
  say({ type: "full-reload", path: "*" });
  await loaded;
  assert.equal(loads, 2);
});

test("a message for another page does not take this one", async () => {
  await inTheMiddleOfAnUpdate();
  say({ type: "full-reload", path: "/other.html" });
  say({ type: "full-reload", path: "*", ifFallback: true });
  say("not what it expects");
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
  assert.equal(loads, 1);
});

test("the app's own sockets are as ever", async () => {
  await page.goto(`${ORIGIN}/`);
  const seen = await page.evaluate(() => {
    const made = new WebSocket("ws://app.example/?token=2", ["chat"]);
    return [made instanceof WebSocket, WebSocket.OPEN, WebSocket.name];
  });
  assert.deepEqual(seen, [true, 1, "WebSocket"]);
});
