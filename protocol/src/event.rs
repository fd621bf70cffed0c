//! What happened in a project, in order. Here is the frame and the list of all events; what each carries is in a file by
//! what it is about.

mod file;
mod message;
mod model;
mod people;
mod run;
mod sandbox;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

pub use self::{
    file::{
        ConflictResolved, FileConflicted, FileDeleted, FileLocked, FileRefused, FileRenamed, FileUnlocked, FileWritten,
        ProjectCreated, RepositoryImported, Restored,
    },
    message::{
        ConversationCleared, ConversationCompacted, ConversationUpdated, FileDelta, FileStarted, MessageAdded,
        ReasoningDelta, ReplyDelta, TextDelta,
    },
    model::{ContextTrimmed, ModelRetried, ModelSwitched, TurnStarted, UsageUpdated},
    people::{ParticipantJoined, ParticipantLeft, RoleChanged},
    run::{QueueChanged, Reverted, RunFinished, RunQueued, RunStarted},
    sandbox::{
        ExecFinished, ExecStarted, InstallFinished, InstallStarted, PackagesDetected, PreviewChanged, PreviewError,
        PreviewUnchecked, ProcessOutput, SandboxChanged,
    },
};
use crate::id::{ParticipantId, RequestId, RunId, Seq};

/// A durable event as it stands in the log and on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct EventFrame {
    /// What happened.
    #[serde(flatten)]
    #[ts(flatten)]
    pub event: Event,
    /// Its place in the log.
    pub seq: Seq,
    /// The first of the places this frame stands for, when several deltas were merged into one. A client accepts a
    /// frame when `(seq_first ?? seq) == last + 1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq_first: Option<Seq>,
    /// When: RFC 3339, UTC, milliseconds.
    pub at: String,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The participant who caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ParticipantId>,
    /// The command that caused it; on the first event of that command only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<RequestId>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The project exists. Always event 1.
    ProjectCreated(ProjectCreated),
    /// Somebody entered the room.
    ParticipantJoined(ParticipantJoined),
    /// Somebody's last connection is gone.
    ParticipantLeft(ParticipantLeft),
    /// A run was accepted and waits for its turn.
    RunQueued(RunQueued),
    /// A run began.
    RunStarted(RunStarted),
    /// A run ended. The only terminal event, exactly one per run.
    RunFinished(RunFinished),
    /// A message was added to the conversation; an assistant's grows by deltas.
    MessageAdded(MessageAdded),
    /// A model failed before its first byte, and is asked again.
    ModelRetried(ModelRetried),
    /// A model failed before its first byte; the next one that was named writes the message.
    ModelSwitched(ModelSwitched),
    /// The assistant's prose went on.
    TextDelta(TextDelta),
    /// The model's reasoning went on.
    ReasoningDelta(ReasoningDelta),
    /// The answer went on, as the model writes it.
    ReplyDelta(ReplyDelta),
    /// The assistant began to write a file. It is not in the tree yet.
    FileStarted(FileStarted),
    /// The file being written went on.
    FileDelta(FileDelta),
    /// A file of the tree has new content.
    FileWritten(FileWritten),
    /// A file left the tree.
    FileDeleted(FileDeleted),
    /// A file of the tree moved.
    FileRenamed(FileRenamed),
    /// A file of a reply was not written.
    FileRefused(FileRefused),
    /// Two changes of one file could not be merged. The tree keeps the current version, the store both.
    FileConflicted(FileConflicted),
    /// Somebody decided between two versions.
    ConflictResolved(ConflictResolved),
    /// A file may be changed by one participant only.
    FileLocked(FileLocked),
    /// A file may be changed by everybody again.
    FileUnlocked(FileUnlocked),
    /// The files are as they were after an earlier event; the changes that make them so follow.
    Restored(Restored),
    /// The model is asked once more in the same run.
    TurnStarted(TurnStarted),
    /// A call of the model is over; what it and everything before it consumed.
    UsageUpdated(Box<UsageUpdated>),
    /// Not everything that the model should have seen fits into its window.
    ContextTrimmed(ContextTrimmed),
    /// The older part of the conversation goes to the model as a summary from now on.
    ConversationCompacted(ConversationCompacted),
    /// A run could not make the app work: its files are as they were before it. The changes that make them so follow.
    Reverted(Reverted),
    /// The files are those of a git repository now; the changes that made them so stand before.
    RepositoryImported(RepositoryImported),
    /// The waiting runs are in another order.
    QueueChanged(QueueChanged),
    /// A participant may do something else from now on.
    RoleChanged(RoleChanged),
    /// The conversation is about something else, or its people like something else.
    ConversationUpdated(ConversationUpdated),
    /// The conversation begins anew, or without its older part.
    ConversationCleared(ConversationCleared),
    /// The packages a run needs are known.
    PackagesDetected(PackagesDetected),
    /// The package manager was started.
    InstallStarted(InstallStarted),
    /// The package manager said something.
    InstallOutput(ProcessOutput),
    /// The package manager ended.
    InstallFinished(InstallFinished),
    /// A command was started in the sandbox.
    ExecStarted(ExecStarted),
    /// The command said something.
    ExecOutput(ProcessOutput),
    /// The command ended.
    ExecFinished(ExecFinished),
    /// The sandbox is in another state.
    SandboxChanged(SandboxChanged),
    /// The live preview is in another state.
    PreviewChanged(PreviewChanged),
    /// The preview shows an error instead of the app.
    PreviewError(PreviewError),
    /// The preview could not be looked at after a change.
    PreviewUnchecked(PreviewUnchecked),
}

/// How many kinds of events there are; for tests that claim to cover all.
pub const EVENTS_COUNT: usize = 44;

impl Event {
    /// The event's name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ProjectCreated(_) => "project_created",
            Self::ParticipantJoined(_) => "participant_joined",
            Self::ParticipantLeft(_) => "participant_left",
            Self::RunQueued(_) => "run_queued",
            Self::RunStarted(_) => "run_started",
            Self::RunFinished(_) => "run_finished",
            Self::MessageAdded(_) => "message_added",
            Self::ModelRetried(_) => "model_retried",
            Self::ModelSwitched(_) => "model_switched",
            Self::TextDelta(_) => "text_delta",
            Self::ReasoningDelta(_) => "reasoning_delta",
            Self::ReplyDelta(_) => "reply_delta",
            Self::FileStarted(_) => "file_started",
            Self::FileDelta(_) => "file_delta",
            Self::FileWritten(_) => "file_written",
            Self::FileDeleted(_) => "file_deleted",
            Self::FileRenamed(_) => "file_renamed",
            Self::FileRefused(_) => "file_refused",
            Self::FileConflicted(_) => "file_conflicted",
            Self::ConflictResolved(_) => "conflict_resolved",
            Self::FileLocked(_) => "file_locked",
            Self::FileUnlocked(_) => "file_unlocked",
            Self::Restored(_) => "restored",
            Self::TurnStarted(_) => "turn_started",
            Self::UsageUpdated(_) => "usage_updated",
            Self::ContextTrimmed(_) => "context_trimmed",
            Self::ConversationCompacted(_) => "conversation_compacted",
            Self::Reverted(_) => "reverted",
            Self::RepositoryImported(_) => "repository_imported",
            Self::QueueChanged(_) => "queue_changed",
            Self::RoleChanged(_) => "role_changed",
            Self::ConversationUpdated(_) => "conversation_updated",
            Self::ConversationCleared(_) => "conversation_cleared",
            Self::PackagesDetected(_) => "packages_detected",
            Self::InstallStarted(_) => "install_started",
            Self::InstallOutput(_) => "install_output",
            Self::InstallFinished(_) => "install_finished",
            Self::ExecStarted(_) => "exec_started",
            Self::ExecOutput(_) => "exec_output",
            Self::ExecFinished(_) => "exec_finished",
            Self::SandboxChanged(_) => "sandbox_changed",
            Self::PreviewChanged(_) => "preview_changed",
            Self::PreviewError(_) => "preview_error",
            Self::PreviewUnchecked(_) => "preview_unchecked",
        }
    }
}
