// What the conversation is about, and what came of it.

import type {
  Clearing,
  ConversationInfo,
  EditRecord,
  MessageId,
  ProjectState,
  RunInfo,
  Step,
} from "../protocol.ts";
import { given, type Of } from "./common.ts";

/** How many edits, and how many steps of the evolution, the conversation keeps. */
const RECORDS_KEPT_MAX = 50;
/** What clearing the old part of a conversation leaves. */
const LEFT = { messages: 5, edits: 3, evolution: 2 } as const;

export function emptyConversation(at: string, active: boolean): ConversationInfo {
  return {
    active,
    edit_style: "targeted",
    common_patterns: [],
    edits: [],
    evolution: [],
    created_at: at,
    updated_at: at,
  };
}

export function touchConversation(state: ProjectState, at: string): ProjectState {
  return { ...state, conversation: { ...state.conversation, active: true, updated_at: at } };
}

export function clearConversation(state: ProjectState, clear: Clearing, at: string): ProjectState {
  const { conversation } = state;
  const number = (id: MessageId) => Number(id.slice(1));
  const first = conversation.first_message;
  if (clear === "old") {
    const counting = state.messages
      .map((message) => message.message)
      .filter((id) => first === undefined || number(id) >= number(first));
    const dropped = counting.length - LEFT.messages;
    const left = {
      ...conversation,
      ...given("first_message", dropped > 0 ? counting[dropped] : first),
      edits: conversation.edits.slice(-LEFT.edits),
      evolution: conversation.evolution.slice(-LEFT.evolution),
    };
    return touchConversation({ ...state, conversation: left }, at);
  }
  const last = state.messages.at(-1)?.message;
  const next = last === undefined ? first : (`m${number(last) + 1}` satisfies MessageId);
  return {
    ...state,
    conversation: { ...emptyConversation(at, clear === "all"), ...given("first_message", next) },
  };
}

/** A run ended: what it changed goes on record. */
export function recordRun(state: ProjectState, frame: Of<"run_finished">): ProjectState {
  const run = state.runs.findLast((run) => run.run === frame.run);
  if (!run || (run.kind !== "generate" && run.kind !== "apply") || !changedSomething(run)) return state;
  const edit = given("edit", run.edit || undefined);
  const record: EditRecord = {
    run: run.run,
    at: frame.at,
    ...edit,
    ...given("prompt", run.prompt),
    files: run.files,
    ...given("error", run.outcome === "completed" ? undefined : (run.error?.message ?? "")),
  };
  const { edits, evolution } = state.conversation;
  const step = run.files.length > 0 ? [{ at: frame.at, ...edit, files: run.files }] : [];
  const conversation = {
    ...state.conversation,
    edits: [...edits, record].slice(-RECORDS_KEPT_MAX),
    evolution: [...evolution, ...step].slice(-RECORDS_KEPT_MAX),
  };
  return touchConversation({ ...state, conversation }, frame.at);
}

/** Whether a run wrote a file, installed a package or ran a command that succeeded. */
function changedSomething(run: RunInfo): boolean {
  const succeeded = (step: Step) =>
    step.type === "install" ? step.finished && step.error === undefined : step.exit_code === 0;
  return run.files.length > 0 || run.steps.some(succeeded);
}
