//! Runs: what kind of work, how it ended, and what it did on the way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::usage::Usage;

/// What kind of work a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// A prompt answered by a model.
    Generate,
    /// A ready reply put into effect.
    Apply,
    /// Packages installed on request.
    Install,
    /// A git repository's files taken over.
    Import,
    /// One shell command in the sandbox; runs beside the others instead of waiting in the queue.
    Exec,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that was asked for was done.
    Completed,
    /// An error ended it; `error` says which.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// The server stopped or crashed in the middle of it.
    Interrupted,
}

/// What a `generate` may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum GenerateMode {
    /// Change the app.
    #[default]
    Build,
    /// Say how it would be done; touch no file and run nothing.
    Plan,
}

impl GenerateMode {
    /// Whether it is the ordinary one, which is not written out.
    #[must_use]
    pub const fn is_build(&self) -> bool {
        matches!(self, Self::Build)
    }
}

/// Why a model is asked once more in the same run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum TurnReason {
    /// To answer the prompt, after a turn for something else.
    Prompt,
    /// Changes of its answer could not be put into their files.
    EditUnmatched,
    /// Its answer reached the output limit and goes on.
    Continuation,
    /// The app does not work after its answer.
    Repair,
    /// Somebody joined the run with another prompt.
    Steer,
    /// The conversation outgrew the model's window and is summed up.
    Compaction,
}

/// A further call of the model in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct RunTurn {
    /// Which call of the run, from 1.
    pub turn: u32,
    /// Why.
    pub reason: TurnReason,
    /// The how-manieth for this reason, from 1.
    pub round: u32,
    /// What is wrong, in the words the model is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What it consumed; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// Something a run did in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(optional_fields)]
pub enum Step {
    /// Packages were installed.
    Install {
        /// What was asked of the package manager.
        packages: Vec<String>,
        /// The last part of its output (at most 16 KiB).
        output: String,
        /// Whether it has ended.
        finished: bool,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A command was run.
    Command {
        /// The shell command.
        command: String,
        /// The last part of its output (at most 16 KiB).
        output: String,
        /// Whether it has ended.
        finished: bool,
        /// Its exit code; absent while it runs and when a signal ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// Why it could not be run or was ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

impl Step {
    /// Why it failed or could not be done.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Install { error, .. } | Self::Command { error, .. } => error.as_deref(),
        }
    }
}

/// One of a process's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
