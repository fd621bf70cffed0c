//! A project's events on their way to its subscribers: a ring of encoded frames, and one cursor per subscriber.
//!
//! The actor appends a batch to the store first and publishes it here once it is stored. The ring is only a cache of
//! the log's end: a subscriber whose cursor is older reads from the store, and one that goes on live reads from the
//! ring, through the same [`Feed::next`]. There is no queue per subscriber, so memory is bounded by the ring and a slow
//! one never slows the actor or the others.
//!
//! Knows nothing of sockets, and of what an event means only whether it is a delta.

mod feed;
mod frame;
mod merge;
mod ring;
pub(in crate::project) mod span;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use cobuild_protocol::{Epoch, ProjectId, Seq};
use tokio::sync::watch;

pub(in crate::project) use self::merge::append_delta;
use self::ring::Ring;
pub use self::{
    feed::{Feed, FeedError, Lag},
    frame::{Frame, FrameKind, server_sent},
    merge::{MERGE_LAG_EVENTS, Merged, merge},
    ring::RingLimits,
};
use crate::project::event_store::{SharedStore, StoredEvent};

/// Why a log takes no more events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The project left memory or the server stops; it is all in the store. Come back and resume.
    #[error("the project was closed")]
    Unloaded,
    /// The project is gone for good.
    #[error("the project was deleted")]
    Deleted,
    /// The log cannot be continued: another writer took it over, or the store is damaged.
    #[error("the project's log failed")]
    Failed,
}

/// The writing end of a project's log. There is one, and its actor owns it.
///
/// Dropping it closes the log as [`CloseReason::Unloaded`].
#[derive(Debug)]
pub struct EventLog {
    shared: Arc<Shared>,
}

/// The reading end: hands out feeds.
#[derive(Debug, Clone)]
pub struct EventLogReader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    project: ProjectId,
    /// Shared with every frame, which needs it for its SSE form.
    epoch: Arc<Epoch>,
    store: SharedStore,
    ring: RwLock<Ring>,
    /// The last event that is no longer kept as such. It only grows.
    base: AtomicU64,
    /// Changed after the ring, so that whoever sees a head finds its events.
    position: watch::Sender<Position>,
}

/// Where the log stands.
#[derive(Debug, Clone, Copy)]
struct Position {
    head: Seq,
    /// Bytes of frames published since the log was opened.
    published_bytes: u64,
    closed: Option<CloseReason>,
}

impl EventLog {
    /// The log of a project whose stored events end at `head`.
    #[must_use]
    pub fn new(project: ProjectId, epoch: Epoch, head: Seq, store: SharedStore) -> Self {
        Self::with_limits(project, epoch, head, store, RingLimits::default())
    }

    /// The same with another size of the ring.
    #[must_use]
    pub fn with_limits(project: ProjectId, epoch: Epoch, head: Seq, store: SharedStore, limits: RingLimits) -> Self {
        let (position, _) = watch::channel(Position { head, published_bytes: 0, closed: None });
        let ring = RwLock::new(Ring::new(limits));
        let base = AtomicU64::new(0);
        Self { shared: Arc::new(Shared { project, epoch: Arc::new(epoch), store, ring, base, position }) }
    }

    /// Says that the store keeps events up to `base` no longer one by one.
    pub fn set_base(&self, base: Seq) {
        self.shared.base.fetch_max(base, Ordering::AcqRel);
    }

    /// The reading end.
    #[must_use]
    pub fn reader(&self) -> EventLogReader {
        EventLogReader { shared: Arc::clone(&self.shared) }
    }

    /// The last published event.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.shared.position.borrow().head
    }

    /// Shows stored events to every subscriber. The store must have confirmed them: a client must never hold an event
    /// that a restart could lose.
    ///
    /// Events that don't continue at the head are a bug of the caller. They are not hidden: the ring is emptied, so
    /// every subscriber reads on from the store, which has the events or makes [`Feed::next`] fail.
    pub fn publish(&mut self, events: Vec<StoredEvent>) {
        let Some(head) = events.last().map(|event| event.seq) else { return };
        let frames: Vec<_> = events.into_iter().map(|event| Arc::new(Frame::new(&self.shared.epoch, event))).collect();
        let size_bytes: u64 = frames.iter().map(|frame| frame.size_bytes() as u64).sum();
        let expected = self.head() + 1;
        self.shared.ring.write().unwrap_or_else(PoisonError::into_inner).extend(expected, frames);
        self.shared.position.send_modify(|position| {
            position.head = position.head.max(head);
            position.published_bytes += size_bytes;
        });
    }

    /// Ends every feed: after the events it still has to deliver, or at once when the project was deleted. The first
    /// reason stays.
    pub fn close(&self, reason: CloseReason) {
        self.shared.position.send_modify(|position| {
            position.closed.get_or_insert(reason);
        });
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.close(CloseReason::Unloaded);
    }
}

impl EventLogReader {
    /// The last published event.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.shared.position.borrow().head
    }

    /// The life of the log.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.shared.epoch
    }

    /// Whether both read the same log, in the same stay in memory.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// The last event that is no longer kept as such, 0 while all are: where the oldest feed can begin.
    #[must_use]
    pub fn base(&self) -> Seq {
        self.shared.base.load(Ordering::Acquire)
    }

    /// The events after `from`, stored and future. `from` must be between base and head: no other position is one of
    /// this log, and the feed fails with [`FeedError::PositionLost`].
    #[must_use]
    pub fn feed(&self, from: Seq) -> Feed {
        Feed::new(Arc::clone(&self.shared), from)
    }
}
