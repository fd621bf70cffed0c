// The fold of one event into a project's state, by the same rules as the server's. Pure: nothing is changed in place,
// and what an event does not touch stays the same object, so that a view can tell by identity what to draw again.
// Which kind of event changes what is said here; how, where it takes more than a few lines, in `fold/`.

import { type FilePart, given, type Of, updateMessage, updateRun } from "./fold/common.ts";
import { clearConversation, emptyConversation, recordRun, touchConversation } from "./fold/conversation.ts";
import {
  addMessage,
  appendText,
  growFile,
  switchModel,
  updateFilesOfRun,
  updateUsage,
  writeFile,
} from "./fold/messages.ts";
import { forgetParticipants, withoutLocksOf, withParticipant } from "./fold/people.ts";
import { beginRun, finishRun, forgetOldRuns, lineUp, reorderQueue, updateLastStep } from "./fold/runs.ts";
import type { EventFrame, FileConflicted, ProjectState, RunTurn, Step } from "./protocol.ts";
import { appendTail } from "./tail.ts";

/** How many open conflicts the state keeps. */
const CONFLICTS_KEPT_MAX = 100;
/** How many further turns of one run the state keeps. */
const TURNS_KEPT_MAX = 100;
/** How much of a step's output the state keeps, in bytes of UTF-8. */
const STEP_OUTPUT_SIZE_BYTES_MAX = 16 * 1024;

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
    case "model_retried":
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
