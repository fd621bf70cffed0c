//! Refusals, in status and body.

use std::{sync::atomic::Ordering, time::Duration};

use cobuild::http::Timing;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::client::{call, create_sandbox, send};
use crate::support::{Setup, TestServer, within};

const GENERATE: &str = "/api/generate-ai-code-stream";
const APPLY: &str = "/api/apply-ai-code-stream";
const STATE: &str = "/api/conversation-state";
const INSTALL: &str = "/api/install-packages";
const DETECT: &str = "/api/detect-and-install-packages";
const CREATE: &str = "/api/create-ai-sandbox-v2";
const FILES: &str = "/api/get-sandbox-files";
const STATUS: &str = "/api/sandbox-status";
const KILL: &str = "/api/kill-sandbox";
const ZIP: &str = "/api/create-zip";

fn complaint(kind: &str, place: Value, message: &str, input: Value) -> Value {
    json!({ "detail": [{ "type": kind, "loc": place, "msg": message, "input": input }] })
}

#[tokio::test]
async fn what_is_wrong_is_said_as_clients_know_it() {
    let server = TestServer::start().await;
    let required = |name: &str| complaint("missing", json!(["body", name]), "Field required", json!({}));
    let no_body = complaint("missing", json!(["body"]), "Field required", Value::Null);
    let text = |name: &str| complaint("string_type", json!(["body", name]), "Input should be a valid string", json!(5));
    let list = complaint("list_type", json!(["body", "packages"]), "Input should be a valid list", json!("x"));
    let dict = complaint("dict_type", json!(["body", "files"]), "Input should be a valid dictionary", json!([]));
    let mut word = complaint(
        "literal_error",
        json!(["body", "action"]),
        "Input should be 'reset', 'clear-old' or 'update'",
        json!("nope"),
    );
    word["detail"][0]["ctx"] = json!({ "expected": "'reset', 'clear-old' or 'update'" });
    let detail = |sentence: &str| json!({ "detail": sentence });
    let create_first = detail("Sandbox not found. Please create a sandbox first.");
    let table: Vec<(&str, &str, Option<&str>, u16, Value)> = vec![
        ("POST", GENERATE, Some("{}"), 422, required("prompt")),
        ("POST", GENERATE, None, 422, no_body.clone()),
        ("POST", GENERATE, Some(r#"{"prompt":5}"#), 422, text("prompt")),
        ("POST", APPLY, Some("{}"), 422, required("response")),
        ("POST", APPLY, Some(r#"{"response":5}"#), 422, text("response")),
        ("POST", STATE, Some("{}"), 422, required("action")),
        ("POST", STATE, Some(r#"{"action":"nope"}"#), 422, word),
        ("POST", INSTALL, Some("{}"), 422, required("packages")),
        ("POST", INSTALL, Some(r#"{"packages":"x"}"#), 422, list),
        ("POST", DETECT, Some("{}"), 422, required("files")),
        ("POST", DETECT, Some(r#"{"files":[]}"#), 422, dict),
        ("POST", CREATE, Some(r#"{"provider":5}"#), 422, text("provider")),
        ("POST", CREATE, Some(r#"{"provider":"modal"}"#), 400, detail("Unknown sandbox provider: modal")),
        ("POST", CREATE, Some(r#"{"provider":"e2b"}"#), 400, detail("E2B_API_KEY not configured")),
        ("POST", CREATE, Some(r#"{"provider":"vercel"}"#), 400, detail("VERCEL_TOKEN not configured")),
        ("GET", FILES, None, 404, create_first.clone()),
        ("POST", STATUS, None, 404, detail("Sandbox not found")),
        ("POST", KILL, None, 422, no_body),
        ("POST", KILL, Some("{}"), 404, detail("Sandbox not found")),
        ("POST", ZIP, Some("{}"), 404, create_first),
        ("POST", ZIP, Some(r#"{"sandbox_id":5}"#), 422, text("sandbox_id")),
        ("GET", "/api/nothing", None, 404, detail("Not Found")),
        ("GET", GENERATE, None, 405, detail("Method Not Allowed")),
        ("PUT", STATE, None, 405, detail("Method Not Allowed")),
    ];
    for (method, path, body, status, expected) in table {
        let answer = call(&server, method, path, Some("p"), body).await;
        assert_eq!((answer.status, &answer.body), (status, &expected), "{method} {path} {body:?}");
        assert_eq!(answer.headers["content-type"], "application/json", "{method} {path}");
    }
    let answer = call(&server, "PUT", STATE, Some("p"), None).await;
    let allowed = answer.headers["allow"].to_str().expect("ASCII");
    assert!(["GET", "POST", "DELETE"].iter().all(|method| allowed.contains(method)), "{allowed}");
}

#[tokio::test]
async fn a_sandbox_that_cannot_be_made_is_told() {
    let server = TestServer::start().await;
    server.preview.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = call(&server, "POST", CREATE, Some("p"), Some("{}")).await;
    let detail = answer.body["detail"].as_str().expect("a sentence");
    assert!(answer.status == 500 && detail.starts_with("Failed to create sandbox: "), "{}", answer.body);
}

#[tokio::test]
async fn the_header_is_checked_before_the_body() {
    let server = TestServer::start().await;
    let missing = json!({ "detail": "Missing X-Project-Id header" });
    for (project, expected) in [(Some(""), &missing), (Some("!!!"), &json!({ "detail": "Invalid project ID format" }))]
    {
        for (method, path) in [
            ("POST", GENERATE),
            ("POST", APPLY),
            ("GET", STATE),
            ("POST", STATE),
            ("DELETE", STATE),
            ("POST", INSTALL),
            ("POST", DETECT),
            ("POST", CREATE),
            ("GET", FILES),
            ("POST", STATUS),
            ("POST", KILL),
            ("POST", ZIP),
        ] {
            let answer = call(&server, method, path, project, Some("{")).await;
            assert_eq!((answer.status, &answer.body), (400, expected), "{method} {path} {project:?}");
        }
    }
    let answer = call(&server, "POST", STATUS, None, None).await;
    assert_eq!((answer.status, answer.body), (400, missing));
    for (project, id) in [("a b/c!d", "abcd"), (&"x".repeat(80), &"x".repeat(64))] {
        let answer = call(&server, "GET", STATE, Some(project), None).await;
        assert_eq!((answer.status, answer.body["project_id"].as_str()), (200, Some(id)));
    }
}

#[tokio::test]
async fn other_bodies_than_json_objects_are_refused() {
    let server = TestServer::start().await;
    let broken = call(&server, "POST", STATE, Some("p"), Some(r#"{"action":"#)).await;
    let mut expected = complaint("json_invalid", json!(["body", 10]), "JSON decode error", json!({}));
    expected["detail"][0]["ctx"] = json!({ "error": "Expecting value" });
    assert_eq!((broken.status, broken.body), (422, expected));
    let request = server.http.post(server.url(STATE)).header("x-project-id", "p").header("content-type", "text/plain");
    let text = request.body(r#"{"action":"reset"}"#).send().await.expect("an answer");
    assert_eq!(text.status(), 422);
    let message = "Input should be a valid dictionary or object to extract fields from";
    let expected = complaint("model_attributes_type", json!(["body"]), message, json!(r#"{"action":"reset"}"#));
    assert_eq!(text.json::<Value>().await.expect("JSON"), expected);
    let large = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(3 * 1024 * 1024));
    let answer = call(&server, "POST", GENERATE, Some("p"), Some(&large)).await;
    assert_eq!(answer.status, 413);
    assert!(answer.body["detail"].is_string(), "{}", answer.body);
}

#[tokio::test]
async fn a_slash_too_many_is_led_to_the_endpoint() {
    let server = TestServer::start().await;
    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("set up");
    let answer = http.post(server.url("/api/sandbox-status/?a=b")).send().await.expect("an answer");
    assert_eq!(answer.status(), 307);
    let expected = server.url("/api/sandbox-status?a=b");
    assert_eq!(answer.headers()["location"].to_str().expect("ASCII"), expected);
    assert!(answer.bytes().await.expect("a body").is_empty());
}

#[tokio::test]
async fn the_root_and_health_say_what_this_is() {
    let server = TestServer::start().await;
    let root = server.json("/").await;
    assert_eq!(
        (&root["status"], root["message"].is_string(), root["version"].is_string()),
        (&json!("running"), true, true)
    );
    let health = server.json("/health").await;
    assert_eq!((&health["status"], health["service"].is_string()), (&json!("healthy"), true));
}

#[tokio::test]
async fn pages_of_allowed_origins_may_read() {
    for (allowed, origin) in
        [("*", "https://any.example"), ("https://a.example,https://b.example", "https://b.example")]
    {
        let server = TestServer::start_with(Setup::with_arguments(&["--cors-origins", allowed])).await;
        let preflight = server
            .http
            .request(reqwest::Method::OPTIONS, server.url(GENERATE))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "x-project-id,content-type")
            .send()
            .await
            .expect("an answer");
        assert_eq!(preflight.status(), 200);
        let header = |name: &str| preflight.headers()[name].to_str().expect("ASCII").to_owned();
        assert_eq!(header("access-control-allow-origin"), origin);
        assert_eq!(header("access-control-allow-headers"), "x-project-id,content-type");
        assert_eq!(header("access-control-max-age"), "600");
        assert_eq!(header("access-control-allow-credentials"), "true");
        for method in ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"] {
            assert!(header("access-control-allow-methods").contains(method), "{method}");
        }
        assert_eq!(preflight.text().await.expect("a body"), "OK");
        for path in ["/api/conversation-state", "/api/get-sandbox-files", "/health"] {
            let request = server.http.get(server.url(path)).header("origin", origin).header("x-project-id", "p");
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.headers()["access-control-allow-origin"], origin, "{path}");
            assert_eq!(answer.headers()["access-control-expose-headers"], "*", "{path}");
            assert_eq!(answer.headers()["vary"], "Origin", "{path}");
            let plain = send(&server, "GET", path, Some("p"), None).await;
            assert!(!plain.headers().contains_key("access-control-allow-origin"), "{path}");
            assert_eq!(plain.headers()["vary"], "Origin", "{path}");
        }
    }
    let server = TestServer::start().await;
    let foreign =
        server.http.get(server.url(STATE)).header("origin", "https://evil.example").header("x-project-id", "p");
    let answer = foreign.send().await.expect("an answer");
    assert_eq!(answer.status(), 403);
    assert!(answer.json::<Value>().await.expect("JSON")["detail"].is_string());
    // Each kind of client is refused in its own words.
    for (path, word) in [(STATE, "error"), ("/code", "detail")] {
        let foreign = server.http.get(server.url(path)).header("origin", "https://evil.example");
        let answer = foreign.send().await.expect("an answer");
        assert_eq!(answer.status(), 403, "{path}");
        assert!(answer.json::<Value>().await.expect("JSON")[word].is_string(), "{path}");
    }
}

#[tokio::test]
async fn where_a_token_is_asked_for_it_is_asked_for_here_too() {
    let server = TestServer::start_with(Setup::with_arguments(&["--host", "0.0.0.0"])).await;
    let link = server.running().owner_link().expect("a link").to_owned();
    let (_, token) = link.split_once("/#token=").expect("a token");
    let url = format!("http://127.0.0.1:{}{STATE}", server.address.port());
    let refused = server.http.get(&url).header("x-project-id", "p").send().await.expect("an answer");
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["www-authenticate"]),
        (401, &"Bearer".parse().expect("valid"))
    );
    assert!(refused.json::<Value>().await.expect("JSON")["detail"].is_string());
    let admitted =
        server.http.get(&url).header("x-project-id", "p").bearer_auth(token).send().await.expect("an answer");
    assert_eq!(admitted.status(), 200);
}

#[tokio::test]
async fn a_provider_with_a_key_is_not_pretended() {
    let server = TestServer::start_with(Setup::with_arguments(&["--e2b-api-key", "e2b_x"])).await;
    let answer = call(&server, "POST", CREATE, Some("p"), Some(r#"{"provider":"e2b"}"#)).await;
    assert_eq!(answer.status, 400);
    let detail = answer.body["detail"].as_str().expect("a sentence");
    assert!(detail.contains("e2b") && !detail.contains("e2b_x"), "{detail}");
    let server = TestServer::start_with(Setup::with_arguments(&["--legacy-stand-ins"])).await;
    let answer = call(&server, "POST", CREATE, Some("p"), Some(r#"{"provider":"e2b"}"#)).await;
    assert_eq!((answer.status, &answer.body["provider"]), (200, &json!("memory")));
    assert!(answer.body["notice"].as_str().is_some_and(|notice| notice.contains("E2B_API_KEY")), "{}", answer.body);
    create_sandbox(&server, "p").await;
}

#[tokio::test]
async fn a_body_that_does_not_come_and_an_answer_that_takes_too_long_are_given_up() {
    let timing = Timing {
        older_body_within: Duration::from_millis(200),
        older_answer_begins_max: Duration::from_millis(600),
        ..Timing::default()
    };
    let server = TestServer::start_with(Setup { timing, ..Setup::default() }).await;
    server.preview.slow.store(true, Ordering::SeqCst);
    let sentence = |answer: &str, name: &str| {
        let body = answer.split("\r\n\r\n").nth(1).expect("a body");
        let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        body[name].as_str().unwrap_or_else(|| panic!("no {name}: {answer}")).to_owned()
    };
    for (project, name) in [("x-project-id: p\r\n", "detail"), ("", "error")] {
        let head = format!("host: localhost\r\nconnection: close\r\n{project}");
        // Half of a body, and never the rest of it.
        let half = format!("POST {GENERATE} HTTP/1.1\r\n{head}content-length: 100\r\n\r\n{{");
        let answer = answer_to(&server, &half).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert_eq!(sentence(&answer, name), "The body took too long to arrive");
        // A sandbox that takes for ever.
        let create = format!("POST {CREATE} HTTP/1.1\r\n{head}content-length: 2\r\n\r\n{{}}");
        let answer = answer_to(&server, &create).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(sentence(&answer, name).starts_with("The answer takes too long to begin"), "{answer}");
    }
}

/// What a request that is written by hand is answered, up to the end of the connection.
async fn answer_to(server: &TestServer, request: &str) -> String {
    let mut socket = TcpStream::connect(server.address).await.expect("a connection");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    within("an answer", socket.read_to_string(&mut answer)).await.expect("a whole answer");
    answer
}
