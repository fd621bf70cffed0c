//! The contract's checklist, endpoint by endpoint of the first engine.

use cobuild_protocol::{Event, value::Outcome};
use futures_util::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};

use super::{
    client::{create_sandbox, events, send},
    raw::{leave_after, request},
};
use crate::support::{Setup, TestServer, WsClient, within};

/// What is answered where there is no sandbox.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    /// The same as with one.
    Works,
    /// 404 and this sentence.
    NotFound(&'static str),
    /// 200, and one event that is an error.
    OneEvent,
    /// 200, and `success` is false.
    Unsuccessful,
}

struct Endpoint {
    method: &'static str,
    path: &'static str,
    /// A good body; `None`: it has none.
    body: Option<fn() -> Value>,
    /// Bodies of the wrong type, and where that is complained of.
    wrong: &'static [(&'static str, &'static str)],
    is_stream: bool,
    without: Without,
    /// Whether doing it again finds nothing left to do it with.
    ends_the_sandbox: bool,
}

const CREATE_FIRST: &str = "Sandbox not found. Please create a sandbox first.";

fn endpoint(method: &'static str, path: &'static str, body: Option<fn() -> Value>) -> Endpoint {
    Endpoint { method, path, body, wrong: &[], is_stream: false, without: Without::Works, ends_the_sandbox: false }
}

fn endpoints() -> Vec<Endpoint> {
    let post = |path, body| endpoint("POST", path, Some(body));
    vec![
        Endpoint {
            wrong: &[("prompt", "5"), ("model", "[]"), ("context", "\"x\""), ("is_edit", "\"maybe\"")],
            is_stream: true,
            ..post("/api/generate-ai-code-stream", || json!({ "prompt": "words 5" }))
        },
        Endpoint {
            wrong: &[("response", "5"), ("is_edit", "[]"), ("packages", "\"x\""), ("sandbox_id", "5")],
            is_stream: true,
            without: Without::OneEvent,
            ..post(
                "/api/apply-ai-code-stream",
                || json!({ "response": "<file path=\"src/a.js\">1</file><command>echo hi</command>" }),
            )
        },
        Endpoint {
            wrong: &[("packages", "{}"), ("sandbox_id", "[]")],
            is_stream: true,
            without: Without::OneEvent,
            ..post("/api/install-packages", || json!({ "packages": ["axios"] }))
        },
        endpoint("GET", "/api/conversation-state", None),
        Endpoint {
            wrong: &[("action", "\"nope\""), ("data", "[]")],
            ..post("/api/conversation-state", || json!({ "action": "update", "data": { "currentTopic": "t" } }))
        },
        endpoint("DELETE", "/api/conversation-state", None),
        Endpoint {
            wrong: &[("files", "[]")],
            without: Without::Unsuccessful,
            ..post("/api/detect-and-install-packages", || json!({ "files": { "src/a.js": "import 'dayjs'" } }))
        },
        Endpoint {
            wrong: &[("provider", "5"), ("template", "5")],
            ..post("/api/create-ai-sandbox-v2", || json!({ "template": "react-vite" }))
        },
        Endpoint {
            without: Without::NotFound(CREATE_FIRST),
            ..endpoint("GET", "/api/get-sandbox-files?path=src", None)
        },
        Endpoint { without: Without::NotFound("Sandbox not found"), ..endpoint("POST", "/api/sandbox-status", None) },
        Endpoint {
            wrong: &[("sandbox_id", "5")],
            without: Without::NotFound("Sandbox not found"),
            ends_the_sandbox: true,
            ..post("/api/kill-sandbox", || json!({}))
        },
        Endpoint {
            wrong: &[("files", "\"x\""), ("sandbox_id", "5")],
            without: Without::NotFound(CREATE_FIRST),
            ..post("/api/create-zip", || json!({}))
        },
    ]
}

impl Endpoint {
    async fn ask(&self, server: &TestServer, project: Option<&str>) -> Response {
        let body = self.body.map(|body| body().to_string());
        send(server, self.method, self.path, project, body.as_deref()).await
    }

    /// Checks a good answer.
    async fn is_good(&self, answer: Response, what: &str) {
        assert_eq!(answer.status(), 200, "{what}");
        let is_json = answer.headers()["content-type"] == "application/json";
        let bytes = within("the rest", answer.bytes()).await.expect("a whole answer");
        if self.is_stream {
            let told = events(std::str::from_utf8(&bytes).expect("ASCII"));
            assert_eq!(
                (&told[0]["type"], &told.last().expect("events")["type"]),
                (&json!("start"), &json!("complete")),
                "{what}"
            );
            assert_eq!(told.iter().filter(|event| event["type"] == "complete" || event["type"] == "error").count(), 1);
        } else if is_json {
            let body: Value = serde_json::from_slice(&bytes).expect("JSON");
            assert_ne!(body["success"], false, "{what}: {body}");
        } else {
            assert!(zip::ZipArchive::new(std::io::Cursor::new(bytes)).is_ok(), "{what}");
        }
    }
}

async fn json_of(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = within("the rest", answer.text()).await.expect("a whole answer");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn engine_server() -> TestServer {
    TestServer::start_with(Setup::with_arguments(&["--legacy-dialect", "engine"])).await
}

#[tokio::test]
async fn each_endpoint_does_what_it_is_for_whatever_surrounds_the_projects_name() {
    let server = engine_server().await;
    for endpoint in endpoints() {
        for project in ["p", " p!", "p/ä.$", &"l".repeat(70)] {
            let what = format!("{} {} {project:?}", endpoint.method, endpoint.path);
            create_sandbox(&server, project).await;
            endpoint.is_good(endpoint.ask(&server, Some(project)).await, &what).await;
        }
    }
    let projects = server.json("/api/v1/projects").await["projects"].clone();
    let mut names: Vec<&str> = projects
        .as_array()
        .expect("a list")
        .iter()
        .map(|project| project["project"].as_str().expect("an id"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, [&"l".repeat(64), "p"], "they are two projects, however they were spelt");
}

#[tokio::test]
async fn each_endpoint_refuses_a_header_before_it_reads_a_body() {
    let server = engine_server().await;
    for endpoint in endpoints() {
        for (project, sentence) in [
            (None, "Missing X-Project-Id header"),
            (Some(""), "Missing X-Project-Id header"),
            (Some("!/ä"), "Invalid project ID format"),
        ] {
            let what = format!("{} {} {project:?}", endpoint.method, endpoint.path);
            for body in [None, Some("{\"prompt\":"), Some("[]")] {
                let answer = json_of(send(&server, endpoint.method, endpoint.path, project, body).await).await;
                assert_eq!(answer, (400, json!({ "detail": sentence })), "{what}");
            }
        }
    }
    assert_eq!(server.json("/api/v1/projects").await["projects"], json!([]), "nothing was made");
}

#[tokio::test]
async fn each_endpoint_refuses_bodies_that_are_missing_broken_or_of_the_wrong_type() {
    let server = engine_server().await;
    for endpoint in endpoints() {
        let what = format!("{} {}", endpoint.method, endpoint.path);
        let Some(good) = endpoint.body else { continue };
        for (body, kind) in
            [(None, "missing"), (Some("{\"a\":"), "json_invalid"), (Some("[]"), "model_attributes_type")]
        {
            let (status, said) = json_of(send(&server, endpoint.method, endpoint.path, Some("p"), body).await).await;
            assert_eq!((status, &said["detail"][0]["type"]), (422, &json!(kind)), "{what} {body:?}");
        }
        for (field, value) in endpoint.wrong {
            let mut body = good();
            body[field] = serde_json::from_str(value).expect("JSON");
            let answer = send(&server, endpoint.method, endpoint.path, Some("p"), Some(&body.to_string())).await;
            let (status, said) = json_of(answer).await;
            assert_eq!((status, &said["detail"][0]["loc"]), (422, &json!(["body", field])), "{what} {field}: {said}");
        }
        let required = good().as_object().expect("an object").keys().next().cloned();
        if let Some(field) = required.filter(|field| !["template"].contains(&field.as_str())) {
            let (status, said) =
                json_of(send(&server, endpoint.method, endpoint.path, Some("p"), Some("{}")).await).await;
            let complaint =
                json!([{ "type": "missing", "loc": ["body", field], "msg": "Field required", "input": {} }]);
            assert_eq!((status, &said["detail"]), (422, &complaint), "{what}");
        }
    }
}

#[tokio::test]
async fn each_endpoint_says_that_there_is_no_sandbox() {
    let server = engine_server().await;
    for (n, endpoint) in endpoints().iter().enumerate() {
        let project = format!("p{n}");
        let what = format!("{} {}", endpoint.method, endpoint.path);
        let answer = endpoint.ask(&server, Some(&project)).await;
        match endpoint.without {
            Without::Works => endpoint.is_good(answer, &what).await,
            Without::NotFound(sentence) => {
                assert_eq!(json_of(answer).await, (404, json!({ "detail": sentence })), "{what}");
            }
            Without::OneEvent => {
                let told = events(&answer.text().await.expect("a whole stream"));
                assert_eq!((told.len(), &told[0]["type"]), (1, &json!("error")), "{what}: {told:?}");
                assert_eq!(told[0]["error"], "400: No sandbox found. Please create a sandbox first.", "{what}");
            }
            Without::Unsuccessful => {
                let (status, body) = json_of(answer).await;
                assert_eq!((status, &body["success"]), (200, &json!(false)), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn two_clients_at_once_and_two_projects_at_once_are_all_served() {
    let server = engine_server().await;
    for endpoint in endpoints() {
        let what = format!("{} {}", endpoint.method, endpoint.path);
        for project in ["p", "q"] {
            create_sandbox(&server, project).await;
        }
        let answers = ["p", "p", "q"].map(|project| endpoint.ask(&server, Some(project)));
        let mut answers = join_all(answers).await;
        let of_q = answers.pop().expect("three");
        endpoint.is_good(of_q, &what).await;
        let mut good = 0;
        for answer in answers {
            if endpoint.ends_the_sandbox && answer.status() == 404 {
                continue;
            }
            endpoint.is_good(answer, &what).await;
            good += 1;
        }
        assert!(good == 2 || endpoint.ends_the_sandbox && good == 1, "{what}");
    }
}

#[tokio::test]
async fn whatever_stream_a_client_leaves_the_run_goes_on() {
    let server = engine_server().await;
    // Some leave before they have read anything.
    for (project, until) in [("p", "data: {"), ("q", "\r\n\r\n")] {
        create_sandbox(&server, project).await;
        for endpoint in endpoints().into_iter().filter(|endpoint| endpoint.is_stream) {
            let mut viewer = WsClient::attach(&server, project).await;
            server.hold(true);
            let body = endpoint.body.expect("a body")().to_string();
            let asked = request(endpoint.method, endpoint.path, Some(project), &body);
            let seen = leave_after(server.address, &asked, until).await;
            assert!(!seen.contains("complete") && !seen.contains("error"), "{}: {seen}", endpoint.path);
            viewer.event(|frame| matches!(frame.event, Event::RunStarted(_)).then_some(())).await;
            server.hold(false);
            let finished = viewer.event(|frame| match &frame.event {
                Event::RunFinished(finished) => Some(finished.outcome),
                _ => None,
            });
            assert_eq!(within(endpoint.path, finished).await, Outcome::Completed, "{}", endpoint.path);
        }
        let state = server.json(&format!("/api/v1/projects/{project}")).await["state"].clone();
        assert!(state["files"]["src/a.js"].is_object(), "what was applied is there: {}", state["files"]);
    }
}
