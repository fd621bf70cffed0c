//! What operators see of the projects in memory, through the `metrics` facade: where nobody collects, it costs nothing.
//!
//! Names, units and meanings are in [`describe`]; `docs/operating.md` repeats them for people.

use std::time::Duration;

use cobuild_protocol::{
    Event, EventFrame, ProjectState,
    value::{Outcome, RunKind, SandboxState, Usage},
};
use metrics::{Counter, Gauge, Histogram, Unit};
use serde::Serialize;

const PROJECTS_LOADED: &str = "cobuild_projects_loaded";
const EVENTS_APPENDED: &str = "cobuild_events_appended_total";
const APPEND_SECONDS: &str = "cobuild_append_seconds";
const APPENDS_REFUSED: &str = "cobuild_appends_refused_total";
const RUNS_FINISHED: &str = "cobuild_runs_finished_total";
const RUNS_QUEUED: &str = "cobuild_runs_queued";
const SANDBOXES: &str = "cobuild_sandboxes";
const MODEL_CALLS: &str = "cobuild_model_calls_total";
const MODEL_TOKENS: &str = "cobuild_model_tokens_total";

/// States of a sandbox that are counted; without one there is nothing to count.
const SANDBOX_STATES: [SandboxState; 4] =
    [SandboxState::Creating, SandboxState::Ready, SandboxState::Lost, SandboxState::Restoring];
/// Runs that ended, as they are counted from the start: a rate needs its zero.
const OUTCOMES: [Outcome; 4] = [Outcome::Completed, Outcome::Failed, Outcome::Cancelled, Outcome::Interrupted];
const RUN_KINDS: [RunKind; 5] = [RunKind::Generate, RunKind::Apply, RunKind::Install, RunKind::Exec, RunKind::Import];

/// Tells the collector what each figure is, and begins those whose labels are known.
pub(crate) fn describe() {
    metrics::describe_gauge!(PROJECTS_LOADED, "Projects in memory");
    metrics::describe_counter!(EVENTS_APPENDED, "Events appended to the logs of all projects");
    metrics::describe_histogram!(APPEND_SECONDS, Unit::Seconds, "From a batch of events to its commit in the store");
    metrics::describe_counter!(APPENDS_REFUSED, "Batches the store did not take, such as for a full disk");
    metrics::describe_counter!(RUNS_FINISHED, "Runs that ended, by kind and outcome");
    metrics::describe_gauge!(RUNS_QUEUED, "Runs that wait for their turn, of all projects");
    metrics::describe_gauge!(SANDBOXES, "Sandboxes of the projects in memory, by state");
    metrics::describe_counter!(MODEL_CALLS, "Questions to models, by vendor");
    metrics::describe_counter!(MODEL_TOKENS, "Tokens that models counted, by vendor and kind");
    metrics::gauge!(PROJECTS_LOADED).increment(0.0);
    metrics::gauge!(RUNS_QUEUED).increment(0.0);
    metrics::counter!(EVENTS_APPENDED).increment(0);
    metrics::counter!(APPENDS_REFUSED).increment(0);
    for kind in RUN_KINDS {
        for outcome in OUTCOMES {
            finished(kind, outcome).increment(0);
        }
    }
    for state in SANDBOX_STATES {
        sandboxes(state).increment(0.0);
    }
}

/// One project's part in the figures. What it counts as being there goes when it is dropped.
pub(crate) struct Figures {
    loaded: Gauge,
    appended: Counter,
    append_seconds: Histogram,
    queued: Gauge,
    queued_now: usize,
    sandbox_now: SandboxState,
}

impl Figures {
    /// A project that was loaded.
    pub(crate) fn new() -> Self {
        let loaded = metrics::gauge!(PROJECTS_LOADED);
        loaded.increment(1.0);
        Self {
            loaded,
            appended: metrics::counter!(EVENTS_APPENDED),
            append_seconds: metrics::histogram!(APPEND_SECONDS),
            queued: metrics::gauge!(RUNS_QUEUED),
            queued_now: 0,
            sandbox_now: SandboxState::Stopped,
        }
    }

    /// A batch was stored.
    pub(crate) fn appended(&self, events: usize, took: Duration) {
        self.appended.increment(events as u64);
        self.append_seconds.record(took);
    }

    /// A batch was not stored.
    pub(crate) fn refused() {
        metrics::counter!(APPENDS_REFUSED).increment(1);
    }

    /// An event became part of this state.
    pub(crate) fn event(&mut self, frame: &EventFrame, state: &ProjectState) {
        match &frame.event {
            Event::RunFinished(end) => {
                let Some(run) = state.runs.iter().rev().find(|run| Some(run.run) == frame.run) else { return };
                finished(run.kind, end.outcome).increment(1);
                if let (Some(usage), Some(model)) = (&end.usage, &run.model) {
                    count_tokens(model, usage);
                }
            }
            Event::SandboxChanged(changed) => self.sandbox(changed.state),
            _ => {}
        }
    }

    /// So many runs wait now.
    pub(crate) fn queued(&mut self, runs: usize) {
        if runs != self.queued_now {
            self.queued.increment(runs as f64 - self.queued_now as f64);
            self.queued_now = runs;
        }
    }

    fn sandbox(&mut self, state: SandboxState) {
        let before = std::mem::replace(&mut self.sandbox_now, state);
        if before != SandboxState::Stopped {
            sandboxes(before).decrement(1.0);
        }
        if state != SandboxState::Stopped {
            sandboxes(state).increment(1.0);
        }
    }
}

impl Drop for Figures {
    fn drop(&mut self) {
        self.loaded.decrement(1.0);
        self.queued(0);
        self.sandbox(SandboxState::Stopped);
    }
}

fn finished(kind: RunKind, outcome: Outcome) -> Counter {
    metrics::counter!(RUNS_FINISHED, "kind" => label(&kind), "outcome" => label(&outcome))
}

fn sandboxes(state: SandboxState) -> Gauge {
    metrics::gauge!(SANDBOXES, "state" => label(&state))
}

/// As it is called on the wire.
fn label(value: &impl Serialize) -> String {
    let name = serde_json::to_value(value).ok();
    name.as_ref().and_then(serde_json::Value::as_str).unwrap_or("other").to_owned()
}

/// A model is asked.
pub(crate) fn model_called(model: &str) {
    metrics::counter!(MODEL_CALLS, "vendor" => vendor(model).to_owned()).increment(1);
}

/// The vendor alone: there are few of those, while anybody may name a model.
fn vendor(model: &str) -> &str {
    model.split_once('/').map_or(model, |(vendor, _)| vendor)
}

fn count_tokens(model: &str, usage: &Usage) {
    let vendor = vendor(model);
    let kinds = [
        ("input", usage.input_tokens),
        ("output", usage.output_tokens),
        ("cache_read", usage.cache_read_tokens),
        ("cache_write", usage.cache_write_tokens),
    ];
    for (kind, tokens) in kinds {
        if let Some(tokens) = tokens {
            metrics::counter!(MODEL_TOKENS, "vendor" => vendor.to_owned(), "kind" => kind).increment(tokens);
        }
    }
}
