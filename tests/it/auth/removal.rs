//! What an owner decides about somebody who is in the room.

use std::time::Duration;

use cobuild_protocol::{ErrorCode, Event, ParticipantId, frame::ControlFrame, value::Role};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Guarded,
    signer::{hs256, now},
};
use crate::support::WsClient;

/// The promise: what an owner decides acts on open connections within this.
const ACTS_WITHIN: Duration = Duration::from_secs(1);

fn token(subject: &str, role: &str) -> String {
    hs256(json!({ "sub": subject, "projects": { "p": role }, "exp": now() + 600.0 }))
}

fn set_role(participant: ParticipantId, role: Option<&str>) -> Value {
    let mut command = json!({ "type": "set_role", "participant": participant });
    if let Some(role) = role {
        command["role"] = json!(role);
    }
    command
}

async fn accepted(client: &mut WsClient, command: Value) {
    let reply = client.command(command).await;
    assert!(matches!(reply, ControlFrame::Accepted(_)), "{reply:?}");
}

#[tokio::test]
async fn whoever_is_removed_is_out_on_every_way_until_let_in_again() {
    let guarded = Guarded::start().await;
    guarded.create("p").await;
    let mut owner = WsClient::attach_with_token(&guarded.server, "p", &guarded.owner).await;
    let (bob, eve) = (token("bob", "editor"), token("eve", "editor"));
    let mut sockets = [
        WsClient::attach_with_token(&guarded.server, "p", &bob).await,
        WsClient::attach_with_token(&guarded.server, "p", &bob).await,
    ];
    let participant = sockets[0].welcome.participant;
    let mut events = guarded.events("p", &bob).await.expect("a stream");
    let mut bystander = WsClient::attach_with_token(&guarded.server, "p", &eve).await;

    accepted(&mut owner, set_role(participant, None)).await;
    let out = async {
        for socket in &mut sockets {
            let (code, reason) = socket.closed().await;
            assert_eq!((code, reason.as_str()), (Some(4503), "an owner has removed you from this project"));
        }
        events.ended().await;
    };
    tokio::time::timeout(ACTS_WITHIN, out).await.expect("at once");
    let (code, reason) = guarded.turned_away("p", Some(&bob)).await.expect("turned away");
    assert_eq!(code, Some(4503), "{reason}");
    for path in ["", "/files", "/files/index.html", "/log", "/export.zip", "/events", "/share-links"] {
        let (status, problem) = guarded.get(&format!("/api/v1/projects/p{path}"), &bob).await;
        assert_eq!(status, 403, "{path} {problem}");
    }
    let status = json!({ "type": "status", "id": "s1" });
    assert_eq!(guarded.ask(Method::POST, "/api/v1/projects/p/commands", &bob, Some(status)).await.0, 403);
    bystander.event(|frame| matches!(frame.event, Event::RoleChanged(_)).then_some(())).await;
    accepted(&mut bystander, json!({ "type": "write_file", "path": "x.txt", "content": "x" })).await;
    assert_eq!(guarded.get("/api/v1/projects/p/files", &eve).await.0, 200);

    accepted(&mut owner, set_role(participant, Some("viewer"))).await;
    let mut back = WsClient::attach_with_token(&guarded.server, "p", &bob).await;
    assert_eq!((back.welcome.participant, back.welcome.role), (participant, Role::Viewer));
    // The removal that is replayed is an old one.
    let since = cobuild_protocol::Cursor { epoch: back.epoch(), seq: 1 };
    let mut replayed = WsClient::attach_with_token_since(&guarded.server, "p", &bob, since).await;
    replayed.synced().await;
    let ControlFrame::Rejected(rejected) =
        back.command(json!({ "type": "write_file", "path": "y.txt", "content": "y" })).await
    else {
        panic!("a viewer now")
    };
    assert_eq!(rejected.error.code, ErrorCode::Forbidden);
}

#[tokio::test]
async fn whoever_only_reads_along_is_out_at_once_too() {
    let guarded = Guarded::start().await;
    guarded.create("p").await;
    let mut owner = WsClient::attach_with_token(&guarded.server, "p", &guarded.owner).await;
    let mut links = Vec::new();
    for _ in 0..2 {
        let wanted = Some(json!({ "role": "viewer" }));
        let (_, link) = guarded.ask(Method::POST, "/api/v1/projects/p/share-links", &guarded.owner, wanted).await;
        links.push(link["token"].as_str().expect("a token").to_owned());
    }
    let mut events = guarded.events("p", &links[0]).await.expect("a stream");
    let mut others = guarded.events("p", &links[1]).await.expect("a stream");
    // A command is how the link's programs come into the room.
    let status = json!({ "type": "status", "id": "s1" });
    assert_eq!(guarded.ask(Method::POST, "/api/v1/projects/p/commands", &links[0], Some(status)).await.0, 200);
    let program = owner
        .event(|frame| match &frame.event {
            Event::ParticipantJoined(joined) if joined.name == "API" => Some(joined.participant),
            _ => None,
        })
        .await;
    accepted(&mut owner, set_role(program, None)).await;
    tokio::time::timeout(ACTS_WITHIN, events.ended()).await.expect("at once");
    assert_eq!(guarded.events("p", &links[0]).await.err().map(|status| status.as_u16()), Some(403));
    let goes_on = tokio::time::timeout(Duration::from_millis(300), others.ended()).await;
    assert!(goes_on.is_err(), "another link's guests are others");
}

#[tokio::test]
async fn an_owner_who_is_one_no_more_shares_no_more() {
    let guarded = Guarded::start().await;
    guarded.create("p").await;
    let mut owner = WsClient::attach_with_token(&guarded.server, "p", &guarded.owner).await;
    let ada = token("ada", "owner");
    let client = WsClient::attach_with_token(&guarded.server, "p", &ada).await;
    let path = "/api/v1/projects/p/share-links";
    let wanted = json!({ "role": "viewer" });
    assert_eq!(guarded.ask(Method::POST, path, &ada, Some(wanted.clone())).await.0, 201);
    accepted(&mut owner, set_role(client.welcome.participant, Some("editor"))).await;
    assert_eq!(guarded.ask(Method::POST, path, &ada, Some(wanted)).await.0, 403);
    assert_eq!(guarded.get(path, &ada).await.0, 403);
}
