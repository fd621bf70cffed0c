//! What a later engine's clients send and get, in so far as it is not what browsers send and get. Requests are checked
//! against these types; the events say what [`Translation`](super::Translation) makes of what browsers are told.

use std::collections::BTreeMap;

use cobuild_protocol::ProjectId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::http::legacy::{
    browser::wire::{BrowserCommandAction, BrowserEdit, BrowserFileAction},
    wire::{ConversationAction, ConversationUpdate, MessageAuthor, PreferredStyle},
};

/// `POST /api/generate-ai-code-stream`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is checked, and read as browsers' are")]
pub(crate) struct CamelGenerateRequest {
    /// What to write.
    prompt: String,
    /// `provider/name`; null for the server's default.
    #[serde(default)]
    model: Option<String>,
    /// What the client knows besides: of `conversationContext` the scraped pages and the project's name are shown to the
    /// model as data. Copies of the project's files are left out.
    #[serde(default)]
    context: Option<Map<String, Value>>,
    /// The same where there is no `context`.
    #[serde(default)]
    conversation_context: Option<Map<String, Value>>,
    /// A hint that an app that is there is to be changed.
    #[serde(default)]
    is_edit: bool,
    /// Names the project where the header does not.
    #[serde(default)]
    project_id: Option<String>,
}

/// `POST /api/apply-ai-code-stream`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is checked, and read as browsers' are")]
pub(crate) struct CamelApplyRequest {
    /// A model's answer, with `<file path="…">` blocks.
    response: String,
    /// Whether an app that is there is changed.
    #[serde(default)]
    is_edit: bool,
    /// Installed first.
    #[serde(default)]
    packages: Vec<String>,
    /// Has no effect: a project has one sandbox, which is made if there is none.
    #[serde(default)]
    sandbox_id: Option<String>,
    /// Names the project where the header does not.
    #[serde(default)]
    project_id: Option<String>,
}

/// `POST /api/install-packages`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is checked, and read as browsers' are")]
pub(crate) struct CamelInstallRequest {
    /// npm names, with a version or without.
    packages: Vec<String>,
    /// Has no effect: a project has one sandbox.
    #[serde(default)]
    sandbox_id: Option<String>,
    /// Names the project where the header does not.
    #[serde(default)]
    project_id: Option<String>,
}

/// `POST /api/detect-and-install-packages`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is checked, and read as browsers' are")]
pub(crate) struct CamelDetectRequest {
    /// Text by path.
    files: BTreeMap<String, String>,
    /// Names the project where the header does not.
    #[serde(default)]
    project_id: Option<String>,
}

/// `POST /api/conversation-state`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is checked, and read as browsers' are")]
pub(crate) struct CamelStateRequest {
    action: ConversationAction,
    /// For `update`.
    #[serde(default)]
    data: Option<ConversationUpdate>,
    /// Names the project where the header does not.
    #[serde(default)]
    project_id: Option<String>,
}

/// `POST /api/create-ai-sandbox-v2`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CamelCreateRequest {
    /// `local`, `e2b`, `vercel`; null for the configured one.
    #[serde(default)]
    pub(super) provider: Option<String>,
    /// `react-vite`, the only one.
    #[serde(default)]
    #[expect(dead_code, reason = "it is checked, and there is only one")]
    template: Option<String>,
    /// Names the project where the header does not.
    #[serde(default)]
    #[expect(dead_code, reason = "it was looked for before the rest was read")]
    project_id: Option<String>,
}

/// A body in which nothing but the project's name counts.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes")]
pub(crate) struct CamelProject {
    /// Names the project where the header does not.
    #[serde(default)]
    project_id: Option<String>,
}

/// What a browser is answered, with the project's name in it.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "{T}OfProject")]
#[expect(dead_code, reason = "it only describes: the name is put into the answer")]
pub(crate) struct OfProject<T> {
    project_id: ProjectId,
    #[serde(flatten)]
    answer: T,
}

/// No sandbox could be made.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CamelCreateFailure {
    pub(super) detail: CamelCreateFailureDetail,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CamelCreateFailureDetail {
    pub(super) success: bool,
    pub(super) error: &'static str,
    /// Why.
    pub(super) details: String,
}

/// What `conversation-state` answers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CamelConversationResponse {
    pub(super) success: bool,
    pub(super) project_id: ProjectId,
    /// Null where there is no conversation.
    pub(super) state: Option<CamelConversation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<&'static str>,
}

/// The conversation. Times are milliseconds since 1970.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CamelConversation {
    pub(super) project_id: ProjectId,
    pub(super) context: CamelContext,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CamelContext {
    pub(super) messages: Vec<CamelMessage>,
    pub(super) edits: Vec<BrowserEdit>,
    pub(super) project_evolution: Vec<CamelChange>,
    pub(super) user_preferences: CamelPreferences,
    pub(super) current_topic: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CamelMessage {
    pub(super) id: String,
    pub(super) role: MessageAuthor,
    pub(super) content: String,
    pub(super) timestamp: i64,
    /// Empty.
    pub(super) metadata: Map<String, Value>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CamelChange {
    pub(super) timestamp: i64,
    pub(super) description: String,
    pub(super) files_affected: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CamelPreferences {
    pub(super) edit_style: PreferredStyle,
    pub(super) common_patterns: Vec<String>,
}

/// An event of `POST /api/generate-ai-code-stream`: `status` first, `stream` per piece of the answer, and one last
/// `complete` or `error`.
#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[expect(dead_code, reason = "it only describes what is translated")]
pub(crate) enum CamelGenerateEvent {
    Status {
        message: String,
    },
    /// The model is asked again, say.
    Info {
        message: String,
    },
    /// Something of the answer is not whole.
    Warning {
        message: String,
    },
    /// A piece of the answer, as the model wrote it.
    Stream {
        text: String,
        /// Always true.
        raw: bool,
    },
    Complete {
        /// The whole answer.
        generated_code: String,
        explanation: String,
        /// How many.
        files: usize,
        /// How many of them are components.
        components: usize,
        model: String,
        packages_to_install: Vec<String>,
        warnings: Vec<String>,
        #[serde(default)]
        structure: Option<String>,
        #[serde(default)]
        template: Option<String>,
        /// Such as that the answer is canned.
        #[serde(default)]
        notice: Option<String>,
    },
    Error {
        error: String,
    },
}

/// An event of `POST /api/apply-ai-code-stream`: `start`, three steps with what is done in each, and one last `complete`
/// or `error`.
#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[expect(dead_code, reason = "it only describes what is translated")]
pub(crate) enum CamelApplyEvent {
    Start {
        message: String,
        total_steps: u8,
    },
    Info {
        message: String,
    },
    Step {
        /// 1: packages, 2: files, 3: commands.
        step: u8,
        message: String,
        #[serde(default)]
        packages: Option<Vec<String>>,
    },
    PackageComplete {
        packages: Vec<String>,
    },
    Warning {
        message: String,
    },
    FileProgress {
        current: usize,
        total: usize,
        file_name: String,
        action: BrowserFileAction,
    },
    FileComplete {
        file_name: String,
        action: BrowserFileAction,
    },
    FileError {
        file_name: String,
        error: String,
    },
    CommandProgress {
        current: usize,
        total: usize,
        command: String,
        action: BrowserCommandAction,
    },
    CommandComplete {
        command: String,
        /// Both streams.
        output: String,
    },
    CommandError {
        command: String,
        error: String,
        /// Where it was run.
        #[serde(default)]
        output: Option<String>,
    },
    Complete {
        results: CamelResults,
        message: String,
    },
    Error {
        error: String,
    },
}

/// What came of an apply.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it only describes what is translated")]
pub(crate) struct CamelResults {
    files_created: Vec<String>,
    files_updated: Vec<String>,
    packages_installed: Vec<String>,
    commands_executed: Vec<String>,
    errors: Vec<String>,
}

/// An event of `POST /api/install-packages`: `start`, what is done, and one last `complete` or `error`.
#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[expect(dead_code, reason = "it only describes what is translated")]
pub(crate) enum CamelInstallEvent {
    Start { message: String, packages: Vec<String> },
    Status { message: String },
    Info { message: String },
    Warning { message: String },
    PackageComplete { packages: Vec<String> },
    Complete { message: String, installed_packages: Vec<String> },
    Error { error: String },
}
