//! The contract's checklist for browser clients, endpoint by endpoint.

use std::sync::atomic::Ordering;

use cobuild_protocol::{
    Event, EventFrame,
    value::{Outcome, SandboxState},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    client::{call, events},
    raw::{leave_after, request},
};
use crate::{
    fakes::firecrawl::ScrapingService,
    support::{Setup, TestServer, WsClient, within},
};

/// An endpoint; its bodies and what is said to bad ones.
struct Endpoint {
    method: &'static str,
    path: &'static str,
    /// A good body; `None`: whatever is sent is ignored.
    body: Option<fn() -> Value>,
    /// Bodies that are refused with 400, and the sentence.
    refused: &'static [(&'static str, &'static str)],
    is_stream: bool,
    /// What is answered where there is no sandbox; `None`: the same as with one.
    without: Option<u16>,
}

fn endpoint(method: &'static str, path: &'static str, without: Option<u16>) -> Endpoint {
    Endpoint { method, path, body: None, refused: &[], is_stream: false, without }
}

fn endpoints() -> Vec<Endpoint> {
    let stream = |path, body| Endpoint { body: Some(body), is_stream: true, ..endpoint("POST", path, None) };
    let post = |path, body, without| Endpoint { body: Some(body), ..endpoint("POST", path, without) };
    const PACKAGES: &[(&str, &str)] = &[
        ("", "Packages array is required"),
        ("{\"packages\":\"x\"}", "Packages array is required"),
        ("{\"packages\":[1]}", "No valid package names provided"),
    ];
    const PAGE: &[(&str, &str)] = &[("", "URL is required"), ("{\"url\":5}", "URL is required")];
    vec![
        Endpoint {
            refused: &[("", "Prompt is required"), ("{\"prompt\":5}", "Prompt is required")],
            ..stream("generate-ai-code-stream", || json!({ "prompt": "words 5" }))
        },
        Endpoint {
            refused: &[("", "response is required"), ("{\"response\":[]}", "response is required")],
            ..stream(
                "apply-ai-code-stream",
                || json!({ "response": "<file path=\"src/a.js\">1</file><command>echo hi</command>" }),
            )
        },
        Endpoint {
            refused: PACKAGES,
            without: Some(400),
            ..stream("install-packages", || json!({ "packages": ["axios"] }))
        },
        Endpoint { refused: PACKAGES, ..post("install-packages-v2", || json!({ "packages": ["axios"] }), Some(400)) },
        endpoint("GET", "conversation-state", None),
        Endpoint {
            refused: &[
                ("", "Invalid action. Use \"reset\" or \"update\""),
                ("{\"action\":5}", "Invalid action. Use \"reset\" or \"update\""),
            ],
            ..post("conversation-state", || json!({ "action": "clear-old" }), None)
        },
        endpoint("DELETE", "conversation-state", None),
        Endpoint {
            refused: &[("", "Files object is required"), ("{\"files\":[]}", "Files object is required")],
            ..post("detect-and-install-packages", || json!({ "files": { "a.js": "import 'dayjs'" } }), Some(404))
        },
        endpoint("POST", "create-ai-sandbox-v2", None),
        endpoint("POST", "create-ai-sandbox", None),
        endpoint("GET", "get-sandbox-files", Some(404)),
        endpoint("GET", "sandbox-status", None),
        endpoint("POST", "create-zip", Some(400)),
        endpoint("POST", "restart-vite", Some(400)),
        Endpoint {
            refused: &[("", "Command is required"), ("{\"command\":5}", "Command is required")],
            ..post("run-command", || json!({ "command": "echo hi" }), Some(400))
        },
        Endpoint {
            refused: &[("", "Command is required"), ("{\"command\":[]}", "Command is required")],
            ..post("run-command-v2", || json!({ "command": "echo hi" }), Some(400))
        },
        Endpoint {
            refused: &[("", "Error message is required"), ("{\"error\":5}", "Error message is required")],
            ..post("report-vite-error", || json!({ "error": "x is not defined", "file": "src/App.jsx" }), None)
        },
        endpoint("POST", "clear-vite-errors-cache", None),
        Endpoint {
            refused: &[
                ("", "prompt and manifest are required"),
                ("{\"prompt\":\"x\",\"manifest\":5}", "prompt and manifest are required"),
            ],
            ..post("analyze-edit-intent", || json!({ "prompt": "Make it blue", "manifest": { "files": {} } }), None)
        },
        Endpoint { refused: PAGE, ..post("scrape-url-enhanced", || json!({ "url": PAGE_URL }), None) },
        Endpoint { refused: PAGE, ..post("scrape-website", || json!({ "url": PAGE_URL }), None) },
        Endpoint { refused: PAGE, ..post("scrape-screenshot", || json!({ "url": PAGE_URL }), None) },
        Endpoint { refused: PAGE, ..post("extract-brand-styles", || json!({ "url": PAGE_URL, "prompt": "p" }), None) },
        Endpoint {
            refused: &[("", "Query is required"), ("{\"query\":5}", "Query is required")],
            ..post("search", || json!({ "query": "bread" }), None)
        },
        endpoint("GET", "monitor-vite-logs", Some(400)),
        endpoint("GET", "sandbox-logs", Some(400)),
        endpoint("GET", "check-vite-errors", None),
        endpoint("POST", "kill-sandbox", None),
    ]
}

impl Endpoint {
    fn path(&self) -> String {
        format!("/api/{}", self.path)
    }

    async fn is_good(&self, server: &TestServer) {
        self.is_good_for(server, None).await;
    }

    /// The same for somebody who is known by a cookie, and so is in a project of their own.
    async fn is_good_for(&self, server: &TestServer, cookie: Option<&str>) {
        let mut request = server.http.request(self.method.parse().expect("a method"), server.url(&self.path()));
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(body) = self.body {
            request = request.json(&body());
        }
        let answer = within("an answer", request.send()).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{}", self.path);
        let text = within("the rest", answer.text()).await.expect("a whole answer");
        if self.is_stream {
            let told = events(&text);
            let ends = told.iter().filter(|event| event["type"] == "complete" || event["type"] == "error").count();
            assert_eq!(
                (ends, &told.last().expect("events")["type"]),
                (1, &json!("complete")),
                "{}: {told:?}",
                self.path
            );
        } else {
            let body: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}: {text}", self.path));
            // A search has nothing but its results.
            assert!(body["success"] == true || body["results"].is_array(), "{}: {body}", self.path);
        }
    }
}

/// A page, which the stand-in for the scraping service reads.
const PAGE_URL: &str = "http://93.184.216.34/bread";

/// A server with a scraping service, so that pages of the web are none of these tests' business.
async fn server_that_reads() -> (TestServer, ScrapingService) {
    let service = ScrapingService::start().await;
    (TestServer::start_with(Setup::with_arguments(&["--firecrawl-base-url", &service.url()])).await, service)
}

async fn create(server: &TestServer) {
    let made = call(server, "POST", "/api/create-ai-sandbox-v2", None, None).await;
    assert_eq!((made.status, &made.body["success"]), (200, &json!(true)));
}

/// By this another caller is known.
const COOKIE: &str = "cobuild_browser=0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn each_endpoint_does_what_it_is_for_and_serves_two_at_once_and_two_projects_at_once() {
    let (server, _service) = server_that_reads().await;
    let create_for_other = endpoint("POST", "create-ai-sandbox-v2", None);
    for endpoint in endpoints() {
        create(&server).await;
        endpoint.is_good(&server).await;
        create(&server).await;
        create_for_other.is_good_for(&server, Some(COOKIE)).await;
        let asked = [None, None, Some(COOKIE)].map(|cookie| endpoint.is_good_for(&server, cookie));
        join_all(asked).await;
    }
    let projects = server.json("/api/v1/projects").await["projects"].clone();
    let mut files = Vec::new();
    for project in projects.as_array().expect("a list") {
        let id = project["project"].as_str().expect("an id");
        let state = server.json(&format!("/api/v1/projects/{id}")).await["state"].clone();
        files.push((id.starts_with("browser-"), state["files"]["src/a.js"].is_object()));
    }
    assert!(files.contains(&(true, true)) && files.contains(&(false, true)), "each has its own project: {files:?}");
}

#[tokio::test]
async fn each_endpoint_refuses_in_json_what_it_cannot_read() {
    let (server, _service) = server_that_reads().await;
    create(&server).await;
    for endpoint in endpoints() {
        for (body, sentence) in endpoint.refused {
            let body = Some(*body).filter(|body| !body.is_empty());
            let refused = call(&server, endpoint.method, &endpoint.path(), None, body).await;
            let expected = json!({ "success": false, "error": sentence });
            assert_eq!((refused.status, refused.body), (400, expected), "{} {body:?}", endpoint.path);
        }
        if endpoint.body.is_some() {
            for body in ["{\"a\":", "[]", "5"] {
                let refused = call(&server, endpoint.method, &endpoint.path(), None, Some(body)).await;
                assert_eq!(
                    (refused.status, &refused.body["success"]),
                    (422, &json!(false)),
                    "{} {body}",
                    endpoint.path
                );
                assert!(refused.body["error"].is_string(), "{} {body}", endpoint.path);
            }
        }
    }
}

#[tokio::test]
async fn each_endpoint_says_that_there_is_no_sandbox() {
    for endpoint in endpoints() {
        let (server, _service) = server_that_reads().await;
        match endpoint.without {
            None => endpoint.is_good(&server).await,
            Some(status) => {
                let body = endpoint.body.map(|body| body().to_string());
                let refused = call(&server, endpoint.method, &endpoint.path(), None, body.as_deref()).await;
                let expected = json!({ "success": false, "error": "No active sandbox" });
                assert_eq!((refused.status, refused.body), (status, expected), "{}", endpoint.path);
            }
        }
    }
}

#[tokio::test]
async fn whatever_stream_a_browser_leaves_the_run_goes_on() {
    let server = TestServer::start().await;
    create(&server).await;
    for endpoint in endpoints().into_iter().filter(|endpoint| endpoint.is_stream) {
        let mut viewer = WsClient::attach(&server, "default").await;
        server.hold(true);
        let body = endpoint.body.expect("a body")().to_string();
        let asked = request(endpoint.method, &endpoint.path(), None, &body);
        let seen = leave_after(server.address, &asked, "data: {").await;
        assert!(!seen.contains("complete") && !seen.contains("error"), "{}: {seen}", endpoint.path);
        viewer.event(|frame| matches!(frame.event, Event::RunStarted(_)).then_some(())).await;
        server.hold(false);
        let finished = viewer.event(|frame| match &frame.event {
            Event::RunFinished(finished) => Some(finished.outcome),
            _ => None,
        });
        assert_eq!(within(endpoint.path, finished).await, Outcome::Completed, "{}", endpoint.path);
    }
}

#[tokio::test]
async fn whoever_leaves_before_the_answer_begins_ends_nothing_either() {
    let server = TestServer::start().await;
    server.create("default").await;
    let mut viewer = WsClient::attach(&server, "default").await;
    server.preview.slow.store(true, Ordering::SeqCst);
    let body = json!({ "response": "<file path=\"src/left.js\">1</file>" }).to_string();
    let head = "POST /api/apply-ai-code-stream HTTP/1.1\r\nhost: localhost";
    let mut socket = TcpStream::connect(server.address).await.expect("a connection");
    let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    socket.write_all(request.as_bytes()).await.expect("sent");
    let is_being_made = |frame: &EventFrame| match &frame.event {
        Event::SandboxChanged(changed) => (changed.state == SandboxState::Creating).then_some(()),
        _ => None,
    };
    viewer.event(is_being_made).await;
    socket.shutdown().await.expect("an end");
    let mut answer = Vec::new();
    within("the server takes leave", socket.read_to_end(&mut answer)).await.expect("an end");
    assert!(answer.is_empty(), "there was no answer yet: {}", String::from_utf8_lossy(&answer));
    server.preview.slow.store(false, Ordering::SeqCst);
    let finished = viewer.event(|frame| match &frame.event {
        Event::RunFinished(finished) => Some(finished.outcome),
        _ => None,
    });
    assert_eq!(within("the end of its run", finished).await, Outcome::Completed);
    let files = server.json("/api/v1/projects/default/files").await["files"].to_string();
    assert!(files.contains("src/left.js"), "{files}");
}

#[tokio::test]
async fn a_sandbox_is_adopted_again_after_the_server_was_restarted() {
    let mut server = TestServer::start().await;
    create(&server).await;
    let before = call(&server, "GET", "/api/sandbox-status", None, None).await.body;
    server.restart().await;
    let now = call(&server, "GET", "/api/sandbox-status", None, None).await.body;
    assert_eq!((&now["active"], &now["healthy"]), (&json!(true), &json!(true)), "{now}");
    assert_eq!(now["sandboxData"]["sandboxId"], before["sandboxData"]["sandboxId"]);
}
