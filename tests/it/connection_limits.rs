//! How many may be there at once: what `welcome` announces is what is held to.

use cobuild::project::ProjectSettings;
use cobuild_protocol::{ErrorCode, frame::ControlFrame};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use crate::support::{DEADLINE, Received, Setup, TestServer, WsClient, open, receive, within};

/// Says hello as this client; what the server answers.
async fn knock(server: &TestServer, client: &str) -> Received {
    use futures_util::SinkExt as _;
    use tokio_tungstenite::tungstenite::Message;

    let mut socket = open(server, "p").await;
    let hello = json!({ "type": "hello", "protocol": 1, "client": client });
    socket.send(Message::text(hello.to_string())).await.expect("sent");
    receive(&mut socket).await
}

async fn turned_away(server: &TestServer, client: &str, words: &str) {
    match knock(server, client).await {
        Received::Closed(code, reason) => assert!(code == Some(4029) && reason.contains(words), "{code:?} {reason}"),
        other => panic!("{client} is let in: {other:?}"),
    }
}

#[tokio::test]
async fn a_participant_and_a_project_have_as_many_connections_as_announced() {
    let projects =
        ProjectSettings { participant_connections_max: 2, project_connections_max: 3, ..Setup::default().projects };
    let server = TestServer::start_with(Setup { projects, ..Setup::default() }).await;
    server.create("p").await;
    let ada = WsClient::attach_as(&server, "p", "ada", None).await;
    let limits = &ada.welcome.limits;
    assert_eq!((limits.participant_connections_max, limits.project_connections_max), (2, 3));
    let second = WsClient::attach_as(&server, "p", "ada", None).await;
    turned_away(&server, "ada", "this participant has too many connections").await;
    let _bob = WsClient::attach_as(&server, "p", "bob", None).await;
    turned_away(&server, "eve", "this project has too many connections").await;
    // Plain requests are no connections that stay, and those who are in notice nothing.
    assert_eq!(server.json("/api/v1/projects/p").await["project"], "p");
    drop(second);
    // The room hears of it a moment later.
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while let Received::Closed(code, reason) = knock(&server, "eve").await {
        assert!(code == Some(4029) && tokio::time::Instant::now() < deadline, "{code:?} {reason}");
    }
}

#[tokio::test]
async fn event_streams_are_connections_too_and_come_back_where_there_is_no_room() {
    let projects = ProjectSettings { project_connections_max: 3, ..Setup::default().projects };
    let server = TestServer::start_with(Setup { projects, ..Setup::default() }).await;
    server.create("p").await;
    let _sockets =
        [WsClient::attach_as(&server, "p", "ada", None).await, WsClient::attach_as(&server, "p", "bob", None).await];
    let stream = || server.http.get(server.url("/api/v1/projects/p/events")).send();
    let mut events = within("an event stream", stream()).await.expect("an answer");
    let first = within("a state", events.chunk()).await.expect("a chunk").expect("a state");
    assert!(String::from_utf8_lossy(&first).contains("event: reset"), "{first:?}");
    turned_away(&server, "eve", "this project has too many connections").await;
    let late = within("an answer", stream()).await.expect("an answer");
    // To a browser an error would be the last word.
    assert_eq!(late.status(), 200);
    assert_eq!(within("its end", late.text()).await.expect("a body"), "retry: 5000\n\n");
    drop(events);
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while let Received::Closed(code, reason) = knock(&server, "eve").await {
        assert!(code == Some(4029) && tokio::time::Instant::now() < deadline, "{code:?} {reason}");
    }
}

#[tokio::test]
async fn a_server_has_as_many_connections_as_announced_and_others_wait() {
    let server = TestServer::start_with(Setup { connections_max: 3, ..Setup::default() }).await;
    server.create("p").await;
    let ada = WsClient::attach(&server, "p").await;
    assert_eq!(ada.welcome.limits.server_connections_max, 3);
    // The third is that of the request that made the project, which is kept for the next.
    let bob = WsClient::attach(&server, "p").await;
    let mut waiting = Box::pin(knock(&server, "eve"));
    let early = timeout(Duration::from_millis(300), &mut waiting).await;
    assert!(early.is_err(), "a fourth connection is taken: {early:?}");
    assert_eq!(server.json("/api/v1/projects/p").await["project"], "p", "those who are in go on");
    drop(bob);
    let let_in = within("the one who waited", waiting).await;
    assert!(matches!(let_in, Received::Control(ControlFrame::Welcome(_))), "{let_in:?}");
}

#[tokio::test]
async fn a_server_keeps_as_many_projects_as_announced() {
    let setup = Setup { configured_models: true, ..Setup::with_arguments(&["--projects-max", "2"]) };
    let server = TestServer::start_with(setup).await;
    let make = async |project: &str| -> (StatusCode, Value) {
        let request = server.http.post(server.url("/api/v1/projects")).json(&json!({ "project": project }));
        let answer = within("an answer", request.send()).await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    };
    assert_eq!(make("p").await.0, 201);
    assert_eq!(WsClient::attach(&server, "p").await.welcome.limits.projects_max, 2);
    assert_eq!(make("q").await.0, 201);
    let (status, problem) = make("r").await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (429, Some("quota_exceeded")), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("at most 2 projects")), "{problem}");
    assert_eq!(make("p").await.1["code"], json!(ErrorCode::Conflict), "one that is there is there");
    let several = futures_util::future::join_all(["s", "t", "u"].map(&make)).await;
    assert!(several.iter().all(|(status, _)| *status == 429), "{several:?}");
    let gone = server.http.delete(server.url("/api/v1/projects/q")).send().await.expect("an answer");
    assert_eq!(gone.status(), 204);
    let several = futures_util::future::join_all(["r", "s", "t", "u"].map(&make)).await;
    let made = several.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(made, 1, "there is room again, for one: {several:?}");
}
