//! Whose prompt is next: runs that wait, taken in turn from each participant, so that ten prompts of one person do not
//! starve another's. Pure.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use cobuild_protocol::{ParticipantId, RunId};

use super::run::Work;

/// Most runs that wait in one project. A run takes tens of seconds, so sixteen are already several minutes of waiting;
/// beyond that people are better served by `queue_full` than by a longer line.
pub const QUEUE_MAX: usize = 16;

/// Most of these of one participant, or of all guests of one share link: nobody alone can fill the line for the others,
/// nor by coming in as several.
pub const QUEUE_SHARE_MAX: usize = QUEUE_MAX / 2;

/// A run that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) run: RunId,
    pub(crate) by: ParticipantId,
    /// Those its author came with.
    pub(crate) party: Option<Arc<str>>,
    pub(crate) work: Work,
}

/// The waiting runs, in the order they will be taken.
#[derive(Debug, Default)]
pub(crate) struct RunQueue {
    waiting: VecDeque<Waiting>,
    /// Those of them that interrupted a run and are next, in this order; at most one of a participant.
    urgent: Vec<RunId>,
    /// Whose run is under way, or was the last: it counts as their turn in the first round.
    served: Option<ParticipantId>,
}

impl RunQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a waiting run needs a sandbox.
    pub(crate) fn needs_sandbox(&self) -> bool {
        self.waiting.iter().any(|waiting| waiting.work.needs_sandbox())
    }

    /// Whether no further run of this participant, who came with this party, may wait.
    pub(crate) fn is_full_for(&self, by: ParticipantId, party: Option<&str>) -> bool {
        let together = |waiting: &&Waiting| party.is_some() && waiting.party.as_deref() == party;
        let of_party = self.waiting.iter().filter(together).count();
        self.waiting.len() >= QUEUE_MAX || self.count(by) >= QUEUE_SHARE_MAX || of_party >= QUEUE_SHARE_MAX
    }

    /// The run of this participant that interrupted another and has not begun.
    pub(crate) fn interruption_of(&self, by: ParticipantId) -> Option<RunId> {
        self.urgent.iter().copied().find(|run| self.author(*run) == Some(by))
    }

    /// How many wait that interrupted a run.
    pub(crate) fn interruptions(&self) -> usize {
        self.urgent.len()
    }

    /// A run of this participant begins.
    pub(crate) fn serve(&mut self, by: ParticipantId) {
        self.served = Some(by);
    }

    /// Where a new run of this participant would stand, from 1: behind as many runs of everybody else as they have
    /// runs of their own up to and including this one.
    pub(crate) fn position_for(&self, by: ParticipantId) -> u32 {
        u32::try_from(self.index_for(by) + 1).unwrap_or(u32::MAX)
    }

    /// Lines a run up.
    pub(crate) fn push(&mut self, waiting: Waiting) {
        let at = self.index_for(waiting.by);
        self.waiting.insert(at, waiting);
    }

    /// Lines a run up before all others, but those that came in the same way before it.
    pub(crate) fn push_urgent(&mut self, waiting: Waiting) {
        let at = self.urgent.len().min(self.waiting.len());
        self.urgent.push(waiting.run);
        self.waiting.insert(at, waiting);
    }

    /// Lines a run up behind all others, as it stood before a restart.
    pub(crate) fn restore(&mut self, waiting: Waiting, urgent: bool) {
        if urgent && self.urgent.len() == self.waiting.len() {
            self.urgent.push(waiting.run);
        }
        self.waiting.push_back(waiting);
    }

    /// Who waits, next first.
    pub(crate) fn order(&self) -> Vec<RunId> {
        self.waiting.iter().map(|waiting| waiting.run).collect()
    }

    /// Who wants this run done.
    pub(crate) fn author(&self, run: RunId) -> Option<ParticipantId> {
        self.waiting.iter().find(|waiting| waiting.run == run).map(|waiting| waiting.by)
    }

    /// Puts the runs into this order; those it does not name stay behind it.
    pub(crate) fn reorder(&mut self, order: &[RunId]) {
        let place = |waiting: &Waiting| order.iter().position(|run| *run == waiting.run).unwrap_or(order.len());
        self.waiting.make_contiguous().sort_by_key(place);
        // Their authors, or an owner, have decided otherwise.
        let first: Vec<RunId> = self.order();
        let kept = self.urgent.iter().zip(&first).take_while(|(urgent, first)| urgent == first).count();
        self.urgent.truncate(kept);
    }

    /// The run whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        let next = self.waiting.pop_front()?;
        self.urgent.retain(|run| *run != next.run);
        Some(next)
    }

    /// Takes a run out of the line.
    pub(crate) fn remove(&mut self, run: RunId) -> Option<Waiting> {
        let at = self.waiting.iter().position(|waiting| waiting.run == run)?;
        self.urgent.retain(|urgent| *urgent != run);
        self.waiting.remove(at)
    }

    fn count(&self, by: ParticipantId) -> usize {
        self.waiting.iter().filter(|waiting| waiting.by == by).count()
    }

    /// Round n holds everybody's n-th run. A new run goes to the end of its own round.
    fn index_for(&self, by: ParticipantId) -> usize {
        let mut turns: HashMap<ParticipantId, usize> = self.served.iter().map(|&served| (served, 1)).collect();
        let round = turns.get(&by).unwrap_or(&0) + self.count(by) + 1;
        let in_later_round = |waiting: &Waiting| {
            let turn = turns.entry(waiting.by).or_default();
            *turn += 1;
            *turn > round
        };
        // Nobody comes before those who are next.
        self.waiting.iter().position(in_later_round).unwrap_or(self.waiting.len()).max(self.urgent.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(run: RunId, by: u64, party: Option<&str>) -> Waiting {
        let work = Work::Install { packages: Vec::new() };
        Waiting { run, by: ParticipantId::new(by), party: party.map(Arc::from), work }
    }

    /// Lines up runs 1, 2, 3 … of these participants, behind one that is served, and checks the order they are taken in.
    fn check(served: u64, pushed_by: &[u64], expected: &[u64]) {
        let mut queue = RunQueue::default();
        queue.serve(ParticipantId::new(served));
        for (number, by) in pushed_by.iter().enumerate() {
            let run = RunId::new(number as u64 + 1);
            queue.push(waiting(run, *by, None));
        }
        let taken: Vec<u64> = std::iter::from_fn(|| queue.pop()).map(|waiting| waiting.run.number()).collect();
        assert_eq!(taken, expected, "pushed by {pushed_by:?} while {served} is served");
    }

    #[test]
    fn what_interrupted_is_still_next_after_a_restart() {
        let (mut queue, ada) = (RunQueue::default(), ParticipantId::new(1));
        for (run, urgent) in [(5, true), (2, false), (6, true)] {
            queue.restore(waiting(RunId::new(run), 1, None), urgent);
        }
        assert_eq!(queue.order(), [5, 2, 6].map(RunId::new));
        assert_eq!((queue.interruptions(), queue.interruption_of(ada)), (1, Some(RunId::new(5))), "not one moved back");
        queue.push(waiting(RunId::new(7), 2, None));
        assert_eq!(queue.order(), [5, 7, 2, 6].map(RunId::new));
    }

    #[test]
    fn whoever_comes_in_as_several_has_one_share() {
        let mut queue = RunQueue::default();
        let (ada, link) = (ParticipantId::new(99), Some("link"));
        for guest in 1..=QUEUE_SHARE_MAX as u64 {
            let by = ParticipantId::new(guest);
            assert!(!queue.is_full_for(by, link), "{guest}");
            queue.push(waiting(RunId::new(guest), guest, link));
        }
        assert!(queue.is_full_for(ParticipantId::new(50), link), "another guest of the same link");
        assert!(!queue.is_full_for(ada, None) && !queue.is_full_for(ada, Some("another")));
        queue.pop();
        assert!(!queue.is_full_for(ParticipantId::new(50), link));
    }

    #[test]
    fn takes_turns() {
        check(9, &[1, 1, 1], &[1, 2, 3]);
        check(9, &[1, 1, 1, 2], &[1, 4, 2, 3]);
        check(9, &[1, 1, 1, 2, 2, 3], &[1, 4, 6, 2, 5, 3]);
        check(9, &[1, 2, 3, 1], &[1, 2, 3, 4]);
        check(1, &[1, 2], &[2, 1]);
        check(1, &[1, 1, 2, 2], &[3, 1, 4, 2]);
    }
}
