//! What the conversation is about, and what came of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    id::{MessageId, RunId},
    path::FilePath,
};

/// What the conversation is about, and what came of it so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ConversationInfo {
    /// Whether there is one: something was said, changed or set since the beginning or the last `delete`.
    pub active: bool,
    /// What it is about, if somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// How much a change may touch.
    pub edit_style: EditStyle,
    /// What is asked for again and again.
    pub common_patterns: Vec<String>,
    /// The first message that still counts; absent: all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_message: Option<MessageId>,
    /// What runs changed, oldest first; the last 50.
    pub edits: Vec<EditRecord>,
    /// How the project came to be what it is, oldest first; the last 50.
    pub evolution: Vec<EvolutionRecord>,
    /// When it began: RFC 3339, UTC.
    pub created_at: String,
    /// When it changed last: RFC 3339, UTC.
    pub updated_at: String,
}

/// How much a change may touch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum EditStyle {
    /// What was asked for and nothing else.
    #[default]
    Targeted,
    /// Whatever makes the app better on the way.
    Comprehensive,
}

/// What one run changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct EditRecord {
    /// Which run.
    pub run: RunId,
    /// When it ended: RFC 3339, UTC.
    pub at: String,
    /// Whether it changed an app that was there rather than making one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub edit: bool,
    /// The prompt, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The files it wrote.
    pub files: Vec<FilePath>,
    /// What went wrong; absent: everything was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One step of a project's evolution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct EvolutionRecord {
    /// When: RFC 3339, UTC.
    pub at: String,
    /// Whether it changed an app that was there rather than making one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub edit: bool,
    /// The files it is about.
    pub files: Vec<FilePath>,
}
