//! What commands were answered, kept for their being sent again. Pure.
//!
//! Bounded in all, not per participant; but who has the most is forgotten first. So a client that sends thousands takes
//! no place from one that sends few, and has all of them while nobody else needs any.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, VecDeque},
};

use cobuild_protocol::{ParticipantId, RequestId, frame::ControlFrame};

use super::event_store::{REPLIES_KEPT_MAX, StoredReply};

/// Replies that left no event.
pub(crate) type RejectedCommands = Remembered<StoredReply, REPLIES_KEPT_MAX>;

/// What at most `MAX` commands were answered.
#[derive(Debug, Clone)]
pub(crate) struct Remembered<T, const MAX: usize> {
    /// The place of the next one in the order in which they came.
    next: u64,
    answers: HashMap<RequestId, Answer<T>>,
    /// Whose they are, each one's in the order in which they came. `None`: from before it was kept whose they are.
    holders: BTreeMap<Option<ParticipantId>, VecDeque<(u64, RequestId)>>,
}

#[derive(Debug, Clone)]
struct Answer<T> {
    place: u64,
    by: Option<ParticipantId>,
    value: T,
}

impl<T, const MAX: usize> Default for Remembered<T, MAX> {
    fn default() -> Self {
        Self { next: 0, answers: HashMap::new(), holders: BTreeMap::new() }
    }
}

impl<T, const MAX: usize> Remembered<T, MAX> {
    /// Keeps what a command was answered. When that is one too many, whoever has the most loses their oldest.
    pub(crate) fn keep(&mut self, id: RequestId, by: Option<ParticipantId>, value: T) {
        if let Some(known) = self.answers.get_mut(&id) {
            known.value = value;
            return;
        }
        self.holders.entry(by).or_default().push_back((self.next, id.clone()));
        self.answers.insert(id, Answer { place: self.next, by, value });
        self.next += 1;
        if self.answers.len() > MAX {
            self.forget_one();
        }
    }

    pub(crate) fn get(&self, id: &RequestId) -> Option<&T> {
        self.answers.get(id).map(|answer| &answer.value)
    }

    /// All of them, in the order in which they came.
    pub(crate) fn into_vec(self) -> Vec<(RequestId, Option<ParticipantId>, T)> {
        let mut answers: Vec<_> = self.answers.into_iter().collect();
        answers.sort_unstable_by_key(|(_, answer)| answer.place);
        answers.into_iter().map(|(id, Answer { by, value, .. })| (id, by, value)).collect()
    }

    /// Of several who have as many, it is the one whose oldest is oldest.
    fn forget_one(&mut self) {
        let most =
            self.holders.iter_mut().max_by_key(|(_, held)| (held.len(), held.front().map(|(at, _)| Reverse(*at))));
        let Some((&holder, held)) = most else { return };
        if let Some((_, oldest)) = held.pop_front() {
            self.answers.remove(&oldest);
        }
        if held.is_empty() {
            self.holders.remove(&holder);
        }
    }
}

impl RejectedCommands {
    /// Keeps these replies.
    pub(crate) fn extend(&mut self, replies: Vec<StoredReply>) {
        replies.into_iter().for_each(|reply| self.keep(reply.id.clone(), reply.by, reply));
    }

    /// The reply this command got.
    pub(crate) fn reply(&self, id: &RequestId) -> Option<ControlFrame> {
        self.get(id).and_then(|reply| serde_json::from_slice(&reply.frame).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps commands of these participants, one after the other, and says which are still known.
    fn check(by: &[u64], expected: &[usize]) {
        let mut remembered = Remembered::<usize, 6>::default();
        for (number, by) in by.iter().enumerate() {
            let by = (*by > 0).then(|| ParticipantId::new(*by));
            remembered.keep(format!("c{number}").parse().unwrap(), by, number);
        }
        let kept: Vec<usize> = remembered.into_vec().into_iter().map(|(_, _, number)| number).collect();
        assert_eq!(kept, expected, "of {by:?}");
    }

    #[test]
    fn who_has_the_most_is_forgotten_first() {
        check(&[1, 1, 1, 1, 1, 1], &[0, 1, 2, 3, 4, 5]);
        check(&[1, 1, 1, 1, 1, 1, 1, 1], &[2, 3, 4, 5, 6, 7]);
        check(&[2, 1, 1, 1, 1, 1, 1, 1, 1], &[0, 4, 5, 6, 7, 8]);
        check(&[1, 1, 1, 1, 1, 1, 2, 2, 2], &[3, 4, 5, 6, 7, 8]);
        check(&[1, 1, 1, 2, 2, 2, 3], &[1, 2, 3, 4, 5, 6]);
        check(&[1, 2, 3, 4, 5, 6, 7], &[1, 2, 3, 4, 5, 6]);
        check(&[0, 0, 0, 0, 0, 0, 1, 1], &[2, 3, 4, 5, 6, 7]);
    }
}
