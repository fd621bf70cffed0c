//! One WebSocket from its opening to its end: frames in and out, and the watch over its silence. Knows nothing of
//! projects, replay or coming back.

use std::time::Duration;

use cobuild_protocol::{EventFrame, ProjectId, Seq, frame::ControlFrame};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode, Upgraded, header};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};

use super::{ClientError, Server};

/// How long a connection may take until its first frame, before the server has said what its heartbeat is.
const FIRST_FRAME_WAIT_MAX: Duration = Duration::from_secs(15);
/// How long it may seem silent before its snapshot is there: frames are heard of when they are whole, and that one is
/// large. Events are small; while they are replayed, silence means what it always does.
const SNAPSHOT_WAIT_MAX: Duration = Duration::from_secs(300);
/// Silent for this many heartbeats, a connection is dead even if nobody said so.
const HEARTBEATS_SILENT_MAX: u32 = 2;
/// How long a server may take not one byte of what it is sent.
const WRITE_STALL_MAX: Duration = Duration::from_secs(10);
/// Largest frame that is taken. Only a snapshot is large; one of a project at all its limits stays below.
const FRAME_SIZE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a server said.
#[derive(Debug)]
pub(super) enum Incoming {
    Event(Box<EventFrame>, String),
    Control(Box<ControlFrame>, String),
    /// An event of a kind unknown to this client; it counts all the same.
    Unknown {
        seq: Seq,
        seq_first: Option<Seq>,
        text: String,
    },
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// 1006 when it just went dead.
    pub(super) code: u16,
    pub(super) reason: String,
}

/// No close frame came.
const CODE_ABNORMAL: u16 = 1006;

#[derive(Debug)]
pub(super) struct Connection {
    socket: WebSocketStream<Upgraded>,
    silence_max: Duration,
    heard_until: Instant,
}

/// What is looked at of a frame of an unknown kind.
#[derive(Deserialize)]
struct Numbered {
    seq: Seq,
    seq_first: Option<Seq>,
}

impl Connection {
    /// Opens a WebSocket. Over the same HTTP client as everything else: one way through proxies and TLS.
    pub(super) async fn open(server: &Server, project: &ProjectId) -> Result<Self, ClientError> {
        let key = generate_key();
        let request = server
            .request(Method::GET, &format!("/api/v1/projects/{project}/ws"))
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key);
        let answer = server.answer(request).await?;
        let accepted = answer.headers().get(header::SEC_WEBSOCKET_ACCEPT).map(header::HeaderValue::as_bytes);
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS
            || accepted != Some(derive_accept_key(key.as_bytes()).as_bytes())
        {
            return Err(server.unexpected("it does not open a WebSocket".into()));
        }
        let stream = answer.upgrade().await.map_err(|error| ClientError::unreachable(server.url(), &error))?;
        let limits = WebSocketConfig::default()
            .max_message_size(Some(FRAME_SIZE_BYTES_MAX))
            .max_frame_size(Some(FRAME_SIZE_BYTES_MAX));
        Ok(Self {
            socket: WebSocketStream::from_raw_socket(stream, Role::Client, Some(limits)).await,
            silence_max: FIRST_FRAME_WAIT_MAX,
            heard_until: Instant::now() + FIRST_FRAME_WAIT_MAX,
        })
    }

    /// A snapshot comes next, and it may take long until it is whole.
    pub(super) fn expect_snapshot(&mut self) {
        self.silence_max = SNAPSHOT_WAIT_MAX;
        self.heard();
    }

    /// From now on the server is expected to say something at least this often.
    pub(super) fn expect_heartbeat(&mut self, heartbeat: Duration) {
        self.silence_max = heartbeat.saturating_mul(HEARTBEATS_SILENT_MAX);
        self.heard();
    }

    fn heard(&mut self) {
        self.heard_until = Instant::now() + self.silence_max;
    }

    /// What the server says next. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Incoming, Closed> {
        loop {
            let message = match timeout_at(self.heard_until, self.socket.next()).await {
                Ok(message) => message,
                Err(_) => return Err(abnormal("the server has gone silent")),
            };
            self.heard();
            match message {
                Some(Ok(Message::Text(text))) => {
                    if let Some(incoming) = read(text.as_str()) {
                        return Ok(incoming);
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map_or_else(
                        || abnormal("the server closed the connection"),
                        |frame| Closed { code: frame.code.into(), reason: frame.reason.to_string() },
                    ));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(abnormal(&error.to_string())),
                None => return Err(abnormal("the connection was cut")),
            }
        }
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, frame: &(impl Serialize + Sync)) -> Result<(), Closed> {
        let text = serde_json::to_string(frame).expect("invariant: frames are JSON");
        self.send_text(text).await
    }

    pub(super) async fn send_text(&mut self, text: String) -> Result<(), Closed> {
        match timeout(WRITE_STALL_MAX, self.socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(abnormal(&error.to_string())),
            Err(_) => Err(abnormal("the server takes nothing any more")),
        }
    }

    /// Says goodbye and waits for the answer, if there is one.
    pub(super) async fn close(mut self) {
        if self.socket.close(None).await.is_ok() {
            while let Some(Ok(_)) = self.socket.next().await {}
        }
    }
}

/// Reads a frame; `None` for what this client does not know and need not.
fn read(text: &str) -> Option<Incoming> {
    if let Ok(event) = serde_json::from_str::<EventFrame>(text) {
        return Some(Incoming::Event(Box::new(event), text.to_owned()));
    }
    if let Ok(control) = serde_json::from_str::<ControlFrame>(text) {
        return Some(Incoming::Control(Box::new(control), text.to_owned()));
    }
    let Numbered { seq, seq_first } = serde_json::from_str(text).ok()?;
    Some(Incoming::Unknown { seq, seq_first, text: text.to_owned() })
}

fn abnormal(reason: &str) -> Closed {
    Closed { code: CODE_ABNORMAL, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_newer_server_count_if_they_have_a_place() {
        for (text, expected) in [
            (r#"{"type":"file_unlocked","path":"a","seq":3,"at":"x"}"#, "event"),
            (r#"{"type":"ping","head":3}"#, "control"),
            (r#"{"type":"synced","seq":3}"#, "control"),
            (r#"{"type":"of_tomorrow","seq":4,"seq_first":3,"at":"x"}"#, "unknown"),
            (r#"{"type":"of_tomorrow"}"#, "nothing"),
            ("[]", "nothing"),
            ("no JSON", "nothing"),
        ] {
            let kind = match read(text) {
                Some(Incoming::Event(..)) => "event",
                Some(Incoming::Control(..)) => "control",
                Some(Incoming::Unknown { seq, seq_first, .. }) => {
                    assert_eq!((seq, seq_first), (4, Some(3)));
                    "unknown"
                }
                None => "nothing",
            };
            assert_eq!(kind, expected, "{text}");
        }
    }
}
