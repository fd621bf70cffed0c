// The pages that show the API, tried out; and a page of an older system that knows of no project.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestServer } from "./server.mjs";
import { launch, Visitor } from "./visitor.mjs";

let server;
let browser;
/** Where the pages' requests went. */
const hosts = new Set();

before(async () => {
  const args = ["--sandbox-provider", "memory"];
  [server, browser] = await Promise.all([TestServer.start({ args, env: { DEMO_SPEED: "6000" } }), launch()]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

async function visit(path) {
  const visitor = await Visitor.arrive(browser, "about:blank");
  visitor.page.on("request", (request) => {
    if (request.url().startsWith("http")) hosts.add(new URL(request.url()).host);
  });
  await visitor.page.goto(server.url + path);
  return visitor;
}

/** Opens an operation, tries it out, and returns the status and the body that Swagger UI shows. */
async function tryOut(page, operation, fill = async () => {}) {
  const block = page.locator(`[id^="operations-"][id$="-${operation}"]`);
  await block.locator(".opblock-summary-control").first().click();
  // Where it is shown as being tried out already, there is nothing to press first.
  const begin = block.getByRole("button", { name: "Try it out" });
  if ((await begin.count()) > 0) await begin.click();
  await fill(block);
  await block.getByRole("button", { name: "Execute" }).click();
  const answer = block.locator(".live-responses-table tbody tr").first();
  await answer.waitFor();
  const status = await answer.locator(".response-col_status").innerText();
  const body = await answer.locator(".response-col_description .highlight-code").first().innerText();
  return { status: Number.parseInt(status, 10), body };
}

for (const path of ["/api/docs", "/docs"]) {
  test(`${path}: an operation of either system is tried out`, async () => {
    const visitor = await visit(path);
    const projects = await tryOut(visitor.page, "get_api_v1_projects");
    assert.equal(projects.status, 200, projects.body);
    assert.match(projects.body, /"projects"/);
    const state = await tryOut(visitor.page, "get_api_conversation_state", (block) =>
      block.getByPlaceholder("X-Project-Id").fill("tried-out"),
    );
    assert.equal(state.status, 200, state.body);
    assert.match(state.body, /"project_id": "tried-out"/);
    await visitor.screenshot(`20-swagger${path.replaceAll("/", "-")}`);
    assert.deepEqual(visitor.complaints, []);
  });
}

test("ReDoc draws the whole document", async () => {
  const visitor = await visit("/api/redoc");
  await visitor.page
    .getByRole("heading", { name: /Cobuild API/ })
    .first()
    .waitFor();
  for (const tag of ["Projects", "AI Generation", "Code Processing"]) {
    await visitor.page.getByRole("heading", { name: tag }).first().waitFor();
  }
  await visitor.screenshot("21-redoc");
  assert.deepEqual(visitor.complaints, []);
});

test("a page without a project builds an app, looks at it, takes it home and ends it", async () => {
  const visitor = await visit("/");
  const story = await visitor.page.evaluate(async () => {
    const send = async (method, path, body) => {
      const response = await fetch(`/api/${path}`, {
        method,
        headers: { "Content-Type": "application/json" },
        body: body && JSON.stringify(body),
      });
      return response.json();
    };
    // Each network read on its own, as such pages do: an event in two reads would be lost.
    const stream = async (path, body) => {
      const response = await fetch(`/api/${path}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      const events = [];
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return events;
        for (const line of decoder.decode(value).split("\n")) {
          if (line.startsWith("data: ")) events.push(JSON.parse(line.slice(6)));
        }
      }
    };
    await send("POST", "conversation-state", { action: "clear-old" });
    const before = await send("GET", "sandbox-status");
    const first = await send("POST", "create-ai-sandbox-v2", {});
    const second = await send("POST", "create-ai-sandbox-v2", {});
    const restarted = await send("POST", "restart-vite");
    const generated = await stream("generate-ai-code-stream", {
      prompt: "A to-do list",
      model: "demo/scripted",
      context: { sandboxId: null },
      isEdit: false,
    });
    const applied = await stream("apply-ai-code-stream", {
      response: generated.at(-1).generatedCode,
      isEdit: false,
      packages: generated.at(-1).packagesToInstall ?? [],
    });
    const status = await send("GET", "sandbox-status");
    const files = await send("GET", "get-sandbox-files");
    const zip = await send("POST", "create-zip");
    const killed = await send("POST", "kill-sandbox");
    const after = await send("GET", "sandbox-status");
    return { before, first, second, restarted, generated, applied, status, files, zip, killed, after };
  });
  assert.deepEqual([story.before.success, story.before.active], [true, false]);
  assert.equal(story.first.success, true, JSON.stringify(story.first));
  assert.equal(story.second.sandboxId, story.first.sandboxId);
  assert.equal(story.restarted.success, true);
  const { generated, applied } = story;
  assert.equal(generated.filter((event) => event.type === "complete").length, 1);
  const text = generated.filter((event) => event.type === "stream").map((event) => event.text);
  assert.equal(text.join(""), generated.at(-1).generatedCode);
  assert.equal(applied.at(-1).type, "complete", JSON.stringify(applied));
  const { results } = applied.at(-1);
  assert.ok(results.filesCreated.includes("src/App.jsx"), JSON.stringify(results));
  assert.deepEqual(results.errors, []);
  assert.deepEqual([story.status.active, story.status.healthy], [true, true]);
  assert.equal(story.status.sandboxData.sandboxId, story.first.sandboxId);
  assert.ok(generated.at(-1).generatedCode.includes(story.files.files["src/App.jsx"].trim()));
  const [kind, archive] = story.zip.dataUrl.split(",");
  assert.equal(kind, "data:application/zip;base64");
  assert.equal(Buffer.from(archive, "base64").subarray(0, 4).toString("latin1"), "PK\u0003\u0004");
  assert.deepEqual([story.killed.success, story.killed.sandboxKilled], [true, true]);
  assert.equal(story.after.active, false);
  assert.deepEqual(visitor.complaints, []);
});

test("nothing was asked of any other host", () => {
  const own = [`localhost:${server.port}`, `cobuild.localhost:${server.port}`];
  assert.deepEqual(
    [...hosts].filter((host) => !own.includes(host)),
    [],
  );
});
