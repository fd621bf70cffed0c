//! Tokens that end while their holders are in the room.

use std::time::Duration;

use cobuild::{
    client::{ClientError, Notice, Reply, RoomOptions, Server},
    http::Timing,
    secret::Secret,
};
use cobuild_protocol::{ErrorCode, ParticipantId, frame::ControlFrame, value::Outcome};
use serde_json::{Value, json};

use super::{
    Guarded,
    signer::{SECRET, hs256, now},
};
use crate::support::{Setup, WsClient, within};

/// Longer than a test's requests take, shorter than anybody wants to wait.
const SHORT: f64 = 1.5;
/// Lifetime of a token in seconds, long enough to fill its client's socket meanwhile.
const UNTIL_STUCK: f64 = 6.0;

fn set_role(participant: ParticipantId) -> Value {
    json!({ "type": "set_role", "participant": participant })
}

async fn guarded() -> Guarded {
    let timing = Timing { expiry_grace: Duration::from_millis(300), ..Timing::default() };
    let guarded = Guarded::start_with(Setup { timing, ..Setup::with_arguments(&["--jwt-secret", SECRET]) }).await;
    guarded.create("p").await;
    guarded
}

fn token(subject: &str, role: &str, seconds: f64) -> String {
    hs256(json!({ "sub": subject, "projects": { "p": role }, "exp": now() + seconds }))
}

fn refresh(token: &str) -> Value {
    json!({ "type": "refresh_token", "token": token })
}

#[tokio::test]
async fn an_expired_token_ends_sockets_and_streams() {
    let guarded = guarded().await;
    let (short, start) = (token("ada", "editor", SHORT), now());
    let mut client = WsClient::attach_with_token(&guarded.server, "p", &short).await;
    let mut events = guarded.events("p", &short).await.expect("a stream");
    let (code, reason) = client.closed().await;
    assert_eq!((code, reason.as_str()), (Some(4501), "the token has expired"));
    events.ended().await;
    assert!(now() - start >= SHORT, "not before its time");
    assert_eq!(guarded.events("p", &short).await.err().map(|status| status.as_u16()), Some(401));
}

#[tokio::test]
async fn a_refresh_keeps_the_socket() {
    let guarded = guarded().await;
    let expiry = now() + SHORT;
    let mut client = WsClient::attach_with_token(&guarded.server, "p", &token("ada", "editor", SHORT)).await;
    let mut other = WsClient::attach_with_token(&guarded.server, "p", &token("bob", "editor", SHORT)).await;
    let ControlFrame::Result(result) = client.command(refresh(&token("ada", "editor", 600.0))).await else {
        panic!("must be taken")
    };
    let expires_at: jiff::Timestamp = result.data["expires_at"].as_str().expect("a time").parse().expect("a time");
    assert!(expires_at > jiff::Timestamp::now() + Duration::from_secs(500));
    // The other socket tells when the time has come; this one must still be there.
    assert_eq!(other.closed().await.0, Some(4501));
    assert!(now() > expiry);
    let reply = client.command(json!({ "type": "status" })).await;
    assert!(matches!(reply, ControlFrame::Result(_)), "{reply:?}");
}

#[tokio::test]
async fn a_refresh_that_is_refused_changes_nothing() {
    let guarded = guarded().await;
    let mut client = WsClient::attach_with_token(&guarded.server, "p", &token("ada", "editor", SHORT)).await;
    let elsewhere = hs256(json!({ "sub": "ada", "projects": { "q": "editor" }, "exp": now() + 600.0 }));
    for (token, code, words) in [
        ("garbage".to_owned(), ErrorCode::Unauthenticated, "not a signed"),
        (token("ada", "editor", -1.0), ErrorCode::Unauthenticated, "expired"),
        (token("bob", "editor", 600.0), ErrorCode::Forbidden, "somebody else's"),
        (elsewhere, ErrorCode::Forbidden, "no access"),
    ] {
        let ControlFrame::Rejected(rejected) = client.command(refresh(&token)).await else { panic!("{words}") };
        assert_eq!(rejected.error.code, code);
        assert!(rejected.error.message.contains(words), "{}", rejected.error.message);
    }
    let reply = client.command(json!({ "type": "status" })).await;
    assert!(matches!(reply, ControlFrame::Result(_)), "it goes on: {reply:?}");
    assert_eq!(client.closed().await.0, Some(4501), "until its own token ends");
}

#[tokio::test]
async fn a_refresh_to_another_role_asks_the_client_to_come_back() {
    let guarded = guarded().await;
    let mut client = WsClient::attach_with_token(&guarded.server, "p", &token("ada", "owner", 600.0)).await;
    let reply = client.command(refresh(&token("ada", "viewer", 600.0))).await;
    assert!(matches!(reply, ControlFrame::Result(_)), "{reply:?}");
    let (code, reason) = client.closed().await;
    assert_eq!(code, Some(4000), "{reason}");
}

#[tokio::test]
async fn a_refresh_is_for_sockets() {
    let guarded = guarded().await;
    let body = json!({ "type": "refresh_token", "id": "r1", "token": guarded.owner });
    let path = "/api/v1/projects/p/commands";
    let (status, problem) = guarded.ask(reqwest::Method::POST, path, &guarded.owner, Some(body)).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (400, Some("bad_request")));
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_out_in_time_too() {
    let guarded = guarded().await;
    let mut fast = WsClient::attach_with_token(&guarded.server, "p", &guarded.owner).await;
    let begun = tokio::time::Instant::now();
    let mut stuck = WsClient::attach_with_token(&guarded.server, "p", &token("eve", "viewer", UNTIL_STUCK)).await;
    // More than the kernel's buffers hold, so that the server is in the middle of a write when the time comes.
    for _ in 0..40 {
        let run = fast.ask(&"x".repeat(200 * 1024)).await;
        assert_eq!(fast.finished(run).await, Outcome::Completed);
    }
    // Past expiry, grace and the last attempt to say why, but not yet past the limit for slow clients.
    tokio::time::sleep_until(begun + Duration::from_secs_f64(UNTIL_STUCK) + Duration::from_millis(3000)).await;
    let (code, reason) = stuck.closed().await;
    assert_eq!((code, reason.as_str()), (None, ""), "it was cut: no word could reach it any more");
    assert!(stuck.last < fast.last);
}

#[tokio::test]
async fn whoever_is_removed_and_reads_nothing_is_out_at_once_too() {
    let guarded = guarded().await;
    let mut owner = WsClient::attach_with_token(&guarded.server, "p", &guarded.owner).await;
    let mut stuck = WsClient::attach_with_token(&guarded.server, "p", &token("eve", "viewer", 600.0)).await;
    let participant = stuck.welcome.participant;
    for _ in 0..40 {
        let run = owner.ask(&"x".repeat(200 * 1024)).await;
        assert_eq!(owner.finished(run).await, Outcome::Completed);
    }
    let reply = owner.command(set_role(participant)).await;
    assert!(matches!(reply, ControlFrame::Accepted(_)), "{reply:?}");
    // Past the last attempt to say why, but not yet past the limit for slow clients.
    tokio::time::sleep(Duration::from_millis(3000)).await;
    let (code, reason) = stuck.closed().await;
    assert_eq!((code, reason.as_str()), (None, ""), "it was cut: no word could reach it any more");
    assert!(stuck.last < owner.last);
}

#[tokio::test]
async fn the_rust_client_comes_back_with_another_token_and_loses_nothing() {
    let guarded = guarded().await;
    let (first, second) = (token("ada", "editor", SHORT), token("ada", "editor", 2.0 * SHORT));
    let another = {
        let second = second.clone();
        move || Some(Secret::new(second.clone()))
    };
    let server =
        Server::new(&guarded.server.url(""), Some(Secret::new(first))).expect("an address").with_renewal(another);
    let mut room = server.room(&"p".parse().expect("an id"), RoomOptions::named("Ada"));
    let (mut snapshots, mut welcomes, mut last, mut sent) = (0, Vec::new(), 0, None);
    let refused = within("the end", async {
        loop {
            match room.next().await.expect("it goes on") {
                Notice::Welcome(welcome) => {
                    welcomes.push(welcome.participant);
                    let commander = room.commander().clone();
                    let write =
                        json!({ "type": "write_file", "path": format!("{}.txt", welcomes.len()), "content": "x" });
                    let command = serde_json::from_value(write).expect("a command");
                    sent = Some(tokio::spawn(async move { commander.send(command).await }));
                }
                Notice::Snapshot { frame, .. } => (snapshots, last) = (snapshots + 1, frame.seq),
                Notice::Event(happened) => {
                    assert_eq!(happened.frame.seq_first.unwrap_or(happened.frame.seq), last + 1);
                    last = happened.frame.seq;
                }
                // The second one has expired, too, and there is no third.
                Notice::Refused(error) => break error,
                _ => {}
            }
        }
    })
    .await;
    assert!(matches!(refused, ClientError::Refused { code: 4501, .. }), "{refused}");
    assert_eq!((welcomes.len(), snapshots), (2, 1), "it came back to where it was");
    assert_eq!(welcomes[0], welcomes[1], "as the same participant");
    let reply = sent.expect("a command").await.expect("no panic");
    assert!(matches!(reply, Ok(Reply::Accepted(_))), "{reply:?}");
}
