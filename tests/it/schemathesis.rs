//! Schemathesis, which nobody here wrote, against the OpenAPI document the server serves: no answer is a fault of the
//! server, and none is one its description does not allow.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::support::{Setup, TestServer, python_programs};

const REQUIREMENTS: &str = "schemathesis==4.32.5\n";
/// Longest run, on a busy machine too.
const RUN_TIME_MAX: Duration = Duration::from_secs(540);
/// What it may find out about an answer. Whether a request that breaks the description must be refused is not among
/// them: unknown fields are ignored on purpose.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";

/// What browser clients call beyond the endpoints they share with others. Pages of the web are none of a test's business.
const BROWSER_PATHS: [&str; 11] = [
    "/api/create-ai-sandbox",
    "/api/restart-vite",
    "/api/run-command",
    "/api/run-command-v2",
    "/api/install-packages-v2",
    "/api/monitor-vite-logs",
    "/api/check-vite-errors",
    "/api/sandbox-logs",
    "/api/report-vite-error",
    "/api/clear-vite-errors-cache",
    "/api/analyze-edit-intent",
];

#[tokio::test]
async fn no_answer_is_a_fault_or_undescribed() {
    let Some(programs) = python_programs("schemathesis", REQUIREMENTS) else { return };
    // Without its header a request is a browser's, on the same paths and in another shape; the document describes the
    // clients that send it.
    let server = TestServer::start_with(Setup::with_arguments(&["--legacy-dialect", "engine"])).await;
    server.create("todo").await;
    // The stream of events does not end, so there is no whole answer to look at.
    examine(&server, &programs, &["--exclude-path", "/api/v1/projects/{project}/events"]).await;
}

#[tokio::test]
async fn no_answer_to_a_browser_is_a_fault_or_undescribed() {
    let Some(programs) = python_programs("schemathesis", REQUIREMENTS) else { return };
    let server = TestServer::start().await;
    let made = server.http.post(server.url("/api/create-ai-sandbox")).send().await.expect("an answer");
    assert_eq!(made.status(), 200);
    let paths: Vec<&str> = BROWSER_PATHS.iter().flat_map(|path| ["--include-path", path]).collect();
    examine(&server, &programs, &paths).await;
}

/// Lets it ask what the server's document describes, as far as `paths` say.
async fn examine(server: &TestServer, programs: &Path, paths: &[&str]) {
    let mut run = Command::new(programs.join("st"));
    run.args(["run", &server.url("/api/openapi.json"), "--checks", CHECKS, "--max-examples", "8"]);
    run.args(["--phases", "examples,coverage,fuzzing", "--seed", "1", "--generation-deterministic", "--no-color"]);
    run.args([
        "--request-timeout",
        "60",
        "--suppress-health-check",
        "all",
        "--warnings",
        "off",
        "--continue-on-failure",
    ]);
    run.args(paths);
    run.env("NO_PROXY", "127.0.0.1").current_dir(programs).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(RUN_TIME_MAX, run.output()).await.expect("in time").expect("started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("passed") || said.contains("No issues found"), "{said}");
}
