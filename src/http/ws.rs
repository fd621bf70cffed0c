//! WebSockets: one per client and project.
//!
//! This file brings a connection into the room: upgrade, `hello`, `join`. From then on two halves work without waiting
//! for one another: [`reader`] takes commands and hands them to the project, [`writer`] sends replies and whatever the
//! log has for this client. Which close code says what is decided in this folder and nowhere else.

#[cfg(test)]
pub(crate) mod echo;
mod rate;
mod reader;
mod writer;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Extension,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::HeaderMap,
    response::Response,
};
use cobuild_protocol::{
    CloseCode, ErrorBody, ErrorCode, PROTOCOL_VERSION, ProjectId,
    frame::{ControlFrame, HelloFrame, Welcome},
};
use futures_util::StreamExt as _;
use tokio::{sync::mpsc, time::timeout};
use tokio_tungstenite::tungstenite;
use tokio_util::sync::CancellationToken;

use super::{
    FRAME_SIZE_BYTES_MAX, HttpState,
    auth::{Grant, Pass, RemovalWatch},
    command_frame,
    error::Problem,
    extract::InProject,
    figures::{self, Following, Transport},
    listener::Connection,
};
use crate::project::{Identity, ProjectError, ProjectHandle, Subscription};

/// How long the other side may take to answer a close frame before the socket is simply dropped.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Replies and rejections on their way to the writer. More are only under way when the client does not read; then its
/// own commands wait.
const OUTBOX_MAX: usize = 64;
/// Longest reason of a close frame, in bytes (RFC 6455: 125 with the code).
const REASON_LENGTH_MAX: usize = 123;

/// tungstenite zero-fills this much before every read attempt; its default of 128 KiB is the largest waste on the path.
const READ_BUFFER_SIZE_BYTES: usize = 2048;
/// Frames of one wake-up are collected up to this before they are written to the socket.
const WRITE_BUFFER_SIZE_BYTES: usize = 16 * 1024;
/// A frame larger than this could never be sent. Only a snapshot can be large; what waits in the buffer besides is
/// bounded by the writer, which flushes after every batch.
const WRITE_BUFFER_SIZE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the reader hands to the writer.
#[derive(Debug)]
enum Outgoing {
    /// A frame for this client alone. Boxed: a queue keeps room for many, and most of the time there is none.
    Frame(Box<ControlFrame>),
    /// The end of the connection.
    Close(Closing),
}

/// Why the server ends a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Closing {
    code: CloseCode,
    reason: String,
}

impl Closing {
    fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The server stops, or the project left memory. Clients come back spread over a while, not all at once.
    fn going_away(retry_after: Duration) -> Self {
        Self::new(CloseCode::GoingAway, format!("going away; retry_after_ms={}", retry_after.as_millis()))
    }

    fn message(mut self) -> Message {
        self.reason.truncate(self.reason.floor_char_boundary(REASON_LENGTH_MAX));
        Message::Close(Some(CloseFrame { code: self.code.number(), reason: self.reason.into() }))
    }
}

/// Which close code a failed `hello` or `join` gets.
impl From<ErrorBody> for Closing {
    fn from(error: ErrorBody) -> Self {
        let code = match error.code {
            ErrorCode::Unauthenticated => CloseCode::Token,
            ErrorCode::Forbidden => CloseCode::Forbidden,
            ErrorCode::NotFound => CloseCode::NotFound,
            ErrorCode::BadRequest | ErrorCode::TooLarge | ErrorCode::Unsupported => CloseCode::Protocol,
            ErrorCode::RateLimited | ErrorCode::QueueFull | ErrorCode::QuotaExceeded => CloseCode::Rate,
            ErrorCode::Conflict
            | ErrorCode::StaleBase
            | ErrorCode::Cancelled
            | ErrorCode::ModelUnauthorized
            | ErrorCode::ModelFailed
            | ErrorCode::ModelOverloaded
            | ErrorCode::SandboxLost
            | ErrorCode::SandboxTimeout
            | ErrorCode::Internal => CloseCode::GoingAway,
        };
        Self::new(code, error.message)
    }
}

impl From<ProjectError> for Closing {
    fn from(error: ProjectError) -> Self {
        Self::from(error.body())
    }
}

/// When the client was last heard of; the reader writes it, the writer judges by it.
#[derive(Debug, Clone)]
struct Heard {
    since: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Heard {
    fn now() -> Self {
        Self { since: Instant::now(), last_ms: Arc::default() }
    }

    fn mark(&self) {
        self.last_ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    fn silence(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms().saturating_sub(self.last_ms.load(Ordering::Relaxed)))
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// `GET /api/v1/projects/{project}/ws`
pub(crate) async fn upgrade(
    State(state): State<HttpState>,
    InProject(project): InProject,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| {
        Problem::new(ErrorCode::BadRequest, "this address is a WebSocket").with_status(rejection.status())
    })?;
    // A token may come with the upgrade, where a program finds that easier than in the hello.
    let bearer = state.access.admit_request(&headers).await;
    let tasks = state.tasks.clone();
    let answer =
        sized(upgrade).on_upgrade(move |socket| tasks.track_future(serve(state, project, connection, bearer, socket)));
    Ok(answer)
}

/// With this server's buffers and limits.
fn sized(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_SIZE_BYTES)
        .write_buffer_size(WRITE_BUFFER_SIZE_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_SIZE_BYTES_MAX)
        .max_message_size(FRAME_SIZE_BYTES_MAX)
        .max_frame_size(FRAME_SIZE_BYTES_MAX)
}

async fn serve(
    state: HttpState,
    project: ProjectId,
    connection: Connection,
    bearer: Result<Grant, ErrorBody>,
    mut socket: WebSocket,
) {
    let draining = state.registry.draining();
    let attached = tokio::select! {
        biased;
        () = state.shutdown.cancelled() => Err(Some(Closing::going_away(state.leaving.retry_after()))),
        () = draining.cancelled() => Err(Some(Closing::going_away(state.leaving.retry_after_drain()))),
        attached = attach(&state, &project, bearer, &mut socket) => attached,
    };
    match attached {
        Ok(attached) => {
            run(&state, connection, socket, attached);
        }
        Err(Some(closing)) => {
            figures::closed(closing.code);
            tracing::debug!(%project, code = closing.code.number(), reason = closing.reason, "a client was turned away");
            let closed = async {
                socket.send(closing.message()).await?;
                while let Some(Ok(_)) = socket.recv().await {}
                Ok::<_, axum::Error>(())
            };
            // Whatever becomes of the close frame, the connection ends.
            let _ = timeout(CLOSE_WAIT_MAX, closed).await;
        }
        Err(None) => {}
    }
}

/// A connection that has a place in the room.
struct Attached {
    handle: ProjectHandle,
    subscription: Subscription,
    pass: Pass,
    welcome: ControlFrame,
    pace: writer::Pace,
}

/// From `hello` to a place in the room. `Err(None)`: the client went away.
async fn attach(
    state: &HttpState,
    project: &ProjectId,
    bearer: Result<Grant, ErrorBody>,
    socket: &mut WebSocket,
) -> Result<Attached, Option<Closing>> {
    let hello = match timeout(state.timing.hello_wait_max, first_frame(socket)).await {
        Ok(hello) => hello?,
        Err(_) => return Err(Some(Closing::new(CloseCode::Protocol, "no hello in time"))),
    };
    if hello.protocol != PROTOCOL_VERSION {
        let reason = format!("this server speaks protocol {PROTOCOL_VERSION}, not {}", hello.protocol);
        return Err(Some(Closing::new(CloseCode::Protocol, reason)));
    }
    let pace = writer::Pace::asked(hello.rollup_ms);
    let (handle, subscription, pass) = join(state, project, bearer, hello).await.map_err(Some)?;
    let welcome = ControlFrame::Welcome(Welcome {
        protocol: PROTOCOL_VERSION,
        project: project.clone(),
        epoch: subscription.epoch.clone(),
        head: subscription.head,
        mode: subscription.mode,
        participant: subscription.member.participant(),
        role: subscription.member.role(),
        heartbeat_ms: u64::try_from(state.timing.heartbeat.as_millis()).unwrap_or(u64::MAX),
        limits: super::limits(),
        default_model: super::models::notice(state.models.default_model()),
    });
    Ok(Attached { handle, subscription, pass, welcome, pace })
}

async fn join(
    state: &HttpState,
    project: &ProjectId,
    bearer: Result<Grant, ErrorBody>,
    hello: HelloFrame,
) -> Result<(ProjectHandle, Subscription, Pass), Closing> {
    let grant = match &hello.token {
        Some(token) => state.access.admit(Some(token)).await,
        None => bearer,
    }?;
    let role = grant.enter(project)?;
    let pass = Pass::new(&grant, role, state.timing.expiry_grace);
    let handle = state.registry.get(project).await?;
    let key = grant.participant_key(hello.client.as_deref());
    let identity = Identity { key, name: grant.name.or(hello.name), role, looks: true };
    let subscription = handle.join(identity, hello.since).await?;
    Ok((handle, subscription, pass))
}

async fn first_frame(socket: &mut WebSocket) -> Result<HelloFrame, Option<Closing>> {
    loop {
        match socket.recv().await {
            Some(Ok(Message::Text(text))) => {
                return command_frame::parse_hello(text.as_bytes())
                    .map_err(|rejected| Some(Closing::new(CloseCode::Protocol, rejected.error.message)));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => {
                return Err(Some(Closing::new(CloseCode::Protocol, command_frame::not_text().error.message)));
            }
            Some(Err(error)) => return Err(broken(error)),
            Some(Ok(Message::Close(_))) | None => return Err(None),
        }
    }
}

/// Starts both halves. Each is a task of its own, and the one that brought the connection here ends with all it needed
/// for that: an idle connection is most of what a server holds.
fn run(state: &HttpState, connection: Connection, socket: WebSocket, attached: Attached) {
    let Attached { handle, subscription, pass, welcome, pace } = attached;
    let Subscription { member, head, snapshot, feed, .. } = subscription;
    let (sink, stream) = socket.split();
    let (outbox, replies) = mpsc::channel(OUTBOX_MAX);
    let heard = Heard::now();
    let writer_ended = CancellationToken::new();
    let writer = writer::Writer {
        sink,
        log: handle.log().clone(),
        feed,
        replies,
        heard: heard.clone(),
        written: connection.written,
        stopping: state.shutdown.clone(),
        leaving: state.leaving.clone(),
        timing: state.timing,
        presence: handle.presence().view(),
        pace,
        synced_at: Some(head),
        pass: pass.clone(),
        removal: RemovalWatch::new(member.participant(), head),
        delivered: figures::delivered(Transport::WebSocket),
    };
    let following = Following::new(Transport::WebSocket);
    tracing::debug!(project = %handle.project(), participant = %member.participant(), "a client is in the room");
    let ended = writer_ended.clone().drop_guard();
    state.tasks.spawn(async move {
        writer.run(welcome, snapshot).await;
        drop(ended);
    });
    let mut reader = reader::Reader { stream, outbox, handle, member, heard, writer_ended, pass, state: state.clone() };
    state.tasks.spawn(async move {
        reader.run().await;
        reader.finish().await;
        drop((following, connection.place));
    });
}

/// What a failed read means; `None`: the client is gone.
fn broken(error: axum::Error) -> Option<Closing> {
    let error = error.into_inner();
    let reason = match error.downcast_ref::<tungstenite::Error>()? {
        tungstenite::Error::Capacity(_) => format!("a frame has at most {FRAME_SIZE_BYTES_MAX} bytes"),
        tungstenite::Error::Utf8(_) => "a text frame is UTF-8".into(),
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => return None,
        tungstenite::Error::Protocol(error) => format!("not a WebSocket frame: {error}"),
        _ => return None,
    };
    Some(Closing::new(CloseCode::Protocol, reason))
}

/// A control frame as a text frame.
fn text(frame: &ControlFrame) -> Message {
    // Control frames are plain data with string keys; encoding them cannot fail.
    let json = serde_json::to_string(frame).expect("invariant: control frames are JSON");
    Message::Text(Utf8Bytes::from(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_reasons_fit_into_a_control_frame() {
        let Message::Close(Some(frame)) = Closing::new(CloseCode::Protocol, "ü".repeat(200)).message() else {
            panic!("must be a close frame")
        };
        assert_eq!((frame.code, frame.reason.len()), (4505, 122));
    }

    #[test]
    fn refusals_are_final_and_faults_are_not() {
        for code in ErrorCode::ALL {
            let closing = Closing::from(ErrorBody::new(code, "x"));
            if code.is_retryable() {
                assert!(closing.code.number() < 4500, "{code:?}");
            }
        }
        assert_eq!(Closing::from(ErrorBody::new(ErrorCode::Unauthenticated, "x")).code, CloseCode::Token);
        assert_eq!(Closing::from(ErrorBody::new(ErrorCode::NotFound, "x")).code, CloseCode::NotFound);
    }
}
