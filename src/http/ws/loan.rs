//! Whose turn it is to write to a socket: the connection's own, or – while it is lent – that of the room's caster.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cobuild_protocol::Seq;
use tokio::sync::Notify;

/// One socket's. At first nobody's turn but the connection's.
#[derive(Debug, Default)]
pub(super) struct Loan {
    turn: Mutex<Turn>,
    returned: Notify,
}

/// Who may write.
#[derive(Debug, Default)]
enum Turn {
    /// The connection itself.
    #[default]
    Own,
    /// The caster; everything up to here is written.
    Lent(Seq),
    /// Nobody until the connection has taken it back.
    Returned(Returned),
    /// Nobody any more.
    Over,
}

/// Where the caster left off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Returned {
    /// Everything up to here is written, once `rest` is.
    pub(super) cursor: Seq,
    /// The end of a batch that the socket did not take.
    pub(super) rest: Bytes,
}

/// What became of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visited {
    /// So many events are with the client, or on their way.
    Here { events: u64 },
    /// The connection is gone.
    Gone,
}

/// The connection's side.
impl Loan {
    /// From here on the caster writes what comes after `cursor`.
    pub(super) fn lend(&self, cursor: Seq) {
        *self.turn() = Turn::Lent(cursor);
    }

    /// Undoes that. `false`: the caster has begun.
    pub(super) fn lend_not(&self, cursor: Seq) -> bool {
        let mut turn = self.turn();
        let untouched = matches!(*turn, Turn::Lent(now) if now == cursor);
        if untouched {
            *turn = Turn::Own;
        }
        untouched
    }

    /// Waits until the caster has given the socket back. May also return without that.
    pub(super) async fn returned(&self) {
        self.returned.notified().await;
    }

    /// Takes the socket back, whoever has it. `None`: it was not lent.
    pub(super) fn take_back(&self) -> Option<Returned> {
        match std::mem::take(&mut *self.turn()) {
            Turn::Lent(cursor) => Some(Returned { cursor, rest: Bytes::new() }),
            Turn::Returned(returned) => Some(returned),
            Turn::Own | Turn::Over => None,
        }
    }

    /// Nobody is to write any more: the connection has said its last word.
    pub(super) fn end(&self) {
        *self.turn() = Turn::Over;
    }
}

/// The caster's side.
impl Loan {
    pub(super) fn is_over(&self) -> bool {
        matches!(*self.turn(), Turn::Over)
    }

    /// If the socket is lent, lets `write` do its work: from where to where, and what is left of it. With something left,
    /// or nothing done, the socket goes back.
    pub(super) fn visit(&self, write: impl FnOnce(Seq) -> Option<(Seq, Bytes)>) -> Visited {
        let mut turn = self.turn();
        let before = match *turn {
            Turn::Lent(cursor) => cursor,
            Turn::Own | Turn::Returned(_) => return Visited::Here { events: 0 },
            Turn::Over => return Visited::Gone,
        };
        let (cursor, rest) = match write(before) {
            Some((cursor, rest)) if rest.is_empty() => {
                *turn = Turn::Lent(cursor);
                return Visited::Here { events: cursor - before };
            }
            Some(partly) => partly,
            None => (before, Bytes::new()),
        };
        *turn = Turn::Returned(Returned { cursor, rest });
        drop(turn);
        self.returned.notify_one();
        Visited::Here { events: cursor - before }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
