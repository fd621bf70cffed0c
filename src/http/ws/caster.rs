//! Writes what a model says to all sockets of a room in one go.
//!
//! Waking a task per viewer for every delta costs more than the delivery itself. So a connection that is up to date lends
//! its socket to the room's caster: one task that follows the log, puts each batch of deltas into frames once, and writes
//! them to every lent socket without ever waiting. It gives a socket back when that does not take everything at once,
//! when it missed something, and whenever there is an event that is not a delta, which each connection looks at itself.
//! The connection then goes on from its own cursor, as it would without a caster. So a slow viewer is never waited for,
//! and what can happen to a connection is decided in one place, its writer.

use std::{
    hint::black_box,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use cobuild_protocol::{ProjectId, Seq};
use dashmap::{DashMap, Entry};
use tokio::task::yield_now;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    framing,
    loan::{Returned, Visited},
    wire::{Wire, WireOnLoan},
};
use crate::{
    http::figures::{self, Transport},
    project::event_log::{EventLogReader, Feed, Frame},
};

/// Most events and bytes written to a socket at once.
const BATCH_EVENTS_MAX: usize = 256;
const BATCH_SIZE_BYTES_MAX: usize = 64 * 1024;
/// Sockets written to between two chances for other tasks: about half a millisecond.
const SOCKETS_BETWEEN_YIELDS: usize = 128;
/// Sockets looked up at once: as many as a core waits for side by side.
const SOCKETS_LOOKED_UP: usize = 16;

/// The casters of all rooms with somebody in them.
#[derive(Debug, Clone)]
pub(crate) struct Casters {
    rooms: Arc<DashMap<ProjectId, Weak<Caster>>>,
    tasks: TaskTracker,
}

/// One room's caster. It ends when its last seat is given up.
#[derive(Debug)]
struct Caster {
    log: EventLogReader,
    /// Those that are new since the caster last looked.
    arrivals: Mutex<Vec<WireOnLoan>>,
    /// It has stopped writing and never will again.
    over: AtomicBool,
    _stop: DropGuard,
}

/// A connection's seat in its room. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Seat {
    wire: Wire,
    caster: Arc<Caster>,
}

impl Casters {
    /// Their tasks are among `tasks`.
    pub(crate) fn new(tasks: TaskTracker) -> Self {
        Self { rooms: Arc::default(), tasks }
    }

    /// A seat in the room whose log this is. A connection takes one.
    pub(super) fn seat(&self, project: &ProjectId, log: &EventLogReader, wire: Wire) -> Seat {
        let caster = self.caster(project, log);
        let mut arrivals = lock(&caster.arrivals);
        // In a room where nothing happens the caster does not look, and people come and go all the same.
        arrivals.retain(|place| place.wire().is_some_and(|wire| !wire.loan().is_over()));
        arrivals.push(wire.on_loan());
        drop(arrivals);
        Seat { wire, caster }
    }

    fn caster(&self, project: &ProjectId, log: &EventLogReader) -> Arc<Caster> {
        let mut entry = match self.rooms.entry(project.clone()) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => entry.insert_entry(Weak::new()),
        };
        // The log of a project that left memory and came back is another one.
        let goes_on = |caster: &Arc<Caster>| caster.log.is_same(log) && !caster.over.load(Ordering::SeqCst);
        let same = entry.get().upgrade().filter(goes_on);
        same.unwrap_or_else(|| {
            let stop = CancellationToken::new();
            let caster = Arc::new(Caster {
                log: log.clone(),
                arrivals: Mutex::default(),
                over: AtomicBool::new(false),
                _stop: stop.clone().drop_guard(),
            });
            entry.insert(Arc::downgrade(&caster));
            let (rooms, project, weak) = (Arc::clone(&self.rooms), project.clone(), Arc::downgrade(&caster));
            let feed = log.feed(log.head());
            self.tasks.spawn(async move {
                cast(&weak, feed, &stop).await;
                rooms.remove_if(&project, |_, caster| Weak::ptr_eq(caster, &weak) || caster.strong_count() == 0);
            });
            caster
        })
    }
}

impl Seat {
    /// Lends the socket: from here on the caster writes what comes after `cursor`. `false`: it cannot; then the connection
    /// goes on by itself.
    pub(super) fn lend(&self, cursor: Seq) -> bool {
        self.wire.loan().lend(cursor);
        // Looked at only now: whatever is published from here on, the caster finds this socket lent.
        let missed = self.caster.log.head() > cursor || self.caster.over.load(Ordering::SeqCst);
        !(missed && self.wire.loan().lend_not(cursor))
    }

    /// Waits until the caster has given the socket back. May also return without that.
    pub(super) async fn returned(&self) {
        self.wire.loan().returned().await;
    }

    /// Takes the socket back, whoever has it. `None`: it was not lent.
    pub(super) fn take_back(&self) -> Option<Returned> {
        self.wire.loan().take_back()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.wire.loan().end();
    }
}

/// Events as one piece of bytes, and where each of them ends.
struct Batch {
    after: Seq,
    bytes: Bytes,
    ends: Vec<(Seq, usize)>,
}

impl Batch {
    /// `None`: not all of them are deltas.
    fn new(after: Seq, frames: &[Arc<Frame>]) -> Option<Self> {
        let mut bytes =
            BytesMut::with_capacity(frames.iter().map(|frame| frame.size_bytes() + framing::HEAD_SIZE_BYTES_MAX).sum());
        let mut ends = Vec::with_capacity(frames.len());
        for frame in frames {
            if !frame.kind().is_delta() {
                return None;
            }
            framing::text(&mut bytes, frame.json());
            ends.push((frame.seq(), bytes.len()));
        }
        Some(Self { after, bytes: bytes.freeze(), ends })
    }

    fn last(&self) -> Seq {
        self.ends.last().map_or(self.after, |(seq, _)| *seq)
    }

    /// Where in it begins what somebody lacks who has everything up to `cursor`. `None`: they lack more than it has.
    fn after(&self, cursor: Seq) -> Option<usize> {
        if cursor >= self.last() {
            return Some(self.bytes.len());
        }
        if cursor == self.after {
            return Some(0);
        }
        let (_, end) = self.ends.iter().find(|(seq, _)| *seq == cursor)?;
        Some(*end)
    }

    /// Writes what somebody lacks who has everything up to `cursor`: where they are then, once they have the rest, too.
    /// `None`: it cannot be said.
    fn write(&self, wire: &Wire, cursor: Seq) -> Option<(Seq, Bytes)> {
        let from = self.after(cursor)?;
        let lacking = &self.bytes[from..];
        // What is wrong with a socket its connection finds out by itself, with the next write.
        let taken = if lacking.is_empty() { 0 } else { wire.write_now(lacking).unwrap_or(0) };
        let rest = if taken == lacking.len() { Bytes::new() } else { self.bytes.slice(from + taken..) };
        Some((self.last().max(cursor), rest))
    }
}

/// Follows the log until the room is empty or the log ends.
async fn cast(caster: &Weak<Caster>, mut feed: Feed, stop: &CancellationToken) {
    let mut places = Vec::new();
    let delivered = figures::delivered(Transport::WebSocket);
    loop {
        let (after, mut frames) = (feed.cursor(), Vec::new());
        let read = tokio::select! {
            () = stop.cancelled() => return,
            read = feed.next(BATCH_EVENTS_MAX, BATCH_SIZE_BYTES_MAX, &mut frames) => read,
        };
        let Some(caster) = caster.upgrade() else { return };
        if read.is_err() {
            caster.over.store(true, Ordering::SeqCst);
        }
        places.append(&mut lock(&caster.arrivals));
        drop(caster);
        let batch = Batch::new(after, &frames).filter(|_| read.is_ok());
        let written = visit(&mut places, batch.as_ref()).await;
        delivered.increment(written);
        if read.is_err() {
            return;
        }
    }
}

/// Writes to all, or gives all back; forgets those that are gone. Says how many events it has delivered.
async fn visit(places: &mut Vec<WireOnLoan>, batch: Option<&Batch>) -> u64 {
    let (mut at, mut delivered) = (0, 0);
    while at < places.len() {
        if at % SOCKETS_LOOKED_UP == 0 {
            look_up(&places[at..(at + SOCKETS_LOOKED_UP).min(places.len())]);
        }
        let visited = places[at].wire().map_or(Visited::Gone, |wire| {
            wire.loan().visit(|cursor| batch.and_then(|batch| batch.write(&wire, cursor)))
        });
        match visited {
            Visited::Gone => drop(places.swap_remove(at)),
            Visited::Here { events } => {
                delivered += events;
                at += 1;
                if at % SOCKETS_BETWEEN_YIELDS == 0 {
                    yield_now().await;
                }
            }
        }
    }
    delivered
}

/// Looks at some sockets before any of them is written to. In a large room no cache holds a socket from one event to the
/// next, and waiting for the memory of many at once takes hardly longer than for that of one.
fn look_up(places: &[WireOnLoan]) {
    for place in places {
        black_box(place.exists());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
