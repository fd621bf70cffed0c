//! Where in the log a client is. Pure.

use cobuild_protocol::{Cursor, Epoch, Seq};

/// What an event is to a client at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The next one.
    Next,
    /// It has been seen before.
    Repeated,
    /// Something before it is missing.
    Gap,
}

/// A place in the log, or none yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    epoch: Option<Epoch>,
    seq: Seq,
}

impl Place {
    pub(super) fn at(cursor: Option<Cursor>) -> Self {
        cursor.map_or_else(Self::default, |Cursor { epoch, seq }| Self { epoch: Some(epoch), seq })
    }

    /// The last event seen.
    pub(super) fn seq(&self) -> Seq {
        self.seq
    }

    /// What to resume from.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.epoch.clone().map(|epoch| Cursor { epoch, seq: self.seq })
    }

    /// Whether the server goes on in the life of the log this place is in.
    pub(super) fn is_in(&self, epoch: &Epoch) -> bool {
        self.epoch.as_ref() == Some(epoch)
    }

    /// Gives the place up: only a snapshot can help.
    pub(super) fn abandon(&mut self) {
        *self = Self::default();
    }

    /// Takes the place a snapshot stands for.
    pub(super) fn take(&mut self, epoch: Epoch, seq: Seq) {
        *self = Self { epoch: Some(epoch), seq };
    }

    /// Judges an event that stands for the places `first` to `seq`, and steps on if it is the next one.
    pub(super) fn step(&mut self, first: Option<Seq>, seq: Seq) -> Verdict {
        if self.epoch.is_none() {
            return Verdict::Gap;
        }
        if seq <= self.seq {
            return Verdict::Repeated;
        }
        if first.unwrap_or(seq) != self.seq + 1 {
            return Verdict::Gap;
        }
        self.seq = seq;
        Verdict::Next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_event_moves_it() {
        for (first, seq, expected, then) in [
            (None, 8, Verdict::Next, 8),
            (Some(8), 12, Verdict::Next, 12),
            (None, 7, Verdict::Repeated, 7),
            (Some(5), 6, Verdict::Repeated, 7),
            (None, 9, Verdict::Gap, 7),
            // Part of it is known, part is not: it cannot be taken apart.
            (Some(7), 9, Verdict::Gap, 7),
        ] {
            let mut place = Place::at(Some("e:7".parse().expect("a cursor")));
            assert_eq!((place.step(first, seq), place.seq()), (expected, then), "{first:?} {seq}");
        }
    }

    #[test]
    fn without_a_place_there_is_no_next_event() {
        let mut place = Place::default();
        assert_eq!(place.step(None, 1), Verdict::Gap);
        place.take("e".parse().expect("an epoch"), 0);
        assert_eq!(place.step(None, 1), Verdict::Next);
        place.abandon();
        assert_eq!((place.cursor(), place.step(None, 2)), (None, Verdict::Gap));
    }
}
