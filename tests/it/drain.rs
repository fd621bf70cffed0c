//! SIGTERM to the real process: runs come to their end or are interrupted, everybody is told when to come back, and
//! nothing is lost.

use std::{net::SocketAddr, path::Path, time::Duration};

use cobuild_protocol::{Event, EventFrame, Seq, frame::ControlFrame, value::Outcome};
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::support::{History, Received, ServerProcess, receive, within};

/// A client of the process, and what it has seen.
struct Guest {
    stream: WebSocketStream<TcpStream>,
    history: History,
    text: String,
}

async fn start(folder: &Path, arguments: &[&str]) -> (ServerProcess, SocketAddr) {
    let mut server = ServerProcess::spawn(folder, &[&["--sandbox-provider", "none"], arguments].concat());
    let address = server.ready().await;
    (server, address)
}

async fn create(address: SocketAddr) {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = http.post(format!("http://{address}/api/v1/projects")).json(&json!({ "project": "p" }));
    assert_eq!(request.send().await.expect("an answer").status(), 201);
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = within("an answer", http.get(format!("http://{address}{path}")).send()).await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

async fn log(address: SocketAddr) -> Vec<String> {
    let (status, text) = get(address, "/api/v1/projects/p/log").await;
    assert_eq!(status, 200, "{text}");
    text.lines().map(str::to_owned).collect()
}

async fn open(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let request = format!("ws://{address}/api/v1/projects/p/ws").into_client_request().expect("a request");
    let socket = TcpStream::connect(address).await.expect("a connection");
    within("the upgrade", client_async(request, socket)).await.expect("an upgrade").0
}

impl Guest {
    async fn enter(address: SocketAddr) -> Self {
        let mut stream = open(address).await;
        let hello = json!({ "type": "hello", "protocol": 1, "client": "guest" });
        stream.send(Message::text(hello.to_string())).await.expect("sent");
        let mut guest = Self { stream, history: History::default(), text: String::new() };
        loop {
            match receive(&mut guest.stream).await {
                Received::Control(ControlFrame::Snapshot(frame)) => guest.history = History::after(frame.seq),
                Received::Control(ControlFrame::Synced(_)) => return guest,
                Received::Control(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn command(&mut self, id: &str, mut command: Value) {
        command["id"] = json!(id);
        self.stream.send(Message::text(command.to_string())).await.expect("sent");
    }

    async fn next(&mut self) -> Received {
        let received = receive(&mut self.stream).await;
        if let Received::Event(event, line) = &received {
            self.history.push(line);
            if let Event::TextDelta(delta) = &event.event {
                self.text.push_str(&delta.text);
            }
        }
        received
    }

    async fn event(&mut self, wanted: impl Fn(&EventFrame) -> bool) -> EventFrame {
        loop {
            match self.next().await {
                Received::Event(event, _) if wanted(&event) => return event,
                Received::Closed(code, reason) => panic!("closed: {code:?} {reason}"),
                _ => {}
            }
        }
    }

    async fn reply(&mut self) -> ControlFrame {
        loop {
            match self.next().await {
                Received::Control(frame @ (ControlFrame::Accepted(_) | ControlFrame::Rejected(_))) => return frame,
                Received::Closed(code, reason) => panic!("closed: {code:?} {reason}"),
                _ => {}
            }
        }
    }

    /// A prompt to the demo model; returns when it is being answered.
    async fn prompt(&mut self) {
        self.command("c1", json!({ "type": "generate", "prompt": "A todo list", "apply": false })).await;
        self.event(|frame| matches!(frame.event, Event::TextDelta(_))).await;
    }

    async fn outcome(&mut self) -> Outcome {
        let end = self.event(|frame| matches!(frame.event, Event::RunFinished(_))).await;
        let Event::RunFinished(finished) = end.event else { unreachable!("just matched") };
        finished.outcome
    }

    /// When it is to come back.
    async fn told_to_come_back(&mut self) -> Duration {
        loop {
            if let Received::Closed(code, reason) = self.next().await {
                return asked_for(code, &reason);
            }
        }
    }
}

fn asked_for(code: Option<u16>, reason: &str) -> Duration {
    assert_eq!(code, Some(4000), "{reason}");
    let (_, wait) = reason.split_once("retry_after_ms=").expect("it says when");
    Duration::from_millis(wait.parse().expect("a number"))
}

/// What a guest has seen is in the log of the next server.
async fn nothing_is_lost(folder: &Path, guest: &Guest, from: Seq) -> (ServerProcess, Vec<String>) {
    let (server, address) = start(folder, &[]).await;
    let is_end = |line: &String| line.starts_with(r#"{"type":"run_finished""#);
    let log = within("the run's end", async {
        loop {
            let log = log(address).await;
            if log.iter().any(is_end) {
                return log;
            }
        }
    })
    .await;
    let mut rest = History::after(from);
    let mut last = 0;
    for line in &log {
        let frame: EventFrame = serde_json::from_str(line).expect("an event");
        assert_eq!(frame.seq_first.unwrap_or(frame.seq), last + 1);
        last = frame.seq;
        if frame.seq > from {
            rest.push(line);
        }
    }
    assert!(guest.history.is_beginning_of(&rest), "{:?}, not {rest:?}", guest.history);
    (server, log)
}

#[tokio::test]
async fn a_run_comes_to_its_end_and_nothing_new_begins() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = start(folder.path(), &["--demo-speed", "600", "--drain-ms", "15000"]).await;
    create(address).await;
    assert_eq!(get(address, "/ready").await.0, 200);
    let mut guest = Guest::enter(address).await;
    let from = guest.history.last;
    guest.prompt().await;
    // Somebody who is not in the room yet.
    let mut waiting = open(address).await;
    server.terminate();
    let Received::Closed(code, reason) = receive(&mut waiting).await else { panic!("turned away") };
    assert!(asked_for(code, &reason) > Duration::from_secs(5), "not before the end: {reason}");

    let (status, ready) = get(address, "/ready").await;
    assert_eq!((status, ready.contains(r#""draining":true"#)), (503, true), "{ready}");
    assert_eq!(get(address, "/health").await.0, 200);
    let (status, stream) = get(address, "/api/v1/projects/p/events").await;
    assert_eq!(status, 200);
    assert!(stream.starts_with("retry: ") && stream.lines().count() == 2, "{stream:?}");
    guest.command("c2", json!({ "type": "generate", "prompt": "Another" })).await;
    let ControlFrame::Rejected(rejected) = guest.reply().await else { panic!("nothing new begins") };
    assert!(rejected.error.retryable && rejected.error.retry_after_ms.is_some(), "{rejected:?}");
    // What takes no time is done.
    guest.command("c3", json!({ "type": "write_file", "path": "a.txt", "content": "late" })).await;
    assert!(matches!(guest.reply().await, ControlFrame::Accepted(_)));

    assert_eq!(guest.outcome().await, Outcome::Completed);
    assert!(guest.told_to_come_back().await < Duration::from_secs(5));
    assert_eq!(server.ended().await, Some(0));
    let (server, _) = nothing_is_lost(folder.path(), &guest, from).await;
    server.kill().await;
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_interrupted_with_what_it_has_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = start(folder.path(), &["--demo-speed", "40", "--drain-ms", "300"]).await;
    create(address).await;
    let mut guest = Guest::enter(address).await;
    let from = guest.history.last;
    guest.prompt().await;
    guest.command("c2", json!({ "type": "generate", "prompt": "A counter", "apply": false })).await;
    guest.event(|frame| matches!(frame.event, Event::RunQueued(_))).await;
    server.terminate();
    assert_eq!(guest.outcome().await, Outcome::Interrupted);
    guest.told_to_come_back().await;
    assert_eq!(server.ended().await, Some(0));
    assert!(!guest.text.is_empty());
    // What waited goes on in the next server, although nobody is there.
    let (server, address) = start(folder.path(), &["--demo-speed", "20000"]).await;
    let log = within("the end of what waited", async {
        loop {
            let log = log(address).await;
            if log.last().is_some_and(|line| line.starts_with(r#"{"type":"run_finished""#) && line.contains(r#""r2""#))
            {
                return log;
            }
        }
    })
    .await;
    let ends: Vec<&String> = log.iter().filter(|line| line.starts_with(r#"{"type":"run_finished""#)).collect();
    assert_eq!(ends.len(), 2, "each ends once: {ends:?}");
    assert!(ends[0].contains(r#""interrupted""#) && ends[1].contains(r#""completed""#), "{ends:?}");
    server.kill().await;
    let (server, log) = nothing_is_lost(folder.path(), &guest, from).await;
    assert_eq!(log.iter().filter(|line| line.starts_with(r#"{"type":"run_finished""#)).count(), 2, "and not again");
    server.kill().await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = start(folder.path(), &["--demo-speed", "40", "--drain-ms", "600000"]).await;
    create(address).await;
    let mut guest = Guest::enter(address).await;
    let from = guest.history.last;
    guest.prompt().await;
    server.terminate();
    within("the drain to begin", async { while get(address, "/ready").await.0 == 200 {} }).await;
    server.terminate();
    assert_eq!(server.ended().await, Some(130));
    while !matches!(guest.next().await, Received::Closed(..)) {}
    let (server, log) = nothing_is_lost(folder.path(), &guest, from).await;
    let end = log.iter().find(|line| line.starts_with(r#"{"type":"run_finished""#)).expect("an end");
    assert!(end.contains(r#""outcome":"interrupted""#), "{end}");
    server.kill().await;
}

#[tokio::test]
async fn a_crowd_comes_back_spread_over_a_while() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = start(folder.path(), &[]).await;
    create(address).await;
    let mut guests = Vec::new();
    for _ in 0..100 {
        guests.push(Guest::enter(address).await);
    }
    server.terminate();
    let mut waits = Vec::new();
    for guest in &mut guests {
        waits.push(guest.told_to_come_back().await);
    }
    waits.sort_unstable();
    let spread = waits[waits.len() - 1] - waits[0];
    assert!(spread > Duration::from_millis(250), "{waits:?}");
    waits.dedup();
    assert!(waits.len() > 50, "{waits:?}");
    assert_eq!(server.ended().await, Some(0), "with nothing to wait for it ends at once");
}
