//! Calls of models within a run: why there is one more, what it cost, what did not fit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    error::ErrorBody,
    id::MessageId,
    value::{TurnReason, Usage, UsageTotal},
};

/// The model is asked once more in the same run. A run's first call has no such event, unless it is for something else
/// than the prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct TurnStarted {
    /// The message its answer goes to.
    pub message: MessageId,
    /// Which call of the run, from 1.
    pub turn: u32,
    /// Why.
    pub reason: TurnReason,
    /// The how-manieth for this reason, from 1.
    pub round: u32,
    /// What is wrong, in the words the model is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A call of the model is over. The totals include it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct UsageUpdated {
    /// The message the call was for.
    pub message: MessageId,
    /// Which call of the run, from 1.
    pub turn: u32,
    /// What the call consumed.
    pub usage: Usage,
    /// What the message's calls consumed.
    pub message_usage: Usage,
    /// What the run's calls consumed.
    pub run_usage: Usage,
    /// What the project's calls consumed.
    pub project_usage: UsageTotal,
    /// Most tokens the model takes in one call, where that is known: `usage` says how full it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens_max: Option<u64>,
}

/// Not everything that the model should have seen fits into its window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ContextTrimmed {
    /// How many of the oldest messages it was not sent.
    pub messages_dropped: u32,
    /// How many files it was told the names of, but not their text.
    pub files_without_text: u32,
    /// How much text fits, as far as is known; in bytes.
    pub budget_bytes: u64,
    /// Most tokens the model takes in one call, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens_max: Option<u64>,
}

/// A model failed before its first byte in a way that may pass. It is asked the same again, after a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ModelRetried {
    /// The message it is to write.
    pub message: MessageId,
    /// Which time it is that it is asked again; from 1.
    pub attempt: u32,
    /// When it is asked again, counted from this event; in milliseconds.
    pub after_ms: u64,
    /// What went wrong.
    pub error: ErrorBody,
}

/// A model failed before its first byte, and `generate` named others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ModelSwitched {
    /// The message it was to write.
    pub message: MessageId,
    /// The model that failed, as `provider/model`.
    pub from: String,
    /// The model that writes the message now.
    pub to: String,
    /// Something the reader must know about that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// What went wrong with the one before.
    pub error: ErrorBody,
}
