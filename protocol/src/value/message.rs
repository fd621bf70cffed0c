//! Messages of the conversation, and what they are made of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{
    file::{ContentHash, FileAction},
    image::ImageInfo,
    usage::Usage,
};
use crate::{
    error::ErrorBody,
    id::{MessageId, ParticipantId, RunId},
    path::FilePath,
};

/// A message of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Message {
    /// Which.
    pub message: MessageId,
    /// Who wrote it.
    pub role: MessageRole,
    /// The participant who wrote it, for a user's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ParticipantId>,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// When it was added: RFC 3339, UTC.
    pub at: String,
    /// The model that wrote it, as `provider/model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Something the reader must know about it, such as that the answer is canned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The pictures that came with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<ImageInfo>>", optional)]
    pub images: Vec<ImageInfo>,
    /// The page it wants to be imitated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether it joined a run that was under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub steers: bool,
    /// What the model consumed for it so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Models that were to write it before and failed before their first byte, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<PassedOver>>")]
    pub passed_over: Vec<PassedOver>,
    /// The answer as the model wrote it, tags included; only of a `generate` with `verbatim: true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// What it says, in order.
    pub parts: Vec<MessagePart>,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// A participant.
    User,
    /// A model.
    Assistant,
}

/// A piece of an assistant's message, in the order it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(optional_fields)]
pub enum MessagePart {
    /// Prose, in Markdown.
    Text {
        /// The prose.
        text: String,
    },
    /// The model's reasoning, where the vendor shows it.
    Reasoning {
        /// The reasoning.
        text: String,
    },
    /// A file the model writes.
    File {
        /// Where.
        path: FilePath,
        /// What happens to it.
        action: FileAction,
        /// How far it is.
        state: FilePartState,
        /// What has been typed so far; dropped once the file is in the tree.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// What it became in the tree.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hash: Option<ContentHash>,
        /// Why it was refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// How far a file of a reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum FilePartState {
    /// Being typed. After the run's end: it was cut off, and is not in the tree.
    Typing,
    /// Typed to its end, not in the tree (yet).
    Typed,
    /// In the tree.
    Written,
    /// Refused; `reason` says why.
    Refused,
}

/// A model that was to answer, and why another one did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PassedOver {
    /// `provider/model`.
    pub model: String,
    /// What went wrong with it.
    pub error: ErrorBody,
}
