// What the page asks of a project's state again and again.

import type { Message, MessagePart, ProjectState, RunInfo, SandboxInfo } from "../protocol.ts";

export type FilePart = Extract<MessagePart, { type: "file" }>;

/** The run that changes the project now; `exec` runs beside it. */
export function activeRun(state: ProjectState): RunInfo | undefined {
  return state.runs.find((run) => run.state === "running" && run.kind !== "exec");
}

export function queuedRuns(state: ProjectState): RunInfo[] {
  return state.runs.filter((run) => run.state === "queued");
}

/** The newest answer of the run, if it has begun. */
export function answerOf(state: ProjectState, run: RunInfo | undefined): Message | undefined {
  return run && state.messages.findLast((message) => message.run === run.run && message.role === "assistant");
}

/** The file that is being typed at this moment. */
export function typingFile(state: ProjectState): FilePart | undefined {
  const part = answerOf(state, activeRun(state))?.parts.at(-1);
  return part?.type === "file" && part.state === "typing" ? part : undefined;
}

/** The files of the running answer that are not in the tree yet. */
export function pendingFiles(state: ProjectState): FilePart[] {
  const parts = answerOf(state, activeRun(state))?.parts ?? [];
  return parts.filter(
    (part): part is FilePart => part.type === "file" && (part.state === "typing" || part.state === "typed"),
  );
}

export function nameOf(state: ProjectState, participant: string | undefined): string {
  return (participant && state.participants[participant]?.name) || "Somebody";
}

/** The names of the owners who are in the room, each once: the same person may be there with two devices. */
export function presentOwners({ participants }: Pick<ProjectState, "participants">): string[] {
  const owners = Object.values(participants).filter(
    ({ role, present, removed }) => role === "owner" && present && !removed,
  );
  return [...new Set(owners.map(({ name }) => name))].toSorted((a, b) => a.localeCompare(b));
}

/** Whether the server has no sandboxes at all, so that trying again is no use. */
export function isWithoutSandboxes({ provider }: Pick<SandboxInfo, "provider">): boolean {
  return provider === "none";
}

/** Whether the server's sandboxes hold the files and run nothing, so that there is no app to see. */
export function runsNothing({ provider }: Pick<SandboxInfo, "provider">): boolean {
  return provider === "memory";
}

/** The models whose answers are in the conversation. */
export function answerersOf({ messages }: ProjectState): (string | undefined)[] {
  return messages.filter(({ role }) => role === "assistant").map(({ model }) => model);
}
