// A stand-in for the server, for looking at the page while it is being made: plays a plausible run to every prompt.
// It keeps no promises (no roles, no limits, no storage) and is not a reference for anything.
//
//   npm run build && npm run fake-server       then open http://localhost:3100/
//   PORT=3200 SPEED=400 npm run fake-server    SPEED: characters per second
//
// The words of a prompt choose what happens: "fail", "refuse", "broken", "no sandbox", "flood"; anything else succeeds.

import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";
import { APP, EDIT, FLOOD, PREVIEW, TEMPLATE } from "./fake-app.mjs";

const PORT = Number(process.env.PORT ?? 3100);
const SPEED = Number(process.env.SPEED ?? 600);
const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const NOTICE = "Demo – canned answers, no AI";
const MODEL = "demo/scripted";
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

const projects = new Map();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

class Project {
  constructor(id, name) {
    Object.assign(this, { id, name, epoch: randomBytes(4).toString("hex"), events: [], sockets: new Set() });
    Object.assign(this, {
      files: new Map(),
      blobs: new Map(),
      people: new Map(),
      queue: [],
      runs: 0,
      messages: 0,
    });
    this.previewId = randomBytes(16).toString("hex");
    this.createdAt = new Date().toISOString();
    const files = Object.entries(TEMPLATE).map(([path, text]) => this.store(path, text));
    this.emit("project_created", { name, template: "react-vite", preview_id: this.previewId, files });
  }

  store(path, text) {
    const hash = sha256(text);
    this.files.set(path, hash);
    this.blobs.set(hash, text);
    return { path, hash, size_bytes: Buffer.byteLength(text) };
  }

  emit(type, fields = {}, context = {}) {
    const frame = { type, ...fields, seq: this.events.length + 1, at: new Date().toISOString(), ...context };
    this.events.push(frame);
    for (const socket of this.sockets) socket.send(JSON.stringify(frame));
    return frame;
  }

  get previewUrl() {
    return `http://${this.previewId}.localhost:${PORT}/`;
  }

  async sandbox(mode) {
    if (this.sandboxReady) return true;
    this.emit("sandbox_changed", {
      state: "creating",
      provider: "local",
      detail: "Installing the template’s packages (one-time)",
    });
    await sleep(1_500);
    if (mode === "refused") {
      const error = "bubblewrap is not installed. Install it with: sudo apt install bubblewrap";
      this.emit("sandbox_changed", { state: "stopped", provider: "local", error });
      return false;
    }
    this.emit("sandbox_changed", { state: "ready", provider: "local" });
    this.emit("preview_changed", { state: "starting", url: this.previewUrl });
    await sleep(900);
    this.emit("preview_changed", { state: "ready", url: this.previewUrl });
    this.sandboxReady = true;
    return true;
  }

  async work() {
    if (this.working) return;
    this.working = true;
    for (let next = this.queue.shift(); next; next = this.queue.shift()) await this.play(next);
    this.working = false;
  }

  async play({ run, by, prompt }) {
    const context = { run, by };
    this.current = run;
    this.cancelled = false;
    this.emit("run_started", { kind: "generate", prompt, model: MODEL }, context);
    this.emit("message_added", { message: `m${++this.messages}`, role: "user", text: prompt }, context);
    const message = `m${++this.messages}`;
    this.emit("message_added", { message, role: "assistant", model: MODEL, notice: NOTICE }, context);
    await sleep(500);
    const reply = /flood/i.test(prompt) ? FLOOD : this.files.has("src/components/TodoItem.jsx") ? EDIT : APP;
    const written = [];
    for (const part of reply.parts) {
      if (part.text)
        await this.type(part.text, (text) => this.emit("text_delta", { message, text }, context));
      if (!part.path) continue;
      this.emit("file_started", { message, path: part.path, action: part.action }, context);
      const cutAt =
        /fail/i.test(prompt) && written.length > 1 ? part.content.length / 2 : Number.POSITIVE_INFINITY;
      await this.type(part.content.slice(0, cutAt), (text) =>
        this.emit("file_delta", { message, path: part.path, text }, context),
      );
      if (this.cancelled || cutAt < part.content.length) break;
      this.emit("file_delta", { message, path: part.path, text: "", done: true }, context);
      written.push(part);
    }
    if (this.cancelled) return this.finish(context, { outcome: "cancelled", cancelled_by: by });
    for (const [index, part] of written.entries()) {
      if (/refuse/i.test(prompt) && index === 1) {
        this.emit(
          "file_refused",
          { path: part.path, reason: "the search text of block 1 stands in several places" },
          context,
        );
      } else {
        const file = this.store(part.path, part.result ?? part.content);
        this.emit("file_written", { ...file, origin: "reply" }, context);
      }
    }
    if (/fail/i.test(prompt)) {
      const error = {
        code: "model_failed",
        message:
          "The answer was cut off at the model’s token limit; src/components/TodoItem.jsx is incomplete and was not written.",
        retryable: false,
      };
      return this.finish(context, { outcome: "failed", error });
    }
    const ready = await this.sandbox(/no sandbox/i.test(prompt) ? "refused" : "");
    if (ready) await this.install(context, reply.packages, /broken/i.test(prompt));
    if (/broken/i.test(prompt))
      this.emit(
        "preview_error",
        {
          message:
            'Unexpected token, expected "," (12:4)\n\n  10 |   return (\n  11 |     <main>\n> 12 |     </div>',
          file: "src/App.jsx",
        },
        context,
      );
    this.finish(context, { outcome: "completed", usage: { output_tokens: 1840 } });
  }

  async install(context, packages, broken) {
    if (packages.length === 0) return;
    this.emit("packages_detected", { packages }, context);
    this.emit("install_started", { packages }, context);
    await sleep(700);
    this.emit("install_output", { stream: "stdout", text: `npm install ${packages.join(" ")}\n` }, context);
    await sleep(600);
    if (broken) {
      const error = "npm error 404  'canvas-confetty@*' is not in this registry.";
      this.emit("install_output", { stream: "stderr", text: `${error}\n` }, context);
      return this.emit("install_finished", { installed: [], error }, context);
    }
    this.emit(
      "install_output",
      { stream: "stdout", text: "\u001b[32madded 2 packages\u001b[39m in 1s\n" },
      context,
    );
    this.emit("install_finished", { installed: packages }, context);
    const manifest = this.blobs.get(this.files.get("package.json"));
    this.emit(
      "file_written",
      { ...this.store("package.json", `${manifest.trimEnd()} \n`), origin: "sandbox" },
      context,
    );
  }

  finish(context, fields) {
    this.current = undefined;
    this.emit("run_finished", fields, { run: context.run });
  }

  async type(text, emit) {
    const step = SPEED > 0 ? Math.ceil(SPEED / 40) : 20;
    for (let at = 0; at < text.length && !this.cancelled; at += step) {
      emit(text.slice(at, at + step));
      // Without a speed as fast as the sockets take it, with a look at what comes in now and then.
      if (SPEED > 0) await sleep(25);
      else if (at % 1_000 < step) await sleep(0);
    }
  }
}

const http = createServer((request, response) => {
  const url = new URL(request.url, `http://${request.headers.host}`);
  const label = url.hostname.endsWith(".localhost") ? url.hostname.split(".")[0] : "";
  if (label) return send(response, 200, "text/html", PREVIEW);
  if (url.pathname.startsWith("/api/")) return api(request, response, url);
  const file = join(DIST, url.pathname === "/" ? "index.html" : url.pathname);
  const found = existsSync(file) && statSync(file).isFile() ? file : join(DIST, "index.html");
  send(response, 200, TYPES[extname(found)] ?? "application/octet-stream", readFileSync(found));
});

async function api(request, response, url) {
  const json = (status, body) => send(response, status, "application/json", JSON.stringify(body));
  if (url.pathname === "/api/v1/models")
    return json(200, {
      default: { model: MODEL, notice: NOTICE },
      models: [{ model: MODEL, notice: NOTICE }],
    });
  const id = url.pathname.split("/")[4];
  if (request.method === "POST" && !id) {
    const body = JSON.parse((await text(request)) || "{}");
    const project = new Project(body.project ?? randomBytes(6).toString("hex"), body.name ?? "Untitled");
    projects.set(project.id, project);
    return json(201, { project: project.id });
  }
  if (request.method === "DELETE")
    return projects.delete(id) ? send(response, 204) : json(404, { title: "No such project" });
  const list = [...projects.values()].map((project) => ({
    project: project.id,
    name: project.name,
    created_at: project.createdAt,
    updated_at: project.events.at(-1).at,
    head: project.events.length,
  }));
  json(200, { projects: list });
}

function send(response, status, type, body) {
  response.writeHead(status, type ? { "content-type": type } : {}).end(body);
}

const sockets = new WebSocketServer({ server: http });
sockets.on("connection", (socket, request) => {
  const project = projects.get(request.url.split("/")[4]);
  if (!project) return socket.close(4504, "no such project");
  let me;
  const reply = (frame) => socket.send(JSON.stringify(frame));
  socket.on("message", (data) => {
    const frame = JSON.parse(String(data));
    if (frame.type === "hello") me = attach(project, socket, frame, reply);
    else if (frame.type !== "pong") command(project, me, frame, reply);
  });
  socket.on("close", () => {
    project.sockets.delete(socket);
    if (me) project.emit("participant_left", { participant: me }, { by: me });
  });
});

function attach(project, socket, hello, reply) {
  const known = project.people.get(hello.client);
  const me = known ?? `u${project.people.size + 1}`;
  project.people.set(hello.client, me);
  const fields = { participant: me, name: hello.name ?? "Guest", role: "owner", identity: "" };
  project.emit("participant_joined", fields, { by: me });
  const resumes = hello.since?.epoch === project.epoch;
  const head = project.events.length;
  const limits = {
    frame_size_bytes_max: 4e6,
    prompt_size_bytes_max: 262_144,
    file_size_bytes_max: 2e6,
    files_max: 2000,
    queue_max: 32,
    images_max: 4,
    image_size_bytes_max: 1_048_576,
  };
  const rest = {
    participant: me,
    role: "owner",
    heartbeat_ms: 15_000,
    limits,
    default_model: { model: MODEL, notice: NOTICE },
  };
  reply({
    type: "welcome",
    protocol: 1,
    project: project.id,
    epoch: project.epoch,
    head,
    mode: "resumed",
    ...rest,
  });
  for (const event of project.events.slice(resumes ? hello.since.seq : 0)) reply(event);
  reply({ type: "synced", seq: head });
  project.sockets.add(socket);
  const heartbeat = setInterval(() => reply({ type: "ping", head: project.events.length }), 15_000);
  socket.on("close", () => clearInterval(heartbeat));
  return me;
}

function command(project, by, frame, reply) {
  const { id } = frame;
  const accepted = (extra = {}) => reply({ type: "accepted", id, seq: project.events.length, ...extra });
  switch (frame.type) {
    case "generate": {
      const run = `r${++project.runs}`;
      const position = project.queue.length + 1;
      project.emit(
        "run_queued",
        { kind: "generate", position, prompt: frame.prompt },
        { run, by, command: id },
      );
      project.queue.push({ run, by, prompt: frame.prompt });
      accepted({ run });
      return void project.work();
    }
    case "cancel":
      if (project.current === frame.run) project.cancelled = true;
      else {
        project.queue = project.queue.filter((waiting) => waiting.run !== frame.run);
        project.emit("run_finished", { outcome: "cancelled", cancelled_by: by }, { run: frame.run });
      }
      return accepted();
    case "read_file": {
      const hash = project.files.get(frame.path);
      const content = project.blobs.get(hash);
      return reply({
        type: "result",
        id,
        data: { path: frame.path, hash, size_bytes: content.length, encoding: "utf8", content },
      });
    }
    case "start_sandbox":
      accepted();
      return void project.sandbox("");
    case "stop_sandbox":
      project.sandboxReady = false;
      project.emit("preview_changed", { state: "stopped", url: project.previewUrl });
      project.emit("sandbox_changed", { state: "stopped", provider: "local" });
      return accepted();
    default:
      reply({
        type: "rejected",
        id,
        error: { code: "unsupported", message: `No ${frame.type} here.`, retryable: false },
      });
  }
}

http.listen(PORT, () => console.log(`fake server on http://localhost:${PORT}/`));
