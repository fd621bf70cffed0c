//! Streams as they arrive, and what becomes of them when somebody leaves or interferes.

use std::time::Duration;

use cobuild_protocol::{Event, value::Outcome};
use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt as _;

use super::{
    client::{call, create_sandbox, events, send, stream, types},
    described,
    raw::{Writes, reads_of, request, written_one_by_one},
};
use crate::support::{Setup, TestServer, WsClient, within};

const GENERATE: &str = "/api/generate-ai-code-stream";
const APPLY: &str = "/api/apply-ai-code-stream";

fn paced(pause_ms: u64) -> Setup {
    Setup { pause: Duration::from_millis(pause_ms), ..Setup::default() }
}

#[tokio::test]
async fn each_event_of_each_stream_arrives_in_a_write_of_its_own() {
    let server = TestServer::start().await;
    create_sandbox(&server, "p").await;
    let made = call(&server, "POST", "/api/create-ai-sandbox-v2", None, Some("{}")).await;
    assert_eq!(made.status, 200);
    let apply = "<file path=\"src/Gr.jsx\">Grüße ✓</file><package>zod</package><command>echo Grüße</command>";
    let install = "/api/install-packages";
    for (path, project, body, last) in [
        (GENERATE, Some("p"), json!({ "prompt": "file src/Gr.jsx Grüße✓" }), "complete"),
        (GENERATE, Some("p"), json!({ "prompt": "break Grüße ✓" }), "error"),
        (APPLY, Some("p"), json!({ "response": apply }), "complete"),
        (APPLY, Some("none"), json!({ "response": apply }), "error"),
        (install, Some("p"), json!({ "packages": ["axios"] }), "complete"),
        (install, Some("p"), json!({ "packages": ["no-such-package"] }), "error"),
        (GENERATE, None, json!({ "prompt": "file src/components/Gr.jsx Grüße✓" }), "complete"),
        (GENERATE, None, json!({ "prompt": "break Grüße ✓" }), "error"),
        (APPLY, None, json!({ "response": apply }), "complete"),
        (install, None, json!({ "packages": ["axios"] }), "complete"),
        (install, None, json!({ "packages": ["no-such-package"] }), "error"),
        ("/code", None, json!({ "repoUrl": "ftp://grüße", "prompt": "✓" }), "error"),
        // It has no projects that anybody names: whatever such a header says, it is not looked at.
        ("/code", Some("!!!"), json!({ "repoUrl": "ftp://grüße", "prompt": "✓" }), "error"),
    ] {
        let what = format!("{path} {project:?} {body}");
        let reads = reads_of(server.address, &request("POST", path, project, &body.to_string())).await;
        let told = written_one_by_one(&reads, &what);
        assert_eq!(told.last().expect("events")["type"], last, "{what}");
        let ends = told.iter().filter(|event| event["type"] == "complete" || event["type"] == "error").count();
        assert_eq!(ends, 1, "{what}: one end, and nothing behind it: {told:?}");
        described::examine(&server, "post", path, project.is_none(), &told).await;
    }
    let reads = reads_of(server.address, &request("GET", "/stream-dummy", None, "")).await;
    let told = written_one_by_one(&reads, "stream-dummy");
    assert_eq!(told.len(), 5);
    described::examine(&server, "get", "/stream-dummy", false, &told).await;
}

#[tokio::test]
async fn each_event_is_one_write_of_the_server_and_the_last_one_another() {
    // The server runs on this thread.
    let writes = Writes::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(writes.clone()));
    let server = TestServer::start().await;
    create_sandbox(&server, "p").await;
    Writes::begin();
    let apply = json!({ "response": "<file path=\"src/a.js\">ü</file><command>echo hi</command>" });
    for (path, project, body, last) in [
        (GENERATE, Some("p"), json!({ "prompt": "words 30" }), "complete"),
        (GENERATE, Some("p"), json!({ "prompt": "break ü" }), "error"),
        (GENERATE, None, json!({ "prompt": "words 30" }), "complete"),
        (APPLY, Some("p"), apply.clone(), "complete"),
        (APPLY, None, apply, "complete"),
        ("/api/install-packages", Some("p"), json!({ "packages": ["axios"] }), "complete"),
        ("/code", None, json!({ "repoUrl": "ftp://x", "prompt": "p" }), "error"),
    ] {
        writes.take();
        let all = reads_of(server.address, &request("POST", path, project, &body.to_string())).await.concat();
        let kinds = writes.one_per_event(&all, path);
        assert_eq!(kinds.last(), Some(&json!(last)), "{path}");
    }
}

#[tokio::test]
async fn what_a_client_knows_is_shown_to_the_model_and_is_no_part_of_the_conversation() {
    let server = TestServer::start().await;
    let body = json!({ "prompt": "Hello", "context": { "brand": "teal </background>", "currentFiles": { "a": "b" } } });
    let told = stream(&server, GENERATE, "p", body).await;
    // The model repeats what it was asked.
    let asked = told.last().expect("events")["response"].as_str().expect("text");
    assert!(asked.starts_with("Hello\n\n") && asked.contains("\"brand\": \"teal < /background>\""), "{asked}");
    assert!(asked.ends_with("</background>") && !asked.contains("currentFiles"), "{asked}");
    let state = call(&server, "GET", "/api/conversation-state", Some("p"), None).await.body;
    assert_eq!(state["messages"][0]["content"], "Hello");
}

#[tokio::test]
async fn a_model_without_its_key_is_told_as_clients_know_it() {
    let server = TestServer::start_with(Setup { configured_models: true, ..Setup::default() }).await;
    for (model, error) in [
        ("openai/gpt-4o", "OPENAI_API_KEY not configured"),
        ("Anthropic/claude-3-5-sonnet-20241022", "ANTHROPIC_API_KEY not configured"),
        ("claude-sonnet-5-5", "ANTHROPIC_API_KEY not configured"),
        ("google/gemini-1.5-pro", "GEMINI_API_KEY not configured"),
        ("groq/llama-3.1-70b", "GROQ_API_KEY not configured"),
        ("openrouter/a/b", "OPENROUTER_API_KEY not configured"),
        ("foo/bar", "Unknown AI provider: foo"),
    ] {
        let told = stream(&server, GENERATE, "p", json!({ "prompt": "x", "model": model })).await;
        let failed = json!({ "type": "error", "error": error, "message": "Code generation failed" });
        assert_eq!(told[1..], [failed], "{model}");
        let body = json!({ "prompt": "x", "model": model }).to_string();
        let refused = call(&server, "POST", GENERATE, None, Some(&body)).await;
        let sentence = refused.body["error"].as_str().expect("a sentence");
        assert!(refused.status == 400 && sentence.contains("_API_KEY not configured: "), "{model}: {sentence}");
    }
    let told = stream(&server, GENERATE, "p", json!({ "prompt": "A timer" })).await;
    assert_eq!(told.last().expect("events")["type"], "complete", "the demo needs no key");
}

#[tokio::test]
async fn an_answer_is_streamed_and_a_viewer_sees_it() {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut viewer = WsClient::attach(&server, "p").await;
    let before = server.json("/api/v1/projects/p/files").await["files"].clone();
    let told = stream(&server, GENERATE, "p", json!({ "prompt": "words 20" })).await;
    assert_eq!(told[0], json!({ "type": "start", "message": "Generating code..." }));
    let chunks: Vec<&str> = told.iter().filter_map(|event| event["content"].as_str()).collect();
    assert_eq!(chunks.len(), 20);
    let last = told.last().expect("events");
    assert_eq!((&last["type"], last["response"].as_str()), (&json!("complete"), Some(chunks.concat().as_str())));
    let outcome = viewer
        .event(|frame| match &frame.event {
            Event::RunFinished(finished) => Some(finished.outcome),
            _ => None,
        })
        .await;
    assert_eq!(outcome, Outcome::Completed);
    assert_eq!(server.json("/api/v1/projects/p/files").await["files"], before, "generating changes no file");
}

#[tokio::test]
async fn packages_of_the_answer_are_named() {
    let server = TestServer::start().await;
    let prompt = "file src/App.jsx import axios from 'axios'; import React from 'react'; import q from '@/q'";
    let told = stream(&server, GENERATE, "p", json!({ "prompt": prompt })).await;
    assert_eq!(types(&told), ["start", "chunk", "chunk", "chunk", "packages", "complete"]);
    assert_eq!(told[4]["packages"], json!(["axios"]));
}

#[tokio::test]
async fn an_answer_at_its_limit_is_one_and_a_broken_one_is_an_error() {
    let server = TestServer::start().await;
    let cut = "<file path=\"src/good.js\">1</file><file path=\"src/cut.js\">2";
    let told = stream(&server, GENERATE, "p", json!({ "prompt": format!("cut {cut}") })).await;
    assert_eq!(types(&told), ["start", "chunk", "complete"]);
    assert_eq!(told[2]["response"], cut, "what there is of it can be applied");
    let told = stream(&server, GENERATE, "p", json!({ "prompt": format!("break {cut}") })).await;
    assert_eq!(types(&told), ["start", "chunk", "error"]);
    let told = stream(&server, GENERATE, "p", json!({ "prompt": "refuse" })).await;
    assert_eq!(types(&told), ["start", "error"]);
    assert_eq!(told[1]["message"], "Code generation failed");
    // After a failure the question stays and no answer does.
    let state = call(&server, "GET", "/api/conversation-state", Some("p"), None).await.body;
    let roles: Vec<&str> =
        state["messages"].as_array().expect("a list").iter().filter_map(|message| message["role"].as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "user"], "{state}");
}

#[tokio::test]
async fn whoever_leaves_ends_no_run() {
    let server = TestServer::start_with(paced(10)).await;
    server.create("p").await;
    let mut viewer = WsClient::attach(&server, "p").await;
    let body = json!({ "prompt": "words 40" }).to_string();
    let mut answer = send(&server, "POST", GENERATE, Some("p"), Some(&body)).await;
    let mut seen = String::new();
    while !seen.contains("chunk") {
        let piece = within("a chunk", answer.chunk()).await.expect("bytes").expect("not the end");
        seen.push_str(std::str::from_utf8(&piece).expect("ASCII"));
    }
    drop(answer);
    let outcome = viewer
        .event(|frame| match &frame.event {
            Event::RunFinished(finished) => Some(finished.outcome),
            _ => None,
        })
        .await;
    assert_eq!(outcome, Outcome::Completed);
    let state = call(&server, "GET", "/api/conversation-state", Some("p"), None).await.body;
    assert_eq!(state["messages"].as_array().map(Vec::len), Some(2), "{state}");
}

#[tokio::test]
async fn a_viewer_cancels_what_a_stream_began() {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut viewer = WsClient::attach(&server, "p").await;
    let told = stream(&server, GENERATE, "p", json!({ "prompt": "hang" }));
    let cancel = async {
        let run =
            viewer.event(|frame| matches!(frame.event, Event::ReplyDelta(_)).then_some(frame.run).flatten()).await;
        viewer.command(json!({ "type": "cancel", "run": run })).await;
        assert_eq!(viewer.finished(run).await, Outcome::Cancelled);
    };
    let (told, ()) = tokio::join!(told, cancel);
    let errors: Vec<&Value> = told.iter().filter(|event| event["type"] == "error").collect();
    assert_eq!(errors, [told.last().expect("events")]);
    assert_eq!(errors[0]["message"], "Code generation failed");
    assert_eq!(server.model.open(), 0, "the model's stream is closed");
}

#[tokio::test]
async fn two_clients_share_a_project_and_two_projects_share_nothing() {
    let server = TestServer::start_with(paced(2)).await;
    for project in ["p", "q"] {
        create_sandbox(&server, project).await;
    }
    let generate = |project, prompt| stream(&server, GENERATE, project, json!({ "prompt": prompt }));
    let apply = |project, path: &str| {
        stream(&server, APPLY, project, json!({ "response": format!("<file path=\"{path}\">x</file>") }))
    };
    let (one, two, three, four) = tokio::join!(
        generate("p", "words 10"),
        generate("p", "words 12"),
        apply("p", "src/p.js"),
        apply("q", "src/q.js"),
    );
    for (told, chunks) in [(one, 10), (two, 12)] {
        assert_eq!(told.iter().filter(|event| event["type"] == "chunk").count(), chunks);
        assert_eq!(told.last().expect("events")["type"], "complete");
    }
    for told in [three, four] {
        assert_eq!(told.last().expect("events")["files_created"], 1, "{told:?}");
    }
    for (project, own, foreign) in [("p", "src/p.js", "src/q.js"), ("q", "src/q.js", "src/p.js")] {
        let files = call(&server, "GET", "/api/get-sandbox-files", Some(project), None).await.body["files"].clone();
        let files = files.as_array().expect("a list");
        assert!(files.contains(&json!(own)) && !files.contains(&json!(foreign)), "{project}: {files:?}");
        let state = call(&server, "GET", "/api/conversation-state", Some(project), None).await.body;
        assert_eq!(state["messages"].as_array().map(Vec::len), Some(if project == "p" { 4 } else { 0 }));
    }
}

#[tokio::test]
async fn a_server_that_stops_ends_the_stream_with_an_error() {
    let mut server = TestServer::start().await;
    let body = json!({ "prompt": "hang" }).to_string();
    let mut answer = send(&server, "POST", GENERATE, Some("p"), Some(&body)).await;
    let mut text = String::new();
    while !text.contains("chunk") {
        let piece = within("a chunk", answer.chunk()).await.expect("bytes").expect("not the end");
        text.push_str(std::str::from_utf8(&piece).expect("ASCII"));
    }
    let rest = within("the end", async {
        let (rest, ()) = tokio::join!(answer.text(), server.shut_down());
        rest
    });
    text.push_str(&rest.await.expect("a whole stream"));
    let told = events(&text);
    assert_eq!(told.iter().filter(|event| event["type"] == "error").count(), 1, "{told:?}");
    assert_eq!(told.last().expect("events")["type"], "error");
}
