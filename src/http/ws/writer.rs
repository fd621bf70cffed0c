//! The half of a connection that speaks: whatever there is goes into the buffer, then one flush.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use cobuild_protocol::{
    CloseCode, Seq,
    frame::{ControlFrame, Ping, PresenceFrame, Synced},
};
use futures_util::{SinkExt as _, stream::SplitSink};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{CLOSE_WAIT_MAX, Closing, Heard, Outgoing, text};
use crate::{
    http::{
        Timing,
        auth::{Pass, RemovalWatch},
        figures,
        leaving::Leaving,
    },
    project::{
        event_log::{CloseReason, EventLogReader, Feed, FeedError, Frame, merge},
        presence::PresenceView,
    },
};

/// Most events and bytes between two flushes: large enough that a replay is not made of small writes, small enough that
/// replies and heartbeats find their way in between.
const BATCH_EVENTS_MAX: usize = 256;
const BATCH_SIZE_BYTES_MAX: usize = 64 * 1024;
/// How far behind the live end a client may fall. What it missed is in the log; it resumes when it comes back.
const LAG_SIZE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// From how many events behind on deltas are merged whatever the client asked for: fewer, larger frames help it catch up.
const MERGE_LAG_EVENTS: u64 = 512;
/// Longest window in which deltas are collected. More would be felt as a stutter.
const ROLLUP_MAX: Duration = Duration::from_millis(40);
/// How long presence is collected before it is sent: cursors move faster than anybody looks.
const PRESENCE_WINDOW: Duration = Duration::from_millis(50);
/// How long the answer to a heartbeat may be under way before it counts as silence.
const ANSWER_DELAY: Duration = Duration::from_millis(500);

pub(super) struct Writer {
    pub(super) sink: SplitSink<WebSocket, Message>,
    pub(super) log: EventLogReader,
    pub(super) feed: Feed,
    pub(super) replies: mpsc::Receiver<Outgoing>,
    pub(super) heard: Heard,
    /// Bytes the socket has taken, counted where they are written: how a slow client is told from a stuck one.
    pub(super) written: Arc<AtomicU64>,
    pub(super) stopping: CancellationToken,
    pub(super) leaving: Leaving,
    pub(super) timing: Timing,
    pub(super) presence: PresenceView,
    pub(super) pace: Pace,
    /// Where the replay ends; `None` once `synced` has been sent.
    pub(super) synced_at: Option<Seq>,
    pub(super) pass: Pass,
    pub(super) removal: RemovalWatch,
    /// Counts what was written, for operators.
    pub(super) delivered: metrics::Counter,
}

/// When what may wait is sent.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// For how long deltas are collected into one frame after one was sent.
    rollup: Duration,
    /// No events before this.
    events_from: Option<Instant>,
    /// Presence that was said is sent then.
    presence_at: Option<Instant>,
}

impl Pace {
    /// The pace the client asked for.
    pub(super) fn asked(rollup_ms: Option<u32>) -> Self {
        let rollup = Duration::from_millis(rollup_ms.unwrap_or(0).into()).min(ROLLUP_MAX);
        Self { rollup, ..Self::default() }
    }
}

/// What the writer wakes up to.
enum Wake {
    /// The beginning: what the client is greeted with.
    Attached(Box<ControlFrame>, Option<Bytes>),
    Stopping,
    /// A reply; `None`: the reader has gone.
    Outgoing(Option<Outgoing>),
    Events(Result<Vec<Arc<Frame>>, FeedError>),
    /// Somebody said something about their presence.
    PresenceSaid,
    PresenceDue,
    Heartbeat,
}

/// Why the writer ends. `None`: there is nobody to say it to.
type Ended = Option<Closing>;

impl Writer {
    /// Speaks until the client, the project or the server ends.
    pub(super) async fn run(mut self, welcome: ControlFrame, snapshot: Option<Bytes>) {
        let pass = self.pass.clone();
        let ended = tokio::select! {
            biased;
            ended = self.speak(welcome, snapshot) => ended,
            // Also in the middle of a write: nobody keeps a door open by reading slowly.
            error = pass.ended() => Some(error.into()),
        };
        if let Some(closing) = &ended {
            figures::closed(closing.code);
            tracing::debug!(code = closing.code.number(), reason = closing.reason, "a connection is closed");
        }
        let mut sink = self.sink;
        let said = async {
            if let Some(closing) = ended {
                sink.feed(closing.message()).await?;
            }
            // Also sends the answer to the client's own close frame.
            sink.close().await
        };
        // If it cannot be said, the connection just ends.
        let _ = timeout(CLOSE_WAIT_MAX, said).await;
    }

    async fn speak(&mut self, welcome: ControlFrame, snapshot: Option<Bytes>) -> Ended {
        let mut heartbeat = interval_at(Instant::now() + self.timing.heartbeat, self.timing.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wake = Wake::Attached(Box::new(welcome), snapshot);
        loop {
            let messages = match self.messages_for(wake) {
                Ok(messages) => messages,
                Err(ended) => return ended,
            };
            // The one place where anything is written.
            if let Err(ended) = self.write(messages).await {
                return ended;
            }
            wake = tokio::select! {
                () = self.stopping.cancelled() => Wake::Stopping,
                outgoing = self.replies.recv() => Wake::Outgoing(outgoing),
                events = next_events(&mut self.feed, self.pace.events_from) => Wake::Events(events),
                () = self.presence.changed(), if self.pace.presence_at.is_none() => Wake::PresenceSaid,
                () = due(self.pace.presence_at) => Wake::PresenceDue,
                _ = heartbeat.tick() => Wake::Heartbeat,
            };
        }
    }

    fn messages_for(&mut self, wake: Wake) -> Result<Vec<Message>, Ended> {
        match wake {
            Wake::Attached(welcome, snapshot) => self.greeting(&welcome, snapshot),
            Wake::Stopping => Err(Some(Closing::going_away(self.leaving.retry_after()))),
            Wake::Outgoing(Some(Outgoing::Frame(frame))) => Ok(vec![text(&frame)]),
            Wake::Outgoing(Some(Outgoing::Close(closing))) => Err(Some(closing)),
            Wake::Outgoing(None) => Err(None),
            Wake::Events(Ok(frames)) => self.events(&frames),
            Wake::Events(Err(error)) => Err(Some(feed_ended(&error, &self.leaving))),
            Wake::PresenceSaid => {
                self.pace.presence_at = Some(Instant::now() + PRESENCE_WINDOW);
                Ok(Vec::new())
            }
            Wake::PresenceDue => Ok(self.presence_news()),
            Wake::Heartbeat => self.beat(),
        }
    }

    fn greeting(&mut self, welcome: &ControlFrame, snapshot: Option<Bytes>) -> Result<Vec<Message>, Ended> {
        let mut messages = vec![text(welcome)];
        if let Some(snapshot) = snapshot {
            messages.push(event(snapshot)?);
        }
        messages.extend(self.synced(self.feed.cursor()));
        Ok(messages)
    }

    fn events(&mut self, frames: &[Arc<Frame>]) -> Result<Vec<Message>, Ended> {
        if self.feed.lag().size_bytes > LAG_SIZE_BYTES_MAX {
            return Err(Some(Closing::new(CloseCode::Slow, "too far behind; resume")));
        }
        let deltas = frames.iter().any(|frame| frame.kind().is_delta());
        self.pace.events_from = (deltas && !self.pace.rollup.is_zero()).then(|| Instant::now() + self.pace.rollup);
        let mut messages = Vec::with_capacity(frames.len() + 1);
        for frame in frames {
            self.removal.check(frame).map_err(|error| Some(error.into()))?;
        }
        // The replay ends at a frame of its own, so that `synced` says exactly what the client has. A frame that was
        // merged meanwhile may go a little beyond.
        let replayed = self.synced_at.map_or(0, |head| frames.partition_point(|frame| frame.first() <= head));
        let (replay, live) = frames.split_at(replayed);
        for frames in [replay, live] {
            self.push_events(frames, &mut messages)?;
            messages.extend(frames.last().and_then(|last| self.synced(last.seq())));
        }
        self.delivered.increment(frames.len() as u64);
        Ok(messages)
    }

    fn push_events(&self, frames: &[Arc<Frame>], messages: &mut Vec<Message>) -> Result<(), Ended> {
        let merging = !self.pace.rollup.is_zero() || self.feed.lag().events > MERGE_LAG_EVENTS;
        if merging {
            for merged in merge(frames) {
                messages.push(event(merged.json)?);
            }
        } else {
            for frame in frames {
                messages.push(event(frame.json().clone())?);
            }
        }
        Ok(())
    }

    fn presence_news(&mut self) -> Vec<Message> {
        self.pace.presence_at = None;
        let participants = self.presence.take();
        if participants.is_empty() {
            return Vec::new();
        }
        vec![text(&ControlFrame::Presence(PresenceFrame { participants }))]
    }

    /// `synced`, if the replay is over with event `seq` and it has not been sent.
    fn synced(&mut self, seq: Seq) -> Option<Message> {
        self.synced_at.take_if(|head| seq >= *head)?;
        Some(text(&ControlFrame::Synced(Synced { seq })))
    }

    fn beat(&self) -> Result<Vec<Message>, Ended> {
        if self.heard.silence() > self.timing.heartbeat * 2 + ANSWER_DELAY {
            return Err(Some(Closing::new(CloseCode::NoPong, "no sign of life from the client")));
        }
        let ping = ControlFrame::Ping(Ping { head: self.log.head() });
        Ok(vec![Message::Ping(Bytes::new()), text(&ping)])
    }

    /// Buffers all, flushes once. A client may be slow for as long as it takes something.
    async fn write(&mut self, messages: Vec<Message>) -> Result<(), Ended> {
        let stall = self.timing.write_stall_max;
        let sink = &mut self.sink;
        let mut writing = std::pin::pin!(async {
            for message in messages {
                sink.feed(message).await?;
            }
            sink.flush().await
        });
        let mut written = self.written.load(Ordering::Relaxed);
        loop {
            match timeout(stall, &mut writing).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a connection broke");
                    return Err(None);
                }
                Err(_) => {
                    let now = self.written.load(Ordering::Relaxed);
                    if now == written {
                        return Err(Some(Closing::new(CloseCode::Slow, "nothing was read for too long; resume")));
                    }
                    written = now;
                }
            }
        }
    }
}

/// When it is time. Never, if there is no time.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What is next in the log, not before `from`. Cancelling takes nothing.
async fn next_events(feed: &mut Feed, from: Option<Instant>) -> Result<Vec<Arc<Frame>>, FeedError> {
    if let Some(from) = from {
        sleep_until(from).await;
    }
    let mut frames = Vec::new();
    feed.next(BATCH_EVENTS_MAX, BATCH_SIZE_BYTES_MAX, &mut frames).await?;
    Ok(frames)
}

fn event(json: Bytes) -> Result<Message, Ended> {
    Utf8Bytes::try_from(json).map(Message::Text).map_err(|error| {
        tracing::error!(%error, "a stored frame is not UTF-8");
        Some(Closing::new(CloseCode::GoingAway, "the log could not be read; come back"))
    })
}

fn feed_ended(error: &FeedError, leaving: &Leaving) -> Closing {
    match error {
        FeedError::Closed(CloseReason::Unloaded) => Closing::going_away(leaving.retry_after()),
        FeedError::Closed(CloseReason::Deleted) => Closing::new(CloseCode::NotFound, "the project was deleted"),
        // The way back in decides between replay and snapshot.
        FeedError::Closed(CloseReason::Failed) | FeedError::PositionLost { .. } => {
            tracing::warn!(%error, "a subscriber lost its place");
            Closing::new(CloseCode::GoingAway, "the place in the log was lost; come back")
        }
        FeedError::Store { .. } => {
            tracing::warn!(error = error as &dyn std::error::Error, "a subscriber's events could not be read");
            Closing::new(CloseCode::GoingAway, "the log could not be read; come back")
        }
    }
}
