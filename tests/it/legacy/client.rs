//! A client of the first engine, as its documentation describes one.

use reqwest::{Method, Response};
use serde_json::Value;

use super::described;
use crate::support::{TestServer, within};

/// An answer that is not a stream.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

/// Sends a request for a project; a body is sent as JSON.
pub(crate) async fn send(
    server: &TestServer,
    method: &str,
    path: &str,
    project: Option<&str>,
    body: Option<&str>,
) -> Response {
    let method: Method = method.parse().expect("a method");
    let mut request = server.http.request(method, server.url(path));
    if let Some(project) = project {
        request = request.header("x-project-id", project);
    }
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_owned());
    }
    within("an answer", request.send()).await.expect("an answer")
}

/// The same for an answer in JSON.
pub(crate) async fn call(
    server: &TestServer,
    method: &str,
    path: &str,
    project: Option<&str>,
    body: Option<&str>,
) -> Answer {
    let answer = send(server, method, path, project, body).await;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.expect("a whole answer");
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

/// Posts a body and expects 200.
pub(crate) async fn post(server: &TestServer, path: &str, project: &str, body: Value) -> Value {
    let answer = call(server, "POST", path, Some(project), Some(&body.to_string())).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

/// Posts a body and returns all events of the stream that answers.
pub(crate) async fn stream(server: &TestServer, path: &str, project: &str, body: Value) -> Vec<Value> {
    let answer = send(server, "POST", path, Some(project), Some(&body.to_string())).await;
    assert_eq!(answer.status(), 200, "{path}");
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(answer.headers()["cache-control"], "no-cache");
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    let bytes = within("the end of the stream", answer.bytes()).await.expect("a whole stream");
    assert!(bytes.is_ascii(), "{path}: {bytes:?}");
    let told = events(std::str::from_utf8(&bytes).expect("ASCII"));
    described::examine(server, "post", path, false, &told).await;
    told
}

/// The events of a stream's text.
pub(crate) fn events(text: &str) -> Vec<Value> {
    let blocks = text.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':'));
    blocks
        .map(|block| {
            let data = block.strip_prefix("data: ").unwrap_or_else(|| panic!("no event: {block:?}"));
            serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))
        })
        .collect()
}

/// The types of events, with the stage for those that have one.
pub(crate) fn types(events: &[Value]) -> Vec<String> {
    let name = |event: &Value| {
        let kind = event["type"].as_str().expect("a type");
        event["stage"].as_str().map_or_else(|| kind.to_owned(), |stage| format!("{kind}:{stage}"))
    };
    events.iter().map(name).collect()
}

/// Makes the project's sandbox and returns its id.
pub(crate) async fn create_sandbox(server: &TestServer, project: &str) -> String {
    let made = post(server, "/api/create-ai-sandbox-v2", project, serde_json::json!({})).await;
    assert_eq!(made["success"], true, "{made}");
    made["sandbox_id"].as_str().expect("an id").to_owned()
}
