import type { Message, RunInfo } from "../../protocol.ts";

export type TimelineItem =
  /** `isLast`: the run's steps and its outcome belong below this message. */
  | { type: "message"; message: Message; run: RunInfo | undefined; isLast: boolean }
  /** A run nobody wrote a message about: an install or a command. */
  | { type: "run"; run: RunInfo };

/** Messages and runs in the order they came; what waits in the queue is shown elsewhere. */
export function timeline(messages: Message[], runs: RunInfo[]): TimelineItem[] {
  const byId = new Map(runs.map((run) => [run.run, run]));
  const lastOf = new Map<string, Message>();
  for (const message of messages) if (message.run) lastOf.set(message.run, message);
  const silent = runs.filter(
    (run) => !lastOf.has(run.run) && run.state !== "queued" && !isForgotten(run, messages),
  );

  const items: TimelineItem[] = [];
  for (const message of messages) {
    const run = message.run === undefined ? undefined : byId.get(message.run);
    if (run?.state === "queued") continue;
    while (silent[0] && silent[0].accepted_at < message.at)
      items.push({ type: "run", run: silent.shift() as RunInfo });
    items.push({
      type: "message",
      message,
      run,
      isLast: run !== undefined && lastOf.get(run.run) === message,
    });
  }
  return [...items, ...silent.map((run): TimelineItem => ({ type: "run", run }))];
}

/** Its messages are so old that they have left the conversation; it goes with them. */
function isForgotten(run: RunInfo, messages: Message[]): boolean {
  const oldest = messages[0];
  return (
    oldest !== undefined && (run.kind === "generate" || run.kind === "apply") && run.accepted_at < oldest.at
  );
}
