//! The endpoints of a later engine in camelCase, described where the operator has chosen it: on the same paths the others
//! are answered then.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{Document, Operation, legacy::ServerError};
use crate::http::legacy::{
    browser::wire::{
        BrowserFilesResponse, BrowserSandboxStatus, BrowserStatusFailure, CreateBrowserSandboxResponse,
        DetectBrowserPackagesResponse, Done, KillBrowserSandboxResponse,
    },
    camel::wire::{
        CamelApplyEvent, CamelApplyRequest, CamelConversationResponse, CamelCreateFailure, CamelCreateRequest,
        CamelDetectRequest, CamelGenerateEvent, CamelGenerateRequest, CamelInstallEvent, CamelInstallRequest,
        CamelProject, CamelStateRequest, OfProject,
    },
    wire::{ErrorDetail, HttpValidationError},
};

const PROJECT: &str = "Names the project: everything but letters, digits, `_` and `-` is ignored, 64 characters count. Else \
    `projectId` does, in the body or the query; else it is `default`.";
const FRAMES: &str = "Each event has the name `message`, and lines end with CR LF. While nothing is told there is a comment \
    every 15 seconds";

#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "the query is read by name")]
struct ProjectOfQuery {
    /// Names the project where neither the header nor the body does.
    #[serde(default)]
    project_id: Option<String>,
}

/// No sandbox could be made, or something else failed.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "either of two types, which are what is written")]
enum NotCreated {
    Sandbox(CamelCreateFailure),
    Other(ServerError),
}

pub(super) fn describe(document: &mut Document) {
    streams(document);
    conversation(document);
    sandboxes(document);
}

fn streams(document: &mut Document) {
    document.describe("post", "/api/generate-ai-code-stream", |op| {
        op.is("AI Generation", "Stream a model's answer")
            .details(&format!("Text only; apply writes. {FRAMES}, and an event named `ping` without data."))
            .takes::<CamelGenerateRequest>(json!({ "prompt": "A login form", "isEdit": false }))
            .gives_events::<CamelGenerateEvent>(&json!({ "type": "status", "message": "Initializing AI..." }));
        refusals(op, true, &[]);
    });
    document.describe("post", "/api/apply-ai-code-stream", |op| {
        op.is("Code Application", "Put an answer into effect")
            .details(&format!(
                "Packages, files, commands, in this order; what was done is listed in `complete`. {FRAMES}."
            ))
            .takes::<CamelApplyRequest>(
                json!({ "response": "<file path=\"src/App.jsx\">…</file>", "packages": ["axios"] }),
            )
            .gives_events::<CamelApplyEvent>(
                &json!({ "type": "start", "message": "Starting code application...", "totalSteps": 3 }),
            );
        refusals(op, true, &[]);
    });
    document.describe("post", "/api/install-packages", |op| {
        op.is("Package Management", "Install packages")
            .details(&format!("{FRAMES}."))
            .takes::<CamelInstallRequest>(json!({ "packages": ["axios"] }))
            .gives_events::<CamelInstallEvent>(
                &json!({ "type": "start", "message": "Starting package installation...", "packages": ["axios"] }),
            );
        refusals(op, true, &[]);
    });
    document.describe("post", "/api/detect-and-install-packages", |op| {
        op.is("Package Detection", "Install what files import")
            .takes::<CamelDetectRequest>(json!({ "files": { "src/App.jsx": "import axios from 'axios'" } }))
            .gives::<DetectBrowserPackagesResponse>(
                200,
                "What was found and installed; `success` says whether that worked.",
                json!({ "success": true, "packagesInstalled": ["axios"], "packagesFailed": [],
                    "packagesAlreadyInstalled": [], "message": "Installed 1 packages", "logs": "" }),
            );
        refusals(op, true, &[(404, "There is no sandbox.")]);
    });
}

fn conversation(document: &mut Document) {
    let answer = |message: Option<&str>| {
        let mut answer = json!({ "success": true, "projectId": "my-project", "state": {
            "projectId": "my-project", "createdAt": 1_795_325_131_676_i64, "updatedAt": 1_795_325_131_676_i64,
            "context": { "messages": [], "edits": [], "projectEvolution": [], "currentTopic": "general development",
                "userPreferences": { "editStyle": "targeted", "commonPatterns": [] } } } });
        if let Some(message) = message {
            answer["message"] = message.into();
        }
        answer
    };
    document.describe("get", "/api/conversation-state", |op| {
        op.is("Conversation State", "The conversation").gives::<CamelConversationResponse>(
            200,
            "The state; null before anything was said.",
            answer(None),
        );
        refusals(op, false, &[]);
    });
    document.describe("post", "/api/conversation-state", |op| {
        op.is("Conversation State", "Reset, shorten or update it")
            .takes::<CamelStateRequest>(json!({ "action": "update", "data": { "currentTopic": "Login" } }))
            .gives::<CamelConversationResponse>(200, "The state.", answer(Some("Conversation state updated")));
        refusals(op, true, &[]);
    });
    document.describe("delete", "/api/conversation-state", |op| {
        op.is("Conversation State", "Begin anew").gives::<OfProject<Done>>(
            200,
            "It is cleared.",
            of_project(json!({ "success": true, "message": "Conversation state cleared" })),
        );
        refusals(op, false, &[]);
    });
}

fn sandboxes(document: &mut Document) {
    let url = "http://0123456789abcdef0123456789abcdef.cobuild.localhost:3100/";
    document.describe("post", "/api/create-ai-sandbox-v2", |op| {
        op.is("Sandbox Management", "Make the project's sandbox")
            .details("A second call returns the living one.")
            .takes::<CamelCreateRequest>(json!({ "provider": null, "template": "react-vite" }))
            .gives::<OfProject<CreateBrowserSandboxResponse>>(
                200,
                "It takes commands.",
                of_project(json!({ "success": true, "sandboxId": "sbx_nImS9iXZmJ5d", "provider": "local", "url": url,
                    "message": "Sandbox created and Vite React app initialized" })),
            )
            .needs_no_body();
        refusals(op, true, &[]);
        op.fails_with::<NotCreated>("500", "No sandbox could be made.");
    });
    document.describe("get", "/api/sandbox-status", |op| {
        op.is("Sandbox Management", "How the sandbox is").gives::<OfProject<BrowserSandboxStatus>>(
            200,
            "How it is; `sandboxData` is null if there is none.",
            of_project(
                json!({ "success": true, "active": true, "healthy": true, "message": "Sandbox is active and healthy",
                "sandboxData": { "sandboxId": "sbx_nImS9iXZmJ5d", "url": url, "filesTracked": ["src/App.jsx"],
                    "lastHealthCheck": "2026-11-22T05:25:31.676129Z" } }),
            ),
        );
        refusals(op, false, &[]);
        op.fails_with::<OfProject<BrowserStatusFailure>>("500", "It could not be found out.");
    });
    document.describe("get", "/api/get-sandbox-files", |op| {
        op.is("File Operations", "The texts of small files").gives::<OfProject<BrowserFilesResponse>>(
            200,
            "The files.",
            of_project(
                json!({ "success": true, "files": { "src/App.jsx": "…" }, "structure": ".\n./src", "fileCount": 1,
                "manifest": { "files": {}, "routes": [], "componentTree": {}, "entryPoint": "/src/main.jsx",
                    "styleFiles": [], "timestamp": 1_795_325_131_676_i64 } }),
            ),
        );
        refusals(op, false, &[(404, "There is no sandbox.")]);
    });
    document.describe("post", "/api/kill-sandbox", |op| {
        op.is("Sandbox Management", "End the sandbox")
            .details(
                "The run that uses it ends, too. Prompts of others that wait for their turn stay; they make another.",
            )
            .takes::<CamelProject>(json!({ "projectId": "my-project" }))
            .gives::<OfProject<KillBrowserSandboxResponse>>(
                200,
                "There is none any more; the files stay.",
                of_project(json!({ "success": true, "sandboxKilled": true,
                    "message": "Sandbox cleaned up successfully" })),
            )
            .needs_no_body();
        refusals(op, false, &[]);
    });
}

fn of_project(mut answer: Value) -> Value {
    answer["projectId"] = "my-project".into();
    answer
}

/// What every endpoint has in common; `is_checked`: the body must be as it is described.
fn refusals(op: &mut Operation<'_>, is_checked: bool, more: &[(u16, &str)]) {
    op.header("X-Project-Id", PROJECT, false, Some("my-project")).query::<ProjectOfQuery>();
    op.fails_with::<ErrorDetail>("400", "The request names no project, or something there is not.");
    for (status, what) in more {
        op.fails_with::<ErrorDetail>(&status.to_string(), what);
    }
    if is_checked {
        op.fails_with::<HttpValidationError>("422", "The body is not as it must be.");
    }
    op.fails_with::<ServerError>("500", "A fault of the server.");
    op.fails_with::<ErrorDetail>("default", "Any other refusal.");
}
