// The fold of one event into a project's state, by the same rules as the server's. Pure: nothing is changed in place,
// and what an event does not touch stays the same object, so that a view can tell by identity what to draw again.

import type {
  Clearing,
  ConversationInfo,
  EditRecord,
  EventFrame,
  FileConflicted,
  FileWritten,
  Message,
  MessageId,
  MessagePart,
  ProjectState,
  RunId,
  RunInfo,
  RunTurn,
  Step,
} from "./protocol.ts";
import { appendTail } from "./tail.ts";

/** How many messages the state keeps. */
const MESSAGES_KEPT_MAX = 500;
/** How many ended runs the state keeps. */
const RUNS_KEPT_MAX = 100;
/** How many participants the state keeps. */
const PARTICIPANTS_KEPT_MAX = 1000;
/** How many open conflicts the state keeps. */
const CONFLICTS_KEPT_MAX = 100;
/** How many further turns of one run the state keeps. */
const TURNS_KEPT_MAX = 100;
/** How many of a run's files are listed. */
const RUN_FILES_KEPT_MAX = 200;
/** How many edits, and how many steps of the evolution, the conversation keeps. */
const RECORDS_KEPT_MAX = 50;
/** What clearing the old part of a conversation leaves. */
const LEFT = { messages: 5, edits: 3, evolution: 2 } as const;
/** How much of a step's output the state keeps, in bytes of UTF-8. */
const STEP_OUTPUT_SIZE_BYTES_MAX = 16 * 1024;

type FilePart = Extract<MessagePart, { type: "file" }>;
type Of<T extends EventFrame["type"]> = Extract<EventFrame, { type: T }>;

/** The state before the first event. */
export function emptyState(): ProjectState {
  return {
    name: "",
    template: "",
    preview_id: "",
    created_at: "",
    files: {},
    messages: [],
    messages_dropped: 0,
    conversation: emptyConversation("", false),
    runs: [],
    sandbox: { state: "stopped", provider: "" },
    preview: { state: "stopped" },
    locks: {},
    conflicts: [],
    participants: {},
    usage: { usage: {}, calls: 0, calls_of_unknown_cost: 0, known_cost_nano_usd: 0 },
  };
}

/** The state after `frame`. An event of a kind this client does not know changes nothing. */
export function reduce(state: ProjectState, frame: EventFrame): ProjectState {
  switch (frame.type) {
    case "project_created":
      return createProject(state, frame);
    case "participant_joined": {
      const { participant, name, role } = frame;
      return forgetParticipants(withParticipant(state, { participant, name, role, present: true }));
    }
    case "participant_left": {
      const participant = state.participants[frame.participant];
      const left = participant ? withParticipant(state, { ...participant, present: false }) : state;
      return withoutLocksOf(left, frame.participant);
    }
    case "run_queued":
      return lineUp(beginRun(state, frame), frame);
    case "run_started": {
      const started = {
        state: "running",
        started_at: frame.at,
        ...given("model", frame.model),
        ...given("edit", frame.edit || undefined),
      } as const;
      return updateRun(beginRun(state, frame), frame.run, (run) => ({ ...run, ...started }));
    }
    case "run_finished":
      return forgetOldRuns(recordRun(finishRun(state, frame), frame));
    case "message_added":
      return touchConversation(addMessage(state, frame), frame.at);
    case "reply_delta": {
      const index = state.messages.findLastIndex((message) => message.message === frame.message);
      const message = state.messages[index];
      if (!message) return state;
      const reply = (message.reply ?? "") + frame.text;
      return { ...state, messages: state.messages.with(index, { ...message, reply }) };
    }
    case "conversation_updated": {
      const { topic, edit_style, common_patterns } = frame;
      const updated = {
        ...given("topic", topic),
        ...given("edit_style", edit_style),
        ...given("common_patterns", common_patterns),
      };
      return touchConversation({ ...state, conversation: { ...state.conversation, ...updated } }, frame.at);
    }
    case "conversation_cleared":
      return clearConversation(state, frame.clear, frame.at);
    case "model_switched":
      return switchModel(state, frame);
    case "text_delta":
    case "reasoning_delta": {
      const type = frame.type === "text_delta" ? "text" : "reasoning";
      return updateMessage(state, frame.message, (parts) => appendText(parts, type, frame.text));
    }
    case "file_started": {
      const { path, action } = frame;
      const part: FilePart = { type: "file", path, action, state: "typing", text: "" };
      return updateMessage(state, frame.message, (parts) => [...parts, part]);
    }
    case "file_delta":
      return updateMessage(state, frame.message, (parts) => growFile(parts, frame));
    case "file_written":
      return writeFile(state, frame);
    case "file_refused":
      return updateFilesOfRun(state, frame.run, (part) =>
        part.path === frame.path && part.state !== "written"
          ? { ...part, state: "refused", reason: frame.reason }
          : part,
      );
    case "file_deleted": {
      const { [frame.path]: _file, ...files } = state.files;
      const { [frame.path]: _lock, ...locks } = state.locks;
      return { ...state, files, locks };
    }
    case "file_renamed": {
      const { [frame.from]: file, ...files } = state.files;
      const { [frame.from]: locker, ...locks } = state.locks;
      if (file) files[frame.to] = file;
      if (locker) locks[frame.to] = locker;
      return { ...state, files, locks };
    }
    case "install_started": {
      const step: Step = { type: "install", packages: frame.packages, output: "", finished: false };
      return updateRun(state, frame.run, (run) => ({ ...run, steps: [...run.steps, step] }));
    }
    case "exec_started": {
      const step: Step = { type: "command", command: frame.command_line, output: "", finished: false };
      return updateRun(state, frame.run, (run) => ({ ...run, steps: [...run.steps, step] }));
    }
    case "install_output":
    case "exec_output":
      return updateLastStep(state, frame.run, (step) => ({
        ...step,
        output: appendTail(step.output, frame.text, STEP_OUTPUT_SIZE_BYTES_MAX),
      }));
    case "install_finished":
      return updateLastStep(state, frame.run, (step) =>
        step.type === "install" ? { ...step, finished: true, ...given("error", frame.error) } : step,
      );
    case "exec_finished":
      return updateLastStep(state, frame.run, (step) =>
        step.type === "command"
          ? {
              ...step,
              finished: true,
              ...given("exit_code", frame.exit_code),
              ...given("error", frame.error),
            }
          : step,
      );
    case "sandbox_changed": {
      const { state: sandbox, provider, detail, error, parked } = frame;
      const same = frame.sandbox !== undefined && frame.sandbox === state.sandbox.sandbox;
      const created_at = same ? state.sandbox.created_at : frame.at;
      return {
        ...state,
        sandbox: {
          state: sandbox,
          provider,
          ...given("sandbox", frame.sandbox),
          ...given("created_at", frame.sandbox === undefined ? undefined : created_at),
          ...given("parked", parked || undefined),
          ...given("detail", detail),
          ...given("error", error),
        },
      };
    }
    case "preview_changed": {
      const { state: preview, url, error } = frame;
      return { ...state, preview: { state: preview, ...given("url", url), ...given("error", error) } };
    }
    case "preview_error": {
      const { unchecked: _, ...preview } = state.preview;
      return { ...state, preview: { ...preview, error: frame.message } };
    }
    case "preview_unchecked":
      return { ...state, preview: { ...state.preview, unchecked: frame.reason } };
    case "file_conflicted": {
      const { conflict, path, current, proposed, proposed_size_bytes, reason } = frame;
      const open: FileConflicted = {
        conflict,
        path,
        ...given("current", current),
        ...given("proposed", proposed),
        ...given("proposed_size_bytes", proposed_size_bytes),
        reason,
      };
      return { ...state, conflicts: [...state.conflicts, open].slice(-CONFLICTS_KEPT_MAX) };
    }
    case "conflict_resolved":
      return { ...state, conflicts: state.conflicts.filter((open) => open.conflict !== frame.conflict) };
    case "file_locked":
      return { ...state, locks: { ...state.locks, [frame.path]: frame.participant } };
    case "file_unlocked": {
      const { [frame.path]: _, ...locks } = state.locks;
      return { ...state, locks };
    }
    case "queue_changed":
      return reorderQueue(state, frame.queue);
    case "role_changed": {
      const participant = state.participants[frame.participant];
      if (!participant) return state;
      const { removed: _, ...rest } = participant;
      const role = frame.role ?? "viewer";
      return withParticipant(state, {
        ...rest,
        role,
        ...(frame.role === undefined ? { removed: true } : {}),
      });
    }
    case "turn_started": {
      const { turn, reason, round, detail } = frame;
      const further: RunTurn = { turn, reason, round, ...given("detail", detail) };
      return updateRun(state, frame.run, (run) => {
        const turns = run.turns ?? [];
        return turns.length < TURNS_KEPT_MAX ? { ...run, turns: [...turns, further] } : run;
      });
    }
    case "usage_updated":
      return updateUsage(state, frame);
    case "conversation_compacted":
      return { ...state, summary: { through: frame.through, text: frame.summary } };
    case "repository_imported": {
      const { url, name, branch, commit, seq } = frame;
      return {
        ...state,
        repository: { url, name, ...given("branch", branch), ...given("commit", commit), seq },
      };
    }
    // What follows them says what became of it.
    case "packages_detected":
    case "context_trimmed":
    case "restored":
    case "reverted":
      return state;
    default:
      frame satisfies never;
      return state;
  }
}

function createProject(state: ProjectState, frame: Of<"project_created">): ProjectState {
  const files = Object.fromEntries(
    frame.files.map(({ path, hash, size_bytes }) => [path, { hash, size_bytes }]),
  );
  const { name, template, preview_id, at } = frame;
  const conversation = { ...state.conversation, created_at: at, updated_at: at };
  return { ...state, name, template, preview_id, created_at: at, files, conversation };
}

function emptyConversation(at: string, active: boolean): ConversationInfo {
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

function touchConversation(state: ProjectState, at: string): ProjectState {
  return { ...state, conversation: { ...state.conversation, active: true, updated_at: at } };
}

function clearConversation(state: ProjectState, clear: Clearing, at: string): ProjectState {
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
function recordRun(state: ProjectState, frame: Of<"run_finished">): ProjectState {
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

function withParticipant(state: ProjectState, who: ProjectState["participants"][string]): ProjectState {
  return { ...state, participants: { ...state.participants, [who.participant]: who } };
}

/** Beyond the limit the first of those who are gone is forgotten, by the number of their id. */
function forgetParticipants(state: ProjectState): ProjectState {
  const everybody = Object.values(state.participants).filter((who) => who !== undefined);
  if (everybody.length <= PARTICIPANTS_KEPT_MAX) return state;
  const number = (id: string) => Number(id.slice(1));
  const gone = everybody
    .filter((who) => !who.present)
    .sort((a, b) => number(a.participant) - number(b.participant))[0];
  if (!gone) return state;
  const { [gone.participant]: _, ...participants } = state.participants;
  return { ...state, participants };
}

function withoutLocksOf(state: ProjectState, participant: string): ProjectState {
  const kept = Object.entries(state.locks).filter(([, locker]) => locker !== participant);
  return { ...state, locks: Object.fromEntries(kept) };
}

/** Gives a run that has just been queued its place among those that wait: not everybody comes last. */
function lineUp(state: ProjectState, { run, position }: Of<"run_queued">): ProjectState {
  if (run === undefined) return state;
  const queue = state.runs
    .filter((info) => info.state === "queued" && info.run !== run)
    .map(({ run }) => run);
  queue.splice(Math.max(0, position - 1), 0, run);
  return reorderQueue(state, queue);
}

/** Puts the waiting runs into the order they will be taken in. Others keep their places. */
function reorderQueue(state: ProjectState, queue: RunId[]): ProjectState {
  const waiting = queue.flatMap((id) => state.runs.filter((run) => run.run === id));
  let next = 0;
  const runs = state.runs.map((run) => (queue.includes(run.run) ? (waiting[next++] ?? run) : run));
  return { ...state, runs };
}

/** Finds the run of a `run_queued` or `run_started`, or adds it. */
function beginRun(state: ProjectState, frame: Of<"run_queued" | "run_started">): ProjectState {
  const id = frame.run;
  if (id === undefined || state.runs.some((run) => run.run === id)) return state;
  const run: RunInfo = {
    run: id,
    kind: frame.kind,
    state: "queued",
    ...given("by", frame.by),
    ...given("prompt", frame.prompt),
    accepted_at: frame.at,
    ...given("mode", frame.mode),
    steps: [],
    files: [],
  };
  return { ...state, runs: [...state.runs, run] };
}

function finishRun(state: ProjectState, frame: Of<"run_finished">): ProjectState {
  return updateRun(state, frame.run, (run) => ({
    ...run,
    state: "finished",
    outcome: frame.outcome,
    finished_at: frame.at,
    ...given("error", frame.error),
    ...given("usage", frame.usage),
  }));
}

function forgetOldRuns(state: ProjectState): ProjectState {
  const ended = state.runs.filter((run) => run.state === "finished");
  const oldest = ended[0];
  if (ended.length <= RUNS_KEPT_MAX || !oldest) return state;
  return { ...state, runs: state.runs.filter((run) => run !== oldest) };
}

function addMessage(state: ProjectState, frame: Of<"message_added">): ProjectState {
  const isUser = frame.role === "user";
  const message: Message = {
    message: frame.message,
    role: frame.role,
    ...given("by", isUser ? frame.by : undefined),
    ...given("run", frame.run),
    at: frame.at,
    ...given("model", frame.model),
    ...given("notice", frame.notice),
    ...given("images", frame.images),
    ...given("url", frame.url),
    ...given("steers", frame.steers),
    parts: isUser ? [{ type: "text", text: frame.text ?? "" }] : [],
  };
  const messages = [...state.messages, message];
  if (messages.length <= MESSAGES_KEPT_MAX) return { ...state, messages };
  return { ...state, messages: messages.slice(1), messages_dropped: state.messages_dropped + 1 };
}

/** The event may come after its run's end – a cancelled call has a price, too – so the message says which run it is. */
function updateUsage(state: ProjectState, frame: Of<"usage_updated">): ProjectState {
  const total = { ...state, usage: frame.project_usage };
  const index = total.messages.findLastIndex((message) => message.message === frame.message);
  const message = total.messages[index];
  if (!message) return total;
  const messages = total.messages.with(index, { ...message, usage: frame.message_usage });
  return updateRun({ ...total, messages }, message.run, (run) => {
    const used = { ...run, usage: frame.run_usage };
    const at = run.turns?.findIndex((further) => further.turn === frame.turn) ?? -1;
    const further = run.turns?.[at];
    if (!run.turns || !further) return used;
    return { ...used, turns: run.turns.with(at, { ...further, usage: frame.usage }) };
  });
}

function switchModel(state: ProjectState, frame: Of<"model_switched">): ProjectState {
  const index = state.messages.findLastIndex((message) => message.message === frame.message);
  const message = state.messages[index];
  const ran = updateRun(state, frame.run, (run) => ({ ...run, model: frame.to }));
  if (!message) return ran;
  const { notice: _, ...rest } = message;
  const passed_over = [...(message.passed_over ?? []), { model: frame.from, error: frame.error }];
  const switched: Message = { ...rest, ...given("notice", frame.notice), model: frame.to, passed_over };
  return { ...ran, messages: state.messages.with(index, switched) };
}

function appendText(parts: MessagePart[], type: "text" | "reasoning", text: string): MessagePart[] {
  const last = parts.at(-1);
  if (last?.type !== type) return [...parts, { type, text }];
  return parts.with(-1, { type, text: last.text + text });
}

function growFile(parts: MessagePart[], delta: Of<"file_delta">): MessagePart[] {
  const index = parts.findLastIndex((part) => part.type === "file" && part.path === delta.path);
  const part = parts[index];
  if (part?.type !== "file") return parts;
  const state = delta.done ? "typed" : part.state;
  return parts.with(index, { ...part, state, text: (part.text ?? "") + delta.text });
}

function writeFile(state: ProjectState, frame: Of<"file_written">): ProjectState {
  const { path, hash, size_bytes } = frame;
  const tree = { ...state, files: { ...state.files, [path]: { hash, size_bytes } } };
  const ofRun = frame.origin === "reply" || frame.origin === "merge";
  const written = ofRun
    ? updateRun(tree, frame.run, (run) =>
        run.files.length < RUN_FILES_KEPT_MAX && !run.files.includes(path)
          ? { ...run, files: [...run.files, path] }
          : run,
      )
    : tree;
  if (frame.origin !== ("reply" satisfies FileWritten["origin"])) return written;
  return updateFilesOfRun(written, frame.run, (part) => {
    if (part.path !== path || part.state !== "typed") return part;
    const { text: _, ...rest } = part;
    return { ...rest, state: "written", hash };
  });
}

/** Changes the file parts of the run's newest answer; the run's messages are at the end of the conversation. */
function updateFilesOfRun(
  state: ProjectState,
  run: RunId | undefined,
  change: (part: FilePart) => FilePart,
): ProjectState {
  const message = state.messages.findLast(
    (message) => run !== undefined && message.run === run && message.role === "assistant",
  );
  if (!message) return state;
  return updateMessage(state, message.message, (parts) =>
    parts.map((part) => (part.type === "file" ? change(part) : part)),
  );
}

function updateMessage(
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

function updateRun(
  state: ProjectState,
  id: RunId | undefined,
  change: (run: RunInfo) => RunInfo,
): ProjectState {
  const index = state.runs.findLastIndex((run) => run.run === id);
  const run = state.runs[index];
  return run ? { ...state, runs: state.runs.with(index, change(run)) } : state;
}

function updateLastStep(
  state: ProjectState,
  run: RunId | undefined,
  change: (step: Step) => Step,
): ProjectState {
  return updateRun(state, run, (run) => {
    const last = run.steps.at(-1);
    return last ? { ...run, steps: run.steps.with(-1, change(last)) } : run;
  });
}

/** `{key: value}`, or nothing at all when there is no value: absent and undefined are not the same on the wire. */
function given<K extends string, V>(key: K, value: V | undefined): { [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [key in K]?: V });
}
