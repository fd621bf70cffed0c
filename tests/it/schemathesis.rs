//! Schemathesis, which nobody here wrote, against the OpenAPI document the server serves: no answer is a fault of the
//! server, and none is one its description does not allow.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::{
    fakes::firecrawl::ScrapingService,
    support::{Setup, TestServer, python_programs},
};

const REQUIREMENTS: &str = "schemathesis==4.32.5\n";
/// Longest run, on a busy machine too.
const RUN_TIME_MAX: Duration = Duration::from_secs(540);
/// What it may find out about an answer. Whether a request that breaks the description must be refused is not among
/// them: unknown fields are ignored on purpose.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";

/// What only browser clients call. `sandbox-status` is posted by others.
const BROWSER_PATHS: [&str; 17] = [
    "/api/create-ai-sandbox",
    "/api/sandbox-status",
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
    "/api/scrape-url-enhanced",
    "/api/scrape-website",
    "/api/scrape-screenshot",
    "/api/search",
    "/api/extract-brand-styles",
];

/// Makes the sandboxes of a client with a project header and of one without: most answers need one.
async fn with_sandboxes(server: &TestServer) {
    for project in [Some("my-project"), None] {
        let mut request = server.http.post(server.url("/api/create-ai-sandbox-v2")).json(&serde_json::json!({}));
        if let Some(project) = project {
            request = request.header("x-project-id", project);
        }
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    }
}

#[tokio::test]
async fn no_answer_is_a_fault_or_undescribed() {
    let Some(programs) = python_programs("schemathesis", REQUIREMENTS) else { return };
    let server = TestServer::start().await;
    server.create("todo").await;
    with_sandboxes(&server).await;
    // The stream of events does not end, so there is no whole answer to look at.
    let others = ["/api/v1/projects/{project}/events"].into_iter().chain(BROWSER_PATHS);
    let paths: Vec<&str> = others.flat_map(|path| ["--exclude-path", path]).collect();
    examine(&server, &programs, &paths).await;
}

#[tokio::test]
async fn no_answer_to_a_browser_is_a_fault_or_undescribed() {
    let Some(programs) = python_programs("schemathesis", REQUIREMENTS) else { return };
    // Pages of the web are none of a test's business: a stand-in reads them.
    let pages = ScrapingService::start().await;
    let server = TestServer::start_with(Setup::with_arguments(&["--firecrawl-base-url", &pages.url()])).await;
    with_sandboxes(&server).await;
    let paths: Vec<&str> = BROWSER_PATHS.iter().flat_map(|path| ["--include-path", path]).collect();
    examine(&server, &programs, &paths).await;
}

/// What a later engine's clients call.
const CAMEL_PATHS: [&str; 9] = [
    "/api/generate-ai-code-stream",
    "/api/apply-ai-code-stream",
    "/api/install-packages",
    "/api/detect-and-install-packages",
    "/api/conversation-state",
    "/api/create-ai-sandbox-v2",
    "/api/sandbox-status",
    "/api/get-sandbox-files",
    "/api/kill-sandbox",
];

#[tokio::test]
async fn no_answer_to_a_later_engine_s_client_is_a_fault_or_undescribed() {
    let Some(programs) = python_programs("schemathesis", REQUIREMENTS) else { return };
    let server = TestServer::start_with(Setup::with_arguments(&["--legacy-dialect", "engine-camel"])).await;
    with_sandboxes(&server).await;
    let paths: Vec<&str> = CAMEL_PATHS.iter().flat_map(|path| ["--include-path", path]).collect();
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
