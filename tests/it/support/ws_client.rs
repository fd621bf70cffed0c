//! A WebSocket client that keeps its place and insists on contiguous events.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};

use cobuild_protocol::{
    Cursor, Epoch, Event, EventFrame, RunId, Seq,
    frame::{AttachMode, ControlFrame, SnapshotFrame, Welcome},
    value::Outcome,
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

use super::{TestServer, schema, within};

/// What the server said.
#[derive(Debug, Clone)]
pub(crate) enum Received {
    Control(ControlFrame),
    /// With the exact bytes.
    Event(EventFrame, String),
    /// With the code of the close frame; `None` when there was none.
    Closed(Option<u16>, String),
}

/// A client that has a place in the room.
pub(crate) struct WsClient {
    stream: WebSocketStream<TcpStream>,
    pub(crate) welcome: Welcome,
    pub(crate) snapshot: Option<SnapshotFrame>,
    /// The last event seen, or that the snapshot contains.
    pub(crate) last: Seq,
    /// Every event received, as it came.
    pub(crate) lines: Vec<String>,
    /// Received while waiting for something else.
    kept: VecDeque<Received>,
}

/// Opens a socket without saying anything.
pub(crate) async fn open(server: &TestServer, project: &str) -> WebSocketStream<TcpStream> {
    try_open(server, project, &[]).await.expect("an upgrade")
}

/// Opens a socket with further headers.
pub(crate) async fn try_open(
    server: &TestServer,
    project: &str,
    headers: &[(&'static str, &str)],
) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
    let url = format!("ws://{}/api/v1/projects/{project}/ws", server.address);
    let mut request = url.into_client_request().expect("a request");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a header"));
    }
    let socket = TcpStream::connect(server.address).await.expect("a connection");
    within("the upgrade", client_async(request, socket)).await.map(|(stream, _)| stream)
}

/// The next thing the server says on a socket; heartbeats of the WebSocket itself don't count.
pub(crate) async fn receive(stream: &mut WebSocketStream<TcpStream>) -> Received {
    loop {
        match within("a frame", stream.next()).await {
            Some(Ok(Message::Text(text))) => return parse(text.as_str()),
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) = frame
                    .map_or((None, String::new()), |frame| (Some(u16::from(frame.code)), frame.reason.to_string()));
                return Received::Closed(code, reason);
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(other)) => panic!("unexpected {other:?}"),
            Some(Err(_)) | None => return Received::Closed(None, String::new()),
        }
    }
}

pub(super) fn parse(text: &str) -> Received {
    let value: Value = serde_json::from_str(text).expect("JSON");
    schema::examine(&value);
    let name = value["type"].as_str().expect("a type");
    if ["welcome", "snapshot", "synced", "accepted", "result", "rejected", "ping", "presence"].contains(&name) {
        Received::Control(serde_json::from_value(value).expect("a control frame"))
    } else {
        Received::Event(serde_json::from_value(value).expect("an event"), text.to_owned())
    }
}

impl WsClient {
    /// Enters the room as somebody new.
    pub(crate) async fn attach(server: &TestServer, project: &str) -> Self {
        Self::attach_since(server, project, None).await
    }

    /// Enters the room where one has left it. Returns before the replay.
    pub(crate) async fn attach_since(server: &TestServer, project: &str, since: Option<Cursor>) -> Self {
        Self::attach_as(server, project, "test-client", since).await
    }

    /// The same as somebody in particular.
    pub(crate) async fn attach_as(server: &TestServer, project: &str, client: &str, since: Option<Cursor>) -> Self {
        let hello = json!({ "type": "hello", "protocol": 1, "name": "Test", "client": client });
        Self::attach_saying(server, project, hello, since).await
    }

    /// Enters the room with a token.
    pub(crate) async fn attach_with_token(server: &TestServer, project: &str, token: &str) -> Self {
        Self::attach_saying(server, project, json!({ "type": "hello", "protocol": 1, "token": token }), None).await
    }

    /// Comes back into the room with a token.
    pub(crate) async fn attach_with_token_since(
        server: &TestServer,
        project: &str,
        token: &str,
        since: Cursor,
    ) -> Self {
        Self::attach_saying(server, project, json!({ "type": "hello", "protocol": 1, "token": token }), Some(since))
            .await
    }

    async fn attach_saying(server: &TestServer, project: &str, mut hello: Value, since: Option<Cursor>) -> Self {
        let mut stream = open(server, project).await;
        if let Some(since) = &since {
            hello["since"] = serde_json::to_value(since).expect("JSON");
        }
        schema::examine(&hello);
        stream.send(Message::text(hello.to_string())).await.expect("sent");
        let Received::Control(ControlFrame::Welcome(welcome)) = receive(&mut stream).await else {
            panic!("first comes the welcome")
        };
        let mut snapshot = None;
        let mut last = since.map_or(0, |since| since.seq);
        if welcome.mode == AttachMode::Snapshot {
            let Received::Control(ControlFrame::Snapshot(frame)) = receive(&mut stream).await else {
                panic!("after a welcome in mode snapshot comes the snapshot")
            };
            last = frame.seq;
            snapshot = Some(*frame);
        }
        Self { stream, welcome, snapshot, last, lines: Vec::new(), kept: VecDeque::new() }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.welcome.epoch.clone()
    }

    /// The next thing the server says. An event that does not follow the one before fails the test.
    pub(crate) async fn next(&mut self) -> Received {
        match self.kept.pop_front() {
            Some(kept) => kept,
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Received {
        let received = receive(&mut self.stream).await;
        if let Received::Event(event, line) = &received {
            assert_eq!(event.seq_first.unwrap_or(event.seq), self.last + 1, "a gap or a repetition");
            self.last = event.seq;
            self.lines.push(line.clone());
        }
        received
    }

    /// Reads until everything missed has come.
    pub(crate) async fn synced(&mut self) -> Seq {
        loop {
            if let Received::Control(ControlFrame::Synced(synced)) = self.next().await {
                assert_eq!(synced.seq, self.welcome.head);
                assert_eq!(synced.seq, self.last, "synced comes right behind the replay");
                return synced.seq;
            }
        }
    }

    /// Reads until an event for which `wanted` has an answer.
    pub(crate) async fn event<T>(&mut self, wanted: impl Fn(&EventFrame) -> Option<T>) -> T {
        loop {
            match self.next().await {
                Received::Event(event, _) => {
                    if let Some(found) = wanted(&event) {
                        return found;
                    }
                }
                Received::Control(_) => {}
                Received::Closed(code, reason) => panic!("closed with {code:?} {reason}"),
            }
        }
    }

    /// Reads until a run's end.
    pub(crate) async fn finished(&mut self, run: RunId) -> Outcome {
        self.event(|frame| match &frame.event {
            Event::RunFinished(finished) if frame.run == Some(run) => Some(finished.outcome),
            _ => None,
        })
        .await
    }

    /// Reads until the server closes, and returns the code.
    pub(crate) async fn closed(&mut self) -> (Option<u16>, String) {
        loop {
            if let Received::Closed(code, reason) = self.next().await {
                return (code, reason);
            }
        }
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("sent");
    }

    pub(crate) async fn send_message(&mut self, message: Message) -> Result<(), tungstenite::Error> {
        self.stream.send(message).await
    }

    /// Sends a command with a new id and waits for its reply; whatever comes before it is kept for later.
    pub(crate) async fn command(&mut self, command: Value) -> ControlFrame {
        /// Ids are unique over all clients of all tests, as those of real clients are.
        static COMMANDS: AtomicUsize = AtomicUsize::new(0);
        let id = format!("t{}", COMMANDS.fetch_add(1, Ordering::Relaxed));
        self.command_as(&id, command).await
    }

    pub(crate) async fn command_as(&mut self, id: &str, mut command: Value) -> ControlFrame {
        command["id"] = json!(id);
        self.send_text(&command.to_string()).await;
        let reply = self.reply(Some(id)).await;
        // Tests send nonsense too, which must not be taken.
        if !matches!(reply, ControlFrame::Rejected(_)) {
            schema::examine(&command);
        }
        reply
    }

    /// Waits for the reply with this id, or without one.
    pub(crate) async fn reply(&mut self, id: Option<&str>) -> ControlFrame {
        let place = self.kept.iter().position(|kept| is_reply(kept, id));
        if let Some(Received::Control(frame)) = place.and_then(|place| self.kept.remove(place)) {
            return frame;
        }
        loop {
            let received = self.read().await;
            if is_reply(&received, id) {
                let Received::Control(frame) = received else { unreachable!("a reply is a control frame") };
                return frame;
            }
            if let Received::Closed(code, reason) = received {
                panic!("closed with {code:?} {reason} instead of a reply");
            }
            self.kept.push_back(received);
        }
    }

    /// Begins a run that answers and changes no file.
    pub(crate) async fn ask(&mut self, prompt: &str) -> RunId {
        run_of(self.command(json!({ "type": "generate", "prompt": prompt, "apply": false })).await)
    }
}

/// The run that an accepted command began.
pub(crate) fn run_of(reply: ControlFrame) -> RunId {
    match reply {
        ControlFrame::Accepted(accepted) => accepted.run.expect("a run"),
        other => panic!("not accepted: {other:?}"),
    }
}

fn is_reply(received: &Received, wanted: Option<&str>) -> bool {
    let id = match received {
        Received::Control(ControlFrame::Accepted(accepted)) => Some(&accepted.id),
        Received::Control(ControlFrame::Result(result)) => Some(&result.id),
        Received::Control(ControlFrame::Rejected(rejected)) => rejected.id.as_ref(),
        _ => return false,
    };
    id.map(|id| id.as_str()) == wanted
}
