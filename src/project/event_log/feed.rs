//! A subscriber's cursor.

use std::sync::{Arc, PoisonError};

use cobuild_protocol::{Epoch, Seq};
use tokio::sync::watch;

use super::{CloseReason, Frame, Position, Shared, span};
use crate::project::event_store::{ReadLimits, StoreError};

/// A subscriber's place in the log. It costs the log nothing but a waker.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    position: watch::Receiver<Position>,
    cursor: Seq,
    /// The head when the subscriber came. What it replays up to here is not lag.
    attached_at: Seq,
    /// Bytes published up to the cursor, or up to `attached_at` while that is ahead.
    taken_bytes: u64,
}

/// How far a subscriber is behind, counting only what was published since it came: somebody who comes back to a long
/// replay is not slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// In events.
    pub events: u64,
    /// In bytes of frames.
    pub size_bytes: u64,
}

/// Why a feed has no more events.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FeedError {
    /// The log was closed, and everything before that was delivered.
    #[error(transparent)]
    Closed(#[from] CloseReason),
    /// Older events could not be read. The cursor has not moved; trying again is allowed.
    #[error("the events after {cursor} could not be read")]
    Store {
        /// The last event the subscriber has.
        cursor: Seq,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The log does not continue where the subscriber is. Only a snapshot helps.
    #[error("the log does not continue after event {cursor}")]
    PositionLost {
        /// The last event the subscriber has.
        cursor: Seq,
    },
}

impl Feed {
    pub(super) fn new(shared: Arc<Shared>, from: Seq) -> Self {
        let mut position = shared.position.subscribe();
        let Position { head, published_bytes, .. } = *position.borrow_and_update();
        Self { shared, position, cursor: from, attached_at: head, taken_bytes: published_bytes }
    }

    /// The life of the log the cursor counts in.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.shared.epoch
    }

    /// The last event that was taken.
    #[must_use]
    pub const fn cursor(&self) -> Seq {
        self.cursor
    }

    /// How far the subscriber is behind.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let Position { head, published_bytes, .. } = *self.position.borrow();
        Lag {
            events: head.saturating_sub(self.cursor.max(self.attached_at)),
            size_bytes: published_bytes.saturating_sub(self.taken_bytes),
        }
    }

    /// Waits until there is something after the cursor and pushes it to `out`: everything there is, up to `max_events`
    /// and about `max_bytes`, but at least one event. Nothing is ever left out.
    ///
    /// Cancelling it takes nothing: what was not pushed comes with the next call.
    ///
    /// # Errors
    ///
    /// [`FeedError`]; `out` and the cursor are as before.
    pub async fn next(
        &mut self,
        max_events: usize,
        max_bytes: usize,
        out: &mut Vec<Arc<Frame>>,
    ) -> Result<(), FeedError> {
        loop {
            // Marked as seen before looking into the ring: what is published in between wakes us at once.
            let Position { head, closed, published_bytes } = *self.position.borrow_and_update();
            if self.cursor > head {
                return Err(FeedError::PositionLost { cursor: self.cursor });
            }
            if closed == Some(CloseReason::Deleted) {
                return Err(CloseReason::Deleted.into());
            }
            if self.cursor < head {
                // Never beyond `head`: ring and store may already have more, but it is not out until the head says so.
                let published = usize::try_from(head - self.cursor).unwrap_or(usize::MAX);
                let limits = ReadLimits { events: max_events.clamp(1, published), size_bytes: max_bytes };
                if !self.take_from_ring(limits, out) {
                    self.read_store(limits, out).await?;
                }
                if self.cursor >= head {
                    // Merged frames are smaller than what was published: who has everything is not behind.
                    self.taken_bytes = self.taken_bytes.max(published_bytes);
                }
                return Ok(());
            }
            if let Some(reason) = closed {
                return Err(reason.into());
            }
            // The sender lives in `shared`, so this cannot fail while we hold that.
            self.position.changed().await.map_err(|_| CloseReason::Unloaded)?;
        }
    }

    fn take_from_ring(&mut self, limits: ReadLimits, out: &mut Vec<Arc<Frame>>) -> bool {
        let shared = Arc::clone(&self.shared);
        let ring = shared.ring.read().unwrap_or_else(PoisonError::into_inner);
        let Some(frames) = ring.frames_from(self.cursor + 1) else { return false };
        let mut size_bytes = 0;
        for frame in frames.take(limits.events) {
            size_bytes += frame.size_bytes();
            self.take(Arc::clone(frame), out);
            if size_bytes >= limits.size_bytes {
                break;
            }
        }
        true
    }

    /// Reads what the ring no longer has.
    async fn read_store(&mut self, limits: ReadLimits, out: &mut Vec<Arc<Frame>>) -> Result<(), FeedError> {
        let cursor = self.cursor;
        let read = span::read(&self.shared.store, &self.shared.project, cursor + 1, limits).await;
        let mut events = read.map_err(|error| match error {
            StoreError::Folded { .. } => FeedError::PositionLost { cursor },
            source => FeedError::Store { cursor, source },
        })?;
        // One merged frame stands for many events, so as many frames as there are events may reach beyond the head: what
        // is stored there is not out yet. The head as of now: a frame that was merged since we looked may reach beyond
        // the one we saw, and everything in it is out.
        let head = self.position.borrow().head;
        events.truncate(events.partition_point(|event| event.seq <= head));
        let mut last = cursor;
        let contiguous = events.iter().all(|event| event.first() == std::mem::replace(&mut last, event.seq) + 1);
        if events.is_empty() || !contiguous {
            return Err(FeedError::PositionLost { cursor });
        }
        for event in events {
            self.take(Arc::new(Frame::new(&self.shared.epoch, event)), out);
        }
        Ok(())
    }

    fn take(&mut self, frame: Arc<Frame>, out: &mut Vec<Arc<Frame>>) {
        self.cursor = frame.seq();
        if self.cursor > self.attached_at {
            self.taken_bytes += frame.size_bytes() as u64;
        }
        out.push(frame);
    }
}
