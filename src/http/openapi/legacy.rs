//! The endpoints of the two older systems. What is described is what is read and written: the façades' own types.

use schemars::JsonSchema;
use serde_json::json;

use super::{Document, Operation, camel, either::Either};
use crate::http::{
    legacy::{
        DialectChoice,
        browser::wire::{
            BrowserApplyEvent, BrowserApplyRequest, BrowserArchiveResponse, BrowserConversationResponse,
            BrowserDetectRequest, BrowserError, BrowserFilesResponse, BrowserGenerateEvent, BrowserGenerateRequest,
            BrowserInstallEvent, BrowserInstallRequest, BrowserStateRequest, CreateBrowserSandboxResponse,
            DetectBrowserPackagesResponse, Done, KillBrowserSandboxResponse, NotAppliedResponse,
        },
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

const PROJECT_EXAMPLE: &str = "my-project";
/// What is said besides where browser clients use the same path.
const WITHOUT_PROJECT: &str = "A request without the header is a browser client's: camelCase, and the server knows \
    whose project it means.";

/// Whatever is sent is ignored.
#[derive(JsonSchema)]
struct Anything {}

/// A browser client's reply was not applied.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "either of two types, which are what is written")]
enum NotApplied {
    /// There is nowhere to apply it.
    NoSandbox(Box<NotAppliedResponse>),
    /// Something else.
    Other(BrowserError),
}

/// A fault of the server.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "either of two types, which are what is written")]
pub(super) enum ServerError {
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
    match document.dialect {
        // A later engine answers on the same paths in words of its own.
        DialectChoice::EngineCamel => camel::describe(document),
        DialectChoice::Auto | DialectChoice::Engine | DialectChoice::Browser => {
            streams(document);
            conversation(document);
            sandboxes(document);
        }
    }
    code(document);
}

fn streams(document: &mut Document) {
    document.describe("post", "/api/generate-ai-code-stream", |op| {
        op.is("AI Generation", "Stream a model's answer")
            .details(
                "Text only; apply writes. With a project header: `start`, `chunk` …, `packages` if any, `complete`; or \
                 `error`. Without one: `status`, `stream` … with what is found in the answer between, `complete`; or \
                 `error`.",
            )
            .takes_either::<GenerateCodeRequest, BrowserGenerateRequest>(
                true,
                Either {
                    engine: json!({ "prompt": "A login form" }),
                    browser: json!({ "prompt": "A login form", "isEdit": false,
                        "context": { "conversationContext": { "scrapedWebsites": [] } } }),
                },
            )
            .gives_events_to_either::<GenerateEvent, BrowserGenerateEvent>(Either {
                engine: json!({"type": "start", "message": "Generating code..."}),
                browser: json!({"type": "status", "message": "Initializing AI..."}),
            });
        shared(op, &[]);
    });
    document.describe("post", "/api/apply-ai-code-stream", |op| {
        op.is("Code Application", "Put an answer into effect")
            .details("Packages, files, commands, in this order; what was done is counted, or listed, in `complete`.")
            .takes_either::<ApplyCodeRequest, BrowserApplyRequest>(
                true,
                Either {
                    engine: json!({ "response": "<file path=\"src/App.jsx\">…</file>", "packages": ["axios"] }),
                    browser: json!({ "response": "<file path=\"src/App.jsx\">…</file>", "isEdit": false,
                        "packages": ["axios"] }),
                },
            )
            .gives_events_to_either::<ApplyEvent, BrowserApplyEvent>(Either {
                engine: json!({"type": "start", "message": "Applying code changes..."}),
                browser: json!({"type": "start", "message": "Starting code application...", "totalSteps": 3}),
            });
        shared(op, &[]);
        op.fails_with_either::<ServerError, NotApplied>("500", "A fault of the server, or there can be no sandbox.");
    });
    document.describe("post", "/api/install-packages", |op| {
        op.is("Package Management", "Install packages")
            .takes_either::<InstallPackagesRequest, BrowserInstallRequest>(
                true,
                Either { engine: json!({ "packages": ["axios"] }), browser: json!({ "packages": ["axios"] }) },
            )
            .gives_events_to_either::<InstallEvent, BrowserInstallEvent>(Either {
                engine: json!({"type": "start", "message": "Starting package installation..."}),
                browser: json!({"type": "start", "message": "Starting package installation...",
                    "packages": ["axios"]}),
            });
        shared(op, &[]);
    });
    document.describe("post", "/api/detect-and-install-packages", |op| {
        let files = || json!({ "files": { "src/App.jsx": "import axios from 'axios'" } });
        op.is("Package Detection", "Install what files import")
            .takes_either::<DetectPackagesRequest, BrowserDetectRequest>(
                true,
                Either { engine: files(), browser: files() },
            )
            .gives_either::<DetectPackagesResponse, DetectBrowserPackagesResponse>(
                200,
                "What was found and installed; `success` says whether that worked.",
                Either {
                    engine: json!({ "success": true, "packages_installed": ["axios"], "packages_already_installed": [],
                        "message": "Detected 1 packages. 1 need installation." }),
                    browser: json!({ "success": true, "packagesInstalled": ["axios"], "packagesFailed": [],
                        "packagesAlreadyInstalled": [], "message": "Installed 1 packages", "logs": "" }),
                },
            );
        shared(op, &[(404, "A browser client has no sandbox.")]);
    });
}

fn conversation(document: &mut Document) {
    let state = || {
        json!({ "project_id": "my-project", "current_topic": "general development", "messages": [],
            "edit_history": [], "project_evolution": [],
            "user_preferences": { "edit_style": "targeted", "common_patterns": [] },
            "created_at": "2026-11-22T05:25:31.676129Z", "updated_at": "2026-11-22T05:25:31.676129Z" })
    };
    let browsers = || {
        json!({ "conversationId": "conv-1795325131676", "startedAt": 1_795_325_131_676_i64,
            "lastUpdated": 1_795_325_131_676_i64,
            "context": { "messages": [], "edits": [], "projectEvolution": { "majorChanges": [] },
                "userPreferences": { "editStyle": "targeted", "commonRequests": [] }, "currentTopic": "Login" } })
    };
    document.describe("get", "/api/conversation-state", |op| {
        op.is("Conversation State", "The conversation").gives_either::<ConversationState, BrowserConversationResponse>(
            200,
            "The state.",
            Either { engine: state(), browser: json!({ "success": true, "state": browsers() }) },
        );
        shared(op, &[]);
    });
    document.describe("post", "/api/conversation-state", |op| {
        let update = || json!({ "action": "update", "data": { "currentTopic": "Login" } });
        op.is("Conversation State", "Reset, shorten or update it")
            .takes_either::<ConversationStateAction, BrowserStateRequest>(
                true,
                Either { engine: update(), browser: json!({ "action": "clear-old" }) },
            )
            .gives_either::<ConversationState, BrowserConversationResponse>(
                200,
                "The state.",
                Either {
                    engine: state(),
                    browser: json!({ "success": true, "state": browsers(), "message": "Conversation state updated" }),
                },
            );
        shared(op, &[]);
    });
    document.describe("delete", "/api/conversation-state", |op| {
        let cleared = || json!({ "success": true, "message": "Conversation state cleared" });
        op.is("Conversation State", "Begin anew").gives_either::<Success, Done>(
            200,
            "It is cleared.",
            Either { engine: cleared(), browser: cleared() },
        );
        shared(op, &[]);
    });
}

fn sandboxes(document: &mut Document) {
    document.describe("post", "/api/create-ai-sandbox-v2", |op| {
        let url = "http://0123456789abcdef0123456789abcdef.cobuild.localhost:3100/";
        op.is("Sandbox Management", "Make the project's sandbox")
            .details("A second call returns the living one; a browser client's, some time later, begins a new app.")
            .takes_either::<CreateSandboxRequest, Anything>(
                false,
                Either { engine: json!({ "provider": null, "template": "react-vite" }), browser: json!({}) },
            )
            .gives_either::<CreateSandboxResponse, CreateBrowserSandboxResponse>(
                200,
                "It takes commands.",
                Either {
                    engine: json!({ "success": true, "sandbox_id": "sbx_nImS9iXZmJ5d", "provider": "local",
                        "message": "Sandbox created successfully with local", "url": url }),
                    browser: json!({ "success": true, "sandboxId": "sbx_nImS9iXZmJ5d", "provider": "local", "url": url,
                        "message": "Sandbox created and Vite React app initialized" }),
                },
            );
        shared(op, &[]);
    });
    document.describe("get", "/api/get-sandbox-files", |op| {
        op.is("File Operations", "The names of the files, or their texts")
            .details("Browser clients get the texts of small files, and need no parameters.")
            .query::<FilesOfQuery>()
            .gives_either::<GetFilesResponse, BrowserFilesResponse>(
                200,
                "The files.",
                Either {
                    engine: json!({ "success": true, "files": ["src/App.jsx"], "total_count": 1 }),
                    browser: json!({ "success": true, "files": { "src/App.jsx": "…" }, "structure": ".\n./src",
                        "fileCount": 1, "manifest": { "files": {}, "routes": [], "componentTree": {},
                            "entryPoint": "/src/main.jsx", "styleFiles": [], "timestamp": 1_795_325_131_676_i64 } }),
                },
            );
        shared(op, &[(404, "There is no sandbox.")]);
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
            .details(
                "The run that uses it ends, too. Prompts of others that wait for their turn stay; they make another.",
            )
            .takes_either::<KillSandboxRequest, Anything>(false, Either { engine: json!({}), browser: json!({}) })
            .gives_either::<KillSandboxResponse, KillBrowserSandboxResponse>(
                200,
                "It is gone; the files stay.",
                Either {
                    engine: json!({ "success": true, "message": "Sandbox terminated successfully",
                        "sandbox_id": "sbx_nImS9iXZmJ5d" }),
                    browser: json!({ "success": true, "sandboxKilled": true,
                        "message": "Sandbox cleaned up successfully" }),
                },
            );
        shared(op, &[(404, "There is no such sandbox.")]);
    });
    document.describe("post", "/api/create-zip", |op| {
        op.is("File Operations", "Files as a zip archive")
            .takes_either::<CreateZipRequest, Anything>(false, Either { engine: json!({}), browser: json!({}) })
            .gives_archive::<BrowserArchiveResponse>(
                "The archive; to a browser client within JSON.",
                json!({ "success": true, "dataUrl": "data:application/zip;base64,UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==",
                    "fileName": "my-project.zip", "message": "Zip file created successfully" }),
            );
        shared(op, &[(404, "There is no sandbox.")]);
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

/// What every endpoint has in common that is the first engine's alone.
fn engine(op: &mut Operation<'_>, more: &[(u16, &str)]) {
    op.header("X-Project-Id", PROJECT, true, Some(PROJECT_EXAMPLE));
    refusals(op, more);
}

/// What those have in common that browser clients use, too: without the header, in camelCase.
fn shared(op: &mut Operation<'_>, more: &[(u16, &str)]) {
    match op.dialect {
        DialectChoice::Auto => {
            op.header("X-Project-Id", &format!("{PROJECT} {WITHOUT_PROJECT}"), false, Some(PROJECT_EXAMPLE))
        }
        DialectChoice::Engine | DialectChoice::EngineCamel => {
            op.header("X-Project-Id", PROJECT, true, Some(PROJECT_EXAMPLE))
        }
        // Whoever sends it, it means nothing.
        DialectChoice::Browser => op,
    };
    op.fails_with_either::<ErrorDetail, BrowserError>(
        "400",
        "The request names no project, or something there is not.",
    );
    for (status, what) in more {
        op.fails_with_either::<ErrorDetail, BrowserError>(&status.to_string(), what);
    }
    op.fails_with_either::<HttpValidationError, BrowserError>("422", "The body is not as it must be.");
    op.fails_with_either::<ServerError, BrowserError>("500", "A fault of the server.");
    op.fails_with_either::<ErrorDetail, BrowserError>("default", "Any other refusal.");
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
