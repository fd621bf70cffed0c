//! People who come, read on, fall behind and are cut off.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cobuild_protocol::{
    Cursor, Epoch, EventFrame, ParticipantId, Seq,
    frame::{AttachMode, ControlFrame},
    value::Role,
};
use tokio::time::timeout;

use super::{House, RING_LIMITS, What, note};
use crate::project::{
    Identity, Member, ProjectHandle, Subscription,
    event_log::{Feed, FeedError, merge},
    testing::within,
};

/// So many events behind, somebody's deltas are merged.
const LAG: Seq = 8;

/// Somebody who comes and goes.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) number: usize,
    pub(super) place: Option<Place>,
    pub(super) participant: Option<ParticipantId>,
    pub(super) epoch: Option<Epoch>,
    /// The last event they have seen, one by one or as part of a snapshot.
    pub(super) last: Seq,
    /// Nothing is read before this event has happened; what is read then is merged, as for any who are behind.
    pub(super) lags_until: Option<Seq>,
    /// Frames nobody has looked at yet: the places each stands for, and what it says.
    pub(super) seen: Vec<(Seq, Seq, Bytes)>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) handle: ProjectHandle,
    pub(super) member: Arc<Member>,
    pub(super) feed: Feed,
}

impl Person {
    fn cursor(&self) -> Option<Cursor> {
        self.epoch.clone().map(|epoch| Cursor { epoch, seq: self.last })
    }

    fn identity(&self) -> Identity {
        let name = Some(format!("person {}", self.number));
        let role = if self.number == 0 { Role::Owner } else { Role::Editor };
        Identity { key: name.clone(), name, party: None, role, looks: true }
    }
}

impl House {
    pub(super) fn connect(&mut self, number: usize, anew: bool) {
        let room = self.room.as_ref().expect("the server is up");
        let person = &self.people[number];
        if person.place.is_some() {
            return;
        }
        let since = person.cursor().filter(|_| !anew);
        let joined = self.block_on(async {
            let handle = within(room.handle()).await;
            (within(handle.join(person.identity(), since.clone())).await, handle)
        });
        let (Ok(subscription), handle) = joined else {
            self.look_until(Seq::MAX);
            assert!(self.disk_full || self.is_removed(number), "{:?}", joined.0);
            return;
        };
        let Subscription { member, mode, epoch, head, snapshot, feed } = subscription;
        self.look_until(head);
        assert!(!self.is_removed(number), "whoever was removed is out");
        // The store may already have what the room has not heard of yet.
        let lost = since.as_ref().is_some_and(|since| since.seq < self.kept().base);
        if snapshot.is_some() {
            note(if lost { What::PlaceLost } else { What::CameNew });
        }
        match (since.filter(|_| !(lost && snapshot.is_some())), snapshot) {
            (Some(since), None) => {
                let expected = if since.seq == head { AttachMode::Live } else { AttachMode::Resumed };
                assert_eq!((mode, epoch.clone(), feed.cursor()), (expected, since.epoch, since.seq));
                note(if mode == AttachMode::Live { What::CameBackInStep } else { What::Resumed });
            }
            (None, Some(snapshot)) => {
                let frame: ControlFrame = serde_json::from_slice(&snapshot).unwrap();
                let ControlFrame::Snapshot(frame) = frame else { panic!("{frame:?}") };
                assert_eq!((mode, frame.seq, feed.cursor()), (AttachMode::Snapshot, head, head));
                assert_eq!(frame.state, self.record.fold.view, "the snapshot is the fold of the log");
                self.people[number].last = head;
            }
            (since, snapshot) => panic!("{since:?} was answered with {mode:?} {snapshot:?}"),
        }
        let person = &mut self.people[number];
        person.participant = Some(member.participant());
        person.epoch = Some(epoch);
        self.project = Some(handle.clone());
        person.place = Some(Place { handle, member: Arc::new(member), feed });
    }

    /// Whether an owner has removed this person.
    pub(super) fn is_removed(&self, number: usize) -> bool {
        let participants = &self.record.fold.view.participants;
        self.people[number].participant.and_then(|known| participants.get(&known)).is_some_and(|known| known.removed)
    }

    pub(super) fn cut(&mut self, number: usize) {
        let person = &mut self.people[number];
        person.lags_until = None;
        if person.place.take().is_some() {
            note(What::Cut);
        }
        for lost in self.under_way.extract_if(.., |under_way| under_way.person == number) {
            lost.reply.abort();
        }
    }

    pub(super) fn lag(&mut self, number: usize) {
        let person = &mut self.people[number];
        if person.place.is_some() {
            person.lags_until.get_or_insert(self.record.head() + LAG);
        }
    }

    pub(super) fn read(&mut self, number: usize, events_max: usize) {
        let runtime = self.runtime.as_ref().expect("the server is up");
        let person = &mut self.people[number];
        let Some(place) = &mut person.place else { return };
        if place.member.removed().is_cancelled() {
            return self.cut(number);
        }
        if person.lags_until.is_some_and(|seq| self.record.head() < seq) {
            return;
        }
        let lagged = person.lags_until.take().is_some();
        if lagged {
            note(What::Lagged);
        }
        if self.record.head() - person.last > RING_LIMITS.frames as Seq {
            note(What::ReadBehindTheRing);
        }
        let mut frames = Vec::new();
        // Whatever comes, comes at once: waiting any longer is waiting for others.
        let next = place.feed.next(events_max, usize::MAX, &mut frames);
        let read = runtime.block_on(async { timeout(Duration::from_millis(1), next).await });
        let frames: Vec<(Seq, Seq, Bytes)> = if lagged {
            merge(&frames).into_iter().map(|merged| (first_of(&merged.json), merged.seq, merged.json)).collect()
        } else {
            frames.iter().map(|frame| (frame.first(), frame.seq(), frame.json().clone())).collect()
        };
        for (first, last, json) in frames {
            assert_eq!(first, person.last + 1, "no gap and no repetition");
            if lagged && first < last {
                note(What::ReadMerged);
            }
            person.last = last;
            person.seen.push((first, last, json));
        }
        match read {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(FeedError::Closed(_))) => self.cut(number),
            // Coming back, they get a snapshot.
            Ok(Err(FeedError::PositionLost { cursor })) => {
                assert!(cursor < self.kept().base, "{cursor} is still there");
                self.cut(number);
            }
            Ok(Err(error)) => panic!("{error}"),
        }
    }
}

/// The first place a frame stands for.
fn first_of(json: &Bytes) -> Seq {
    let frame: EventFrame = serde_json::from_slice(json).unwrap();
    frame.seq_first.unwrap_or(frame.seq)
}
