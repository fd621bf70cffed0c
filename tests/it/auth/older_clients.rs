//! What tokens mean for clients of the older systems.

use cobuild_protocol::{Event, value::Outcome};
use reqwest::Method;
use serde_json::json;

use super::{
    Guarded,
    signer::{hs256, now},
};
use crate::support::{WsClient, run_of};

#[tokio::test]
async fn an_editors_kill_ends_the_run_and_leaves_what_others_have_waiting() {
    let guarded = Guarded::start().await;
    guarded.create("p").await;
    let token = |subject: &str| hs256(json!({ "sub": subject, "projects": { "p": "editor" }, "exp": now() + 600.0 }));
    let (ada, bob) = (token("ada"), token("bob"));
    let ask = async |path: &str, token: &str, body: serde_json::Value| {
        let request = guarded.server.http.request(Method::POST, guarded.server.url(path)).bearer_auth(token);
        request.header("x-project-id", "p").json(&body).send().await.expect("an answer")
    };
    assert_eq!(ask("/api/create-ai-sandbox-v2", &bob, json!({})).await.status(), 200);
    let mut room = WsClient::attach_with_token(&guarded.server, "p", &ada).await;
    let first = run_of(room.command(json!({ "type": "generate", "prompt": "hang" })).await);
    let waiting =
        run_of(room.command(json!({ "type": "generate", "prompt": "file src/a.js 1", "delivery": "queue" })).await);
    let apply = json!({ "response": "<file path=\"src/b.js\">2</file>" });
    let mut own = ask("/api/apply-ai-code-stream", &bob, apply).await;
    own.chunk().await.expect("bytes").expect("a start");
    room.event(|frame| {
        matches!(&frame.event, Event::RunQueued(_)).then_some(()).filter(|()| frame.run != Some(waiting))
    })
    .await;

    let killed = ask("/api/kill-sandbox", &bob, json!({})).await;
    assert_eq!(killed.status(), 200, "{:?}", killed.text().await);
    assert_eq!(room.finished(first).await, Outcome::Cancelled);
    assert_eq!(room.finished(waiting).await, Outcome::Completed, "it is not the killer's to end");
    let rest = own.text().await.expect("a whole stream");
    assert!(rest.contains("\"error\"") && !rest.contains("\"complete\""), "their own does not bring it back: {rest}");
}
