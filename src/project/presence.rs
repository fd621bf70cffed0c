//! Where everybody is and what they are doing: the latest value of each, outside the log. Nothing here is stored or
//! replayed; who misses a value gets the next one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use cobuild_protocol::{ParticipantId, value::Presence};
use tokio::sync::watch;

/// The board of one project. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PresenceBoard {
    board: Arc<watch::Sender<Board>>,
}

/// How many of those who have left are remembered, for readers who have not heard of it yet. The log says so, too.
const LEFT_MAX: usize = 256;

#[derive(Debug, Default)]
struct Board {
    version: u64,
    /// What each participant last said, and the version of the board that came with it.
    said: HashMap<ParticipantId, (u64, Option<Presence>)>,
}

/// What a reader of the board has seen.
#[derive(Debug)]
pub struct PresenceView {
    board: watch::Receiver<Board>,
    seen: u64,
}

impl Default for PresenceBoard {
    fn default() -> Self {
        Self { board: Arc::new(watch::channel(Board::default()).0) }
    }
}

impl PresenceBoard {
    /// What a participant says of themselves now.
    pub(crate) fn set(&self, participant: ParticipantId, presence: Presence) {
        self.change(participant, Some(presence));
    }

    /// The participant has left.
    pub(crate) fn remove(&self, participant: ParticipantId) {
        self.change(participant, None);
    }

    fn change(&self, participant: ParticipantId, presence: Option<Presence>) {
        self.board.send_if_modified(|board| {
            let before = board.said.get(&participant).and_then(|(_, before)| before.as_ref());
            if before == presence.as_ref() {
                return false;
            }
            board.version += 1;
            let version = board.version;
            let leaves = presence.is_none();
            board.said.insert(participant, (version, presence));
            if !leaves {
                return true;
            }
            let left = board.said.iter().filter(|(_, (_, presence))| presence.is_none());
            if left.clone().count() > LEFT_MAX
                && let Some(longest) = left.min_by_key(|(_, (version, _))| *version).map(|(longest, _)| *longest)
            {
                board.said.remove(&longest);
            }
            true
        });
    }

    /// A reader who has seen nothing yet.
    #[must_use]
    pub fn view(&self) -> PresenceView {
        let mut board = self.board.subscribe();
        board.mark_changed();
        PresenceView { board, seen: 0 }
    }
}

impl PresenceView {
    /// Waits until somebody said something new. Cancel-safe.
    pub async fn changed(&mut self) {
        // The board lives as long as any handle of the project; without it nothing is ever said again.
        if self.board.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What is new since the last time: the latest value of each, `None` for those who have left.
    pub fn take(&mut self) -> BTreeMap<ParticipantId, Option<Presence>> {
        let board = self.board.borrow_and_update();
        let first = self.seen == 0;
        let news = board
            .said
            .iter()
            .filter(|(_, (version, presence))| *version > self.seen && !(first && presence.is_none()))
            .map(|(participant, (_, presence))| (*participant, presence.clone()))
            .collect();
        self.seen = board.version;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_left_are_not_kept_for_ever() {
        let board = PresenceBoard::default();
        for number in 1..2000 {
            board.set(ParticipantId::new(number), Presence { line: Some(1), ..Presence::default() });
            board.remove(ParticipantId::new(number));
        }
        assert_eq!(board.board.borrow().said.len(), LEFT_MAX);
    }

    #[tokio::test]
    async fn a_reader_gets_the_latest_of_each_once() {
        let board = PresenceBoard::default();
        let (ada, bob) = (ParticipantId::new(1), ParticipantId::new(2));
        let line = |line| Presence { line: Some(line), ..Presence::default() };
        board.set(ada, line(1));
        board.set(ada, line(2));
        let mut view = board.view();
        view.changed().await;
        assert_eq!(view.take(), [(ada, Some(line(2)))].into());
        assert!(view.take().is_empty());
        board.set(ada, line(2));
        board.set(bob, line(7));
        view.changed().await;
        assert_eq!(view.take(), [(bob, Some(line(7)))].into(), "what did not change is not said again");
        board.remove(bob);
        view.changed().await;
        assert_eq!(view.take(), [(bob, None)].into());
        assert_eq!(board.view().take(), [(ada, Some(line(2)))].into(), "who is gone is not told to newcomers");
    }
}
