//! Signed tokens: which are refused and why, and what the others open.

use aws_lc_rs::hmac;
use cobuild_protocol::{frame::ControlFrame, value::Role};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Guarded,
    signer::{ProviderKey, SECRET, hmac_token, hs256, now, token},
};
use crate::support::{WsClient, try_open};

fn claims(changes: Value) -> Value {
    let mut claims = json!({ "sub": "ada", "name": "Ada", "projects": { "p": "editor" }, "exp": now() + 600.0 });
    for (name, value) in changes.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

fn hmac_signed(secret: &str) -> impl FnOnce(&[u8]) -> Vec<u8> {
    move |message| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message).as_ref().to_vec()
}

#[tokio::test]
async fn every_bad_token_is_refused_in_its_own_words() {
    let guarded = Guarded::start().await;
    guarded.create("p").await;
    let good = hs256(claims(json!({})));
    let tampered = {
        let other = hs256(claims(json!({ "projects": { "p": "owner" } })));
        let payload = other.split('.').nth(1).expect("three parts").to_owned();
        let parts: Vec<&str> = good.split('.').collect();
        format!("{}.{payload}.{}", parts[0], parts[2])
    };
    let unsigned = |name: &str| token(&json!({ "alg": name }), &claims(json!({})), |_| Vec::new());
    let table = [
        ("garbage".to_owned(), 401, "not a signed JSON Web Token"),
        ("a.b.c".into(), 401, "not a signed JSON Web Token"),
        (format!("{good}.{good}"), 401, "not a signed JSON Web Token"),
        ("x".repeat(20_000), 401, "at most 16384 characters"),
        (unsigned("none"), 401, "not signed"),
        (unsigned("NonE"), 401, "not signed"),
        (unsigned("HS256"), 401, "signature is not valid"),
        (tampered, 401, "signature is not valid"),
        (hmac_token("HS256", hmac::HMAC_SHA256, b"another secret", &claims(json!({}))), 401, "signature is not valid"),
        (
            hmac_token("HS512", hmac::HMAC_SHA512, SECRET.as_bytes(), &claims(json!({}))),
            401,
            "signed with `HS512`; this server takes HS256",
        ),
        (ProviderKey::ec("k").sign(&claims(json!({}))), 401, "signed with `ES256`; this server takes HS256"),
        (
            token(&json!({ "alg": "HS256", "crit": ["b64"] }), &claims(json!({})), hmac_signed(SECRET)),
            401,
            "does not know (crit)",
        ),
        (hs256(claims(json!({ "exp": now() - 1.0 }))), 401, "has expired"),
        (hs256(claims(json!({ "exp": null }))), 401, "no expiry"),
        (hs256(claims(json!({ "nbf": now() + 300.0 }))), 401, "not valid yet"),
        (hs256(claims(json!({ "sub": null }))), 401, "subject"),
        (hs256(claims(json!({ "projects": null }))), 401, "names no projects"),
        (hs256(claims(json!({ "projects": { "p": "king" } }))), 401, "unknown variant `king`"),
        (hs256(json!(["no", "claims"])), 401, "claims cannot be read"),
        ("share_AAAA".into(), 401, "no such share link"),
        (hs256(claims(json!({ "projects": { "q": "owner" } }))), 403, "no access to this project"),
        (hs256(claims(json!({ "projects": {} }))), 403, "no access to this project"),
    ];
    for (token, status, words) in table {
        let shown: String = token.chars().take(60).collect();
        let close = if status == 401 { 4501 } else { 4503 };
        let code = if status == 401 { "unauthenticated" } else { "forbidden" };
        for path in ["", "/events", "/log", "/files", "/files/index.html", "/export.zip", "/share-links"] {
            let (answered, problem) = guarded.get(&format!("/api/v1/projects/p{path}"), &token).await;
            assert_eq!((answered.as_u16(), problem["code"].as_str()), (status, Some(code)), "{path} {shown} {problem}");
            let detail = problem["detail"].as_str().expect("a sentence");
            assert!(detail.contains(words), "{shown}: {detail}");
            assert!(!problem.to_string().contains(token.as_str()), "a token is not repeated");
        }
        let (code, reason) = guarded.turned_away("p", Some(&token)).await.expect("turned away");
        assert_eq!(code, Some(close), "{shown}");
        assert!(reason.contains(words), "{shown}: {reason}");
    }
    assert_eq!(guarded.turned_away("p", None).await, Some((Some(4501), "this server needs a token".into())));
    assert_eq!(guarded.get("/api/v1/projects/p", "").await.0, 401);
    assert_eq!(guarded.turned_away("p", Some(&good)).await, None, "and a good one is let in");
}

#[tokio::test]
async fn a_token_opens_its_projects_as_what_it_says() {
    let guarded = Guarded::start().await;
    guarded.create("a").await;
    guarded.create("b").await;
    let ada = hs256(claims(json!({ "projects": { "a": "editor" } })));
    let (_, list) = guarded.get("/api/v1/projects", &ada).await;
    let listed: Vec<_> = list["projects"].as_array().expect("a list").iter().map(|line| &line["project"]).collect();
    assert_eq!(listed, ["a"]);
    let everything = guarded.get("/api/v1/projects", &guarded.owner).await.1;
    assert_eq!(everything["projects"].as_array().map(Vec::len), Some(2));

    let client = WsClient::attach_with_token(&guarded.server, "a", &ada).await;
    assert_eq!(client.welcome.role, Role::Editor);
    let me = client.welcome.participant;
    let snapshot = client.snapshot.as_ref().expect("a snapshot");
    assert_eq!(snapshot.state.participants[&me].name, "Ada");
    let again = WsClient::attach_with_token(&guarded.server, "a", &ada).await;
    assert_eq!(again.welcome.participant, me, "one subject is one participant");

    for (method, path) in [(Method::POST, "/api/v1/projects"), (Method::DELETE, "/api/v1/projects/a")] {
        for projects in [json!({ "a": "owner" }), json!({ "*": "editor" })] {
            let token = hs256(claims(json!({ "projects": projects })));
            let (status, problem) = guarded.ask(method.clone(), path, &token, Some(json!({}))).await;
            assert_eq!(status, 403, "{method} {projects} {problem}");
        }
    }
    assert_eq!(guarded.ask(Method::DELETE, "/api/v1/projects/a", &guarded.owner, None).await.0, 204);
}

#[tokio::test]
async fn a_viewer_watches_and_changes_nothing() {
    let guarded = Guarded::start().await;
    guarded.create("p").await;
    let viewer = hs256(claims(json!({ "sub": "eve", "projects": { "p": "viewer" } })));
    let mut client = WsClient::attach_with_token(&guarded.server, "p", &viewer).await;
    assert_eq!(client.welcome.role, Role::Viewer);
    let write = json!({ "type": "write_file", "path": "a.txt", "content": "x" });
    let ControlFrame::Rejected(rejected) = client.command(write.clone()).await else { panic!("must be rejected") };
    assert_eq!(rejected.error.code, cobuild_protocol::ErrorCode::Forbidden);
    let mut command = write;
    command["id"] = json!("w1");
    let (status, _) = guarded.ask(Method::POST, "/api/v1/projects/p/commands", &viewer, Some(command)).await;
    assert_eq!(status, 403);
    let reply = client.command(json!({ "type": "read_file", "path": "index.html" })).await;
    assert!(matches!(reply, ControlFrame::Result(_)), "{reply:?}");
}

#[tokio::test]
async fn a_cursor_of_another_project_opens_nothing() {
    let guarded = Guarded::start().await;
    guarded.create("a").await;
    guarded.create("b").await;
    let all = WsClient::attach_with_token(&guarded.server, "b", &guarded.owner).await;
    let cursor = format!("{}:1", all.epoch());
    let ada = hs256(claims(json!({ "projects": { "a": "owner" } })));
    for request in [
        guarded.server.http.get(guarded.server.url("/api/v1/projects/b/events")).header("last-event-id", &cursor),
        guarded.server.http.get(guarded.server.url(&format!("/api/v1/projects/b/events?since={cursor}"))),
        guarded.server.http.get(guarded.server.url("/api/v1/projects/b/log?from=1")),
    ] {
        assert_eq!(request.bearer_auth(&ada).send().await.expect("an answer").status(), 403);
    }
    assert_eq!(guarded.turned_away("b", Some(&ada)).await.and_then(|(code, _)| code), Some(4503));
    // A cursor of b means nothing in a: no event of b comes, but a's state.
    let answer = guarded
        .server
        .http
        .get(guarded.server.url(&format!("/api/v1/projects/a/events?since={cursor}")))
        .bearer_auth(&ada)
        .send()
        .await
        .expect("an answer");
    let first = answer.bytes_stream();
    let mut first = std::pin::pin!(first);
    let chunk = futures_util::StreamExt::next(&mut first).await.expect("a chunk").expect("read");
    assert!(String::from_utf8_lossy(&chunk).contains("event: reset"), "{chunk:?}");
}

#[tokio::test]
async fn a_program_may_show_its_token_with_the_upgrade() {
    let guarded = Guarded::start().await;
    guarded.create("p").await;
    let bearer = format!("Bearer {}", guarded.owner);
    let mut socket = try_open(&guarded.server, "p", &[("authorization", &bearer)]).await.expect("an upgrade");
    futures_util::SinkExt::send(
        &mut socket,
        tokio_tungstenite::tungstenite::Message::text(r#"{"type":"hello","protocol":1}"#),
    )
    .await
    .expect("sent");
    let received = crate::support::receive(&mut socket).await;
    assert!(matches!(received, crate::support::Received::Control(ControlFrame::Welcome(_))), "{received:?}");
    // In the address it counts for nothing: addresses are logged.
    let (status, _) = guarded.get(&format!("/api/v1/projects/p?token={}", guarded.owner), "").await;
    assert_eq!(status, 401);
}
