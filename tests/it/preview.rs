//! The preview's way through: what reaches the dev server, what comes back, and what is shown while there is none.

use std::sync::atomic::Ordering;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

use crate::support::{TestServer, WsClient, within};

/// A project whose dev server answers, and its preview's host.
async fn ready() -> (TestServer, String) {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    client.command(json!({ "type": "start_sandbox" })).await;
    client.event(|frame| matches!(&frame.event, cobuild_protocol::Event::PreviewChanged(preview) if preview.state == cobuild_protocol::value::PreviewState::Ready).then_some(())).await;
    let host = server.preview_host("p").await;
    let authority = format!("{host}:{}", server.address.port());
    (server, authority)
}

fn get(server: &TestServer, host: &str, path: &str) -> reqwest::RequestBuilder {
    server.http.get(server.url(path)).header("host", host)
}

#[tokio::test]
async fn requests_reach_the_dev_server_without_the_user_in_them() {
    let (server, host) = ready().await;
    let answer = get(&server, &host, "/asked?a=1&b=%20")
        .header("cookie", "session=secret")
        .header("authorization", "Bearer secret")
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-mine", "kept")
        .header("origin", format!("http://{host}"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("content-security-policy"), "the app's headers are not the preview's");
    let asked: Value = answer.json().await.expect("JSON");
    assert_eq!(asked["target"], "/asked?a=1&b=%20");
    let headers = asked["headers"].as_object().expect("headers");
    assert_eq!((headers["host"].as_str(), headers["origin"].as_str()), (Some("localhost"), Some("http://localhost")));
    assert_eq!(headers["x-mine"], "kept");
    for private in ["cookie", "authorization", "x-forwarded-for"] {
        assert!(!headers.contains_key(private), "{private}");
    }
}

#[tokio::test]
async fn bodies_pass_both_ways() {
    let (server, host) = ready().await;
    let body = "päckchen ".repeat(100_000);
    let echoed = server.http.post(server.url("/echo")).header("host", &host).body(body.clone()).send().await;
    assert_eq!(echoed.expect("an answer").text().await.expect("text"), body);
    let page = get(&server, &host, "/").send().await.expect("an answer");
    assert_eq!(page.headers()["origin-agent-cluster"], "?1");
    assert!(page.text().await.expect("text").contains("<div id=\"root\">"));
    // The name of the domain's first part alone leads there, too.
    let short = host.replace(".cobuild.localhost", ".localhost");
    assert_eq!(get(&server, &short, "/").send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn answers_cannot_reach_beyond_the_preview() {
    let (server, host) = ready().await;
    let cookie = get(&server, &host, "/cookie").send().await.expect("an answer");
    assert!(!cookie.headers().contains_key("set-cookie"));
    assert_eq!(cookie.headers()["x-mine"], "1");
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let moved = client.get(server.url("/elsewhere")).header("host", &host).send().await.expect("an answer");
    assert_eq!(moved.headers()["location"], "/asked");
}

type Socket = WebSocketStream<TcpStream>;

async fn upgrade(server: &TestServer, host: &str, origin: Option<&str>) -> Result<Socket, tungstenite::Error> {
    let mut request = format!("ws://{host}/hmr").into_client_request().expect("a request");
    request.headers_mut().insert("sec-websocket-protocol", "vite-hmr".parse().expect("a header"));
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
    }
    let socket = TcpStream::connect(server.address).await.expect("a connection");
    within("the upgrade", client_async(request, socket)).await.map(|(stream, answer)| {
        assert_eq!(answer.headers()["sec-websocket-protocol"], "vite-hmr");
        stream
    })
}

#[tokio::test]
async fn hot_reload_sockets_pass() {
    let (server, host) = ready().await;
    let origin = format!("http://{host}");
    let mut socket = upgrade(&server, &host, Some(&origin)).await.expect("an upgrade");
    let first = within("the greeting", socket.next()).await.expect("open").expect("a frame");
    assert_eq!(first, Message::text("http://localhost"), "the dev server sees its own name");
    for message in [Message::text("update"), Message::binary(vec![7; 200_000])] {
        assert!(socket.send(message.clone()).await.is_ok());
        assert_eq!(within("the echo", socket.next()).await.expect("open").expect("a frame"), message);
    }
}

#[tokio::test]
async fn hot_reload_sockets_are_not_for_foreign_pages() {
    let (server, host) = ready().await;
    for origin in ["https://evil.example", "http://localhost:3100", "null"] {
        assert!(upgrade(&server, &host, Some(origin)).await.is_err(), "{origin}");
    }
    assert!(upgrade(&server, &host, None).await.is_ok(), "programs send no origin");
}

#[tokio::test]
async fn an_unknown_preview_is_not_found() {
    let server = TestServer::start().await;
    let answer = get(&server, &format!("{}.localhost", "0".repeat(32)), "/").send().await.expect("an answer");
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn a_starting_preview_says_what_it_waits_for() {
    let server = TestServer::start().await;
    server.create("p").await;
    server.preview.slow.store(true, Ordering::SeqCst);
    let host = server.preview_host("p").await;
    let page = get(&server, &host, "/").header("accept", "text/html").send().await.expect("an answer");
    assert_eq!(page.status(), 503);
    assert_eq!(page.headers()["x-cobuild-preview"], "starting");
    assert!(page.text().await.expect("text").contains("Starting the preview"));
    // The page asks again like this, and learns what is being done.
    let detail = within("the progress", async {
        loop {
            let asked = get(&server, &host, "/").header("accept", "application/json").send().await.expect("an answer");
            let asked: Value = asked.json().await.expect("JSON");
            if asked["detail"].as_str().is_some_and(|detail| detail.contains("Unpacking")) {
                return asked;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(detail["state"], "starting");
}

#[tokio::test]
async fn a_preview_that_cannot_be_started_says_why() {
    let server = TestServer::start().await;
    server.create("p").await;
    server.preview.broken.store(true, Ordering::SeqCst);
    let host = server.preview_host("p").await;
    let text = within("the reason", async {
        loop {
            let page = get(&server, &host, "/").header("accept", "text/html").send().await.expect("an answer");
            assert_eq!(page.status(), 503);
            if page.headers()["x-cobuild-preview"] == "failed" {
                return page.text().await.expect("text");
            }
        }
    })
    .await;
    assert!(text.contains("apt install bubblewrap"), "{text}");
}

#[tokio::test]
async fn a_restarting_dev_server_is_waited_for() {
    let (server, host) = ready().await;
    server.stop_dev_servers(true);
    let waiting = get(&server, &host, "/").header("accept", "text/html").send().await.expect("an answer");
    assert_eq!(
        (waiting.status().as_u16(), &waiting.headers()["x-cobuild-preview"]),
        (503, &"starting".parse().expect("ASCII"))
    );
    server.stop_dev_servers(false);
    let back = get(&server, &host, "/").send().await.expect("an answer");
    assert_eq!(back.status(), 200);
    assert!(!back.headers().contains_key("x-cobuild-preview"));
}

/// A page of the preview, as its script speaks for it.
struct Page(Socket);

impl Page {
    async fn open(server: &TestServer, host: &str) -> Self {
        Self(page_socket(server, host, Some(&format!("http://{host}"))).await.expect("an upgrade"))
    }

    async fn says(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.expect("sent");
    }
}

async fn page_socket(server: &TestServer, host: &str, origin: Option<&str>) -> Result<Socket, tungstenite::Error> {
    let mut request = format!("ws://{host}/__cobuild/page").into_client_request().expect("a request");
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
    }
    let socket = TcpStream::connect(server.address).await.expect("a connection");
    within("the upgrade", client_async(request, socket)).await.map(|(stream, _)| stream)
}

#[tokio::test]
async fn documents_carry_our_script_and_nothing_else_does() {
    let (server, host) = ready().await;
    let page = get(&server, &host, "/").header("accept", "text/html").send().await.expect("an answer");
    let page = page.text().await.expect("text");
    assert!(page.contains("<head><script src=\"/__cobuild/page.js\"></script>"), "{page}");
    let fetched = get(&server, &host, "/").header("accept", "text/html").header("sec-fetch-dest", "empty");
    assert!(!fetched.send().await.expect("an answer").text().await.expect("text").contains("__cobuild"));
    let script = get(&server, &host, "/__cobuild/page.js").send().await.expect("an answer");
    assert_eq!(
        (script.status().as_u16(), &script.headers()["x-content-type-options"]),
        (200, &"nosniff".parse().expect("ASCII"))
    );
    assert!(script.text().await.expect("text").contains("unhandledrejection"));
    assert_eq!(get(&server, &host, "/__cobuild/other").send().await.expect("an answer").status(), 404);
    let asked =
        get(&server, &host, "/asked").header("accept", "text/html").header("accept-encoding", "br").send().await;
    let asked: Value = asked.expect("an answer").json().await.expect("JSON");
    assert_eq!(asked["headers"]["accept-encoding"], "identity");
}

#[tokio::test]
async fn what_a_page_throws_is_told_to_the_room_as_its_words() {
    let (server, host) = ready().await;
    let mut ada = WsClient::attach(&server, "p").await;
    let mut page = Page::open(&server, &host).await;
    let stack = format!("at App (http://{host}/src/App.jsx?t=1:2:3)");
    let threw = json!({ "type": "threw", "message": "TypeError: \u{1b}[31mno\u{7}", "stack": stack });
    page.says(threw.clone()).await;
    let error = |frame: &cobuild_protocol::EventFrame| match &frame.event {
        cobuild_protocol::Event::PreviewError(error) => Some(error.clone()),
        _ => None,
    };
    let told = ada.event(error).await;
    assert_eq!(
        (told.message.as_str(), told.file.as_deref()),
        ("TypeError: no\n    at App (src/App.jsx)", Some("src/App.jsx"))
    );
    assert!(!told.source.is_build());
    // Nonsense does no harm, and the same is not told twice.
    for nonsense in [json!(7), json!({ "type": "threw" }), json!({ "type": "preview_changed" }), threw] {
        page.says(nonsense).await;
    }
    page.says(json!({ "type": "renewed" })).await;
    let well = |frame: &cobuild_protocol::EventFrame| {
        matches!(&frame.event, cobuild_protocol::Event::PreviewChanged(_)).then_some(())
    };
    ada.event(well).await;
    let errors = ada.lines.iter().filter(|line| line.contains("preview_error")).count();
    assert_eq!(errors, 1, "{:#?}", ada.lines);
    // A page without end is heard for a while.
    for number in 0..100 {
        page.says(json!({ "type": "threw", "message": number.to_string() })).await;
    }
    page.says(json!({ "type": "renewed" })).await;
    ada.event(well).await;
    let errors = ada.lines.iter().filter(|line| line.contains("preview_error")).count();
    assert!(errors < 20, "{errors}");
}

#[tokio::test]
async fn only_pages_of_the_preview_may_speak_and_not_too_much() {
    let (server, host) = ready().await;
    for origin in [None, Some("null"), Some("http://localhost:3100"), Some("https://evil.example")] {
        assert!(page_socket(&server, &host, origin).await.is_err(), "{origin:?}");
    }
    let plain = get(&server, &host, "/__cobuild/page").header("origin", format!("http://{host}")).send().await;
    assert_eq!(plain.expect("an answer").status(), 426);
    let mut page = Page::open(&server, &host).await;
    let large = json!({ "type": "threw", "message": "x".repeat(100_000) });
    page.says(large).await;
    within("the end", async { while let Some(Ok(_)) = page.0.next().await {} }).await;
    let mut page = Page::open(&server, &host).await;
    let end = within("the end", async {
        loop {
            let message = json!({ "type": "settled", "question": 1 });
            if page.0.send(Message::text(message.to_string())).await.is_err() {
                return page.0.next().await;
            }
            if let Some(Some(message)) = futures_util::FutureExt::now_or_never(page.0.next()) {
                return Some(message);
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let code = match end {
        Some(Ok(Message::Close(Some(frame)))) => Some(u16::from(frame.code)),
        _ => None,
    };
    assert_eq!(code, Some(1008));
}
