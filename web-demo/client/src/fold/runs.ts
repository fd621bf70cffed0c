// Runs, from the queue to their end.

import type { ProjectState, RunId, RunInfo, Step } from "../protocol.ts";
import { given, type Of, updateRun } from "./common.ts";

/** How many ended runs the state keeps. */
const RUNS_KEPT_MAX = 100;

/** Finds the run of a `run_queued` or `run_started`, or adds it. */
export function beginRun(state: ProjectState, frame: Of<"run_queued" | "run_started">): ProjectState {
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

/** Gives a run that has just been queued its place among those that wait: not everybody comes last. */
export function lineUp(state: ProjectState, { run, position }: Of<"run_queued">): ProjectState {
  if (run === undefined) return state;
  const queue = state.runs
    .filter((info) => info.state === "queued" && info.run !== run)
    .map(({ run }) => run);
  queue.splice(Math.max(0, position - 1), 0, run);
  return reorderQueue(state, queue);
}

/** Puts the waiting runs into the order they will be taken in. Others keep their places. */
export function reorderQueue(state: ProjectState, queue: RunId[]): ProjectState {
  const waiting = queue.flatMap((id) => state.runs.filter((run) => run.run === id));
  let next = 0;
  const runs = state.runs.map((run) => (queue.includes(run.run) ? (waiting[next++] ?? run) : run));
  return { ...state, runs };
}

export function finishRun(state: ProjectState, frame: Of<"run_finished">): ProjectState {
  return updateRun(state, frame.run, (run) => ({
    ...run,
    state: "finished",
    outcome: frame.outcome,
    finished_at: frame.at,
    ...given("error", frame.error),
    ...given("usage", frame.usage),
  }));
}

export function forgetOldRuns(state: ProjectState): ProjectState {
  const ended = state.runs.filter((run) => run.state === "finished");
  const oldest = ended[0];
  if (ended.length <= RUNS_KEPT_MAX || !oldest) return state;
  return { ...state, runs: state.runs.filter((run) => run !== oldest) };
}

export function updateLastStep(
  state: ProjectState,
  run: RunId | undefined,
  change: (step: Step) => Step,
): ProjectState {
  return updateRun(state, run, (run) => {
    const last = run.steps.at(-1);
    return last ? { ...run, steps: run.steps.with(-1, change(last)) } : run;
  });
}
