// What the files of the fold share.

import type { EventFrame, MessageId, MessagePart, ProjectState, RunId, RunInfo } from "../protocol.ts";

/** A file within a message. */
export type FilePart = Extract<MessagePart, { type: "file" }>;
/** The event of this name. */
export type Of<T extends EventFrame["type"]> = Extract<EventFrame, { type: T }>;

/** `{key: value}`, or nothing at all when there is no value: absent and undefined are not the same on the wire. */
export function given<K extends string, V>(key: K, value: V | undefined): { [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [key in K]?: V });
}

export function updateRun(
  state: ProjectState,
  id: RunId | undefined,
  change: (run: RunInfo) => RunInfo,
): ProjectState {
  const index = state.runs.findLastIndex((run) => run.run === id);
  const run = state.runs[index];
  return run ? { ...state, runs: state.runs.with(index, change(run)) } : state;
}

export function updateMessage(
  state: ProjectState,
  id: MessageId,
  change: (parts: MessagePart[]) => MessagePart[],
): ProjectState {
  const index = state.messages.findLastIndex((message) => message.message === id);
  const message = state.messages[index];
  if (!message) return state;
  const parts = change(message.parts);
  return parts === message.parts
    ? state
    : { ...state, messages: state.messages.with(index, { ...message, parts }) };
}
