//! Who is in the room: connections per participant, and the grace a participant has to come back before they have left.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cobuild_protocol::ParticipantId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::allowance::Allowance;

/// How long a participant without a connection still counts as present: longer than a reload or a change of network.
pub(crate) const LEAVE_GRACE: Duration = Duration::from_secs(20);

/// The present participants.
#[derive(Debug, Default)]
pub(crate) struct Room {
    connections: HashMap<ParticipantId, Connections>,
    leaving: Vec<Leaver>,
    /// What each may ask for, kept until they have left: coming back does not renew it.
    allowances: HashMap<ParticipantId, Arc<Allowance>>,
}

/// What a new connection is given.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Cancelled when an owner removes its participant.
    pub(crate) removed: CancellationToken,
    /// What its participant may ask for.
    pub(crate) allowance: Arc<Allowance>,
}

/// A participant without a connection, who may still come back.
#[derive(Debug)]
struct Leaver {
    participant: ParticipantId,
    party: Option<Arc<str>>,
    /// Until then.
    until: Instant,
}

/// One participant's connections.
#[derive(Debug, Default)]
struct Connections {
    count: usize,
    /// Those they came with.
    party: Option<Arc<str>>,
    /// Cancelled when an owner removes them.
    removed: CancellationToken,
}

impl Room {
    /// A connection of this participant was opened.
    pub(crate) fn enter(&mut self, participant: ParticipantId, party: Option<Arc<str>>, now: Instant) -> Seat {
        let connections = self.connections.entry(participant).or_default();
        connections.count += 1;
        connections.party = party;
        self.leaving.retain(|leaver| leaver.participant != participant);
        let allowance = self.allowances.entry(participant).or_insert_with(|| Arc::new(Allowance::new(now)));
        Seat { removed: connections.removed.clone(), allowance: Arc::clone(allowance) }
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
            let party = connections.party.take();
            self.connections.remove(&participant);
            self.leaving.push(Leaver { participant, party, until: now + LEAVE_GRACE });
        }
    }

    /// Somebody who was here before a restart may come back.
    pub(crate) fn expect(&mut self, participant: ParticipantId, now: Instant) {
        self.leaving.push(Leaver { participant, party: None, until: now + LEAVE_GRACE });
    }

    /// How many participants without a connection still count as present, and how many of them came with this party.
    pub(crate) fn leaving(&self, party: Option<&str>) -> (usize, usize) {
        let theirs = |leaver: &&Leaver| party.is_some() && leaver.party.as_deref() == party;
        (self.leaving.len(), self.leaving.iter().filter(theirs).count())
    }

    /// Whether nobody has a connection.
    pub(crate) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// When the next participant will have left.
    pub(crate) fn next_departure(&self) -> Option<Instant> {
        self.leaving.iter().map(|leaver| leaver.until).min()
    }

    /// Those whose grace is over.
    pub(crate) fn take_departed(&mut self, now: Instant) -> Vec<ParticipantId> {
        let departed: Vec<_> =
            self.leaving.extract_if(.., |leaver| leaver.until <= now).map(|leaver| leaver.participant).collect();
        for participant in &departed {
            self.allowances.remove(participant);
        }
        departed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_concerns_those_who_are_there_now() {
        let (mut room, ada, bob) = (Room::default(), ParticipantId::new(1), ParticipantId::new(2));
        let now = Instant::now();
        let mut enter = |participant| room.enter(participant, None, now).removed;
        let (first, second, other) = (enter(ada), enter(ada), enter(bob));
        room.expel(ada);
        assert!(first.is_cancelled() && second.is_cancelled() && !other.is_cancelled());
        assert!(!room.enter(ada, None, now).removed.is_cancelled(), "let in again");
    }

    #[test]
    fn a_reload_is_not_a_departure() {
        let (mut room, ada, now) = (Room::default(), ParticipantId::new(1), Instant::now());
        let party = || Some("link".into());
        let first = room.enter(ada, party(), now);
        room.enter(ada, party(), now);
        room.leave(ada, now);
        assert_eq!(room.leaving(Some("link")), (0, 0));
        assert!(!room.is_empty() && room.next_departure().is_none(), "one of two connections is left");
        room.leave(ada, now);
        assert!(room.is_empty());
        assert_eq!([room.leaving(Some("link")), room.leaving(None)], [(1, 1), (1, 0)]);
        let again = room.enter(ada, party(), now);
        assert!(Arc::ptr_eq(&first.allowance, &again.allowance), "coming back does not renew it");
        assert!(room.take_departed(now + LEAVE_GRACE).is_empty(), "came back in time");
        room.leave(ada, now);
        assert_eq!(room.take_departed(now + LEAVE_GRACE), [ada]);
        assert!(room.allowances.is_empty() && room.leaving(None) == (0, 0));
    }
}
