//! Presence and merged deltas, over real sockets.

use cobuild_protocol::{EventFrame, ParticipantId, frame::ControlFrame};
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use crate::support::{Received, TestServer, WsClient, open, receive};

type Socket = WebSocketStream<TcpStream>;

async fn enter(server: &TestServer, name: &str, more: Value) -> (Socket, ParticipantId) {
    let mut socket = open(server, "p").await;
    let mut hello = json!({ "type": "hello", "protocol": 1, "name": name, "client": name });
    hello.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    say(&mut socket, hello).await;
    let Received::Control(ControlFrame::Welcome(welcome)) = receive(&mut socket).await else {
        panic!("first comes the welcome")
    };
    (socket, welcome.participant)
}

async fn say(socket: &mut Socket, frame: Value) {
    socket.send(Message::text(frame.to_string())).await.expect("sent");
}

async fn next_presence(socket: &mut Socket) -> Value {
    loop {
        if let Received::Control(ControlFrame::Presence(frame)) = receive(socket).await {
            return serde_json::to_value(frame.participants).expect("JSON");
        }
    }
}

#[tokio::test]
async fn everybody_sees_where_the_others_are_and_newcomers_too() {
    let server = TestServer::start().await;
    server.create("p").await;
    let (mut ada, ada_id) = enter(&server, "Ada", json!({})).await;
    let (mut bob, _) = enter(&server, "Bob", json!({})).await;
    say(&mut ada, json!({ "type": "set_presence", "id": "a1", "file": "src/App.jsx", "line": 7, "typing": true }))
        .await;
    let expected = json!({ ada_id.to_string(): { "file": "src/App.jsx", "line": 7, "typing": true } });
    assert_eq!(next_presence(&mut bob).await, expected);
    let (mut eve, _) = enter(&server, "Eve", json!({})).await;
    assert_eq!(next_presence(&mut eve).await, expected);
    let head = server.log("p").await.len();
    say(&mut ada, json!({ "type": "set_presence", "id": "a2" })).await;
    assert_eq!(next_presence(&mut bob).await, json!({ ada_id.to_string(): {} }));
    assert_eq!(server.log("p").await.len(), head, "presence is not part of the log");
}

#[tokio::test]
async fn a_client_may_have_its_deltas_merged_and_misses_nothing() {
    let server = TestServer::start().await;
    server.create("p").await;
    let (mut merged, _) = enter(&server, "Merged", json!({ "rollup_ms": 40 })).await;
    let mut plain = WsClient::attach(&server, "p").await;
    const WORDS: usize = 400;
    let run = plain.ask(&format!("words {WORDS}")).await;
    plain.finished(run).await;
    let (mut last, mut frames, mut text) = (None, 0, String::new());
    loop {
        let Received::Event(event, _) = receive(&mut merged).await else { continue };
        if let Some(last) = last {
            assert_eq!(event.seq_first.unwrap_or(event.seq), last + 1, "contiguous");
        }
        last = Some(event.seq);
        match &event.event {
            cobuild_protocol::Event::TextDelta(delta) => {
                frames += 1;
                text += &delta.text;
            }
            cobuild_protocol::Event::RunFinished(_) => break,
            _ => {}
        }
    }
    let events: Vec<EventFrame> =
        server.log("p").await.iter().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let deltas: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.event {
            cobuild_protocol::Event::TextDelta(delta) => Some(delta.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(text, deltas.concat(), "the same text");
    // The log itself may be compacted by now, so what counts is how many the model said.
    assert!(frames * 4 < WORDS, "{frames} frames for {WORDS} deltas");
}
