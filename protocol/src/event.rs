//! What happened in a project, in order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    command::Clearing,
    error::ErrorBody,
    id::{ConflictId, MessageId, ParticipantId, RequestId, RunId, Seq},
    path::FilePath,
    value::{
        ContentHash, EditStyle, FileAction, FileEntry, FileOrigin, GenerateMode, ImageInfo, MessageRole, Outcome,
        OutputStream, PreviewErrorSource, PreviewState, Refusal, Role, RunKind, SandboxState, TurnReason, Usage,
        UsageTotal,
    },
};

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
pub const EVENTS_COUNT: usize = 43;

/// The project exists, with the files of its template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ProjectCreated {
    /// Its name for people; the id unless somebody chose one.
    pub name: String,
    /// The template it started from: `react-vite`.
    pub template: String,
    /// The first label of the preview's host name: 32 hexadecimal digits, unguessable, never reused.
    pub preview_id: String,
    /// The template's files.
    pub files: Vec<FileEntry>,
}

/// Somebody entered the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ParticipantJoined {
    /// Who.
    pub participant: ParticipantId,
    /// The name they go by.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// A digest by which the server knows them again. Means nothing to clients.
    pub identity: String,
}

/// Somebody's last connection is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ParticipantLeft {
    /// Who.
    pub participant: ParticipantId,
}

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

/// A file of the tree has new content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileWritten {
    /// Where.
    pub path: FilePath,
    /// What it holds now.
    pub hash: ContentHash,
    /// How long it is.
    pub size_bytes: u64,
    /// Where the change came from.
    pub origin: FileOrigin,
}

/// A file left the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileDeleted {
    /// Where.
    pub path: FilePath,
    /// Where the change came from.
    pub origin: FileOrigin,
}

/// A file of the tree moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileRenamed {
    /// From where.
    pub from: FilePath,
    /// To where.
    pub to: FilePath,
}

/// A file of a reply was not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileRefused {
    /// The path as the reply spelled it, shortened and without control characters.
    pub path: String,
    /// Why, in one sentence.
    pub reason: String,
}

/// Two changes of one file could not be merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct FileConflicted {
    /// Names the conflict.
    pub conflict: ConflictId,
    /// Where.
    pub path: FilePath,
    /// What is in the tree; absent: the file is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<ContentHash>,
    /// What could not be merged into it; absent: it was to be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<ContentHash>,
    /// How long that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed_size_bytes: Option<u64>,
    /// Why, in one sentence.
    pub reason: String,
}

/// Somebody decided between two versions. A change of the file, if any, follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ConflictResolved {
    /// Which conflict.
    pub conflict: ConflictId,
}

/// A file may be changed by one participant only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileLocked {
    /// Where.
    pub path: FilePath,
    /// By whom.
    pub participant: ParticipantId,
}

/// A file may be changed by everybody again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileUnlocked {
    /// Where.
    pub path: FilePath,
}

/// The files are as they were after an earlier event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Restored {
    /// That event.
    pub to: Seq,
}

/// The files are those of a git repository now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct RepositoryImported {
    /// Where it was fetched from.
    pub url: String,
    /// Its name: the last part of its address.
    pub name: String,
    /// Its default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit the files are from; absent: the repository is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// How many files were taken over.
    pub files: u32,
    /// What was left out, the first 50, with the reason.
    pub left_out: Vec<Refusal>,
    /// How many were left out altogether.
    pub left_out_total: u32,
}

/// The waiting runs are in another order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct QueueChanged {
    /// All waiting runs, next first.
    pub queue: Vec<RunId>,
}

/// A participant may do something else from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct RoleChanged {
    /// Who.
    pub participant: ParticipantId,
    /// What they may do; absent: nothing at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
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

/// The packages a run needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PackagesDetected {
    /// To be installed, in the order they were first seen.
    pub packages: Vec<String>,
    /// Names that are not valid npm names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Refusal>>", optional)]
    pub refused: Vec<Refusal>,
}

/// The package manager was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct InstallStarted {
    /// What it installs.
    pub packages: Vec<String>,
}

/// A process said something. Its stream may be cut; then the text says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ProcessOutput {
    /// On which stream.
    pub stream: OutputStream,
    /// What, as UTF-8 with replacement characters for anything else.
    pub text: String,
}

/// The package manager ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct InstallFinished {
    /// What was installed; empty on failure.
    pub installed: Vec<String>,
    /// Why it failed, in the package manager's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A command was started in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ExecStarted {
    /// The shell command. Not `command` on the wire: there that is the id of the command that caused the event.
    #[serde(rename = "command_line")]
    pub command: String,
}

/// A command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ExecFinished {
    /// Its exit code; absent when a signal ended it or it could not be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why it could not be run or was ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
}

/// The sandbox is in another state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct SandboxChanged {
    /// Which.
    pub state: SandboxState,
    /// Who makes it: `local`, `e2b` …
    pub provider: String,
    /// Which: the same while it is made again by itself, another after somebody stopped it. Absent when none is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// True when somebody stopped it on purpose: it stays away until somebody starts it or a run needs it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub parked: bool,
    /// What is being done, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why there is none, and what to do about it; while it is `ready`: what is not as it should be, such as packages
    /// that could not be installed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The live preview is in another state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct PreviewChanged {
    /// Which.
    pub state: PreviewState,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The preview shows an error instead of the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct PreviewError {
    /// What the dev server or the page says.
    pub message: String,
    /// The file it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "PreviewErrorSource::is_build")]
    #[ts(as = "Option<PreviewErrorSource>")]
    pub source: PreviewErrorSource,
}

/// The preview could not be looked at after a change: whether the app works, nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PreviewUnchecked {
    /// Why.
    pub reason: String,
}

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
