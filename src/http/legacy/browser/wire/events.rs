//! The events of browser clients' streams.

use schemars::JsonSchema;
use serde::Serialize;

/// An event of `POST /api/generate-ai-code-stream`: `status` first, `stream` per piece of the answer, and one last
/// `complete` or `error`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum BrowserGenerateEvent {
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
    /// Prose outside of files.
    Conversation {
        text: String,
    },
    Thinking {
        text: String,
    },
    ThinkingComplete {
        /// In seconds.
        duration: u64,
    },
    /// An edit needs this package.
    Package {
        name: String,
        message: String,
    },
    /// A file below `components/` is complete.
    Component {
        name: String,
        path: String,
        index: usize,
    },
    /// The app's own file is complete.
    App {
        message: String,
        path: String,
    },
    Complete(BrowserGenerateComplete),
    Error {
        error: String,
        message: String,
    },
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserGenerateComplete {
    /// The whole answer.
    pub(crate) generated_code: String,
    pub(crate) explanation: String,
    /// How many.
    pub(crate) files: usize,
    /// How many of them are components.
    pub(crate) components: usize,
    pub(crate) model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) packages_to_install: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) warnings: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) structure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<String>,
    /// Such as that the answer is canned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) notice: Option<String>,
}

/// An event of `POST /api/apply-ai-code-stream`: `start`, three steps with what is done in each, and one last `complete`
/// or `error`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(crate) enum BrowserApplyEvent {
    Start {
        message: String,
        total_steps: u8,
    },
    Step {
        /// 1: packages, 2: files, 3: commands.
        step: u8,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        packages: Option<Vec<String>>,
    },
    Status {
        message: String,
    },
    /// A line of the package manager.
    Output {
        message: String,
    },
    Warning {
        message: String,
    },
    Success {
        message: String,
        installed_packages: Vec<String>,
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
    CommandOutput {
        command: Option<String>,
        output: String,
        stream: BrowserOutputStream,
    },
    CommandComplete {
        command: String,
        exit_code: i32,
        success: bool,
    },
    /// It could not be run.
    CommandError {
        command: String,
        error: String,
    },
    Complete(Box<BrowserApplyComplete>),
    Error {
        error: String,
        message: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BrowserFileAction {
    Creating,
    Created,
    Updated,
    MorphApplying,
    MorphUpdated,
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BrowserCommandAction {
    Executing,
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BrowserOutputStream {
    Stdout,
    Stderr,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct BrowserApplyComplete {
    pub(crate) results: ApplyResults,
    pub(crate) explanation: Option<String>,
    pub(crate) structure: Option<String>,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<String>,
}

/// What came of an apply, in the seven lists such clients read.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplyResults {
    pub(crate) files_created: Vec<String>,
    pub(crate) files_updated: Vec<String>,
    pub(crate) packages_installed: Vec<String>,
    pub(crate) packages_already_installed: Vec<String>,
    pub(crate) packages_failed: Vec<String>,
    pub(crate) commands_executed: Vec<String>,
    pub(crate) errors: Vec<String>,
}

/// An event of `POST /api/install-packages`: `start`, what is done, and one last `complete` or `error`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(crate) enum BrowserInstallEvent {
    Start {
        message: String,
        packages: Vec<String>,
    },
    Status {
        message: String,
    },
    Info {
        message: String,
    },
    /// A line of the package manager.
    Output {
        message: String,
    },
    Warning {
        message: String,
    },
    Success {
        message: String,
        installed_packages: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        already_installed: Option<Vec<String>>,
    },
    Complete {
        message: String,
        installed_packages: Vec<String>,
    },
    Error {
        error: String,
        message: String,
    },
}
