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
