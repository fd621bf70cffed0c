import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type ClientOptions, ProjectClient } from "./client.ts";
import { FakeWebSocket, text, welcome } from "./fake-web-socket.ts";
import { CommandError } from "./outbox.ts";
import type { EventFrame, ProjectState } from "./protocol.ts";
import { emptyState } from "./reducer.ts";

const sockets: FakeWebSocket[] = [];
let client: ProjectClient;

function start(options: Partial<ClientOptions> = {}): FakeWebSocket {
  client = new ProjectClient({
    url: "ws://test/ws",
    random: () => 1,
    webSocket: () => {
      const socket = new FakeWebSocket();
      sockets.push(socket);
      return socket;
    },
    ...options,
  });
  client.connect();
  return last();
}

function last(): FakeWebSocket {
  const socket = sockets.at(-1);
  if (!socket) throw new Error("no socket was opened");
  return socket;
}

const withMessage: ProjectState = {
  ...emptyState(),
  messages: [{ message: "m1", role: "assistant", at: "t", parts: [] }],
};

/** Attaches with a snapshot as of event `seq`. */
function attach(socket: FakeWebSocket, seq = 10): void {
  socket.open();
  socket.says(
    welcome({ mode: "snapshot", head: seq }),
    { type: "snapshot", seq, state: withMessage },
    { type: "synced", seq },
  );
}

/** Waits for the next attempt. */
function reopen(): FakeWebSocket {
  if (client.connection.phase !== "waiting") throw new Error(`it is ${client.connection.phase}`);
  vi.advanceTimersByTime(client.connection.retryAt - Date.now());
  last().open();
  return last();
}

/** Waits for the next attempt and answers its `hello` with a replay. */
function resume(...events: EventFrame[]): FakeWebSocket {
  const socket = reopen();
  socket.says(welcome({ mode: "resumed" }), ...events);
  socket.says({ type: "synced", seq: client.seq });
  return socket;
}

function prose(): string {
  const part = client.state.messages[0]?.parts[0];
  return part?.type === "text" ? part.text : "";
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  client.close();
  sockets.length = 0;
  vi.useRealTimers();
});

describe("attaching", () => {
  it("says hello with who it is, and without a cursor the first time", () => {
    const socket = start({ client: "abc", name: "Ada" });
    expect(socket.sent).toEqual([]);
    socket.open();
    expect(socket.sent).toEqual([{ type: "hello", protocol: 1, name: "Ada", client: "abc" }]);
  });

  it("is live once it is in step", () => {
    const socket = start();
    expect(client.connection.phase).toBe("connecting");
    attach(socket);
    expect(client.connection.phase).toBe("live");
    expect(client.seq).toBe(10);
    socket.says(text(11, "a"), text(12, "b"));
    expect([client.seq, prose()]).toEqual([12, "ab"]);
  });

  it("ignores what it cannot read or does not know", () => {
    const socket = start();
    attach(socket);
    for (const data of ["", "null", "[]", "{", '{"type":7}', new ArrayBuffer(1)])
      socket.onmessage?.({ data });
    socket.says(
      { type: "presence", participant: "u1" },
      { type: "from_tomorrow", seq: 11, at: "t" },
      text(12, "a"),
    );
    expect([client.connection.phase, client.seq, prose()]).toEqual(["live", 12, "a"]);
  });
});

describe("resuming", () => {
  it("comes back with its cursor and misses nothing", () => {
    const socket = start();
    attach(socket);
    socket.says(text(11, "a"));
    socket.close(1006);
    expect(client.connection.phase).toBe("waiting");
    const next = resume(text(12, "b"), text(13, "c"));
    expect(next.sent[0]).toMatchObject({ type: "hello", since: { epoch: "e1", seq: 11 } });
    expect([client.connection.phase, prose()]).toEqual(["live", "abc"]);
  });

  it("drops duplicates and accepts merged frames", () => {
    const socket = start();
    attach(socket);
    socket.says(
      text(11, "a"),
      text(11, "a"),
      text(10, "x"),
      text(14, "bcd", 12),
      text(14, "bcd", 12),
      text(15, "e"),
    );
    expect([client.seq, prose()]).toEqual([15, "abcde"]);
  });

  it("re-attaches at a gap, also at one in front of a merged frame", () => {
    for (const gap of [text(14, "d"), text(16, "d", 14), text(14, "d", 11), text(13, "d", 12)]) {
      const socket = start();
      attach(socket);
      socket.says(text(11, "a"), text(12, "b"), gap);
      expect(client.connection.phase).toBe("waiting");
      socket.says(text(13, "late"));
      expect([client.seq, prose()]).toEqual([12, "ab"]);
      client.close();
    }
  });

  it("re-attaches when the replay ends early", () => {
    const socket = start();
    attach(socket);
    socket.close(1006);
    reopen();
    last().says(welcome({ mode: "resumed", head: 12 }), text(11, "a"), { type: "synced", seq: 12 });
    expect(client.connection.phase).toBe("waiting");
  });

  it("takes a snapshot in place of what it had, and shows the old until then", () => {
    const socket = start();
    attach(socket);
    socket.says(text(11, "old"));
    socket.close(1006);
    reopen();
    last().says(welcome({ mode: "snapshot", epoch: "e2", head: 3 }));
    expect(prose()).toBe("old");
    last().says({ type: "snapshot", seq: 3, state: withMessage }, { type: "synced", seq: 3 }, text(4, "new"));
    expect([client.seq, prose()]).toEqual([4, "new"]);
    last().close(1006);
    reopen();
    expect(last().sent[0]).toMatchObject({ since: { epoch: "e2", seq: 4 } });
  });

  it("asks for a snapshot when cut off before the one it was promised", () => {
    attach(start());
    last().close(1006);
    reopen();
    last().says(welcome({ mode: "snapshot", epoch: "e2", head: 3 }));
    last().close(1006);
    reopen();
    expect(last().sent[0]).not.toHaveProperty("since");
  });

  it("does not believe a replay of another epoch", () => {
    attach(start());
    last().close(1006);
    reopen();
    last().says(welcome({ mode: "resumed", epoch: "e2" }), text(11, "x"));
    expect(prose()).toBe("");
    reopen();
    expect(last().sent[0]).not.toHaveProperty("since");
  });
});

describe("watching the connection", () => {
  it("answers pings", () => {
    const socket = start();
    attach(socket);
    socket.says({ type: "ping", head: 10 });
    expect(socket.sent.at(-1)).toEqual({ type: "pong", seq: 10 });
  });

  it("reconnects when nothing is heard for two heartbeats", () => {
    attach(start());
    vi.advanceTimersByTime(19_999);
    expect(client.connection.phase).toBe("live");
    vi.advanceTimersByTime(1);
    expect(client.connection.phase).toBe("waiting");
  });

  it("does not wait long in the middle of a replay", () => {
    const socket = start();
    attach(socket);
    socket.close(1006);
    reopen().says(welcome({ mode: "resumed", head: 20 }));
    vi.advanceTimersByTime(19_999);
    expect(client.connection.phase).toBe("connecting");
    vi.advanceTimersByTime(1);
    expect(client.connection.phase).toBe("waiting");
  });

  it("is patient with a slow line until its snapshot is there", () => {
    const socket = start();
    socket.open();
    socket.says(welcome({ mode: "snapshot", head: 10 }));
    vi.advanceTimersByTime(250_000);
    expect(client.connection.phase).toBe("connecting");
    socket.says({ type: "snapshot", seq: 10, state: withMessage }, { type: "synced", seq: 10 });
    vi.advanceTimersByTime(20_000);
    expect(client.connection.phase).toBe("waiting");
  });

  it("reconnects when a server accepts the socket and says nothing", () => {
    start().open();
    vi.advanceTimersByTime(15_000);
    expect(client.connection.phase).toBe("waiting");
  });

  it("re-attaches when the head stays ahead for a heartbeat", () => {
    const socket = start();
    attach(socket);
    socket.says({ type: "ping", head: 11 });
    vi.advanceTimersByTime(9_999);
    expect(client.connection.phase).toBe("live");
    vi.advanceTimersByTime(1);
    expect(client.connection.phase).toBe("waiting");
  });

  it("stays when it catches up with the head in time", () => {
    const socket = start();
    attach(socket);
    socket.says({ type: "ping", head: 11 });
    vi.advanceTimersByTime(5_000);
    socket.says(text(11, "a"));
    vi.advanceTimersByTime(9_000);
    expect(client.connection.phase).toBe("live");
  });
});

describe("coming back", () => {
  it("waits longer each time, up to a limit, and never gives up", () => {
    start();
    const waits: number[] = [];
    for (let attempt = 0; attempt < 12; attempt += 1) {
      last().close(1006);
      const connection = client.connection;
      if (connection.phase !== "waiting") throw new Error(connection.phase);
      waits.push(connection.retryAt - Date.now());
      vi.advanceTimersByTime(waits.at(-1) ?? 0);
    }
    expect(waits.slice(0, 7)).toEqual([400, 800, 1600, 3200, 6400, 12_800, 15_000]);
    expect(waits.at(-1)).toBe(15_000);
    expect(client.connection.phase).toBe("connecting");
  });

  it("leaves half of the wait to chance", () => {
    start({ random: () => 0 });
    last().close(1006);
    expect(client.connection).toMatchObject({ retryAt: Date.now() + 200 });
  });

  it("begins with short waits again after a good connection, not after a bad one", () => {
    start();
    for (const [lived, wait] of [
      [0, 400],
      [0, 800],
      [6_000, 400],
    ] as const) {
      attach(last());
      vi.advanceTimersByTime(lived);
      last().close(1006);
      expect(client.connection).toMatchObject({ retryAt: Date.now() + wait });
      vi.advanceTimersByTime(wait);
    }
  });

  it("stays away for as long as a server that goes asks for", () => {
    for (const [reason, wait] of [
      ["going away; retry_after_ms=1400", 1_400],
      ["going away; retry_after_ms=5", 400],
      ["going away", 400],
      ["retry_after_ms=999999999", 60_000],
    ] as const) {
      attach(start());
      last().close(4000, reason);
      expect(client.connection).toMatchObject({ retryAt: Date.now() + wait });
      client.close();
    }
  });

  it("tries at once when told to", () => {
    start();
    last().close(1006);
    client.connect();
    expect([sockets.length, client.connection.phase]).toEqual([2, "connecting"]);
    vi.advanceTimersByTime(1_000);
    expect(sockets.length).toBe(2);
  });

  it("comes back after 4000–4499 and stays away after 4500–4999", () => {
    for (const [code, phase] of [
      [1001, "waiting"],
      [4000, "waiting"],
      [4008, "waiting"],
      [4499, "waiting"],
    ] as const) {
      attach(start());
      last().close(code);
      expect(client.connection.phase).toBe(phase);
      client.close();
    }
    for (const code of [4501, 4503, 4504, 4505, 4999]) {
      attach(start());
      const opened = sockets.length;
      last().close(code, "because");
      expect(client.connection).toEqual({ phase: "refused", code, reason: "because" });
      vi.advanceTimersByTime(60_000);
      expect(sockets.length).toBe(opened);
    }
  });
});

describe("commands", () => {
  const generate = { type: "generate", prompt: "x" } as const;

  it("resolve with what was accepted or read, and fail with what was rejected", async () => {
    const socket = start();
    attach(socket);
    const [run, read, refused] = [
      client.send(generate, "c1"),
      client.send({ type: "read_file", path: "a" }, "c2"),
      client.send(generate, "c3"),
    ];
    expect(socket.commands).toEqual([
      { ...generate, id: "c1" },
      { type: "read_file", path: "a", id: "c2" },
      { ...generate, id: "c3" },
    ]);
    const error = { code: "queue_full", message: "full", retryable: true } as const;
    socket.says(
      { type: "accepted", id: "c1", run: "r1", seq: 11 },
      { type: "result", id: "c2", data: { content: "hi" } },
      { type: "rejected", id: "c3", error },
    );
    expect(await run).toMatchObject({ run: "r1", seq: 11 });
    expect(await read).toMatchObject({ data: { content: "hi" } });
    await expect(refused).rejects.toEqual(new CommandError(error));
  });

  it("given while offline are sent once, when in step", async () => {
    const reply = start() && client.send(generate, "c1");
    last().open();
    void client.send({ type: "status" }, "c2");
    expect(last().commands).toEqual([]);
    last().says(welcome({ mode: "snapshot", head: 1 }), { type: "snapshot", seq: 1, state: emptyState() });
    expect(last().commands).toEqual([]);
    last().says({ type: "synced", seq: 1 }, { type: "result", id: "c2", data: {} });
    expect(last().commands).toEqual([
      { ...generate, id: "c1" },
      { type: "status", id: "c2" },
    ]);
    last().says({ type: "accepted", id: "c1", run: "r1", seq: 2 });
    expect((await reply).run).toBe("r1");
    last().close(1006);
    expect(resume().commands).toEqual([]);
  });

  it("without a reply are sent again with the same id after a loss", async () => {
    attach(start());
    const reply = client.send(generate, "c1");
    last().close(1006);
    const next = resume();
    expect(next.commands).toEqual([{ ...generate, id: "c1" }]);
    next.says({ type: "accepted", id: "c1", run: "r1", seq: 11 });
    expect((await reply).run).toBe("r1");
  });

  it("with one id are one command", async () => {
    attach(start());
    const replies = [client.send(generate, "c1"), client.send(generate, "c1")];
    expect(last().commands).toHaveLength(1);
    last().says({ type: "accepted", id: "c1", run: "r1", seq: 11 });
    expect((await Promise.all(replies)).map((reply) => reply.run)).toEqual(["r1", "r1"]);
  });

  it("fail when the server refuses the client, and when there are too many", async () => {
    attach(start());
    const waiting = Array.from({ length: 200 }, (_, n) => client.send(generate, `c${n}`));
    await expect(client.send(generate, "one more")).rejects.toMatchObject({ body: { code: "rate_limited" } });
    last().close(4504, "gone");
    const results = await Promise.allSettled(waiting);
    expect(results.every((result) => result.status === "rejected")).toBe(true);
    await expect(waiting[0]).rejects.toMatchObject({ body: { code: "not_found", message: "gone" } });
  });

  it("that are many go a few at a time", async () => {
    const socket = start();
    const replies = Array.from({ length: 60 }, (_, n) => client.send(generate, `c${n}`));
    attach(socket);
    for (let answered = 0; answered < 60; answered++) {
      expect(socket.commands).toHaveLength(Math.min(60, answered + 16));
      socket.says({ type: "accepted", id: `c${answered}`, seq: 11 });
    }
    expect(await Promise.all(replies)).toHaveLength(60);
  });

  it("that were rejected for now are kept and sent again when the server said", async () => {
    const socket = start();
    attach(socket);
    const reply = client.send(generate, "c1");
    const error = { code: "rate_limited", message: "slower", retryable: true, retry_after_ms: 700 };
    socket.says({ type: "rejected", id: "c1", error });
    const status = client.send({ type: "status" }, "c2");
    vi.advanceTimersByTime(699);
    expect(socket.commands).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(socket.commands.map(({ id }) => id)).toEqual(["c1", "c1", "c2"]);
    socket.says({
      type: "rejected",
      id: "c1",
      error: { ...error, code: "internal", retry_after_ms: 60_000 },
    });
    socket.close(4000);
    const next = resume();
    expect(next.commands.map(({ id }) => id)).toEqual(["c1", "c2"]);
    next.says({ type: "accepted", id: "c1", seq: 11 }, { type: "result", id: "c2", data: {} });
    expect((await reply).seq).toBe(11);
    await status;
  });

  it("fail when the server has the same fault again and again", async () => {
    const socket = start();
    attach(socket);
    const reply = client.send(generate, "c1");
    const error = { code: "internal", message: "broken", retryable: true };
    for (let n = 0; n < 5; n++) {
      socket.says({ type: "rejected", id: "c1", error });
      vi.advanceTimersByTime(1_000);
    }
    await expect(reply).rejects.toMatchObject({ body: error });
    expect(socket.commands).toHaveLength(5);
  });

  it("wait for another token", async () => {
    attach(start());
    const reply = client.send(generate, "c1");
    const refreshed = client.refreshToken("late");
    last().close(4501, "the token has expired");
    await expect(refreshed).rejects.toMatchObject({ body: { code: "unauthenticated" } });
    expect(client.unanswered).toHaveLength(1);
    client.authenticate("new");
    attach(last());
    expect(last().commands).toMatchObject([{ id: "c1" }]);
    last().says({ type: "accepted", id: "c1", seq: 11 });
    expect((await reply).seq).toBe(11);
  });

  it("that the server could not even attribute are reported", () => {
    attach(start());
    const faults: string[] = [];
    client.subscribe((change) => change.type === "fault" && faults.push(change.rejected.error.message));
    last().says({ type: "rejected", error: { code: "bad_request", message: "not JSON", retryable: false } });
    expect(faults).toEqual(["not JSON"]);
  });
});

describe("presence", () => {
  const said = (socket: FakeWebSocket) => socket.commands.filter((frame) => frame.type === "set_presence");

  it("says the last word at once, the next after a pause, and again after a reconnect", () => {
    const socket = start();
    client.setPresence({ file: "a.js" });
    expect(said(socket)).toEqual([]);
    attach(socket);
    expect(said(socket)).toMatchObject([{ file: "a.js" }]);
    vi.advanceTimersByTime(1_000);
    for (const line of [1, 2, 3]) client.setPresence({ file: "a.js", line });
    expect(said(socket)).toHaveLength(2);
    vi.advanceTimersByTime(1_000);
    expect(said(socket)).toMatchObject([{ file: "a.js" }, { line: 1 }, { line: 3 }]);
    client.setPresence({ file: "a.js", line: 3 });
    expect(said(socket)).toHaveLength(3);
    socket.close(1006);
    client.setPresence({ file: "b.js" });
    expect(said(resume())).toMatchObject([{ file: "b.js" }]);
  });

  it("knows where the others are until they leave or the connection is another", () => {
    const socket = start();
    attach(socket);
    socket.says({ type: "presence", participants: { u2: { file: "a.js" }, u3: { typing: true } } });
    socket.says({ type: "presence", participants: { u2: { file: "b.js" }, u3: null } });
    expect([...client.presence]).toEqual([["u2", { file: "b.js" }]]);
    socket.close(1006);
    resume();
    expect(client.presence.size).toBe(0);
  });
});

describe("tokens and names", () => {
  it("comes back at once under another name", () => {
    const socket = start({ name: "Ada" });
    attach(socket);
    client.rename("Grace");
    last().open();
    expect(sockets).toHaveLength(2);
    expect(last().sent[0]).toMatchObject({ name: "Grace", since: { seq: 10 } });
  });

  it("shows another token, also after a refusal", () => {
    const socket = start({ token: "old" });
    socket.open();
    socket.close(4501, "the token has expired");
    expect(client.connection.phase).toBe("refused");
    client.authenticate("new");
    attach(last());
    expect(last().sent[0]).toMatchObject({ token: "new" });
    expect(client.connection.phase).toBe("live");
  });

  it("refreshes its token in the room, and keeps the old one when that is refused", async () => {
    const socket = start({ token: "old" });
    attach(socket);
    const refreshed = client.refreshToken("new");
    const { id } = socket.commands[0] as { id: string };
    socket.says({ type: "result", id, data: { expires_at: "t" } });
    expect(await refreshed).toEqual({ expires_at: "t" });
    const refused = client.refreshToken("bad");
    const second = socket.commands[1] as { id: string };
    const error = { code: "unauthenticated", message: "no", retryable: false };
    socket.says({ type: "rejected", id: second.id, error });
    await expect(refused).rejects.toThrow(CommandError);
    socket.close(1006);
    expect(reopen().sent[0]).toMatchObject({ token: "new" });
  });
});

describe("the outbox", () => {
  it("tells what waits, and sends what was given offline once", async () => {
    const socket = start();
    attach(socket);
    socket.close(1006);
    let told = 0;
    client.subscribe((change) => change.type === "outbox" && told++);
    const reply = client.send({ type: "cancel", run: "r1" }, "c1");
    expect(client.unanswered).toMatchObject([{ type: "cancel", id: "c1" }]);
    const next = resume();
    expect(next.commands).toHaveLength(1);
    next.says({ type: "accepted", id: "c1", seq: 11 });
    await reply;
    expect([client.unanswered.length, told]).toEqual([0, 2]);
    next.close(1006);
    expect(resume().commands).toHaveLength(0);
  });
});

it("gets past an event it cannot fold by a snapshot", () => {
  const socket = start();
  attach(socket);
  socket.says({ type: "project_created", seq: 11, at: "t" });
  const next = reopen();
  expect(next.sent[0]?.since).toBeUndefined();
  next.says(welcome({ mode: "snapshot" }), { type: "snapshot", seq: 11, state: withMessage });
  next.says({ type: "synced", seq: 11 });
  expect(client.connection.phase).toBe("live");
});

it("says why it waits", () => {
  const socket = start();
  attach(socket);
  socket.close(4000, "going away; retry_after_ms=700");
  expect(client.connection).toMatchObject({ phase: "waiting", code: 4000 });
});
