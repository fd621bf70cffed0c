//! Plain requests: what they answer, and what they say to whom.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::support::{Setup, TestServer, WsClient};

#[tokio::test]
async fn projects_come_and_go() {
    let server = TestServer::start().await;
    let made = server
        .http
        .post(server.url("/api/v1/projects"))
        .json(&json!({ "name": "My app" }))
        .send()
        .await
        .expect("an answer");
    assert_eq!(made.status(), 201);
    let location = made.headers()["location"].to_str().expect("ASCII").to_owned();
    let made: Value = made.json().await.expect("JSON");
    assert_eq!(made["state"]["name"], "My app");
    assert_eq!(server.json(&location).await["project"], made["project"]);
    server.create("second").await;
    let list = server.json("/api/v1/projects").await;
    assert_eq!(list["projects"].as_array().map(Vec::len), Some(2));
    assert_eq!(server.http.delete(server.url(&location)).send().await.expect("an answer").status(), 204);
    assert_eq!(server.http.get(server.url(&location)).send().await.expect("an answer").status(), 404);
    assert_eq!(server.json("/api/v1/projects").await["projects"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn problems_are_problems() {
    let server = TestServer::start().await;
    server.create("p").await;
    let large = "x".repeat(3 * 1024 * 1024);
    let commands = "/api/v1/projects/p/commands";
    let table: Vec<(&str, &str, Option<&str>, u16, &str)> = vec![
        ("GET", "/api/v1/projects/nobody", None, 404, "not_found"),
        ("GET", "/api/v1/projects/not%20an%20id", None, 400, "bad_request"),
        ("GET", "/api/v1/projects/p/files/no.txt", None, 404, "not_found"),
        ("GET", "/api/v1/projects/p/files/..%2f..%2fetc%2fpasswd", None, 400, "bad_request"),
        ("GET", "/api/v1/projects/p/files/node_modules/x", None, 400, "bad_request"),
        ("GET", "/api/v1/projects/p/log?from=minus", None, 400, "bad_request"),
        ("GET", "/api/v1/projects/p/ws", None, 400, "bad_request"),
        ("GET", "/api/v1/nothing", None, 404, "not_found"),
        ("PUT", "/api/v1/projects", None, 405, "bad_request"),
        ("POST", "/api/v1/projects", Some("not json"), 400, "bad_request"),
        ("POST", "/api/v1/projects", Some(r#"{"project":"a b"}"#), 422, "bad_request"),
        ("POST", "/api/v1/projects", Some(r#"{"project":"p"}"#), 409, "conflict"),
        ("POST", commands, Some("not json"), 400, "bad_request"),
        ("POST", commands, Some(r#"{"type":"fly","id":"a"}"#), 400, "bad_request"),
        ("POST", commands, Some(r#"{"type":"read_file","id":"b","path":"no.txt"}"#), 404, "not_found"),
        ("POST", commands, Some(&large), 413, "too_large"),
        ("DELETE", "/api/v1/projects/nobody", None, 404, "not_found"),
        ("GET", "/no/such/page", None, 404, "not_found"),
    ];
    for (method, path, body, status, code) in table {
        let mut request = server.http.request(method.parse().expect("a method"), server.url(path));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{method} {path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{method} {path}");
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(
            (problem["code"].as_str(), problem["status"].as_u64()),
            (Some(code), Some(u64::from(status))),
            "{path}"
        );
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
}

#[tokio::test]
async fn commands_work_without_a_socket_and_everybody_sees_them() {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    let post = |body: Value| server.http.post(server.url("/api/v1/projects/p/commands")).json(&body).send();
    let written = json!({ "type": "write_file", "id": "a1", "path": "notes.txt", "content": "hi" });
    let first = post(written.clone()).await.expect("an answer");
    assert_eq!(first.status(), 202);
    let (first, second): (Value, Value) =
        (first.json().await.expect("JSON"), post(written).await.expect("an answer").json().await.expect("JSON"));
    assert_eq!(first, second, "the same id, the same reply");
    assert_eq!(first["type"], "accepted");
    client
        .event(|frame| {
            matches!(&frame.event, cobuild_protocol::Event::FileWritten(file) if file.path.as_str() == "notes.txt")
                .then_some(())
        })
        .await;
    let status: Value =
        post(json!({ "type": "status", "id": "a2" })).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(status["type"], "result");
    let joined = server.log("p").await.iter().filter(|line| line.contains("participant_joined")).count();
    assert_eq!(joined, 2, "three requests are one participant, the socket another");
}

#[tokio::test]
async fn files_are_served_without_being_run() {
    let server = TestServer::start().await;
    server.create("p").await;
    let list = server.json("/api/v1/projects/p/files").await;
    assert!(list["files"].as_array().expect("files").iter().any(|file| file["path"] == "index.html"));
    let url = server.url("/api/v1/projects/p/files/index.html");
    let answer = server.http.get(&url).send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let etag = answer.headers()["etag"].clone();
    assert!(answer.text().await.expect("text").contains("<!doctype html>"));
    let again = server.http.get(&url).header("if-none-match", etag).send().await.expect("an answer");
    assert_eq!(again.status(), 304);
}

#[tokio::test]
async fn the_archive_holds_the_tree() {
    let server = TestServer::start().await;
    server.create("p").await;
    let answer = server.http.get(server.url("/api/v1/projects/p/export.zip")).send().await.expect("an answer");
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"p.zip\"");
    let bytes = answer.bytes().await.expect("a whole archive");
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("an archive");
    let files = server.json("/api/v1/projects/p/files").await;
    let files = files["files"].as_array().expect("files");
    assert_eq!(archive.len(), files.len());
    for file in files {
        let mut content = Vec::new();
        archive
            .by_name(file["path"].as_str().expect("a path"))
            .expect("there")
            .read_to_end(&mut content)
            .expect("read");
        assert_eq!(cobuild::project::content_hash(&content).as_str(), file["hash"]);
    }
}

#[tokio::test]
async fn the_server_says_how_it_is() {
    let server = TestServer::start().await;
    assert_eq!(server.json("/health").await["status"], "healthy");
    let ready = server.json("/ready").await;
    assert_eq!(
        (&ready["ready"], &ready["store"]["ok"], &ready["sandbox"]["ok"]),
        (&json!(true), &json!(true), &json!(true))
    );
    let models = server.json("/api/v1/models").await;
    assert_eq!(models["default"]["model"], "test/scripted");
    assert_eq!(models["models"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn every_address_of_the_app_is_its_page() {
    let server = TestServer::start().await;
    for path in ["/", "/p/anything"] {
        let page = server.http.get(server.url(path)).header("accept", "text/html,*/*;q=0.8");
        let answer = page.send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        let policy = answer.headers()["content-security-policy"].to_str().expect("ASCII").to_owned();
        assert!(policy.contains("frame-src http://*.cobuild.localhost:*"), "{policy}");
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
    }
}

/// A person sees a page, a program what it can read – and whoever asks the API gets JSON, with a browser too.
#[tokio::test]
async fn an_unknown_address_is_a_page_to_a_browser() {
    let server = TestServer::start().await;
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    for (path, host, accept, status, kind, words) in [
        ("/nowhere", None, browser, 404, "text/html; charset=utf-8", "there is no such page"),
        ("/nowhere", None, "*/*", 404, "application/problem+json", "there is no such page"),
        ("/nowhere", None, "application/json", 404, "application/problem+json", "there is no such page"),
        ("/api/v1/nowhere", None, browser, 404, "application/problem+json", "there is no such endpoint"),
        ("/", Some("evil.example"), browser, 421, "text/html; charset=utf-8", "Misdirected Request"),
        ("/", Some("evil.example"), "*/*", 421, "application/problem+json", r#""title":"Misdirected Request""#),
    ] {
        let mut request = server.http.get(server.url(path)).header("accept", accept);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{path} {accept}");
        assert_eq!(answer.headers()["content-type"], kind, "{path} {accept}");
        let policy = answer.headers().get("content-security-policy").map(|policy| policy.to_str().expect("ASCII"));
        assert_eq!(policy.is_some_and(|policy| policy.starts_with("default-src 'none'")), kind.starts_with("text"));
        let text = answer.text().await.expect("text");
        assert!(text.contains(words), "{path} {accept}: {text}");
    }
}

#[tokio::test]
async fn other_names_and_foreign_pages_are_kept_out() {
    let server = TestServer::start().await;
    server.create("p").await;
    let preview = format!("http://{}:{}", server.preview_host("p").await, server.address.port());
    let get = |host: Option<&str>, origin: Option<&str>| {
        let mut request = server.http.get(server.url("/api/v1/projects"));
        for (name, value) in [("host", host), ("origin", origin)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request.send()
    };
    for (host, origin, status) in [
        (None, None, 200),
        (Some("localhost:1234"), None, 200),
        (Some("evil.example"), None, 421),
        (Some("127.0.0.1.nip.io"), None, 421),
        (None, Some("http://localhost:5173"), 200),
        (None, Some("https://evil.example"), 403),
        (None, Some("null"), 403),
        (None, Some(preview.as_str()), 403),
    ] {
        let answer = get(host, origin).await.expect("an answer");
        assert_eq!(answer.status(), status, "{host:?} {origin:?}");
        let allowed = answer.headers().get("access-control-allow-origin").map(|value| value.to_str().expect("ASCII"));
        assert_eq!(allowed, origin.filter(|_| status == 200));
    }
}

#[tokio::test]
async fn configured_origins_may_use_the_api() {
    let server = TestServer::start_with(Setup::with_arguments(&["--cors-origins", "https://app.example"])).await;
    let preflight = server
        .http
        .request(reqwest::Method::OPTIONS, server.url("/api/v1/projects"))
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .send()
        .await
        .expect("an answer");
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "https://app.example");
    assert!(preflight.headers()["access-control-allow-methods"].to_str().expect("ASCII").contains("POST"));
}

#[tokio::test]
async fn beyond_loopback_a_token_is_asked_for() {
    let server = TestServer::start_with(Setup::with_arguments(&["--host", "0.0.0.0"])).await;
    let link = server.running().owner_link().expect("a link").to_owned();
    let (_, token) = link.split_once("/#token=").expect("in the fragment, which is never sent");
    // Where this machine has a way out, there is a link for those at the other end of it.
    if let Some(elsewhere) = server.running().link_elsewhere() {
        assert!(!elsewhere.contains("localhost") && elsewhere.ends_with(&format!("/#token={token}")), "{elsewhere}");
        let (address, _) = elsewhere.split_once("/#").expect("a token");
        let answer = server.http.get(format!("{address}/health")).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    let url = format!("http://127.0.0.1:{}/api/v1/projects", server.address.port());
    for (header, status) in
        [(None, 401), (Some("Bearer wrong".to_owned()), 401), (Some(format!("Bearer {token}")), 200)]
    {
        let mut request = server.http.get(&url);
        if let Some(header) = &header {
            request = request.header("authorization", header);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status);
    }
    let health = format!("http://127.0.0.1:{}/health", server.address.port());
    assert_eq!(server.http.get(health).send().await.expect("an answer").status(), 200);
}
