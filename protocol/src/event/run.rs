//! Runs, from the queue to their end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    error::ErrorBody,
    id::{ParticipantId, RunId},
    path::FilePath,
    value::{GenerateMode, Outcome, RunKind, Usage},
};

/// A run was accepted and waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct RunQueued {
    /// What it will do.
    pub kind: RunKind,
    /// Its place in the queue, from 1.
    pub position: u32,
    /// True when it was to join the run under way, which has no other model turn.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub not_steered: bool,
    /// The prompt, for `generate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What a `generate` may do.
    #[serde(default, skip_serializing_if = "GenerateMode::is_build")]
    #[ts(as = "Option<GenerateMode>")]
    pub mode: GenerateMode,
}

/// A run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct RunStarted {
    /// What it does.
    pub kind: RunKind,
    /// The prompt, for `generate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The model that answers, as `provider/model`, for `generate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What a `generate` may do.
    #[serde(default, skip_serializing_if = "GenerateMode::is_build")]
    #[ts(as = "Option<GenerateMode>")]
    pub mode: GenerateMode,
    /// For `apply`: whether it changes an app that is there rather than making one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub edit: bool,
}

/// A run ended. Nothing of the run follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct RunFinished {
    /// How.
    pub outcome: Outcome,
    /// Why, unless completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// What its model calls consumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Who cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_by: Option<ParticipantId>,
}

/// The waiting runs are in another order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct QueueChanged {
    /// All waiting runs, next first.
    pub queue: Vec<RunId>,
}

/// A run could not make the app work: the files it changed are as they were before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Reverted {
    /// How often the model was asked to mend it.
    pub rounds: u32,
    /// What is wrong with what it wrote.
    pub problem: String,
    /// The files that were changed back.
    pub paths: Vec<FilePath>,
    /// What the run consumed.
    pub usage: Usage,
}
