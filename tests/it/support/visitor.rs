//! A client that loses its connection all the time. It keeps what a good client keeps – its place, every event since
//! the beginning, commands without a reply – and insists that coming back neither loses nor repeats anything.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use cobuild_protocol::{
    Cursor, Epoch, EventFrame, Seq,
    frame::{AttachMode, ControlFrame},
    value::ContentHash,
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use super::{History, schema, sse::SseParser, ws_client::parse};
use crate::support::Received;

/// How long a visitor waits for the next byte before it takes the connection for dead.
const PATIENCE: Duration = Duration::from_millis(300);

/// What one client has seen and asked for.
pub(crate) struct Visitor {
    /// By what it is known again, and what its commands' ids begin with.
    name: String,
    project: String,
    epoch: Epoch,
    /// Every event from the first on.
    pub(crate) history: History,
    /// Commands by id, in the order in which they were first sent.
    pub(crate) commands: Vec<(String, Value)>,
    /// The reply that counts: the first that is not "try again".
    pub(crate) replies: HashMap<String, ControlFrame>,
    /// Connections that had come as far as `synced`.
    pub(crate) synced: usize,
    /// What it does next, by the number of the command; `None` while it only watches.
    next_command: Option<fn(&str, usize) -> Value>,
    http: reqwest::Client,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The event that was waited for has come.
    Reached,
    /// The network, or the server's end.
    Lost,
}

impl Visitor {
    /// Somebody who has seen nothing of this log yet.
    pub(crate) fn new(name: impl Into<String>, project: &str, epoch: Epoch) -> Self {
        Self {
            name: name.into(),
            project: project.into(),
            epoch,
            history: History::default(),
            commands: Vec::new(),
            replies: HashMap::new(),
            synced: 0,
            next_command: None,
            // One connection per visit.
            http: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client"),
        }
    }

    /// Makes it send a command whenever the one before has its reply.
    pub(crate) fn doing(mut self, next_command: fn(&str, usize) -> Value) -> Self {
        self.next_command = Some(next_command);
        self
    }

    /// Makes it only watch, and send what has no reply yet.
    pub(crate) fn rest(&mut self) {
        self.next_command = None;
    }

    /// Ids of commands without a reply.
    pub(crate) fn unanswered(&self) -> Vec<String> {
        let open = |(id, _): &&(String, Value)| !self.replies.contains_key(id);
        self.commands.iter().filter(open).map(|(id, _)| id.clone()).collect()
    }

    /// One WebSocket, for as long as it lasts or until the visitor has event `until` and all replies.
    pub(crate) async fn over_websocket(&mut self, address: SocketAddr, until: Seq) -> Ended {
        let url = format!("ws://{address}/api/v1/projects/{}/ws", self.project);
        let request = url.into_client_request().expect("a request");
        let Ok(socket) = TcpStream::connect(address).await else { return Ended::Lost };
        let Ok(Ok((mut stream, _))) = timeout(PATIENCE, client_async(request, socket)).await else {
            return Ended::Lost;
        };
        let hello = json!({
            "type": "hello", "protocol": 1, "name": self.name, "client": self.name, "since": self.cursor(),
        });
        if stream.send(Message::text(hello.to_string())).await.is_err() {
            return Ended::Lost;
        }
        loop {
            if self.history.last >= until && self.unanswered().is_empty() {
                return Ended::Reached;
            }
            let Ok(Some(Ok(message))) = timeout(PATIENCE, stream.next()).await else { return Ended::Lost };
            let Message::Text(text) = message else { continue };
            for answer in self.on_frame(text.as_str()) {
                if stream.send(Message::text(answer)).await.is_err() {
                    return Ended::Lost;
                }
            }
        }
    }

    /// What there is to say after a frame of the server.
    fn on_frame(&mut self, text: &str) -> Vec<String> {
        match parse(text) {
            Received::Event(_, line) => self.history.push(&line),
            Received::Control(ControlFrame::Welcome(welcome)) => {
                assert_eq!(welcome.epoch, self.epoch, "the log has a new life");
                assert_ne!(welcome.mode, AttachMode::Snapshot, "{}: all it missed is still there", self.name);
                self.ensure_command();
                return self.open_commands();
            }
            Received::Control(ControlFrame::Synced(synced)) => {
                assert_eq!(synced.seq, self.history.last, "synced comes right behind the replay");
                self.synced += 1;
            }
            Received::Control(frame) => return self.on_reply(frame),
            Received::Closed(..) => {}
        }
        Vec::new()
    }

    fn on_reply(&mut self, frame: ControlFrame) -> Vec<String> {
        let id = match &frame {
            ControlFrame::Accepted(accepted) => accepted.id.to_string(),
            ControlFrame::Result(result) => result.id.to_string(),
            ControlFrame::Rejected(rejected) => {
                let id = rejected.id.as_ref().expect("this client's frames have ids").to_string();
                if rejected.error.retryable {
                    return Vec::new();
                }
                id
            }
            _ => return Vec::new(),
        };
        let known = self.replies.entry(id).or_insert_with(|| frame.clone());
        assert_eq!(*known, frame, "a command has one reply");
        if self.unanswered().is_empty() && self.ensure_command() { self.open_commands() } else { Vec::new() }
    }

    /// Thinks of a command, if it has none under way. True if there is one.
    fn ensure_command(&mut self) -> bool {
        let Some(next_command) = self.next_command else { return false };
        if self.unanswered().is_empty() {
            let number = self.commands.len();
            let id = format!("{}-{number}", self.name);
            let mut command = next_command(&self.name, number);
            command["id"] = json!(id);
            schema::examine(&command);
            self.commands.push((id, command));
        }
        true
    }

    /// What has no reply yet, and the newest command that has one: its reply may not have been the last word.
    fn open_commands(&self) -> Vec<String> {
        let open = self.unanswered();
        let answered = self.commands.iter().rev().find(|(id, _)| self.replies.contains_key(id)).map(|(id, _)| id);
        let wanted = |id: &String| open.contains(id) || Some(id) == answered;
        self.commands.iter().filter(|(id, _)| wanted(id)).map(|(_, command)| command.to_string()).collect()
    }

    /// One event stream, for as long as it lasts or until the visitor has event `until`.
    pub(crate) async fn over_sse(&mut self, address: SocketAddr, until: Seq) -> Ended {
        let url = format!("http://{address}/api/v1/projects/{}/events", self.project);
        let request = self.http.get(url).header("last-event-id", self.cursor().to_string());
        let Ok(Ok(answer)) = timeout(PATIENCE, request.send()).await else { return Ended::Lost };
        assert_eq!(answer.status(), 200);
        let (mut chunks, mut parser) = (answer.bytes_stream(), SseParser::default());
        while self.history.last < until {
            let Ok(Some(Ok(chunk))) = timeout(PATIENCE, chunks.next()).await else { return Ended::Lost };
            for event in parser.push(&chunk) {
                assert_eq!(event.event, None, "{}: all it missed is still there", self.name);
                let frame: EventFrame = serde_json::from_str(&event.data).expect("an event");
                let at = Cursor { epoch: self.epoch.clone(), seq: frame.seq };
                assert_eq!(event.id, Some(at.to_string()));
                self.history.push(&event.data);
            }
        }
        Ended::Reached
    }

    fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch.clone(), seq: self.history.last }
    }
}

/// A visitor's next command: it writes a few files of its own, one after the other and again from the first.
pub(crate) fn write_own_files(name: &str, number: usize) -> Value {
    const FILES: usize = 5;
    let content = |number: usize| format!("{name} {number}");
    let base: Option<ContentHash> =
        number.checked_sub(FILES).map(|earlier| cobuild::project::content_hash(content(earlier).as_bytes()));
    let path = format!("notes/{name}-{}.txt", number % FILES);
    json!({ "type": "write_file", "path": path, "content": content(number), "base": base })
}
