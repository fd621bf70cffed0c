//! Values that commands, events and the state share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    error::ErrorBody,
    id::{Invalid, MessageId, ParticipantId, RunId, string_newtype},
    path::FilePath,
};

string_newtype! {
    /// SHA-256 of a file's bytes, 64 lower-case hexadecimal digits.
    ContentHash, pattern: "^[0-9a-f]{64}$", max: 64, check: |text| {
        let valid = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid { Ok(()) } else { Err(Invalid("a content hash is 64 lower-case hexadecimal digits".into())) }
    }
}

/// What a participant may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everything, changes nothing.
    Viewer,
    /// Everything but administration of the project.
    Editor,
    /// Everything.
    Owner,
}

/// What kind of work a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// A prompt answered by a model.
    Generate,
    /// A ready reply put into effect.
    Apply,
    /// Packages installed on request.
    Install,
    /// A git repository's files taken over.
    Import,
    /// One shell command in the sandbox; runs beside the others instead of waiting in the queue.
    Exec,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that was asked for was done.
    Completed,
    /// An error ended it; `error` says which.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// The server stopped or crashed in the middle of it.
    Interrupted,
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

/// What a run does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum FileAction {
    /// The path is new to the project.
    Create,
    /// The whole file is replaced.
    Replace,
    /// Parts of the file are replaced.
    Edit,
}

/// Where a change of the file tree came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum FileOrigin {
    /// A model's (or client's) reply that was applied.
    Reply,
    /// A participant, by `write_file`, `delete_file` or `rename_file`.
    Participant,
    /// A participant's change and somebody else's, merged.
    Merge,
    /// A restore.
    Restore,
    /// A process in the sandbox, such as an install that changed `package.json`.
    Sandbox,
}

/// One of a process's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a file's content is written in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As text.
    #[default]
    Utf8,
    /// Base64 with padding, for files that are not UTF-8.
    Base64,
}

/// A file of the project's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileEntry {
    /// Where it is.
    pub path: FilePath,
    /// What it holds.
    pub hash: ContentHash,
    /// How long it is.
    pub size_bytes: u64,
}

/// What a model call consumed. Buckets are disjoint; `None` means the vendor did not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Usage {
    /// Fresh input tokens, without those read from or written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Output tokens, reasoning included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Input tokens read from the vendor's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Input tokens written to the vendor's cache for its usual, short time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Input tokens written to the vendor's cache for an hour, which costs more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_tokens: Option<u64>,
    /// The part of `output_tokens` that was reasoning; for information only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Cost in 10⁻⁹ US dollars. Absent means unknown, never free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<u64>,
    /// The date of the table of prices that the cost was computed with; absent where the vendor told the charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices_as_of: Option<String>,
    /// True when the stream broke before the vendor reported usage and these are our own counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub estimated: bool,
}

/// What all model calls of a project consumed together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct UsageTotal {
    /// The sum. Its cost is absent – unknown – as soon as one call's cost is unknown.
    pub usage: Usage,
    /// How many calls.
    pub calls: u64,
    /// How many of them have an unknown cost.
    pub calls_of_unknown_cost: u64,
    /// What the others cost together, in 10⁻⁹ US dollars. This is what a budget is held against.
    pub known_cost_nano_usd: u64,
}

impl Usage {
    /// Two calls' consumption. A cost that is unknown for one of them is unknown for both; so begin a sum with the first
    /// call, not with an empty `Usage`.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (one, None) | (None, one) => one,
        };
        let dates = (self.prices_as_of.as_ref(), other.prices_as_of.as_ref());
        Self {
            input_tokens: sum(self.input_tokens, other.input_tokens),
            output_tokens: sum(self.output_tokens, other.output_tokens),
            cache_read_tokens: sum(self.cache_read_tokens, other.cache_read_tokens),
            cache_write_tokens: sum(self.cache_write_tokens, other.cache_write_tokens),
            cache_write_1h_tokens: sum(self.cache_write_1h_tokens, other.cache_write_1h_tokens),
            reasoning_tokens: sum(self.reasoning_tokens, other.reasoning_tokens),
            cost_nano_usd: self.cost_nano_usd.zip(other.cost_nano_usd).map(|(a, b)| a.saturating_add(b)),
            prices_as_of: dates.0.max(dates.1).cloned(),
            estimated: self.estimated || other.estimated,
        }
    }
    /// All tokens that count: fresh and cached input, and output.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        [
            self.input_tokens,
            self.output_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.cache_write_1h_tokens,
        ]
        .into_iter()
        .flatten()
        .fold(0, u64::saturating_add)
    }
}

impl UsageTotal {
    /// Two totals together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let usage = match (self.calls, other.calls) {
            (0, _) => other.usage.clone(),
            (_, 0) => self.usage.clone(),
            _ => self.usage.plus(&other.usage),
        };
        Self {
            usage,
            calls: self.calls + other.calls,
            calls_of_unknown_cost: self.calls_of_unknown_cost + other.calls_of_unknown_cost,
            known_cost_nano_usd: self.known_cost_nano_usd.saturating_add(other.known_cost_nano_usd),
        }
    }

    /// The total with one more call.
    #[must_use]
    pub fn with(&self, call: &Usage) -> Self {
        self.plus(&Self {
            usage: call.clone(),
            calls: 1,
            calls_of_unknown_cost: u64::from(call.cost_nano_usd.is_none()),
            known_cost_nano_usd: call.cost_nano_usd.unwrap_or(0),
        })
    }
}

/// What a `generate` may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum GenerateMode {
    /// Change the app.
    #[default]
    Build,
    /// Say how it would be done; touch no file and run nothing.
    Plan,
}

impl GenerateMode {
    /// Whether it is the ordinary one, which is not written out.
    #[must_use]
    pub const fn is_build(&self) -> bool {
        matches!(self, Self::Build)
    }
}

/// Why a model is asked once more in the same run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum TurnReason {
    /// To answer the prompt, after a turn for something else.
    Prompt,
    /// Changes of its answer could not be put into their files.
    EditUnmatched,
    /// Its answer reached the output limit and goes on.
    Continuation,
    /// The app does not work after its answer.
    Repair,
    /// Somebody joined the run with another prompt.
    Steer,
    /// The conversation outgrew the model's window and is summed up.
    Compaction,
}

/// A further call of the model in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct RunTurn {
    /// Which call of the run, from 1.
    pub turn: u32,
    /// Why.
    pub reason: TurnReason,
    /// The how-manieth for this reason, from 1.
    pub round: u32,
    /// What is wrong, in the words the model is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What it consumed; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// The formats of pictures that models take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
pub enum ImageType {
    /// PNG.
    #[serde(rename = "image/png")]
    Png,
    /// JPEG.
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// WebP.
    #[serde(rename = "image/webp")]
    Webp,
    /// GIF; models see its first picture.
    #[serde(rename = "image/gif")]
    Gif,
}

impl ImageType {
    /// Its name on every wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// Whether these bytes begin like a file of this format.
    #[must_use]
    pub fn fits(self, data: &[u8]) -> bool {
        match self {
            Self::Png => data.starts_with(b"\x89PNG\r\n\x1a\n"),
            Self::Jpeg => data.starts_with(&[0xff, 0xd8, 0xff]),
            Self::Webp => data.starts_with(b"RIFF") && data.get(8..12) == Some(b"WEBP"),
            Self::Gif => data.starts_with(b"GIF87a") || data.starts_with(b"GIF89a"),
        }
    }
}

/// A picture on its way to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ImageData {
    /// Its format.
    pub media_type: ImageType,
    /// The file's bytes, as Base64 with padding.
    pub data: String,
}

/// A picture of the conversation; the store has it under its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ImageInfo {
    /// Its format.
    pub media_type: ImageType,
    /// What it holds.
    pub hash: ContentHash,
    /// How long it is.
    pub size_bytes: u64,
}

/// Who found an error in the preview.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum PreviewErrorSource {
    /// The dev server, or a look at the files.
    #[default]
    Build,
    /// The page itself, in somebody's browser.
    Page,
}

impl PreviewErrorSource {
    /// Whether it is the ordinary one, which is not written out.
    #[must_use]
    pub const fn is_build(&self) -> bool {
        matches!(self, Self::Build)
    }
}

/// Where the sandbox is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    /// There is none; the next run or `start_sandbox` makes one.
    #[default]
    Stopped,
    /// It is being made.
    Creating,
    /// It takes commands.
    Ready,
    /// It died by itself.
    Lost,
    /// It is being made again from the project's files.
    Restoring,
}

/// Where the live preview is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum PreviewState {
    /// No dev server.
    #[default]
    Stopped,
    /// The dev server has been started but does not answer yet.
    Starting,
    /// The dev server answers.
    Ready,
    /// The dev server ended or could not be started.
    Failed,
}

/// The sandbox as everybody in the room sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct SandboxInfo {
    /// Where it is in its life.
    pub state: SandboxState,
    /// Which provider makes it: `local`, `e2b` …; empty before the first.
    pub provider: String,
    /// Which it is, or was when somebody stopped it: the same while it is made again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// When the making of that one began: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// True when somebody stopped it on purpose: it stays away until somebody starts it or a run needs it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub parked: bool,
    /// What is being done, for a person: "Installing the template's packages (one-time)".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why there is none, and what to do about it; while it is `ready`: what is not as it should be, such as packages
    /// that could not be installed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The live preview as everybody in the room sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct PreviewInfo {
    /// Where it is in its life.
    pub state: PreviewState,
    /// Its address, stable for the life of the project. Absent before the first sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Why it failed, or – while its dev server runs – what it shows instead of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why nobody knows whether the app works after the last change: it could not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<String>,
}

/// Somebody in the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Participant {
    /// Who.
    pub participant: ParticipantId,
    /// The name they go by.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether an owner has removed them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub removed: bool,
    /// Whether they have a connection now.
    pub present: bool,
}

/// Where a participant is and what they are doing. Everything is optional; what is absent is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Presence {
    /// The file they look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,
    /// The line they are at, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The path of the preview they look at: `/about`; at most 512 characters count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Whether they are writing a prompt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub typing: bool,
    /// Whom they follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub following: Option<ParticipantId>,
}

/// A package or file that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Refusal {
    /// The name as it was written, shortened and without control characters.
    pub name: String,
    /// Why, in one sentence.
    pub reason: String,
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

/// A model that was to answer, and why another one did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PassedOver {
    /// `provider/model`.
    pub model: String,
    /// What went wrong with it.
    pub error: ErrorBody,
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

/// Something a run did in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(optional_fields)]
pub enum Step {
    /// Packages were installed.
    Install {
        /// What was asked of the package manager.
        packages: Vec<String>,
        /// The last part of its output (at most 16 KiB).
        output: String,
        /// Whether it has ended.
        finished: bool,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A command was run.
    Command {
        /// The shell command.
        command: String,
        /// The last part of its output (at most 16 KiB).
        output: String,
        /// Whether it has ended.
        finished: bool,
        /// Its exit code; absent while it runs and when a signal ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// Why it could not be run or was ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_what_is_unknown_unknown() {
        let tokens = Usage { input_tokens: Some(1), output_tokens: Some(2), ..Usage::default() };
        let known = Usage { cost_nano_usd: Some(2), prices_as_of: Some("2026-11-22".into()), ..tokens.clone() };
        let unknown = Usage { cache_read_tokens: Some(3), ..tokens };
        let twice = Usage { input_tokens: Some(2), output_tokens: Some(4), ..Usage::default() };
        let both = Usage { cost_nano_usd: Some(4), prices_as_of: known.prices_as_of.clone(), ..twice.clone() };
        assert_eq!(known.plus(&known), both);
        let mixed = Usage { cache_read_tokens: Some(3), prices_as_of: known.prices_as_of.clone(), ..twice };
        assert_eq!((known.plus(&unknown), unknown.plus(&known)), (mixed.clone(), mixed));
    }
}
