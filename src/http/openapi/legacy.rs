//! The endpoints of the two older systems. Their bodies are read and written field by field, in the words of their
//! clients, so the types here only describe them; schemathesis compares them with what the endpoints answer.
#![expect(dead_code, reason = "types that only describe")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{Document, Operation};

const PROJECT: &str = "Names the project: everything but letters, digits, `_` and `-` is ignored, 64 characters count. The \
    project is made at its first mention.";
const SSE: &str = "text/event-stream";

#[derive(JsonSchema)]
struct GenerateCodeRequest {
    /// What to write.
    prompt: String,
    /// `provider/name`; null for the server's default.
    #[serde(default)]
    model: Option<String>,
    /// Accepted and not needed: the server knows the project.
    #[serde(default)]
    context: Option<serde_json::Map<String, Value>>,
    #[serde(default)]
    is_edit: bool,
}

#[derive(JsonSchema)]
struct ApplyCodeRequest {
    /// A model's answer, with `<file path="…">` blocks.
    response: String,
    #[serde(default)]
    is_edit: bool,
    /// Installed first.
    #[serde(default)]
    packages: Option<Vec<String>>,
    #[serde(default)]
    sandbox_id: Option<String>,
}

#[derive(JsonSchema)]
struct InstallPackagesRequest {
    packages: Vec<String>,
    #[serde(default)]
    sandbox_id: Option<String>,
}

#[derive(JsonSchema)]
struct DetectPackagesRequest {
    /// Text by path.
    files: BTreeMap<String, String>,
}

#[derive(JsonSchema)]
struct DetectPackagesResponse {
    success: bool,
    /// What was installed.
    packages_installed: Vec<String>,
    packages_already_installed: Vec<String>,
    message: String,
}

#[derive(JsonSchema)]
struct CreateSandboxRequest {
    /// `local`, `e2b`, `vercel`; null for the configured one.
    #[serde(default)]
    provider: Option<String>,
    /// `react-vite`, the only one.
    #[serde(default)]
    template: Option<String>,
}

#[derive(JsonSchema)]
struct CreateSandboxResponse {
    success: bool,
    sandbox_id: String,
    provider: String,
    message: String,
    url: Option<String>,
    /// Such as that another provider stands in for the one that was named.
    #[serde(default)]
    notice: Option<String>,
}

#[derive(JsonSchema)]
struct SandboxStatusResponse {
    success: bool,
    sandbox_id: String,
    status: String,
    uptime_seconds: f64,
    provider: String,
    is_running: bool,
}

#[derive(JsonSchema)]
struct KillSandboxRequest {
    #[serde(default)]
    sandbox_id: Option<String>,
}

#[derive(JsonSchema)]
struct KillSandboxResponse {
    success: bool,
    message: String,
    sandbox_id: String,
}

#[derive(JsonSchema)]
struct GetFilesResponse {
    success: bool,
    files: Vec<String>,
    total_count: u64,
}

#[derive(JsonSchema)]
struct CreateZipRequest {
    /// Which files; null or empty for all.
    #[serde(default)]
    files: Option<Vec<String>>,
    #[serde(default)]
    sandbox_id: Option<String>,
}

#[derive(JsonSchema)]
struct ConversationStateAction {
    action: ConversationAction,
    /// For `update`: `currentTopic`, `userPreferences.editStyle`, `userPreferences.commonPatterns`.
    #[serde(default)]
    data: Option<serde_json::Map<String, Value>>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum ConversationAction {
    Reset,
    ClearOld,
    Update,
}

#[derive(JsonSchema)]
struct ConversationState {
    project_id: String,
    current_topic: String,
    messages: Vec<Message>,
    edit_history: Vec<EditHistory>,
    project_evolution: Vec<ProjectEvolution>,
    user_preferences: UserPreferences,
    created_at: String,
    updated_at: String,
}

/// One message of the conversation.
#[derive(JsonSchema)]
#[schemars(rename = "Message")]
struct Message {
    role: String,
    content: String,
    timestamp: String,
    metadata: Option<serde_json::Map<String, Value>>,
    edited_files: Option<Vec<String>>,
    packages_installed: Option<Vec<String>>,
    edit_type: Option<String>,
}

#[derive(JsonSchema)]
struct EditHistory {
    timestamp: String,
    files_modified: Vec<String>,
    edit_type: String,
    prompt: String,
    outcome: String,
    error: Option<String>,
}

#[derive(JsonSchema)]
struct ProjectEvolution {
    timestamp: String,
    change_type: String,
    description: String,
    files_affected: Vec<String>,
}

#[derive(JsonSchema)]
struct UserPreferences {
    edit_style: String,
    common_patterns: Vec<String>,
}

#[derive(JsonSchema)]
struct Success {
    success: bool,
    message: String,
}

#[derive(JsonSchema)]
struct ServiceStatus {
    message: String,
    status: String,
    version: String,
}

#[derive(JsonSchema)]
struct Health {
    status: String,
    service: String,
    version: String,
}

/// A refusal in one sentence.
#[derive(JsonSchema)]
struct ErrorDetail {
    detail: String,
}

/// What is wrong with a body, field by field.
#[derive(JsonSchema)]
#[schemars(rename = "HTTPValidationError")]
struct HttpValidationError {
    detail: Vec<ValidationError>,
}

#[derive(JsonSchema)]
struct ValidationError {
    r#type: String,
    /// Where: names and places.
    loc: Vec<Value>,
    msg: String,
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    ctx: Option<Value>,
}

/// A fault of the server.
#[derive(JsonSchema)]
#[serde(untagged)]
enum ServerError {
    /// What failed.
    Detail(ErrorDetail),
    /// Nothing that should.
    Unexpected(UnexpectedError),
}

/// A fault of the server that nobody foresaw.
#[derive(JsonSchema)]
struct UnexpectedError {
    success: bool,
    error: String,
    message: String,
}

#[derive(JsonSchema)]
struct ProcessRepositoryRequest {
    /// `https://github.com/<owner>/<name>`, with or without `.git`, or `git@github.com:<owner>/<name>.git`.
    #[serde(rename = "repoUrl")]
    #[schemars(rename = "repoUrl")]
    repo_url: String,
    prompt: String,
}

#[derive(JsonSchema)]
struct SandboxOfQuery {
    /// An id the server gave; absent for the project's.
    #[serde(default)]
    sandbox_id: Option<String>,
}

#[derive(JsonSchema)]
struct FilesOfQuery {
    /// Files below this path.
    #[serde(default)]
    path: Option<String>,
    /// An id the server gave; absent for the project's.
    #[serde(default)]
    sandbox_id: Option<String>,
}

pub(super) fn describe(document: &mut Document) {
    document.describe("get", "/", |op| {
        op.is("Server", "What this is").details("Whoever asks for `text/html` gets the page.").gives::<ServiceStatus>(
            200,
            "It runs.",
            json!({ "message": "Cobuild", "status": "running", "version": "0.1.0" }),
        );
    });
    document.describe("get", "/health", |op| {
        op.is("Server", "Whether the process answers").gives::<Health>(
            200,
            "It does.",
            json!({ "status": "healthy", "service": "cobuild", "version": "0.1.0" }),
        );
    });
    streams(document);
    conversation(document);
    sandboxes(document);
    code(document);
}

fn streams(document: &mut Document) {
    document.describe("post", "/api/generate-ai-code-stream", |op| {
        op.is("AI Generation", "Stream a model's answer")
            .details("Text only; apply writes. Events: `start`, `chunk` …, `packages` if any, `complete`; or `error`.")
            .takes::<GenerateCodeRequest>(json!({ "prompt": "A login form" }))
            .gives_as(200, "The events.", SSE, events(r#"data: {"type": "start", "message": "Generating code..."}"#));
        engine(op, &[]);
    });
    document.describe("post", "/api/apply-ai-code-stream", |op| {
        op.is("Code Application", "Put an answer into effect")
            .details("Packages, files, commands, in this order; what was done is counted in `complete`.")
            .takes::<ApplyCodeRequest>(
                json!({ "response": "<file path=\"src/App.jsx\">…</file>", "packages": ["axios"] }),
            )
            .gives_as(
                200,
                "The events.",
                SSE,
                events(r#"data: {"type": "start", "message": "Applying code changes..."}"#),
            );
        engine(op, &[]);
    });
    document.describe("post", "/api/install-packages", |op| {
        op.is("Package Management", "Install packages")
            .takes::<InstallPackagesRequest>(json!({ "packages": ["axios"] }))
            .gives_as(
                200,
                "The events.",
                SSE,
                events(r#"data: {"type": "start", "message": "Starting package installation..."}"#),
            );
        engine(op, &[]);
    });
    document.describe("post", "/api/detect-and-install-packages", |op| {
        op.is("Package Detection", "Install what files import")
            .takes::<DetectPackagesRequest>(json!({ "files": { "src/App.jsx": "import axios from 'axios'" } }))
            .gives::<DetectPackagesResponse>(
                200,
                "What was found and installed; `success` says whether that worked.",
                json!({ "success": true, "packages_installed": ["axios"], "packages_already_installed": [],
                        "message": "Detected 1 packages. 1 need installation." }),
            );
        engine(op, &[]);
    });
}

fn conversation(document: &mut Document) {
    let state = || {
        json!({ "project_id": "my-project", "current_topic": "general development", "messages": [],
            "edit_history": [], "project_evolution": [],
            "user_preferences": { "edit_style": "targeted", "common_patterns": [] },
            "created_at": "2026-11-22T05:25:31.676129Z", "updated_at": "2026-11-22T05:25:31.676129Z" })
    };
    document.describe("get", "/api/conversation-state", |op| {
        op.is("Conversation State", "The conversation").gives::<ConversationState>(200, "The state.", state());
        engine(op, &[]);
    });
    document.describe("post", "/api/conversation-state", |op| {
        op.is("Conversation State", "Reset, shorten or update it")
            .takes::<ConversationStateAction>(json!({ "action": "update", "data": { "currentTopic": "Login" } }))
            .gives::<ConversationState>(200, "The state.", state());
        engine(op, &[]);
    });
    document.describe("delete", "/api/conversation-state", |op| {
        let cleared = json!({ "success": true, "message": "Conversation state cleared" });
        op.is("Conversation State", "Begin anew").gives::<Success>(200, "It is cleared.", cleared);
        engine(op, &[]);
    });
}

fn sandboxes(document: &mut Document) {
    document.describe("post", "/api/create-ai-sandbox-v2", |op| {
        op.is("Sandbox Management", "Make the project's sandbox")
            .details("A second call returns the living one.")
            .takes::<CreateSandboxRequest>(json!({ "provider": null, "template": "react-vite" }))
            .gives::<CreateSandboxResponse>(
                200,
                "It takes commands.",
                json!({ "success": true, "sandbox_id": "sbx_nImS9iXZmJ5d", "provider": "local",
                    "message": "Sandbox created successfully with local",
                    "url": "http://0123456789abcdef0123456789abcdef.cobuild.localhost:3100/" }),
            );
        engine(op, &[]);
    });
    document.describe("get", "/api/get-sandbox-files", |op| {
        op.is("File Operations", "The names of the files").query::<FilesOfQuery>().gives::<GetFilesResponse>(
            200,
            "The files.",
            json!({ "success": true, "files": ["src/App.jsx"], "total_count": 1 }),
        );
        engine(op, &[(404, "There is no sandbox.")]);
    });
    document.describe("post", "/api/sandbox-status", |op| {
        op.is("Sandbox Management", "How the sandbox is").query::<SandboxOfQuery>().gives::<SandboxStatusResponse>(
            200,
            "How it is, after its end too.",
            json!({ "success": true, "sandbox_id": "sbx_nImS9iXZmJ5d", "status": "running", "uptime_seconds": 2.377989,
                "provider": "local", "is_running": true }),
        );
        engine(op, &[(404, "There is no such sandbox.")]);
    });
    document.describe("post", "/api/kill-sandbox", |op| {
        op.is("Sandbox Management", "End the sandbox")
            .takes::<KillSandboxRequest>(json!({}))
            .gives::<KillSandboxResponse>(
                200,
                "It is gone; the files stay.",
                json!({ "success": true, "message": "Sandbox terminated successfully", "sandbox_id": "sbx_nImS9iXZmJ5d" }),
            );
        engine(op, &[(404, "There is no such sandbox.")]);
    });
    document.describe("post", "/api/create-zip", |op| {
        op.is("File Operations", "Files as a zip archive").takes::<CreateZipRequest>(json!({})).gives_as(
            200,
            "The archive.",
            "application/zip",
            json!({ "type": "string", "format": "binary" }),
        );
        engine(op, &[(404, "There is no sandbox.")]);
    });
}

fn code(document: &mut Document) {
    document.describe("post", "/code", |op| {
        op.is("Code Processing", "Let a model change a public repository")
            .details(
                "Clones it into a new project's sandbox, plans, implements and sums up. Steps: `init`, `validation`, \
                 `clone`, `analysis`, `planning`, `implementation`, `complete`; last of all one `summary` or one `error`. \
                 The project stays.",
            )
            .takes::<ProcessRepositoryRequest>(
                json!({ "repoUrl": "https://github.com/fastapi/fastapi.git", "prompt": "Add better error handling" }),
            )
            .gives_as(
                200,
                "The events.",
                SSE,
                events(r#"data: {"type": "info", "message": "Initializing local sandbox...", "step": "init", "progress": 10, "timestamp": 1704067200000}"#),
            );
        refusals(op, &[]);
    });
    document.describe("get", "/stream-dummy", |op| {
        op.is("Code Processing", "Five events, a second apart").gives_as(
            200,
            "The events.",
            SSE,
            events(r#"data: {"step": 0}"#),
        );
        op.fails_with::<ErrorDetail>("401", "The server asks for a token.");
    });
}

fn events(example: &str) -> Value {
    let data = example.strip_prefix("data: ").unwrap_or(example);
    json!({
        "type": "object",
        "description": "One event: its `data` is a JSON object.",
        "properties": { "data": { "type": "string", "example": data } },
        "required": ["data"],
    })
}

/// What every endpoint of the first engine has in common.
fn engine(op: &mut Operation<'_>, more: &[(u16, &str)]) {
    op.header("X-Project-Id", PROJECT, true);
    refusals(op, more);
}

fn refusals(op: &mut Operation<'_>, more: &[(u16, &str)]) {
    op.fails_with::<ErrorDetail>("400", "The request names no project, or something there is not.");
    for (status, what) in more {
        op.fails_with::<ErrorDetail>(&status.to_string(), what);
    }
    op.fails_with::<HttpValidationError>("422", "The body is not as it must be.");
    op.fails_with::<ServerError>("500", "A fault of the server.");
    op.fails_with::<ErrorDetail>("default", "Any other refusal.");
}
