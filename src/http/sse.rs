//! Server-sent events and the log as lines: the same feed as the WebSocket's, for readers that are not in the room.
//!
//! An event stream begins with the events after `Last-Event-ID` (or `?since=`), or, when the reader has no place in this
//! log, with one `reset` event that carries the state. Which of the two it was is never left to be guessed.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use cobuild_protocol::{
    Cursor, Seq,
    frame::{ControlFrame, SnapshotFrame},
};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    HttpState,
    auth::Pass,
    error::Problem,
    extract::{Caller, Parameters},
    figures::{self, Following, Transport},
    rest,
};
use crate::project::{
    Member, ProjectError, ProjectHandle, ReaderPlace,
    event_log::{CloseReason, Feed, FeedError, Frame, MERGE_LAG_EVENTS, merge, server_sent},
};

/// Most events and bytes in one write.
const BATCH_EVENTS_MAX: usize = 256;
const BATCH_SIZE_BYTES_MAX: usize = 64 * 1024;
/// How far behind the live end a reader may fall before its stream ends and it has to come back.
const LAG_SIZE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// What a browser should wait before it reconnects.
const RETRY: Duration = Duration::from_millis(1000);
/// A comment, which readers skip: it keeps the connection from looking dead.
const HEARTBEAT_COMMENT: &[u8] = b": heartbeat\n\n";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Since {
    /// What the reader has seen, as `<epoch>:<seq>`; a `Last-Event-ID` counts more.
    since: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct From {
    /// The first event wanted; absent: 1.
    from: Option<Seq>,
}

/// `GET /api/v1/projects/{project}/events`
pub(crate) async fn events(
    State(state): State<HttpState>,
    caller: Caller,
    Parameters(Since { since }): Parameters<Since>,
    request: HeaderMap,
) -> Result<Response, Problem> {
    // The header is what a reconnecting browser has seen; the address is still the one it started with.
    let seen = match request.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default()) {
        // A browser would give up for ever on an error, so what cannot be read is simply no place in the log.
        Some(id) => id.parse().ok(),
        None => since.map(|since| since.parse::<Cursor>()).transpose()?,
    };
    if state.registry.draining().is_cancelled() {
        // A browser would take an error for the last word.
        return Ok(stream_of(Body::from(come_back(state.leaving.retry_after_drain()))));
    }
    let handle = state.registry.get(&caller.project).await?;
    let place = match Place::take(&handle, &caller).await {
        Ok(place) => place,
        // Nor is a room that is full now the last word.
        Err(ProjectError::RateLimited(_, after)) => return Ok(stream_of(Body::from(come_back(after)))),
        Err(error) => return Err(error.into()),
    };
    let (first, feed) = begin(&handle, seen).await?;
    let mut heartbeat = interval_at(Instant::now() + state.timing.heartbeat, state.timing.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let removed = place.removed();
    let pass = Pass::new(&caller.grant, caller.role, state.timing.expiry_grace, removed);
    let reader = EventStream {
        first: Some(first),
        ended: false,
        feed,
        handle,
        heartbeat,
        state,
        pass,
        place,
        _following: Following::new(Transport::Sse),
        delivered: figures::delivered(Transport::Sse),
    };
    Ok(stream_of(Body::from_stream(stream::unfold(reader, EventStream::next))))
}

/// A reader's place among the project's connections.
enum Place {
    /// Whoever a token names is in the room while they watch, and can be sent out of it.
    InTheRoom(Member),
    /// Others only read along. Where an owner removes somebody, they have to show again that it was not they.
    Beside { _place: ReaderPlace, key: String, removals: watch::Receiver<()> },
}

impl Place {
    async fn take(handle: &ProjectHandle, caller: &Caller) -> Result<Self, ProjectError> {
        if caller.grant.is_personal() {
            return Ok(Self::InTheRoom(rest::enter(handle, caller, true).await?));
        }
        // What happens from here on is heard of.
        let (key, removals) = (caller.grant.program_key(), handle.removals());
        handle.check_not_removed(key.clone()).await?;
        Ok(Self::Beside { _place: handle.take_reader_place(caller.grant.party())?, key, removals })
    }

    /// Cancelled when an owner sends its holder out of the room.
    fn removed(&self) -> CancellationToken {
        match self {
            Self::InTheRoom(member) => member.removed(),
            Self::Beside { .. } => CancellationToken::new(),
        }
    }

    /// Waits until its holder may have been removed without being in the room. Cancelling loses nothing.
    async fn in_doubt(&mut self) {
        if let Self::Beside { removals, .. } = self
            && removals.changed().await.is_ok()
        {
            return;
        }
        // Where the project closes, the events end.
        std::future::pending().await
    }

    async fn is_lost(&self, handle: &ProjectHandle) -> bool {
        let Self::Beside { key, .. } = self else { return false };
        matches!(handle.check_not_removed(key.clone()).await, Err(ProjectError::Forbidden(_)))
    }
}

fn stream_of(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
        // nginx would collect events until its buffer is full.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

/// Sets how long the reader waits before it comes back.
fn come_back(after: Duration) -> Bytes {
    format!("retry: {}\n\n", after.as_millis()).into()
}

/// Where the reader's place is: after what it has seen, or after a snapshot.
async fn begin(handle: &ProjectHandle, seen: Option<Cursor>) -> Result<(Bytes, Feed), ProjectError> {
    let log = handle.log();
    let retry = come_back(RETRY);
    let known = |seen: &Cursor| seen.epoch == *log.epoch() && (log.base()..=log.head()).contains(&seen.seq);
    if let Some(seen) = seen.filter(known) {
        return Ok((retry, log.feed(seen.seq)));
    }
    let (seq, state) = handle.state().await?;
    let snapshot = ControlFrame::Snapshot(Box::new(SnapshotFrame { seq, state }));
    let json = serde_json::to_string(&snapshot).map_err(|error| {
        tracing::error!(%error, "a snapshot could not be encoded");
        ProjectError::Internal
    })?;
    let at = Cursor { epoch: log.epoch().clone(), seq };
    let reset = format!("event: reset\nid: {at}\ndata: {json}\n\n");
    Ok(([&retry[..], reset.as_bytes()].concat().into(), log.feed(seq)))
}

struct EventStream {
    first: Option<Bytes>,
    /// The last chunk was the last.
    ended: bool,
    feed: Feed,
    handle: ProjectHandle,
    heartbeat: Interval,
    state: HttpState,
    pass: Pass,
    place: Place,
    _following: Following,
    delivered: metrics::Counter,
}

impl EventStream {
    /// The next chunk: everything there is, in one. `None` ends the stream; the reader comes back with its last id.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let chunk = match self.first.take() {
            Some(first) => first,
            None if self.ended => return None,
            None => self.wait().await?,
        };
        Some((Ok(chunk), self))
    }

    async fn wait(&mut self) -> Option<Bytes> {
        let mut frames = Vec::new();
        if self.feed.lag().size_bytes > LAG_SIZE_BYTES_MAX {
            // What it missed is in the log.
            return None;
        }
        let taken = loop {
            tokio::select! {
                biased;
                () = self.state.shutdown.cancelled() => return Some(self.going_away()),
                // The way back in says why.
                _ = self.pass.ended() => return None,
                () = self.place.in_doubt() => if self.place.is_lost(&self.handle).await { return None },
                _ = self.heartbeat.tick() => return Some(Bytes::from_static(HEARTBEAT_COMMENT)),
                taken = self.feed.next(BATCH_EVENTS_MAX, BATCH_SIZE_BYTES_MAX, &mut frames) => break taken,
            }
        };
        match taken {
            Ok(()) => {
                self.delivered.increment(frames.len() as u64);
                Some(self.chunk(&frames))
            }
            Err(FeedError::PositionLost { cursor }) => {
                tracing::warn!(project = %self.handle.project(), cursor, "a reader lost its place; it gets a snapshot");
                let (reset, feed) = begin(&self.handle, None).await.ok()?;
                self.feed = feed;
                Some(reset)
            }
            Err(error @ FeedError::Store { .. }) => {
                tracing::warn!(project = %self.handle.project(), error = &error as &dyn std::error::Error, "a reader's events could not be read");
                None
            }
            Err(FeedError::Closed(CloseReason::Unloaded)) => Some(self.going_away()),
            Err(FeedError::Closed(CloseReason::Deleted | CloseReason::Failed)) => None,
        }
    }

    /// Events as they are, or for a reader who is far behind their deltas merged, as over a WebSocket.
    fn chunk(&self, frames: &[Arc<Frame>]) -> Bytes {
        if self.feed.lag().events <= MERGE_LAG_EVENTS {
            return joined(frames, |frame| [frame.sse(), b""]);
        }
        let epoch = self.handle.log().epoch();
        let chunks = merge(frames).into_iter().map(|merged| server_sent(epoch, merged.seq, &merged.json));
        chunks.collect::<Vec<_>>().concat().into()
    }

    /// The last chunk: when to come back.
    fn going_away(&mut self) -> Bytes {
        self.ended = true;
        come_back(self.state.leaving.retry_after())
    }
}

/// `GET /api/v1/projects/{project}/log`: every event from `?from=` (else the oldest that is kept) up to now, one per line:
/// what clients were sent, with the deltas of ended runs merged.
pub(crate) async fn log(
    State(state): State<HttpState>,
    caller: Caller,
    Parameters(From { from }): Parameters<From>,
) -> Result<Response, Problem> {
    let handle = rest::readable(&state, &caller).await?;
    let head = handle.log().head();
    let base = handle.log().base();
    if from.is_some_and(|from| from.max(1) <= base) {
        let kept = format!("the log of this project is kept from event {} on", base + 1);
        return Err(ProjectError::NotFound(kept).into());
    }
    let after = from.map_or(base, |from| from.saturating_sub(1)).min(head);
    let feed = handle.log().feed(after);
    let lines = stream::unfold(feed, move |mut feed| async move {
        if feed.cursor() >= head {
            return None;
        }
        let left = usize::try_from(head - feed.cursor()).unwrap_or(usize::MAX);
        let mut frames = Vec::new();
        match feed.next(left.min(BATCH_EVENTS_MAX), BATCH_SIZE_BYTES_MAX, &mut frames).await {
            Ok(()) => Some((Ok(joined(&frames, |frame| [frame.json(), b"\n"])), feed)),
            // An error breaks the connection off, so that half a log is not taken for a whole one.
            Err(error) => Some((Err(error), feed)),
        }
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// All frames as one chunk, so that they are one write.
fn joined<'a>(frames: &'a [Arc<Frame>], parts: impl Fn(&'a Frame) -> [&'a [u8]; 2]) -> Bytes {
    let size_bytes = frames.iter().flat_map(|frame| parts(frame)).map(<[u8]>::len).sum();
    let mut chunk = BytesMut::with_capacity(size_bytes);
    for part in frames.iter().flat_map(|frame| parts(frame)) {
        chunk.extend_from_slice(part);
    }
    chunk.freeze()
}
