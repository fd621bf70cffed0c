//! The room over WebSockets: enter, command, watch together.

use cobuild_protocol::{
    ErrorCode, Event,
    frame::{AttachMode, ControlFrame},
    value::Outcome,
};
use futures_util::SinkExt as _;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    fakes::ScriptedModel,
    support::{History, Received, Setup, TestServer, WsClient, eventually, open, receive, run_of, try_open},
};

#[tokio::test]
async fn a_new_client_gets_a_snapshot_and_is_live() {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    assert_eq!(client.welcome.mode, AttachMode::Snapshot);
    assert_eq!(client.welcome.heartbeat_ms, 15_000);
    assert_eq!(client.welcome.default_model.model, ScriptedModel::NAME);
    assert_eq!(client.welcome.limits.frame_size_bytes_max, 2 * 1024 * 1024);
    let snapshot = client.snapshot.clone().expect("a snapshot");
    assert!(snapshot.state.files.keys().any(|path| path.as_str() == "src/App.jsx"));
    assert_eq!(client.synced().await, snapshot.seq);
}

#[tokio::test]
async fn a_prompt_is_answered_live_and_ends_once() {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    let run = client.ask("words 20").await;
    assert_eq!(client.finished(run).await, Outcome::Completed);
    let log = server.log("p").await.join("\n");
    let text: String = log
        .lines()
        .filter_map(|line| match serde_json::from_str::<cobuild_protocol::EventFrame>(line).expect("an event").event {
            Event::TextDelta(delta) => Some(delta.text),
            _ => None,
        })
        .collect();
    assert_eq!(text.trim(), (0..20).map(|n| format!("wörd{n}")).collect::<Vec<_>>().join(" "));
    assert_eq!(log.matches(r#""type":"run_finished""#).count(), 1);
}

#[tokio::test]
async fn a_file_of_a_reply_comes_into_the_tree() {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    let prompt = "file src/App.jsx export default () => 'hello'";
    let run = run_of(client.command(json!({ "type": "generate", "prompt": prompt })).await);
    assert_eq!(client.finished(run).await, Outcome::Completed);
    let ControlFrame::Result(result) = client.command(json!({ "type": "read_file", "path": "src/App.jsx" })).await
    else {
        panic!("a read gives a result")
    };
    assert_eq!(result.data["content"].as_str().map(str::trim), Some("export default () => 'hello'"));
}

#[tokio::test]
async fn two_clients_see_one_order() {
    let server = TestServer::start().await;
    server.create("p").await;
    let (mut ada, mut bob) = (WsClient::attach(&server, "p").await, WsClient::attach(&server, "p").await);
    let first = ada.ask("words 30").await;
    let second = bob.ask("words 10").await;
    for client in [&mut ada, &mut bob] {
        assert_eq!(client.finished(first).await, Outcome::Completed);
        assert_eq!(client.finished(second).await, Outcome::Completed);
    }
    for client in [&ada, &bob] {
        let from = client.welcome.head;
        let log = History::of(from, &server.log_from("p", from + 1).await);
        let seen = History::of(from, &client.lines);
        assert!(seen.is_beginning_of(&log), "{seen:?}, not {log:?}");
    }
}

#[tokio::test]
async fn one_id_three_times_over_two_sockets_has_one_effect() {
    let server = TestServer::start().await;
    server.create("p").await;
    let (mut ada, mut bob) = (WsClient::attach(&server, "p").await, WsClient::attach(&server, "p").await);
    let command = json!({ "type": "generate", "id": "same", "prompt": "words 3", "apply": false }).to_string();
    ada.send_text(&command).await;
    bob.send_text(&command).await;
    ada.send_text(&command).await;
    let replies = [ada.reply(Some("same")).await, ada.reply(Some("same")).await, bob.reply(Some("same")).await];
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
    assert_eq!(ada.finished(run_of(replies[0].clone())).await, Outcome::Completed);
    assert_eq!(server.model.calls(), 1);
    assert_eq!(server.log("p").await.iter().filter(|line| line.contains(r#""type":"run_started""#)).count(), 1);
}

#[tokio::test]
async fn any_client_stops_the_model() {
    let server = TestServer::start().await;
    server.create("p").await;
    let (mut ada, mut bob) = (WsClient::attach(&server, "p").await, WsClient::attach(&server, "p").await);
    let run = ada.ask("hang").await;
    ada.event(|frame| matches!(frame.event, Event::TextDelta(_)).then_some(())).await;
    assert_eq!(server.model.open(), 1);
    let reply = bob.command(json!({ "type": "cancel", "run": run })).await;
    assert!(matches!(reply, ControlFrame::Accepted(_)), "{reply:?}");
    assert_eq!(ada.finished(run).await, Outcome::Cancelled);
    eventually("the model's stream is dropped", || server.model.open() == 0).await;
}

#[tokio::test]
async fn bad_input_is_answered_and_the_room_goes_on() {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    let long_path = format!(r#"{{"type":"write_file","id":"b","path":"{}","content":""}}"#, "a/".repeat(400));
    let huge_prompt = format!(r#"{{"type":"generate","id":"b1","prompt":"{}"}}"#, "x".repeat(1024 * 1024));
    let table: Vec<(&str, Option<&str>, ErrorCode, &str)> = vec![
        ("not json", None, ErrorCode::BadRequest, "JSON"),
        ("[]", None, ErrorCode::BadRequest, "object"),
        ("\"x\"", None, ErrorCode::BadRequest, "object"),
        ("{}", None, ErrorCode::BadRequest, "type"),
        (r#"{"type":"hello","protocol":1}"#, None, ErrorCode::BadRequest, "first frame"),
        (r#"{"type":"fly","id":"b"}"#, Some("b"), ErrorCode::BadRequest, "`fly`"),
        (r#"{"type":"generate","id":"b"}"#, Some("b"), ErrorCode::BadRequest, "`prompt`"),
        (r#"{"type":"generate","id":"b","prompt":7}"#, Some("b"), ErrorCode::BadRequest, "`prompt`"),
        (r#"{"type":"generate","id":"b","prompt":"  "}"#, Some("b"), ErrorCode::BadRequest, "prompt"),
        (&huge_prompt, Some("b1"), ErrorCode::TooLarge, "prompt"),
        (
            r#"{"type":"generate","id":"b2","prompt":"x","model":"no/such"}"#,
            Some("b2"),
            ErrorCode::BadRequest,
            "no/such",
        ),
        (r#"{"type":"write_file","id":"b","path":"../x","content":""}"#, Some("b"), ErrorCode::BadRequest, "`path`"),
        (r#"{"type":"write_file","id":"b","path":"/etc/x","content":""}"#, Some("b"), ErrorCode::BadRequest, "`path`"),
        (
            r#"{"type":"write_file","id":"b","path":"a\u0000b","content":""}"#,
            Some("b"),
            ErrorCode::BadRequest,
            "`path`",
        ),
        (&long_path, Some("b"), ErrorCode::BadRequest, "`path`"),
        (r#"{"type":"install","id":"b","packages":["; rm -rf /"]}"#, Some("b"), ErrorCode::BadRequest, "`packages`"),
        (r#"{"type":"install","id":"b","packages":["--registry=x"]}"#, Some("b"), ErrorCode::BadRequest, "`packages`"),
        (r#"{"type":"install","id":"b","packages":["file:../x"]}"#, Some("b"), ErrorCode::BadRequest, "`packages`"),
        (r#"{"type":"cancel","id":"b3","run":"r999"}"#, Some("b3"), ErrorCode::NotFound, "r999"),
        (r#"{"type":"read_file","id":"b4","path":"no.txt"}"#, Some("b4"), ErrorCode::NotFound, "no.txt"),
    ];
    for (frame, id, code, named) in table {
        client.send_text(frame).await;
        let shown: String = frame.chars().take(80).collect();
        let ControlFrame::Rejected(rejected) = client.reply(id).await else { panic!("{shown} must be rejected") };
        assert_eq!(rejected.error.code, code, "{shown}: {}", rejected.error.message);
        assert!(rejected.error.message.contains(named), "{shown}: {}", rejected.error.message);
    }
    client.send_message(Message::binary(vec![1, 2, 3])).await.expect("sent");
    assert!(matches!(client.reply(None).await, ControlFrame::Rejected(_)));
    // The socket and the room go on.
    let run = client.ask("words 2").await;
    assert_eq!(client.finished(run).await, Outcome::Completed);
}

#[tokio::test]
async fn what_does_not_begin_with_a_hello_is_closed() {
    let timing = cobuild::http::Timing { hello_wait_max: std::time::Duration::from_millis(200), ..Default::default() };
    let server = TestServer::start_with(Setup { timing, ..Setup::default() }).await;
    server.create("p").await;
    for (first, code) in [
        (Some(Message::text(r#"{"type":"status","id":"a"}"#)), 4505),
        (Some(Message::text(r#"{"type":"hello","protocol":2}"#)), 4505),
        (Some(Message::text("hello")), 4505),
        (Some(Message::binary(vec![0])), 4505),
        (None, 4505),
    ] {
        let mut socket = open(&server, "p").await;
        if let Some(first) = first.clone() {
            socket.send(first).await.expect("sent");
        }
        let Received::Closed(got, reason) = receive(&mut socket).await else { panic!("{first:?} must be closed") };
        assert_eq!(got, Some(code), "{first:?} {reason}");
        assert!(!reason.is_empty());
    }
}

#[tokio::test]
async fn an_unknown_project_is_said_over_the_socket_an_impossible_one_before() {
    let server = TestServer::start().await;
    let mut socket = open(&server, "nobody").await;
    socket.send(Message::text(r#"{"type":"hello","protocol":1}"#)).await.expect("sent");
    assert!(matches!(receive(&mut socket).await, Received::Closed(Some(4504), _)));

    let refused = try_open(&server, "not%20an%20id", &[]).await.expect_err("no upgrade");
    let tokio_tungstenite::tungstenite::Error::Http(answer) = refused else { panic!("{refused:?}") };
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn a_foreign_page_cannot_open_a_socket() {
    let server = TestServer::start().await;
    server.create("p").await;
    let preview = format!("http://{}:{}", server.preview_host("p").await, server.address.port());
    for (origin, admitted) in [
        ("http://localhost:3100", true),
        ("http://127.0.0.1:5173", true),
        ("https://evil.example", false),
        ("null", false),
        (&preview, false),
    ] {
        let opened = try_open(&server, "p", &[("origin", origin)]).await;
        assert_eq!(opened.is_ok(), admitted, "{origin}");
    }
    assert!(try_open(&server, "p", &[("host", "evil.example")]).await.is_err(), "a rebound name");
}

#[tokio::test]
async fn a_deleted_project_closes_for_good() {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    let answer = server.http.delete(server.url("/api/v1/projects/p")).send().await.expect("an answer");
    assert_eq!(answer.status(), 204);
    assert_eq!(client.closed().await.0, Some(4504));
}
