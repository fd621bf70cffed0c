//! The half of a connection that speaks: whatever there is goes into the buffer, then out in as few writes as the socket
//! allows. Once a client is up to date its socket is lent to the room's [`super::caster`], which writes deltas to all
//! of them; anything else brings it back here.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use cobuild_protocol::{
    CloseCode, Seq,
    frame::{ControlFrame, Ping, PresenceFrame, Synced},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    CLOSE_WAIT_MAX, Closing, Outgoing,
    caster::Seat,
    framing,
    loan::Returned,
    pulse::Pulse,
    text,
    wire::{Wire, WriteError},
};
use crate::{
    http::{Timing, auth::Pass, figures, leaving::Leaving},
    project::{
        event_log::{CloseReason, EventLogReader, Feed, FeedError, Frame, FrameKind, MERGE_LAG_EVENTS, merge},
        presence::PresenceView,
    },
};

/// Most events and bytes between two flushes: large enough that a replay is not made of small writes, small enough that
/// replies and heartbeats find their way in between.
const BATCH_EVENTS_MAX: usize = 256;
const BATCH_SIZE_BYTES_MAX: usize = 64 * 1024;
/// How far behind the live end a client may fall. What it missed is in the log; it resumes when it comes back.
const LAG_SIZE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Longest window in which deltas are collected. More would be felt as a stutter.
const ROLLUP_MAX: Duration = Duration::from_millis(40);
/// How long presence is collected before it is sent: cursors move faster than anybody looks, and a crowd that comes back
/// after a restart is news for each of it, once for everybody.
const PRESENCE_WINDOW: Duration = Duration::from_millis(50);

pub(super) struct Writer {
    pub(super) wire: Wire,
    /// What the socket has not taken yet. Only ever the rest of one batch.
    pub(super) unsent: BytesMut,
    pub(super) seat: Seat,
    pub(super) log: EventLogReader,
    pub(super) feed: Feed,
    pub(super) replies: mpsc::Receiver<Outgoing>,
    pub(super) pulse: Pulse,
    pub(super) stopping: CancellationToken,
    pub(super) leaving: Leaving,
    pub(super) timing: Timing,
    pub(super) presence: PresenceView,
    pub(super) pace: Pace,
    /// Where the replay ends; `None` once `synced` has been sent.
    pub(super) synced_at: Option<Seq>,
    pub(super) pass: Pass,
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

    /// These are being sent. What comes next may be collected for a while, in one write with whatever else there is by then.
    fn took(&mut self, frames: &[Arc<Frame>]) {
        let has_deltas = frames.iter().any(|frame| frame.kind().is_delta());
        let is_presence = !frames.is_empty() && frames.iter().all(|frame| frame.kind() == FrameKind::Presence);
        let rollup = Some(self.rollup).filter(|window| has_deltas && !window.is_zero());
        let window = rollup.or(is_presence.then_some(PRESENCE_WINDOW));
        self.events_from = window.map(|window| Instant::now() + window);
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
    /// The caster gave the socket back.
    Returned,
    /// Somebody said something about their presence.
    PresenceSaid,
    PresenceDue,
    Heartbeat,
}

/// Why the writer ends. `None`: there is nobody to say it to.
type Ended = Option<Closing>;

impl Writer {
    /// Speaks until the client, the project or the server ends. `farewell` is dropped before the last word, so that
    /// nothing the client still says counts.
    pub(super) async fn run(mut self, welcome: Box<ControlFrame>, snapshot: Option<Bytes>, farewell: DropGuard) {
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
        drop(farewell);
        self.take_back();
        if let Some(closing) = &ended {
            closing.put_into(&mut self.unsent);
        }
        // If it cannot be said, the connection just ends.
        let _ = timeout(CLOSE_WAIT_MAX, self.wire.write_all(&mut self.unsent, CLOSE_WAIT_MAX)).await;
    }

    async fn speak(&mut self, welcome: Box<ControlFrame>, snapshot: Option<Bytes>) -> Ended {
        let mut heartbeat = interval_at(Instant::now() + self.timing.heartbeat, self.timing.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wake = Wake::Attached(welcome, snapshot);
        loop {
            if let Err(ended) = self.take(wake) {
                return ended;
            }
            // The one place where this task writes anything.
            if let Err(ended) = self.write().await {
                return ended;
            }
            let lent = self.lend();
            wake = tokio::select! {
                () = self.stopping.cancelled() => Wake::Stopping,
                outgoing = self.replies.recv() => Wake::Outgoing(outgoing),
                () = self.seat.returned(), if lent => Wake::Returned,
                events = next_events(&mut self.feed, self.pace.events_from), if !lent => Wake::Events(events),
                () = self.presence.changed(), if self.may_take_presence() => Wake::PresenceSaid,
                () = due(self.pace.presence_at) => Wake::PresenceDue,
                _ = heartbeat.tick() => Wake::Heartbeat,
            };
            if lent {
                self.take_back();
            }
        }
    }

    /// Not before the replay is over: what a client has of presence begins there.
    fn may_take_presence(&self) -> bool {
        self.synced_at.is_none() && self.pace.presence_at.is_none()
    }

    /// Lends the socket, if the client has everything and wants it as it comes.
    fn lend(&mut self) -> bool {
        let up_to_date = self.synced_at.is_none() && self.feed.cursor() == self.log.head();
        up_to_date && self.pace.rollup.is_zero() && self.seat.lend(self.feed.cursor())
    }

    fn take_back(&mut self) {
        if let Some(Returned { cursor, rest }) = self.seat.take_back() {
            if cursor != self.feed.cursor() {
                self.feed = self.log.feed(cursor);
            }
            self.unsent.extend_from_slice(&rest);
        }
    }

    /// Puts into `unsent` what the wake-up brings.
    fn take(&mut self, wake: Wake) -> Result<(), Ended> {
        match wake {
            Wake::Attached(welcome, snapshot) => {
                self.say(&welcome);
                if let Some(snapshot) = snapshot {
                    framing::text(&mut self.unsent, &snapshot);
                }
                self.say_synced(self.feed.cursor());
            }
            Wake::Stopping => return Err(Some(Closing::going_away(self.leaving.retry_after()))),
            Wake::Outgoing(Some(Outgoing::Frame(frame))) => self.say(&frame),
            Wake::Outgoing(Some(Outgoing::Answer(frame))) => self.unsent.extend_from_slice(&frame),
            Wake::Outgoing(Some(Outgoing::Close(closing))) => return Err(Some(*closing)),
            Wake::Outgoing(None) => return Err(None),
            Wake::Events(Ok(frames)) => self.take_events(&frames)?,
            Wake::Events(Err(error)) => return Err(Some(feed_ended(&error, &self.leaving))),
            Wake::Returned => {}
            Wake::PresenceSaid => self.pace.presence_at = Some(Instant::now() + PRESENCE_WINDOW),
            Wake::PresenceDue => self.say_presence(),
            Wake::Heartbeat => self.beat()?,
        }
        Ok(())
    }

    fn take_events(&mut self, frames: &[Arc<Frame>]) -> Result<(), Ended> {
        if self.feed.lag().size_bytes > LAG_SIZE_BYTES_MAX {
            return Err(Some(Closing::new(CloseCode::Slow, "too far behind; resume")));
        }
        // The replay ends at a frame of its own, so that `synced` says exactly what the client has. A frame that was
        // merged meanwhile may go a little beyond.
        let replayed = self.synced_at.map_or(0, |head| frames.partition_point(|frame| frame.first() <= head));
        let (replay, live) = frames.split_at(replayed);
        self.pace.took(live);
        for frames in [replay, live] {
            self.put_events(frames);
            if let Some(last) = frames.last() {
                self.say_synced(last.seq());
            }
        }
        self.delivered.increment(frames.len() as u64);
        Ok(())
    }

    fn put_events(&mut self, frames: &[Arc<Frame>]) {
        let merging = !self.pace.rollup.is_zero() || self.feed.lag().events > MERGE_LAG_EVENTS;
        if merging {
            for merged in merge(frames) {
                framing::text(&mut self.unsent, &merged.json);
            }
        } else {
            for frame in frames {
                framing::text(&mut self.unsent, frame.json());
            }
        }
    }

    fn say(&mut self, frame: &ControlFrame) {
        framing::text(&mut self.unsent, &text(frame));
    }

    fn say_presence(&mut self) {
        self.pace.presence_at = None;
        let participants = self.presence.take();
        if !participants.is_empty() {
            self.say(&ControlFrame::Presence(PresenceFrame { participants }));
        }
    }

    /// `synced`, if the replay is over with event `seq` and it has not been sent.
    fn say_synced(&mut self, seq: Seq) {
        if self.synced_at.take_if(|head| seq >= *head).is_some() {
            self.say(&ControlFrame::Synced(Synced { seq }));
        }
    }

    fn beat(&mut self) -> Result<(), Ended> {
        if self.pulse.is_gone(self.wire.written(), self.timing.heartbeat) {
            return Err(Some(Closing::new(CloseCode::NoPong, "no sign of life from the client")));
        }
        framing::ping(&mut self.unsent);
        self.say(&ControlFrame::Ping(Ping { head: self.log.head() }));
        Ok(())
    }

    /// Writes all there is. A client may be slow for as long as it takes something.
    async fn write(&mut self) -> Result<(), Ended> {
        match self.wire.write_all(&mut self.unsent, self.timing.write_stall_max).await {
            Ok(waited) => {
                if waited {
                    self.pulse.mark();
                }
                // Nothing waits, so nothing is held.
                self.unsent = BytesMut::new();
                Ok(())
            }
            Err(WriteError::Stalled) => {
                Err(Some(Closing::new(CloseCode::Slow, "nothing was read for too long; resume")))
            }
            Err(WriteError::Broken(error)) => {
                tracing::debug!(%error, "a connection broke");
                Err(None)
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
