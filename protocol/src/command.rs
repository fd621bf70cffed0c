//! What a client may ask for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    id::{ConflictId, ParticipantId, RunId, Seq},
    package::PackageSpec,
    path::FilePath,
    value::{ContentHash, EditStyle, Encoding, GenerateMode, ImageData, Presence, Role},
};

/// A command. Each is answered by exactly one of `accepted`, `rejected` and `result`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// Answer a prompt with a model and put the answer into effect.
    Generate(Generate),
    /// Put a ready reply into effect.
    Apply(Apply),
    /// Install npm packages.
    Install(Install),
    /// Make a git repository's files the project's.
    ImportRepository(ImportRepository),
    /// Say something in the conversation; no model answers.
    Say(Say),
    /// Set what the conversation is about and how its people like their changes.
    UpdateConversation(UpdateConversation),
    /// Let the conversation begin anew, or leave its older part behind.
    ClearConversation(ClearConversation),
    /// Read the project's state.
    Status(Status),
    /// Stop a run.
    Cancel(Cancel),
    /// Create or replace one file.
    WriteFile(WriteFile),
    /// Delete one file.
    DeleteFile(DeleteFile),
    /// Move one file.
    RenameFile(RenameFile),
    /// Read one file.
    ReadFile(ReadFile),
    /// Keep others from changing a file for a while.
    LockFile(LockFile),
    /// Let others change a file again.
    UnlockFile(UnlockFile),
    /// Decide between two versions of a file.
    ResolveConflict(ResolveConflict),
    /// Bring the files back as they were.
    Restore(Restore),
    /// Give a waiting run another place in the queue.
    MoveQueued(MoveQueued),
    /// Take a waiting run out of the queue.
    RemoveQueued(RemoveQueued),
    /// Change what a participant may do.
    SetRole(SetRole),
    /// Say where one is and what one is doing.
    SetPresence(Presence),
    /// Run a shell command in the sandbox.
    Exec(Exec),
    /// Make sure there is a sandbox with a running preview.
    StartSandbox(StartSandbox),
    /// End the sandbox; the project's files stay.
    StopSandbox(StopSandbox),
    /// End the preview's dev server and start it again.
    RestartPreview(RestartPreview),
}

impl Command {
    /// The command's name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Generate(_) => "generate",
            Self::Apply(_) => "apply",
            Self::Install(_) => "install",
            Self::ImportRepository(_) => "import_repository",
            Self::Say(_) => "say",
            Self::UpdateConversation(_) => "update_conversation",
            Self::ClearConversation(_) => "clear_conversation",
            Self::Status(_) => "status",
            Self::Cancel(_) => "cancel",
            Self::WriteFile(_) => "write_file",
            Self::DeleteFile(_) => "delete_file",
            Self::RenameFile(_) => "rename_file",
            Self::ReadFile(_) => "read_file",
            Self::LockFile(_) => "lock_file",
            Self::UnlockFile(_) => "unlock_file",
            Self::ResolveConflict(_) => "resolve_conflict",
            Self::Restore(_) => "restore",
            Self::MoveQueued(_) => "move_queued",
            Self::RemoveQueued(_) => "remove_queued",
            Self::SetRole(_) => "set_role",
            Self::SetPresence(_) => "set_presence",
            Self::Exec(_) => "exec",
            Self::StartSandbox(_) => "start_sandbox",
            Self::StopSandbox(_) => "stop_sandbox",
            Self::RestartPreview(_) => "restart_preview",
        }
    }

    /// Whether the command leaves no trace in the log. It is answered with `result`, at once.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::Status(_) | Self::ReadFile(_) | Self::SetPresence(_))
    }
}

/// Every command's name on the wire.
pub const COMMAND_NAMES: [&str; 25] = [
    "generate",
    "apply",
    "install",
    "import_repository",
    "say",
    "update_conversation",
    "clear_conversation",
    "status",
    "cancel",
    "write_file",
    "delete_file",
    "rename_file",
    "read_file",
    "lock_file",
    "unlock_file",
    "resolve_conflict",
    "restore",
    "move_queued",
    "remove_queued",
    "set_role",
    "set_presence",
    "exec",
    "start_sandbox",
    "stop_sandbox",
    "restart_preview",
];

/// Answers a prompt with a model: `accepted{run}`, then the run's events, ending in one `run_finished`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Generate {
    /// What to build or change. Must not be blank; its largest size is announced in `welcome.limits`.
    pub prompt: String,
    /// The model that answers; absent for the server's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelChoice>,
    /// `false`: only answer; change no file and run nothing.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    #[ts(as = "Option<bool>")]
    pub apply: bool,
    /// Also send the answer as the model writes it, tags included (`reply_delta`), for who wants to `apply` it later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub verbatim: bool,
    /// What to do when another run is under way.
    #[serde(default, skip_serializing_if = "is_queue")]
    #[ts(as = "Option<Delivery>")]
    pub delivery: Delivery,
    /// `plan`: say how it would be done, touch no file and run nothing.
    #[serde(default, skip_serializing_if = "GenerateMode::is_build")]
    #[ts(as = "Option<GenerateMode>")]
    pub mode: GenerateMode,
    /// Pictures that belong to the prompt; how many and how large is announced in `welcome.limits`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<ImageData>>", optional)]
    pub images: Vec<ImageData>,
    /// A web page to imitate: the server reads it and shows it to the model. Public `http` and `https` addresses only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the client knows besides, such as a page it has read: shown to the model with this prompt, as data, and no part
    /// of the conversation. At most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
}

impl Generate {
    /// A prompt and nothing else.
    #[must_use]
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            model: None,
            apply: true,
            verbatim: false,
            delivery: Delivery::Queue,
            mode: GenerateMode::Build,
            images: Vec::new(),
            url: None,
            background: None,
        }
    }
}

/// Which model answers: `"provider/model"`, or a list of at most 8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(untagged)]
pub enum ModelChoice {
    /// This one.
    One(String),
    /// The first of these that answers: where one fails before its first byte, the next is tried.
    Several(Vec<String>),
}

impl ModelChoice {
    /// The names, in the order in which they are tried.
    #[must_use]
    pub fn into_names(self) -> Vec<String> {
        match self {
            Self::One(name) => vec![name],
            Self::Several(names) => names,
        }
    }
}

impl From<String> for ModelChoice {
    fn from(name: String) -> Self {
        Self::One(name)
    }
}

/// What a prompt does when another run is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It waits for its turn.
    #[default]
    Queue,
    /// The run under way is cancelled (by its author or an owner only), and this one is next.
    Interrupt,
    /// It joins the run under way, which takes another turn of the model for it: `accepted` names that run, and
    /// `message_added` says `steers`. Where that cannot be – the run is no `generate`, or is about to end – it waits
    /// like any other, and `run_queued` says `not_steered`.
    Steer,
}

/// Puts a ready reply into effect, as if a model had just written it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Apply {
    /// Text with `<file path="…">…</file>` blocks; see the README for the reply format.
    pub reply: String,
    /// Packages to install before those the reply asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<PackageSpec>>", optional)]
    pub packages: Vec<PackageSpec>,
    /// Whether it changes an app that is there rather than making one; only for the conversation's history of edits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub edit: bool,
    /// What of the reply is not put into effect.
    #[serde(default, skip_serializing_if = "LeaveOut::is_nothing")]
    #[ts(as = "Option<LeaveOut>", optional)]
    pub leave_out: LeaveOut,
}

/// What of a ready reply is not put into effect; the rest is, as if the reply had nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct LeaveOut {
    /// Files that stay as they are, whatever the reply does to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<FilePath>>")]
    pub files: Vec<FilePath>,
    /// Edits that say nothing or cannot be put into what the reply itself writes. Without this, one of them stops it all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub unmatched: bool,
    /// Edits that quote no text to replace and are meant for a model that merges them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub merges: bool,
}

impl LeaveOut {
    /// Whether all of the reply counts.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Installs npm packages into the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Install {
    /// At least one name, each with an optional version.
    pub packages: Vec<PackageSpec>,
}

/// Makes the files of a git repository's default branch the project's, in place of those it has: `accepted{run}`, then
/// the clone's `exec_…` events, the files, and one `repository_imported` behind them. Its history, submodules and
/// symbolic links are not taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ImportRepository {
    /// `https://<host>/<owner>/<name>`, with or without `.git`, or `git@<host>:<owner>/<name>.git`; both are fetched by
    /// HTTPS, without credentials, from the hosts the server allows.
    pub url: String,
}

/// Says something in the conversation: one `message_added`. Models see it with the next prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Say {
    /// What. Must not be blank; as long as a prompt at most.
    pub text: String,
}

/// Sets what the conversation is about and how its people like their changes. What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct UpdateConversation {
    /// What it is about; at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// How much a change may touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit_style: Option<EditStyle>,
    /// What is asked for again and again; at most 50 of 200 characters each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_patterns: Option<Vec<String>>,
}

/// Lets the conversation begin anew, or leaves its older part behind. The room still shows what was said; models and
/// the conversation's history no longer contain it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ClearConversation {
    /// How much of it.
    pub clear: Clearing,
}

/// How much of a conversation is left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Clearing {
    /// All but the last 5 messages, 3 edits and 2 steps of the project's evolution.
    Old,
    /// Everything, topic and preferences included.
    All,
    /// Everything, and there is no conversation until the next message, edit or update.
    Delete,
}

/// Reads the project's state: `result` with `{seq, state}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Status {}

/// Stops a run, running or queued. Accepted also when the run has just ended by itself; the run's terminal event tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Cancel {
    /// Which run.
    pub run: RunId,
}

/// Creates or replaces one file.
///
/// When the file is no longer what `base` says, the two changes are merged line by line; what cannot be merged becomes
/// `file_conflicted` with both versions kept. Rejected with `stale_base` when that is impossible: `base` is absent
/// although the file exists, or names a content this project never had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct WriteFile {
    /// Where.
    pub path: FilePath,
    /// The whole new content.
    pub content: String,
    /// How `content` is written.
    #[serde(default, skip_serializing_if = "is_utf8")]
    #[ts(as = "Option<Encoding>")]
    pub encoding: Encoding,
    /// The hash of the content this write was based on; absent: the file is believed not to exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<ContentHash>,
}

/// Deletes one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct DeleteFile {
    /// Where.
    pub path: FilePath,
    /// The hash of the content the decision was based on; absent: whatever is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<ContentHash>,
}

/// Moves one file. Rejected with `conflict` when there is a file at `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct RenameFile {
    /// From where.
    pub from: FilePath,
    /// To where.
    pub to: FilePath,
    /// The hash of the content that is to be moved; absent: whatever is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<ContentHash>,
}

/// Reads one file: `result` with `{path, hash, size_bytes, encoding, content}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ReadFile {
    /// Where.
    pub path: FilePath,
    /// As of this event; absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Seq>,
    /// The version that this open conflict proposes for the file; then `at` does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<ConflictId>,
}

/// Keeps others – participants and runs – from changing a file until it is unlocked or the locker leaves. What a run
/// writes to it meanwhile becomes `file_conflicted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct LockFile {
    /// Where.
    pub path: FilePath,
}

/// Lets others change a file again. For the locker and owners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct UnlockFile {
    /// Where.
    pub path: FilePath,
}

/// Decides between two versions of a file. Without `content`, `keep` decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ResolveConflict {
    /// Which conflict.
    pub conflict: ConflictId,
    /// Which version to keep.
    pub keep: ConflictSide,
    /// A third version, made of the two by hand; then `keep` does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The hash of what was in the tree when this was decided; absent: whatever is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<ContentHash>,
}

/// One of two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ConflictSide {
    /// What is in the tree.
    Current,
    /// What could not be merged into it.
    Proposed,
}

/// Brings all files back as they were after event `to`. A new event; nothing of the history is lost, so a restore can be
/// undone by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Restore {
    /// The event.
    pub to: Seq,
}

/// Gives a waiting run another place in the queue. For its author and owners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct MoveQueued {
    /// Which run.
    pub run: RunId,
    /// Its new place, from 1.
    pub position: u32,
}

/// Takes a waiting run out of the queue; it ends as cancelled. For its author and owners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct RemoveQueued {
    /// Which run.
    pub run: RunId,
}

/// Changes what a participant may do, from now on and on every connection they have. For owners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct SetRole {
    /// Who.
    pub participant: ParticipantId,
    /// What they may do; absent: nothing at all, their connections are closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// Runs a shell command in the sandbox, in the project's root: `accepted{run}`, then `exec_…` events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Exec {
    /// The command line, given to `sh -c`.
    pub command: String,
    /// When to end it, in milliseconds; absent or larger than the server's limit: the server's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Makes sure there is a sandbox with a running preview.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StartSandbox {}

/// Ends the sandbox and every command that runs in it. The project's files stay. Rejected with `conflict` when a run uses
/// it or waits for it, unless `end_run` is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct StopSandbox {
    /// Ends the run that uses it, too, as `cancel` would. Those that wait stay where they are: they make another sandbox
    /// when their turn comes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub end_run: bool,
}

/// Ends the preview's dev server and starts it again; `preview_changed` tells how it goes. Rejected with `conflict` when
/// there is no sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct RestartPreview {}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_true(value: &bool) -> bool {
    *value
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_queue(value: &Delivery) -> bool {
    matches!(value, Delivery::Queue)
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_utf8(value: &Encoding) -> bool {
    matches!(value, Encoding::Utf8)
}
