//! The conversation, and the answer while it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    command::Clearing,
    id::MessageId,
    path::FilePath,
    value::{EditStyle, FileAction, ImageInfo, MessageRole},
};

/// A message was added to the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct MessageAdded {
    /// Which.
    pub message: MessageId,
    /// Who wrote it.
    pub role: MessageRole,
    /// What it says; empty for an assistant's, which grows by deltas.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[ts(as = "Option<String>")]
    pub text: String,
    /// The model that writes it, as `provider/model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Something the reader must know about it, such as that the answer is canned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The pictures that came with a user's message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<ImageInfo>>", optional)]
    pub images: Vec<ImageInfo>,
    /// The page a user wants to be imitated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether a user's message joined a run that was under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub steers: bool,
}

/// The assistant's prose went on. The tags of the reply format are not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TextDelta {
    /// Which message grows.
    pub message: MessageId,
    /// What comes next.
    pub text: String,
}

/// The model's reasoning went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ReasoningDelta {
    /// Which message it belongs to.
    pub message: MessageId,
    /// What comes next.
    pub text: String,
}

/// The answer went on, as the model writes it: tags included, and before it is taken apart into the other deltas. Only in
/// a `generate` with `verbatim: true`, whose asker wants the answer itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ReplyDelta {
    /// Which message it belongs to.
    pub message: MessageId,
    /// What comes next.
    pub text: String,
}

/// The assistant began to write a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileStarted {
    /// Which message it belongs to.
    pub message: MessageId,
    /// Where.
    pub path: FilePath,
    /// What happens to it.
    pub action: FileAction,
}

/// The file being written went on. For `edit`, the text is search/replace blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileDelta {
    /// Which message it belongs to.
    pub message: MessageId,
    /// The file last started in this message.
    pub path: FilePath,
    /// What comes next.
    pub text: String,
    /// True on the last one. A file that never gets there was cut off and is never written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub done: bool,
}

/// The conversation is about something else, or its people like something else. What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ConversationUpdated {
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// How much a change may touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit_style: Option<EditStyle>,
    /// What is asked for again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_patterns: Option<Vec<String>>,
}

/// The conversation begins anew, or without its older part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ConversationCleared {
    /// How much of it is left behind.
    pub clear: Clearing,
}

/// The older part of the conversation goes to the model as a summary from now on. People still see all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ConversationCompacted {
    /// The last message that the summary stands for.
    pub through: MessageId,
    /// How many messages it stands for, those of an earlier summary not counted.
    pub messages: u32,
    /// The summary, as a model wrote it.
    pub summary: String,
}
