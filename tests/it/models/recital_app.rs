//! From a prompt to an app that runs, with a real engine and a real sandbox: nothing on the way is ours to pretend.

use std::{sync::Arc, time::Duration};

use cobuild::project::sandbox_provider::SandboxProvider;
use cobuild_protocol::{Event, RunId, value::Outcome};
use serde_json::json;

use super::recital::Engine;
use crate::{
    sandbox_support::local_provider,
    support::{Setup, TestServer, WsClient, run_of},
};

const TEXT: &str = include_str!("../../fixtures/models/app.txt");
/// Where the engine goes on after an answer that was cut: so that what is left fits into the same limit.
const CONTINUE_AT: usize = 30;
/// Room for what a prompt brings along. To this engine, every byte it was not taught is a token.
const CONTEXT: usize = 24 * 1024;
/// The first sandbox installs the template, and a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the engine writes into the app. The line break before the closing tag is not part of a file.
fn app() -> &'static str {
    let (_, rest) = TEXT.split_once("jsx\">\n").expect("a file");
    rest.split_once("\n</file>").expect("its end").0
}

async fn serve(engine: &Engine, sandboxes: Option<Arc<dyn SandboxProvider>>, others: &[&str]) -> TestServer {
    let mut arguments =
        vec![format!("--compatible-base-url={}/v1", engine.address), "--default-ai-model=compatible/recital".into()];
    arguments.extend(others.iter().map(ToString::to_string));
    TestServer::start_with(Setup { arguments, configured_models: true, sandboxes, ..Setup::default() }).await
}

/// Prompts a new project.
async fn prompt(server: &TestServer, project: &str, prompt: &str, apply: bool) -> (WsClient, RunId) {
    server.create(project).await;
    let mut client = WsClient::attach(server, project).await;
    client.synced().await;
    let run = run_of(client.command(json!({ "type": "generate", "prompt": prompt, "apply": apply })).await);
    (client, run)
}

async fn file(server: &TestServer, project: &str) -> String {
    let url = server.url(&format!("/api/v1/projects/{project}/files/src/App.jsx"));
    server.http.get(url).send().await.expect("an answer").text().await.expect("text")
}

/// Whether the preview has come to show the app.
async fn previewed(server: &TestServer, project: &str) -> String {
    let host = server.preview_host(project).await;
    let request = server.http.get(server.url("/src/App.jsx")).header("host", host);
    let answer = request.timeout(PATIENCE).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.text().await.expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_becomes_an_app_that_runs() {
    let Some(sandboxes) = local_provider("models: an app by a real engine").await else { return };
    let Some(engine) = Engine::start("app.txt", CONTINUE_AT, CONTEXT).await else { return };
    let server = serve(&engine, Some(sandboxes), &[]).await;
    let (mut client, run) = prompt(&server, "p", "A counter, please", true).await;
    let outcome = tokio::time::timeout(PATIENCE, client.finished(run)).await.expect("in time");
    assert_eq!(outcome, Outcome::Completed, "{:?}", client.lines.last());
    assert_eq!(file(&server, "p").await, app());
    let shown = previewed(&server, "p").await;
    assert!(shown.contains("naïve — 😀 counter") && shown.contains("useState"), "{shown}");
    let project = server.json("/api/v1/projects/p").await;
    let (run, message) = (&project["state"]["runs"][0], &project["state"]["messages"][1]);
    assert_eq!((&message["model"], &run["usage"]["estimated"]), (&json!("compatible/recital"), &json!(null)));
    assert!(run["usage"]["output_tokens"].as_u64() >= Some(engine.pieces.len() as u64), "{run}");
    assert!(run["usage"].get("cost_nano_usd").is_none(), "unknown, not free: {run}");
    // The sandbox goes before the server, which would not wait for it.
    client.command(json!({ "type": "stop_sandbox" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_cut_is_continued_byte_for_byte() {
    let Some(sandboxes) = local_provider("models: a continued app by a real engine").await else { return };
    let Some(engine) = Engine::start("app.txt", CONTINUE_AT, CONTEXT).await else { return };
    assert!(engine.pieces.len() > CONTINUE_AT && engine.pieces.len() < 2 * CONTINUE_AT, "two parts make the whole");
    let server = serve(&engine, Some(sandboxes), &[&format!("--max-tokens={CONTINUE_AT}")]).await;
    let (mut client, run) = prompt(&server, "p", "A counter, please", true).await;
    let outcome = tokio::time::timeout(PATIENCE, client.finished(run)).await.expect("in time");
    assert_eq!(outcome, Outcome::Completed, "{:?}", client.lines.last());
    assert_eq!(file(&server, "p").await, app());
    assert!(previewed(&server, "p").await.contains("naïve — 😀 counter"));
    let project = server.json("/api/v1/projects/p").await;
    let run = &project["state"]["runs"][0];
    let reasons: Vec<_> = run["turns"].as_array().expect("turns").iter().map(|turn| &turn["reason"]).collect();
    assert_eq!(reasons, ["continuation"], "{run}");
    assert!(run["usage"]["output_tokens"].as_u64() >= Some(engine.pieces.len() as u64), "both parts are billed: {run}");
    client.command(json!({ "type": "stop_sandbox" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_or_too_long_leaves_the_engine_free() {
    let Some(engine) = Engine::start("app.txt", CONTINUE_AT, CONTEXT).await else { return };
    let server = serve(&engine, None, &[]).await;
    let (mut client, run) = prompt(&server, "stopped", "A counter, please", false).await;
    client.command(json!({ "type": "cancel", "run": run })).await;
    assert_eq!(client.finished(run).await, Outcome::Cancelled);
    // As many bytes as the engine has tokens, and more.
    let (mut client, run) = prompt(&server, "long", &"way too long ".repeat(CONTEXT / 8), false).await;
    let code = client
        .event(|frame| match &frame.event {
            Event::RunFinished(finished) if frame.run == Some(run) => Some(finished.error.as_ref()?.code),
            _ => None,
        })
        .await;
    assert_eq!(serde_json::to_value(code).expect("JSON"), "too_large");
    let (mut client, run) = prompt(&server, "next", "A counter, please", false).await;
    assert_eq!(client.finished(run).await, Outcome::Completed);
}

/// Long enough that it is stopped in the middle, however slow the one who stops it.
const LONG_WORDS: usize = 1500;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_in_the_middle_ends_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let text: String = (0..LONG_WORDS).map(|number| format!("w{number} ")).collect();
    let path = folder.path().join("long.txt");
    std::fs::write(&path, &text).expect("written");
    let Some(engine) = Engine::start(path.to_str().expect("text"), CONTINUE_AT, CONTEXT).await else { return };
    let server = serve(&engine, None, &[]).await;
    let (mut client, run) = prompt(&server, "p", "Count, please", false).await;
    let is_delta = |event: &Event| matches!(event, Event::TextDelta(_));
    client.event(|frame| (frame.run == Some(run) && is_delta(&frame.event)).then_some(())).await;
    client.command(json!({ "type": "cancel", "run": run })).await;
    assert_eq!(client.finished(run).await, Outcome::Cancelled);
    let project = server.json("/api/v1/projects/p").await;
    let said = project["state"]["messages"][1]["parts"][0]["text"].as_str().expect("a text").trim_end().to_owned();
    assert!(text.starts_with(&said) && !said.is_empty() && said.len() < text.len(), "{} bytes", said.len());
    let usage = &project["state"]["runs"][0]["usage"];
    assert!(usage["output_tokens"].as_u64() > Some(0) && usage.get("cost_nano_usd").is_none(), "{usage}");
    // The engine has both of its places free again.
    let (mut client, run) = prompt(&server, "next", "Count, please", false).await;
    client.event(|frame| (frame.run == Some(run) && is_delta(&frame.event)).then_some(())).await;
    client.command(json!({ "type": "cancel", "run": run })).await;
    assert_eq!(client.finished(run).await, Outcome::Cancelled);
}
