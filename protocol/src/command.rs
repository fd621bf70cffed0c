//! What a client may ask for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    id::RunId,
    package::PackageSpec,
    path::FilePath,
    value::{ContentHash, Encoding},
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
    /// Run a shell command in the sandbox.
    Exec(Exec),
    /// Make sure there is a sandbox with a running preview.
    StartSandbox(StartSandbox),
    /// End the sandbox; the project's files stay.
    StopSandbox(StopSandbox),
}

impl Command {
    /// The command's name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Generate(_) => "generate",
            Self::Apply(_) => "apply",
            Self::Install(_) => "install",
            Self::Status(_) => "status",
            Self::Cancel(_) => "cancel",
            Self::WriteFile(_) => "write_file",
            Self::DeleteFile(_) => "delete_file",
            Self::RenameFile(_) => "rename_file",
            Self::ReadFile(_) => "read_file",
            Self::Exec(_) => "exec",
            Self::StartSandbox(_) => "start_sandbox",
            Self::StopSandbox(_) => "stop_sandbox",
        }
    }

    /// Whether the command only reads. It is answered with `result`, at once and from memory or the store.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::Status(_) | Self::ReadFile(_))
    }
}

/// Every command's name on the wire.
pub const COMMAND_NAMES: [&str; 12] = [
    "generate",
    "apply",
    "install",
    "status",
    "cancel",
    "write_file",
    "delete_file",
    "rename_file",
    "read_file",
    "exec",
    "start_sandbox",
    "stop_sandbox",
];

/// Answers a prompt with a model: `accepted{run}`, then the run's events, ending in one `run_finished`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Generate {
    /// What to build or change. Must not be blank; its largest size is announced in `welcome.limits`.
    pub prompt: String,
    /// `provider/model`; absent for the server's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `false`: only answer; change no file and run nothing.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    #[ts(as = "Option<bool>")]
    pub apply: bool,
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
}

/// Installs npm packages into the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Install {
    /// At least one name, each with an optional version.
    pub packages: Vec<PackageSpec>,
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

/// Creates or replaces one file. Rejected with `stale_base` when the file is not what `base` says.
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
pub struct RenameFile {
    /// From where.
    pub from: FilePath,
    /// To where.
    pub to: FilePath,
}

/// Reads one file: `result` with `{path, hash, size_bytes, encoding, content}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ReadFile {
    /// Where.
    pub path: FilePath,
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

/// Ends the sandbox and everything that runs in it. The project's files stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StopSandbox {}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_true(value: &bool) -> bool {
    *value
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_utf8(value: &Encoding) -> bool {
    matches!(value, Encoding::Utf8)
}
