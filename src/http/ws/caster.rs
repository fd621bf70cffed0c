//! Writes what a model says to all sockets of a room in one go.
//!
//! Waking a task per viewer for every delta costs more than the delivery itself. So a connection that is up to date lends
//! its socket to the room's caster: one task that follows the log, puts each batch of deltas into frames once, and writes
//! them to every lent socket without ever waiting. It gives a socket back when that does not take everything at once,
//! when it missed something, and whenever there is an event that is not a delta, which each connection looks at itself.
//! The connection then goes on from its own cursor, as it would without a caster. So a slow viewer is never waited for,
//! and what can happen to a connection is decided in one place, its writer.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicBool, Ordering},
};

use bytes::{Bytes, BytesMut};
use cobuild_protocol::{ProjectId, Seq};
use dashmap::{DashMap, Entry};
use tokio::{sync::Notify, task::yield_now};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{framing, wire::Wire};
use crate::{
    http::figures::{self, Transport},
    project::event_log::{EventLogReader, Feed, Frame},
};

/// Most events and bytes written to a socket at once.
const BATCH_EVENTS_MAX: usize = 256;
const BATCH_SIZE_BYTES_MAX: usize = 64 * 1024;
/// Sockets written to between two chances for other tasks: about half a millisecond.
const SOCKETS_BETWEEN_YIELDS: usize = 128;

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
    arrivals: Mutex<Vec<Arc<Place>>>,
    /// It has stopped writing and never will again.
    over: AtomicBool,
    _stop: DropGuard,
}

/// A connection's seat in its room. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Seat {
    wire: Wire,
    caster: Arc<Caster>,
    place: Arc<Place>,
}

/// What caster and connection share.
#[derive(Debug)]
struct Place {
    turn: Mutex<Turn>,
    returned: Notify,
}

/// Who may write to the socket.
#[derive(Debug)]
enum Turn {
    /// The connection itself.
    Own,
    /// The caster; everything up to `cursor` is written. Only now does it have the socket: one that has ended must not
    /// stay open because the caster has not looked for a while.
    Lent { cursor: Seq, wire: Wire },
    /// Nobody until the connection has taken it back.
    Returned(Returned),
    /// Nobody any more.
    Gone,
}

/// Where the caster left off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Returned {
    /// Everything up to here is written, once `rest` is.
    pub(super) cursor: Seq,
    /// The end of a batch that the socket did not take.
    pub(super) rest: Bytes,
}

impl Casters {
    /// Their tasks are among `tasks`.
    pub(crate) fn new(tasks: TaskTracker) -> Self {
        Self { rooms: Arc::default(), tasks }
    }

    /// A seat in the room whose log this is.
    pub(super) fn seat(&self, project: &ProjectId, log: &EventLogReader, wire: Wire) -> Seat {
        let caster = self.caster(project, log);
        let place = Arc::new(Place { turn: Mutex::new(Turn::Own), returned: Notify::new() });
        let mut arrivals = lock(&caster.arrivals);
        // In a room where nothing happens the caster does not look, and people come and go all the same.
        arrivals.retain(|place| !matches!(*lock(&place.turn), Turn::Gone));
        arrivals.push(Arc::clone(&place));
        drop(arrivals);
        Seat { wire, caster, place }
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
        *lock(&self.place.turn) = Turn::Lent { cursor, wire: self.wire.clone() };
        // Looked at only now: whatever is published from here on, the caster finds this socket lent.
        let missed = self.caster.log.head() > cursor || self.caster.over.load(Ordering::SeqCst);
        if missed {
            let mut turn = lock(&self.place.turn);
            if matches!(*turn, Turn::Lent { cursor: now, .. } if now == cursor) {
                *turn = Turn::Own;
                return false;
            }
        }
        true
    }

    /// Waits until the caster has given the socket back. May also return without that.
    pub(super) async fn returned(&self) {
        self.place.returned.notified().await;
    }

    /// Takes the socket back, whoever has it. `None`: it was not lent.
    pub(super) fn take_back(&self) -> Option<Returned> {
        match std::mem::replace(&mut *lock(&self.place.turn), Turn::Own) {
            Turn::Lent { cursor, .. } => Some(Returned { cursor, rest: Bytes::new() }),
            Turn::Returned(returned) => Some(returned),
            Turn::Own | Turn::Gone => None,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        *lock(&self.place.turn) = Turn::Gone;
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

    /// Where in it begins what somebody lacks who has everything up to `cursor`. `None`: before it.
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
}

/// What became of a visit.
enum Visited {
    /// So many events are with the client, or on their way.
    Here { events: u64 },
    /// The connection is gone.
    Gone,
}

impl Visited {
    const NOTHING: Self = Self::Here { events: 0 };
}

impl Place {
    /// Writes the batch if the socket is lent.
    fn write(&self, batch: &Batch) -> Visited {
        let mut turn = lock(&self.turn);
        let (cursor, wire) = match &mut *turn {
            Turn::Gone => return Visited::Gone,
            Turn::Own | Turn::Returned(_) => return Visited::NOTHING,
            Turn::Lent { cursor, wire } => (cursor, wire),
        };
        let Some(from) = batch.after(*cursor) else {
            let cursor = *cursor;
            return self.hand_back(turn, Returned { cursor, rest: Bytes::new() }, 0);
        };
        let before = std::mem::replace(cursor, batch.last().max(*cursor));
        let events = *cursor - before;
        // What is wrong with a socket its connection finds out by itself, with the next write.
        let lacking = &batch.bytes[from..];
        let taken = if lacking.is_empty() { 0 } else { wire.write_now(lacking).unwrap_or(0) };
        if taken == lacking.len() {
            return Visited::Here { events };
        }
        let returned = Returned { cursor: *cursor, rest: batch.bytes.slice(from + taken..) };
        self.hand_back(turn, returned, events)
    }

    /// Gives the socket back if it is lent.
    fn give_back(&self) -> Visited {
        let turn = lock(&self.turn);
        match *turn {
            Turn::Gone => Visited::Gone,
            Turn::Own | Turn::Returned(_) => Visited::NOTHING,
            Turn::Lent { cursor, .. } => self.hand_back(turn, Returned { cursor, rest: Bytes::new() }, 0),
        }
    }

    fn hand_back(&self, mut turn: MutexGuard<'_, Turn>, returned: Returned, events: u64) -> Visited {
        *turn = Turn::Returned(returned);
        drop(turn);
        self.returned.notify_one();
        Visited::Here { events }
    }
}

/// Follows the log until the room is empty or the log ends.
async fn cast(caster: &Weak<Caster>, mut feed: Feed, stop: &CancellationToken) {
    let mut places: Vec<Arc<Place>> = Vec::new();
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
async fn visit(places: &mut Vec<Arc<Place>>, batch: Option<&Batch>) -> u64 {
    let (mut at, mut delivered) = (0, 0);
    while at < places.len() {
        let visited = match batch {
            Some(batch) => places[at].write(batch),
            None => places[at].give_back(),
        };
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
