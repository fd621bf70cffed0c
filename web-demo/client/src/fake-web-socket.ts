// Test-only: a WebSocket whose other end is the test.

import type { EventFrame, ServerFrame, Welcome } from "./protocol.ts";
import type { WebSocketLike } from "./socket.ts";

export class FakeWebSocket implements WebSocketLike {
  readyState = 0;
  onopen: ((event: unknown) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  readonly sent: Record<string, unknown>[] = [];

  send(data: string): void {
    this.sent.push(JSON.parse(data));
  }

  close(code = 1005, reason = ""): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.({});
  }

  says(...frames: (ServerFrame | Record<string, unknown>)[]): void {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) });
  }

  /** The commands the client sent, without `hello` and `pong`. */
  get commands(): Record<string, unknown>[] {
    return this.sent.filter((frame) => frame.type !== "hello" && frame.type !== "pong");
  }
}

export function welcome(overrides: Partial<Welcome> = {}): ServerFrame {
  return {
    type: "welcome",
    protocol: 1,
    project: "p",
    epoch: "e1",
    head: 0,
    mode: "live",
    participant: "u1",
    role: "owner",
    heartbeat_ms: 10_000,
    limits: {
      frame_size_bytes_max: 1,
      prompt_size_bytes_max: 1,
      file_size_bytes_max: 1,
      files_max: 1,
      queue_max: 1,
      images_max: 4,
      image_size_bytes_max: 1_048_576,
      queue_share_max: 1,
      frames_per_second_max: 1,
      frames_burst_max: 1,
      commands_under_way_max: 1,
      participant_commands_per_second_max: 1,
      participant_commands_burst_max: 1,
      participant_connections_max: 1,
      project_connections_max: 1,
      server_connections_max: 1,
      projects_max: 1,
    },
    default_model: { model: "demo/scripted" },
    ...overrides,
  };
}

export function text(seq: number, letters: string, seqFirst?: number): EventFrame {
  const merged = seqFirst === undefined ? {} : { seq_first: seqFirst };
  return { type: "text_delta", seq, at: "t", run: "r1", message: "m1", text: letters, ...merged };
}
