//! Who is in the room: connections per participant, and the grace a participant has to come back before they have left.

use std::{collections::HashMap, time::Duration};

use cobuild_protocol::ParticipantId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a participant without a connection still counts as present: longer than a reload or a change of network.
pub(crate) const LEAVE_GRACE: Duration = Duration::from_secs(20);

/// The present participants.
#[derive(Debug, Default)]
pub(crate) struct Room {
    connections: HashMap<ParticipantId, Connections>,
    leaving: Vec<(Instant, ParticipantId)>,
}

/// One participant's connections.
#[derive(Debug, Default)]
struct Connections {
    count: usize,
    /// Cancelled when an owner removes them.
    removed: CancellationToken,
}

impl Room {
    /// A connection of this participant was opened. Returns what is cancelled when an owner removes them.
    pub(crate) fn enter(&mut self, participant: ParticipantId) -> CancellationToken {
        let connections = self.connections.entry(participant).or_default();
        connections.count += 1;
        self.leaving.retain(|(_, leaver)| *leaver != participant);
        connections.removed.clone()
    }

    /// An owner has removed this participant: their connections end. Whoever is let in again afterwards is not concerned.
    pub(crate) fn expel(&mut self, participant: ParticipantId) {
        if let Some(connections) = self.connections.get_mut(&participant) {
            std::mem::take(&mut connections.removed).cancel();
        }
    }

    /// A connection of this participant was closed.
    pub(crate) fn leave(&mut self, participant: ParticipantId, now: Instant) {
        let Some(connections) = self.connections.get_mut(&participant) else { return };
        connections.count -= 1;
        if connections.count == 0 {
            self.connections.remove(&participant);
            self.leaving.push((now + LEAVE_GRACE, participant));
        }
    }

    /// Somebody who was here before a restart may come back.
    pub(crate) fn expect(&mut self, participant: ParticipantId, now: Instant) {
        self.leaving.push((now + LEAVE_GRACE, participant));
    }

    /// Whether nobody has a connection.
    pub(crate) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// When the next participant will have left.
    pub(crate) fn next_departure(&self) -> Option<Instant> {
        self.leaving.iter().map(|(at, _)| *at).min()
    }

    /// Those whose grace is over.
    pub(crate) fn take_departed(&mut self, now: Instant) -> Vec<ParticipantId> {
        self.leaving.extract_if(.., |(at, _)| *at <= now).map(|(_, participant)| participant).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_concerns_those_who_are_there_now() {
        let (mut room, ada, bob) = (Room::default(), ParticipantId::new(1), ParticipantId::new(2));
        let (first, second, other) = (room.enter(ada), room.enter(ada), room.enter(bob));
        room.expel(ada);
        assert!(first.is_cancelled() && second.is_cancelled() && !other.is_cancelled());
        assert!(!room.enter(ada).is_cancelled(), "let in again");
    }

    #[test]
    fn a_reload_is_not_a_departure() {
        let (mut room, ada, now) = (Room::default(), ParticipantId::new(1), Instant::now());
        room.enter(ada);
        room.enter(ada);
        room.leave(ada, now);
        assert!(!room.is_empty() && room.next_departure().is_none(), "one of two connections is left");
        room.leave(ada, now);
        assert!(room.is_empty());
        room.enter(ada);
        assert!(room.take_departed(now + LEAVE_GRACE).is_empty(), "came back in time");
        room.leave(ada, now);
        assert_eq!(room.take_departed(now + LEAVE_GRACE), [ada]);
    }
}
