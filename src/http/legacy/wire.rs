//! What clients of the first engine and of the code-processing backend send and get. These types are what is read and
//! written, and what the API's description is made from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `POST /api/generate-ai-code-stream`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GenerateCodeRequest {
    /// What to write.
    pub(crate) prompt: String,
    /// `provider/name`; null for the server's default.
    #[serde(default)]
    pub(crate) model: Option<String>,
    /// What the client knows besides: shown to the model as data. Copies of the project's files are left out.
    #[serde(default)]
    pub(crate) context: Option<Map<String, Value>>,
    /// Has no effect here.
    #[serde(default)]
    #[expect(dead_code, reason = "it is checked, and means nothing")]
    pub(crate) is_edit: bool,
}

/// `POST /api/apply-ai-code-stream`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ApplyCodeRequest {
    /// A model's answer, with `<file path="…">` blocks.
    pub(crate) response: String,
    /// Whether an app that is there is changed.
    #[serde(default)]
    pub(crate) is_edit: bool,
    /// Installed first.
    #[serde(default)]
    pub(crate) packages: Vec<String>,
    /// An id the server gave; null for the project's.
    #[serde(default)]
    pub(crate) sandbox_id: Option<String>,
}

/// `POST /api/install-packages`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct InstallPackagesRequest {
    /// npm names, with a version or without.
    pub(crate) packages: Vec<String>,
    /// An id the server gave; null for the project's.
    #[serde(default)]
    pub(crate) sandbox_id: Option<String>,
}

/// `POST /api/detect-and-install-packages`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct DetectPackagesRequest {
    /// Text by path.
    pub(crate) files: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DetectPackagesResponse {
    pub(crate) success: bool,
    /// What was installed.
    pub(crate) packages_installed: Vec<String>,
    pub(crate) packages_already_installed: Vec<String>,
    pub(crate) message: String,
}

/// `POST /api/create-ai-sandbox-v2`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct CreateSandboxRequest {
    /// `local`, `e2b`, `vercel`; null for the configured one.
    #[serde(default)]
    pub(crate) provider: Option<String>,
    /// `react-vite`, the only one.
    #[serde(default)]
    pub(crate) template: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CreateSandboxResponse {
    pub(crate) success: bool,
    pub(crate) sandbox_id: String,
    pub(crate) provider: String,
    pub(crate) message: String,
    /// Where the app is seen.
    pub(crate) url: Option<String>,
    /// Such as that another provider stands in for the one that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) notice: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SandboxStatusResponse {
    pub(crate) success: bool,
    pub(crate) sandbox_id: String,
    pub(crate) status: SandboxStatus,
    /// Since it was made; 0 when it does not run.
    pub(crate) uptime_seconds: f64,
    pub(crate) provider: String,
    pub(crate) is_running: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SandboxStatus {
    Running,
    Starting,
    Stopped,
    Terminated,
}

/// `POST /api/kill-sandbox`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct KillSandboxRequest {
    /// An id the server gave; null for the project's.
    #[serde(default)]
    pub(crate) sandbox_id: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KillSandboxResponse {
    pub(crate) success: bool,
    pub(crate) message: String,
    pub(crate) sandbox_id: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GetFilesResponse {
    pub(crate) success: bool,
    /// Paths from the app's root.
    pub(crate) files: Vec<String>,
    pub(crate) total_count: usize,
}

/// `POST /api/create-zip`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct CreateZipRequest {
    /// Which files; null or empty for all.
    #[serde(default)]
    pub(crate) files: Option<Vec<String>>,
    /// An id the server gave; null for the project's.
    #[serde(default)]
    pub(crate) sandbox_id: Option<String>,
}

/// `POST /api/conversation-state`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ConversationStateAction {
    pub(crate) action: ConversationAction,
    /// For `update`; camelCase, though the answer is not.
    #[serde(default)]
    pub(crate) data: Option<ConversationUpdate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ConversationAction {
    Reset,
    ClearOld,
    Update,
}

/// What an update changes; what it does not name stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConversationUpdate {
    #[serde(default)]
    pub(crate) current_topic: Option<String>,
    #[serde(default)]
    pub(crate) user_preferences: Option<PreferencesUpdate>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreferencesUpdate {
    #[serde(default)]
    pub(crate) edit_style: Option<PreferredStyle>,
    #[serde(default)]
    pub(crate) common_patterns: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PreferredStyle {
    Targeted,
    Comprehensive,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ConversationState {
    pub(crate) project_id: String,
    pub(crate) current_topic: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) edit_history: Vec<EditHistory>,
    pub(crate) project_evolution: Vec<ProjectEvolution>,
    pub(crate) user_preferences: UserPreferences,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// One message of the conversation.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Message {
    pub(crate) role: MessageAuthor,
    pub(crate) content: String,
    pub(crate) timestamp: String,
    pub(crate) metadata: Option<Map<String, Value>>,
    pub(crate) edited_files: Option<Vec<String>>,
    pub(crate) packages_installed: Option<Vec<String>>,
    pub(crate) edit_type: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MessageAuthor {
    User,
    Assistant,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EditHistory {
    pub(crate) timestamp: String,
    pub(crate) files_modified: Vec<String>,
    pub(crate) edit_type: EditType,
    pub(crate) prompt: String,
    pub(crate) outcome: EditOutcome,
    pub(crate) error: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EditType {
    Create,
    Apply,
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EditOutcome {
    Success,
    Partial,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProjectEvolution {
    pub(crate) timestamp: String,
    pub(crate) change_type: EditType,
    pub(crate) description: String,
    pub(crate) files_affected: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UserPreferences {
    pub(crate) edit_style: PreferredStyle,
    pub(crate) common_patterns: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Success {
    pub(crate) success: bool,
    pub(crate) message: String,
}

/// `GET /`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ServiceStatus {
    pub(crate) message: &'static str,
    pub(crate) status: &'static str,
    pub(crate) version: &'static str,
}

/// A refusal in one sentence.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ErrorDetail {
    pub(crate) detail: String,
}

/// What is wrong with a body, field by field.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HTTPValidationError")]
pub(crate) struct HttpValidationError {
    pub(crate) detail: Vec<ValidationError>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ValidationError {
    pub(crate) r#type: String,
    /// Where: names and places.
    pub(crate) loc: Vec<Value>,
    pub(crate) msg: String,
    /// What was received there.
    pub(crate) input: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ctx: Option<Map<String, Value>>,
}

/// A fault of the server that nobody foresaw.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UnexpectedError {
    pub(crate) success: bool,
    pub(crate) error: String,
    pub(crate) message: String,
}

/// `POST /code`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessRepositoryRequest {
    /// `https://github.com/<owner>/<name>`, with or without `.git`, or `git@github.com:<owner>/<name>.git`.
    pub(crate) repo_url: String,
    /// What to change.
    pub(crate) prompt: String,
}

/// An event of `POST /api/generate-ai-code-stream`: `start`, `chunk` …, `packages` if there are any, and one last `complete`
/// or `error`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum GenerateEvent {
    Start { message: String },
    Chunk { content: String },
    Packages { packages: Vec<String> },
    Complete(GenerateComplete),
    Error { error: String, message: String },
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GenerateComplete {
    /// All chunks joined.
    pub(crate) response: String,
    /// Such as that the answer is canned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) notice: Option<String>,
}

/// An event of `POST /api/apply-ai-code-stream`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ApplyEvent {
    Start {
        message: String,
    },
    #[serde(rename_all = "camelCase")]
    Parsed {
        file_count: usize,
        package_count: usize,
        command_count: usize,
    },
    Stage {
        stage: ApplyStage,
        message: String,
    },
    PackageOutput {
        output: String,
    },
    PackagesComplete {
        installed: Vec<String>,
    },
    FileCreated {
        path: String,
    },
    FileError {
        path: String,
        error: String,
    },
    FilesComplete {
        created: Vec<String>,
    },
    CommandStart {
        command: String,
    },
    CommandOutput {
        output: String,
    },
    CommandComplete {
        command: String,
    },
    CommandError {
        command: String,
        error: String,
    },
    Complete {
        message: String,
        files_created: usize,
        packages_installed: usize,
        commands_executed: usize,
    },
    Error {
        error: String,
        message: String,
    },
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ApplyStage {
    Packages,
    Files,
    Commands,
}

/// An event of `POST /api/install-packages`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum InstallEvent {
    Start { message: String },
    Info { message: String },
    Warning { message: String },
    Stage { stage: InstallStage, message: String },
    Output { content: String },
    ViteOutput { content: String },
    Complete(InstallComplete),
    Error { error: String, message: String },
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InstallStage {
    StopVite,
    Install,
    RestartVite,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InstallComplete {
    pub(crate) message: String,
    /// Absent where there was nothing to install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) installed: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<usize>,
}

/// An event of `POST /code`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProcessEvent {
    pub(crate) r#type: ProcessKind,
    pub(crate) message: String,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    /// All but the summary belong to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<ProcessStep>,
    /// Of 100; it never falls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) progress: Option<u8>,
    /// Of the last event of a job that did its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) summary: Option<ProcessSummary>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProcessKind {
    Info,
    Success,
    Error,
    Warning,
    Summary,
}

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProcessStep {
    Init,
    Validation,
    Clone,
    Analysis,
    Planning,
    Implementation,
    Complete,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProcessSummary {
    pub(crate) repository: String,
    pub(crate) prompt: String,
    pub(crate) files_modified: usize,
    pub(crate) sandbox_id: String,
    pub(crate) duration_ms: u64,
}

/// An event of `GET /stream-dummy`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DummyEvent {
    pub(crate) step: u32,
}
