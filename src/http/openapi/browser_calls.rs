//! What else browser clients of the older systems call: commands, logs, packages in one piece, plans. Described by the
//! types that are read and written.

use serde_json::json;

use super::{
    Document, Operation,
    browser_pages::{AnyRefusal, NoSuchPath},
};
use crate::http::legacy::browser::wire::{
    AnalyzeEditRequest, AnalyzeEditResponse, BrowserError, BrowserInstallRequest, BrowserSandboxStatus,
    BrowserStatusFailure, CreateBrowserSandboxResponse, Done, InstallInOnePieceResponse, ReportErrorRequest,
    ReportErrorResponse, RunCommandRequest, RunCommandResponse, SandboxLogs, ViteErrors,
};

const TAG: &str = "Browser Clients";

pub(super) fn describe(document: &mut Document) {
    sandboxes(document);
    commands(document);
    logs(document);
    document.describe("post", "/api/analyze-edit-intent", |op| {
        op.is(TAG, "What a wish for a change is about")
            .details("Found by its words; no model is asked.")
            .takes::<AnalyzeEditRequest>(
                json!({ "prompt": "Make the header blue", "manifest": { "componentTree": {} } }),
            )
            .gives::<AnalyzeEditResponse>(
                200,
                "What to look for.",
                json!({ "success": true, "searchPlan": { "editType": "UPDATE_STYLE", "reasoning": "…",
                    "searchTerms": ["header", "blue"], "fileTypesToSearch": [".jsx"], "expectedMatches": 1 } }),
            );
        refusals(op);
    });
}

fn sandboxes(document: &mut Document) {
    document.describe("post", "/api/create-ai-sandbox", |op| {
        op.is(TAG, "Make the caller's sandbox")
            .details("A second call within seconds returns the same; a later one begins a new app and loses none.")
            .gives::<CreateBrowserSandboxResponse>(
                200,
                "It takes commands.",
                json!({ "success": true, "sandboxId": "sbx_nImS9iXZmJ5d", "provider": "local",
                    "url": "http://0123456789abcdef0123456789abcdef.cobuild.localhost:3100/",
                    "message": "Sandbox created and Vite React app initialized" }),
            );
        refusals(op);
    });
    document.describe("get", "/api/sandbox-status", |op| {
        op.is(TAG, "How the caller's sandbox is").gives::<BrowserSandboxStatus>(
            200,
            "How it is; `sandboxData` is null if there is none.",
            json!({ "success": true, "active": false, "healthy": false, "sandboxData": null,
                "message": "No active sandbox" }),
        );
        refusals(op);
        op.fails_with::<BrowserStatusFailure>("500", "It could not be found out.");
    });
    document.describe("post", "/api/restart-vite", |op| {
        op.is(TAG, "Restart the dev server").gives::<Done>(
            200,
            "It answers again, or is about to.",
            json!({ "success": true, "message": "…" }),
        );
        refusals(op);
    });
}

fn commands(document: &mut Document) {
    for path in ["/api/run-command", "/api/run-command-v2"] {
        document.describe("post", path, |op| {
            op.is(TAG, "Run a command in the sandbox")
                .takes::<RunCommandRequest>(json!({ "command": "npm run build" }))
                .gives::<RunCommandResponse>(
                    200,
                    "It has ended; `success` says how.",
                    json!({ "success": true, "output": "done\n", "error": "", "exitCode": 0,
                        "message": "Command executed successfully" }),
                );
            refusals(op);
        });
    }
    document.describe("post", "/api/install-packages-v2", |op| {
        op.is(TAG, "Install packages, answered when it is done")
            .takes::<BrowserInstallRequest>(json!({ "packages": ["axios"] }))
            .gives::<InstallInOnePieceResponse>(
                200,
                "It has ended; `success` says how.",
                json!({ "success": true, "output": "added 1 package\n", "error": "",
                    "message": "Packages installed successfully: axios" }),
            );
        refusals(op);
    });
}

fn logs(document: &mut Document) {
    for path in ["/api/monitor-vite-logs", "/api/check-vite-errors"] {
        document.describe("get", path, |op| {
            op.is(TAG, "Errors of the dev server").gives::<ViteErrors>(
                200,
                "Those of the app as it is now.",
                json!({ "success": true, "hasErrors": false, "errors": [], "message": "No errors" }),
            );
            refusals(op);
        });
    }
    document.describe("get", "/api/sandbox-logs", |op| {
        op.is(TAG, "What the dev server said last").gives::<SandboxLogs>(
            200,
            "Its last lines.",
            json!({ "success": true, "hasErrors": false, "logs": ["ready"], "status": "running" }),
        );
        refusals(op);
    });
    document.describe("post", "/api/report-vite-error", |op| {
        op.is(TAG, "Report an error the page saw")
            .takes::<ReportErrorRequest>(json!({ "error": "x is not defined", "file": "src/App.jsx" }))
            .gives::<ReportErrorResponse>(
                200,
                "Taken note of.",
                json!({ "success": true, "message": "Error reported", "error": { "type": "runtime-error",
                    "message": "x is not defined", "file": "src/App.jsx", "timestamp": "2026-11-22T05:25:31.676Z" } }),
            );
        refusals(op);
    });
    document.describe("post", "/api/clear-vite-errors-cache", |op| {
        op.is(TAG, "Forget the errors seen").details("Nothing is kept: errors are read as they are.").gives::<Done>(
            200,
            "Done.",
            json!({ "success": true, "message": "…" }),
        );
        refusals(op);
    });
}

fn refusals(op: &mut Operation<'_>) {
    op.fails_with::<BrowserError>("400", "Something is missing, or there is no sandbox.");
    op.fails_with::<NoSuchPath>("404", "Browser clients are switched off (`LEGACY_DIALECT=engine`).");
    op.fails_with::<BrowserError>("422", "The body is not JSON.");
    op.fails_with::<BrowserError>("500", "What was wanted failed.");
    op.fails_with::<AnyRefusal>("default", "Any other refusal.");
}
