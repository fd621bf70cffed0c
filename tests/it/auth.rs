//! Who is let in, as what, and for how long: over every way in.

mod expiry;
mod guests;
mod key_sets;
mod metrics;
mod older_clients;
mod process;
mod removal;
mod share_links;
pub(crate) mod signer;
mod tokens;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use self::signer::{SECRET, hs256, now};
use crate::support::{Received, Setup, TestServer, open, receive, within};

/// A server that asks for tokens, and requests with them.
struct Guarded {
    server: TestServer,
    /// Owner of everything.
    owner: String,
}

impl Guarded {
    /// With `JWT_SECRET`.
    async fn start() -> Self {
        Self::start_with(Setup::with_arguments(&["--jwt-secret", SECRET])).await
    }

    async fn start_with(setup: Setup) -> Self {
        let owner = hs256(json!({ "sub": "root", "projects": { "*": "owner" }, "exp": now() + 600.0 }));
        Self { server: TestServer::start_with(setup).await, owner }
    }

    async fn create(&self, project: &str) {
        let (status, body) =
            self.ask(Method::POST, "/api/v1/projects", &self.owner, Some(json!({ "project": project }))).await;
        assert_eq!(status, 201, "{body}");
    }

    /// A request and its JSON answer; an empty token is none.
    async fn ask(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.server.http.request(method, self.server.url(path));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = within("an answer", request.send()).await.expect("an answer");
        let status = answer.status();
        let text = within("a body", answer.text()).await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        self.ask(Method::GET, path, token, None).await
    }

    /// How a socket ends whose hello shows this token; `None` when it is let in.
    async fn turned_away(&self, project: &str, token: Option<&str>) -> Option<(Option<u16>, String)> {
        let mut socket = open(&self.server, project).await;
        let mut hello = json!({ "type": "hello", "protocol": 1 });
        if let Some(token) = token {
            hello["token"] = json!(token);
        }
        socket.send(Message::text(hello.to_string())).await.expect("sent");
        match receive(&mut socket).await {
            Received::Closed(code, reason) => Some((code, reason)),
            _ => None,
        }
    }

    /// An event stream; the status if it does not begin.
    async fn events(&self, project: &str, token: &str) -> Result<EventStream, StatusCode> {
        let url = self.server.url(&format!("/api/v1/projects/{project}/events"));
        let answer = self.server.http.get(url).bearer_auth(token).send().await.expect("an answer");
        if answer.status() != 200 {
            return Err(answer.status());
        }
        Ok(EventStream { body: Box::pin(answer.bytes_stream().map(|chunk| chunk.is_ok())) })
    }
}

struct EventStream {
    body: std::pin::Pin<Box<dyn futures_util::Stream<Item = bool> + Send>>,
}

impl EventStream {
    /// Reads until the server ends it.
    async fn ended(&mut self) {
        within("the end of the stream", async { while self.body.next().await == Some(true) {} }).await;
    }
}
