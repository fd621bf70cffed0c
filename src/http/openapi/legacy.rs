//! The endpoints of the two older systems. What is described is what is read and written: the façades' own types.

use schemars::JsonSchema;
use serde_json::json;

use super::{Document, Operation};
use crate::http::{
    legacy::{
        browser::wire as browser,
        wire::{
            ApplyCodeRequest, ApplyEvent, ConversationState, ConversationStateAction, CreateSandboxRequest,
            CreateSandboxResponse, CreateZipRequest, DetectPackagesRequest, DetectPackagesResponse, DummyEvent,
            ErrorDetail, GenerateCodeRequest, GenerateEvent, GetFilesResponse, HttpValidationError, InstallEvent,
            InstallPackagesRequest, KillSandboxRequest, KillSandboxResponse, ProcessEvent, ProcessRepositoryRequest,
            SandboxStatusResponse, ServiceStatus, Success, UnexpectedError,
        },
    },
    rest::Health,
};

const PROJECT: &str = "Names the project: everything but letters, digits, `_` and `-` is ignored, 64 characters count. The \
    project is made at its first mention.";

/// A fault of the server.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "either of two types, which are what is written")]
enum ServerError {
    /// What failed.
    Detail(ErrorDetail),
    /// Nothing that should.
    Unexpected(UnexpectedError),
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "the query is read by name")]
struct SandboxOfQuery {
    /// An id the server gave; absent for the project's.
    #[serde(default)]
    sandbox_id: Option<String>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "the query is read by name")]
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
            .gives_events::<GenerateEvent>(&json!({"type": "start", "message": "Generating code..."}));
        engine(op, &[]);
    });
    document.describe("post", "/api/apply-ai-code-stream", |op| {
        op.is("Code Application", "Put an answer into effect")
            .details("Packages, files, commands, in this order; what was done is counted in `complete`.")
            .takes::<ApplyCodeRequest>(
                json!({ "response": "<file path=\"src/App.jsx\">…</file>", "packages": ["axios"] }),
            )
            .gives_events::<ApplyEvent>(&json!({"type": "start", "message": "Applying code changes..."}));
        engine(op, &[]);
    });
    document.describe("post", "/api/install-packages", |op| {
        op.is("Package Management", "Install packages")
            .takes::<InstallPackagesRequest>(json!({ "packages": ["axios"] }))
            .gives_events::<InstallEvent>(&json!({"type": "start", "message": "Starting package installation..."}));
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
        op.gives_browsers::<browser::DetectBrowserPackagesResponse>();
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
        op.gives_browsers::<browser::BrowserConversationResponse>();
        engine(op, &[]);
    });
    document.describe("post", "/api/conversation-state", |op| {
        op.is("Conversation State", "Reset, shorten or update it")
            .takes::<ConversationStateAction>(json!({ "action": "update", "data": { "currentTopic": "Login" } }))
            .gives::<ConversationState>(200, "The state.", state());
        op.gives_browsers::<browser::BrowserConversationResponse>();
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
        op.gives_browsers::<browser::CreateBrowserSandboxResponse>();
        engine(op, &[]);
    });
    document.describe("get", "/api/get-sandbox-files", |op| {
        op.is("File Operations", "The names of the files").query::<FilesOfQuery>().gives::<GetFilesResponse>(
            200,
            "The files.",
            json!({ "success": true, "files": ["src/App.jsx"], "total_count": 1 }),
        );
        op.gives_browsers::<browser::BrowserFilesResponse>();
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
        op.gives_browsers::<browser::KillBrowserSandboxResponse>();
        engine(op, &[(404, "There is no such sandbox.")]);
    });
    document.describe("post", "/api/create-zip", |op| {
        op.is("File Operations", "Files as a zip archive").takes::<CreateZipRequest>(json!({})).gives_as(
            200,
            "The archive.",
            "application/zip",
            json!({ "type": "string", "format": "binary" }),
        );
        op.gives_browsers::<browser::BrowserArchiveResponse>();
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
            .gives_events::<ProcessEvent>(&json!({"type": "info", "message": "Initializing local sandbox...", "step": "init", "progress": 10, "timestamp": 1704067200000_i64}));
        refusals(op, &[]);
    });
    document.describe("get", "/stream-dummy", |op| {
        op.is("Code Processing", "Five events, a second apart").gives_events::<DummyEvent>(&json!({"step": 0}));
        op.fails_with::<ErrorDetail>("401", "The server asks for a token.");
    });
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
