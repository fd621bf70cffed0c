//! What a snapshot contains: the fold of all events up to its `seq`.
//!
//! A client that applies the events after `seq` to this state gets the same state as one that was there all along.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    error::ErrorBody,
    event::FileConflicted,
    id::{MessageId, ParticipantId, RunId, Seq},
    path::FilePath,
    value::{
        ContentHash, ConversationInfo, GenerateMode, Message, Outcome, Participant, PreviewInfo, RunKind, RunTurn,
        SandboxInfo, Step, Usage, UsageTotal,
    },
};

/// A project as everybody in the room sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ProjectState {
    /// Its name for people.
    pub name: String,
    /// The template it started from.
    pub template: String,
    /// The first label of the preview's host name.
    pub preview_id: String,
    /// When it was created: RFC 3339, UTC.
    pub created_at: String,
    /// The git repository its files came from; absent: it is an app made from the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Box<RepositoryInfo>>,
    /// The file tree.
    pub files: BTreeMap<FilePath, FileInfo>,
    /// The conversation, oldest first; the last 500 messages.
    pub messages: Vec<Message>,
    /// How many older messages are no longer in `messages`.
    pub messages_dropped: u64,
    /// What the conversation is about, and what came of it.
    #[serde(default)]
    pub conversation: Box<ConversationInfo>,
    /// Runs that wait, run, or ended, oldest first; the last 100 that ended.
    pub runs: Vec<RunInfo>,
    /// The sandbox.
    pub sandbox: SandboxInfo,
    /// The live preview.
    pub preview: PreviewInfo,
    /// Who may change a locked file.
    pub locks: BTreeMap<FilePath, ParticipantId>,
    /// Conflicts nobody has resolved yet, oldest first; at most 100.
    pub conflicts: Vec<FileConflicted>,
    /// Everybody who was ever in the room.
    pub participants: BTreeMap<ParticipantId, Participant>,
    /// What all model calls consumed.
    #[serde(default)]
    pub usage: UsageTotal,
    /// What stands for the older part of the conversation when a model is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub summary: Option<ConversationSummary>,
}

/// What stands for the older part of the conversation when a model is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ConversationSummary {
    /// The last message it stands for.
    pub through: MessageId,
    /// The summary, as a model wrote it.
    pub text: String,
}

/// The git repository a project's files came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct RepositoryInfo {
    /// Where it was fetched from.
    pub url: String,
    /// Its name.
    pub name: String,
    /// Its default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit the files were from; absent: the repository was empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The event after which the files were as the repository had them: what changed since then is the work done here.
    pub seq: Seq,
}

/// A file of the tree, without its path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileInfo {
    /// What it holds.
    pub hash: ContentHash,
    /// How long it is.
    pub size_bytes: u64,
}

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It waits for its turn.
    Queued,
    /// It runs.
    Running,
    /// It ended; `outcome` says how.
    Finished,
}

/// A run as everybody in the room sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct RunInfo {
    /// Which.
    pub run: RunId,
    /// What it does.
    pub kind: RunKind,
    /// Where it is in its life.
    pub state: RunState,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ParticipantId>,
    /// The prompt, for `generate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The model that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// When it was accepted: RFC 3339, UTC.
    pub accepted_at: String,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why, unless completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// What its model calls consumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What a `generate` may do.
    #[serde(default, skip_serializing_if = "GenerateMode::is_build")]
    #[ts(as = "Option<GenerateMode>")]
    pub mode: GenerateMode,
    /// The further calls of the model, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<RunTurn>>", optional)]
    pub turns: Vec<RunTurn>,
    /// For `apply`: whether it changes an app that is there rather than making one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub edit: bool,
    /// What it did in the sandbox, in order.
    pub steps: Vec<Step>,
    /// The files of its reply that it wrote, in order; at most 200.
    #[serde(default)]
    pub files: Vec<FilePath>,
}
