// Messages, and the files of an answer while it is written.

import type { FileWritten, Message, MessagePart, ProjectState, RunId } from "../protocol.ts";
import { type FilePart, given, type Of, updateMessage, updateRun } from "./common.ts";

/** How many messages the state keeps. */
const MESSAGES_KEPT_MAX = 500;
/** How many of a run's files are listed. */
const RUN_FILES_KEPT_MAX = 200;

export function addMessage(state: ProjectState, frame: Of<"message_added">): ProjectState {
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

export function switchModel(state: ProjectState, frame: Of<"model_switched">): ProjectState {
  const index = state.messages.findLastIndex((message) => message.message === frame.message);
  const message = state.messages[index];
  const ran = updateRun(state, frame.run, (run) => ({ ...run, model: frame.to }));
  if (!message) return ran;
  const { notice: _, ...rest } = message;
  const passed_over = [...(message.passed_over ?? []), { model: frame.from, error: frame.error }];
  const switched: Message = { ...rest, ...given("notice", frame.notice), model: frame.to, passed_over };
  return { ...ran, messages: state.messages.with(index, switched) };
}

/** The event may come after its run's end – a cancelled call has a price, too – so the message says which run it is. */
export function updateUsage(state: ProjectState, frame: Of<"usage_updated">): ProjectState {
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

export function appendText(parts: MessagePart[], type: "text" | "reasoning", text: string): MessagePart[] {
  const last = parts.at(-1);
  if (last?.type !== type) return [...parts, { type, text }];
  return parts.with(-1, { type, text: last.text + text });
}

export function growFile(parts: MessagePart[], delta: Of<"file_delta">): MessagePart[] {
  const index = parts.findLastIndex((part) => part.type === "file" && part.path === delta.path);
  const part = parts[index];
  if (part?.type !== "file") return parts;
  const state = delta.done ? "typed" : part.state;
  return parts.with(index, { ...part, state, text: (part.text ?? "") + delta.text });
}

export function writeFile(state: ProjectState, frame: Of<"file_written">): ProjectState {
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
export function updateFilesOfRun(
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
