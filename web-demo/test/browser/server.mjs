// A real server for a browser to visit: its own process, port and data folder, all gone afterwards.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { until } from "./until.mjs";

const BINARY = process.env.COBUILD_BIN ?? new URL("../../../target/debug/cobuild", import.meta.url).pathname;
/** Fast enough not to wait for, slow enough to see files being typed. */
const CHARACTERS_PER_SECOND = "1500";
const START_MS_MAX = 60_000;
const STOP_MS_MAX = 15_000;

export class TestServer {
  #child;
  #folder;
  #log = [];
  #said = [];
  #isMeantToEnd = false;
  #args;
  #env;

  /** `args` and `env` come on top of what every test server has. */
  static async start({ args = [], env = {} } = {}) {
    const server = new TestServer();
    server.#args = args;
    server.#env = env;
    server.#folder = await mkdtemp(join(tmpdir(), "cobuild-browser-"));
    // The same port after a restart: that is where the open pages look for it.
    server.port = await freePort();
    await server.run();
    return server;
  }

  get url() {
    return `http://localhost:${this.port}`;
  }

  async run() {
    const { PATH, HOME } = process.env;
    this.#child = spawn(
      BINARY,
      ["serve", "--port", String(this.port), "--data-dir", join(this.#folder, "data"), ...this.#args],
      {
        // Not what the person who runs the tests has configured, and not where a .env may lie.
        env: { PATH, HOME, DEMO_SPEED: CHARACTERS_PER_SECOND, LOG_LEVEL: "info", ...this.#env },
        cwd: this.#folder,
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    this.#child.stderr.on("data", (chunk) => this.#log.push(String(chunk)));
    const lines = createInterface(this.#child.stdout);
    lines.on("line", (line) => this.#said.push(line));
    const ready = once(lines, "line", { signal: AbortSignal.timeout(START_MS_MAX) });
    this.#isMeantToEnd = false;
    const ended = once(this.#child, "exit").then(([code, signal]) => {
      throw new Error(`the server ended (${code ?? signal}), having said:\n${this.#log.join("")}`);
    });
    ended.catch((error) => {
      if (!this.#isMeantToEnd) console.error(String(error));
    });
    await Promise.race([ready, ended]);
  }

  /** The link it printed for its owner. */
  async ownerLink() {
    const link = () => this.#said.map((line) => /http\S+#token=\S+/.exec(line)?.[0]).find(Boolean);
    return until("the server prints the owner's link", link, START_MS_MAX);
  }

  /** No warning, no chance to write anything down. */
  async kill9() {
    this.#isMeantToEnd = true;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }

  async stop() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#isMeantToEnd = true;
      const exit = once(this.#child, "exit", { signal: AbortSignal.timeout(STOP_MS_MAX) });
      this.#child.kill("SIGTERM");
      await exit.catch(() => this.kill9());
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Gives a project a command over REST, and says what the answer was. */
  async command(project, command, token) {
    const answer = await fetch(`http://127.0.0.1:${this.port}/api/v1/projects/${project}/commands`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(token && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ id: crypto.randomUUID(), ...command }),
    });
    return answer.json();
  }
}

async function freePort() {
  const listener = createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  return port;
}
