//! WebSockets: one per client and project.
//!
//! This file brings a connection into the room: upgrade, `hello`, `join`. From then on two halves work without waiting
//! for one another: [`reader`] takes commands and hands them to the project, [`writer`] sends replies and whatever the
//! log has for this client – or lets the room's [`caster`] do that for all clients at once. Which close code says what is
//! decided in this folder and nowhere else.

mod caster;
#[cfg(test)]
pub(crate) mod echo;
mod framing;
mod handshake;
mod loan;
mod pulse;
mod rate;
mod reader;
mod wire;
mod writer;

use std::{sync::Arc, time::Duration};

use axum::{Extension, extract::State, http::HeaderMap, response::Response};
use bytes::{Bytes, BytesMut};
use cobuild_protocol::{
    CloseCode, ErrorBody, ErrorCode, PROTOCOL_VERSION, ProjectId,
    frame::{ControlFrame, HelloFrame, Welcome},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;

pub(crate) use self::caster::Casters;
use self::{
    handshake::Handshake,
    pulse::{Heard, Pulse},
    wire::{Arrival, Incoming, Wire},
};
pub(super) use self::{
    rate::{FRAMES_BURST_MAX, FRAMES_PER_SECOND_MAX},
    reader::COMMANDS_UNDER_WAY_MAX,
};
use super::{
    FRAME_SIZE_BYTES_MAX, HttpState,
    auth::{Grant, Pass},
    command_frame,
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
/// What the reader hands to the writer. Boxed: a queue keeps room for many, and most of the time there is none.
#[derive(Debug)]
enum Outgoing {
    /// A frame for this client alone.
    Frame(Box<ControlFrame>),
    /// A frame that is ready to be written: the protocol's own answer to one of the client's.
    Answer(Box<Bytes>),
    /// The end of the connection.
    Close(Box<Closing>),
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

    fn put_into(&self, out: &mut BytesMut) {
        framing::close(out, self.code.number(), &self.reason);
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

/// `GET /api/v1/projects/{project}/ws`
pub(crate) async fn upgrade(
    State(state): State<HttpState>,
    InProject(project): InProject,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    handshake: Result<Handshake, Response>,
) -> Result<Response, Response> {
    let (answer, opened) = handshake?.accept();
    // A token may come with the upgrade, where a program finds that easier than in the hello.
    let bearer = state.access.admit_request(&headers).await;
    let tasks = state.tasks.clone();
    tasks.spawn(async move {
        if let Some((incoming, wire)) = opened.await {
            serve(state, project, connection, bearer, incoming, wire).await;
        }
    });
    Ok(answer)
}

async fn serve(
    state: HttpState,
    project: ProjectId,
    connection: Connection,
    bearer: Result<Grant, ErrorBody>,
    mut incoming: Incoming,
    wire: Wire,
) {
    let draining = state.registry.draining();
    let attached = tokio::select! {
        biased;
        () = state.shutdown.cancelled() => Err(Some(Closing::going_away(state.leaving.retry_after()))),
        () = draining.cancelled() => Err(Some(Closing::going_away(state.leaving.retry_after_drain()))),
        attached = attach(&state, &project, bearer, &mut incoming, &wire) => attached,
    };
    match attached {
        Ok(attached) => run(&state, connection, incoming, wire, attached),
        Err(Some(closing)) => {
            figures::closed(closing.code);
            tracing::debug!(%project, code = closing.code.number(), reason = closing.reason, "a client was turned away");
            let mut farewell = BytesMut::new();
            closing.put_into(&mut farewell);
            let closed = async {
                if wire.write_all(&mut farewell, CLOSE_WAIT_MAX).await.is_ok() {
                    while let Some(Ok(_)) = incoming.next().await {}
                }
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
    welcome: Box<ControlFrame>,
    pace: writer::Pace,
}

/// From `hello` to a place in the room. `Err(None)`: the client went away.
async fn attach(
    state: &HttpState,
    project: &ProjectId,
    bearer: Result<Grant, ErrorBody>,
    incoming: &mut Incoming,
    wire: &Wire,
) -> Result<Attached, Option<Closing>> {
    let hello = match timeout(state.timing.hello_wait_max, first_frame(incoming, wire)).await {
        Ok(hello) => hello?,
        Err(_) => return Err(Some(Closing::new(CloseCode::Protocol, "no hello in time"))),
    };
    if hello.protocol != PROTOCOL_VERSION {
        let reason = format!("this server speaks protocol {PROTOCOL_VERSION}, not {}", hello.protocol);
        return Err(Some(Closing::new(CloseCode::Protocol, reason)));
    }
    let pace = writer::Pace::asked(hello.rollup_ms);
    let (handle, subscription, pass) = join(state, project, bearer, hello).await.map_err(Some)?;
    let welcome = Box::new(ControlFrame::Welcome(Welcome {
        protocol: PROTOCOL_VERSION,
        project: project.clone(),
        epoch: subscription.epoch.clone(),
        head: subscription.head,
        mode: subscription.mode,
        participant: subscription.member.participant(),
        role: subscription.member.role(),
        heartbeat_ms: u64::try_from(state.timing.heartbeat.as_millis()).unwrap_or(u64::MAX),
        limits: super::limits(&state.registry.parts().settings, state.connections_max),
        default_model: super::models::notice(state.models.default_model()),
    }));
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
    let handle = state.registry.get(project).await?;
    let key = grant.participant_key(hello.client.as_deref());
    let identity = Identity { key, name: grant.name.clone().or(hello.name), party: grant.party(), role, looks: true };
    let subscription = handle.join(identity, hello.since).await?;
    let pass = Pass::new(&grant, role, state.timing.expiry_grace, subscription.member.removed());
    Ok((handle, subscription, pass))
}

async fn first_frame(incoming: &mut Incoming, wire: &Wire) -> Result<HelloFrame, Option<Closing>> {
    loop {
        let message = match incoming.next().await {
            Some(Ok(Arrival::Message(message))) => message,
            Some(Ok(Arrival::Answer(frame))) => {
                let written = wire.write_all(&mut frame.into(), CLOSE_WAIT_MAX).await;
                written.map_err(|_| None)?;
                continue;
            }
            Some(Err(error)) => return Err(broken(&error)),
            None => return Err(None),
        };
        match message {
            Message::Text(text) => {
                return command_frame::parse_hello(text.as_bytes())
                    .map_err(|rejected| Some(Closing::new(CloseCode::Protocol, rejected.error.message)));
            }
            Message::Binary(_) => {
                return Err(Some(Closing::new(CloseCode::Protocol, command_frame::not_text().error.message)));
            }
            // The answer to a close comes next, and then nothing.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) | Message::Close(_) => {}
        }
    }
}

/// What counts a connection as long as there is one.
struct Counted {
    _place: Arc<OwnedSemaphorePermit>,
    _following: Following,
}

/// Starts both halves. Each is a task of its own, and the one that brought the connection here ends with all it needed
/// for that: an idle connection is most of what a server holds.
fn run(state: &HttpState, connection: Connection, incoming: Incoming, wire: Wire, attached: Attached) {
    let Attached { handle, subscription, pass, welcome, pace } = attached;
    let Subscription { member, head, snapshot, feed, .. } = subscription;
    let (outbox, replies) = mpsc::channel(OUTBOX_MAX);
    let heard = Heard::now();
    let farewell = CancellationToken::new();
    let writer = writer::Writer {
        seat: state.casters.seat(handle.project(), handle.log(), wire.clone()),
        wire,
        unsent: BytesMut::new(),
        log: handle.log().clone(),
        feed,
        replies,
        pulse: Pulse::new(heard.clone()),
        stopping: state.shutdown.clone(),
        leaving: state.leaving.clone(),
        timing: state.timing,
        presence: handle.presence().view(),
        pace,
        synced_at: Some(head),
        pass: pass.clone(),
        delivered: figures::delivered(Transport::WebSocket),
    };
    let following = Following::new(Transport::WebSocket);
    tracing::debug!(project = %handle.project(), participant = %member.participant(), "a client is in the room");
    // Spawned as they are: an async block around them would keep room for all they own once more.
    state.tasks.spawn(writer.run(welcome, snapshot, farewell.clone().drop_guard()));
    let state = state.clone();
    let tasks = state.tasks.clone();
    let reader = reader::Reader { stream: incoming, outbox, handle, member, heard, farewell, pass, state };
    tasks.spawn(reader.run(Counted { _place: connection.place, _following: following }));
}

/// What a failed read means; `None`: the client is gone.
fn broken(error: &tungstenite::Error) -> Option<Closing> {
    let reason = match error {
        tungstenite::Error::Capacity(_) => format!("a frame has at most {FRAME_SIZE_BYTES_MAX} bytes"),
        tungstenite::Error::Utf8(_) => "a text frame is UTF-8".into(),
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => return None,
        tungstenite::Error::Protocol(error) => format!("not a WebSocket frame: {error}"),
        _ => return None,
    };
    Some(Closing::new(CloseCode::Protocol, reason))
}

/// A control frame's JSON.
fn text(frame: &ControlFrame) -> Vec<u8> {
    // Control frames are plain data with string keys; encoding them cannot fail.
    serde_json::to_vec(frame).expect("invariant: control frames are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

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
