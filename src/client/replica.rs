//! A copy of the project's state, kept up to date by what a room tells.

use cobuild_protocol::{ProjectState, Seq};

use super::Notice;
use crate::project::fold;

/// A copy of the project's state.
#[derive(Debug, Clone, Default)]
pub struct Replica {
    seq: Seq,
    state: ProjectState,
}

impl Replica {
    /// Takes in what the room told. Everything must pass through here, in order.
    pub fn follow(&mut self, notice: &Notice) {
        match notice {
            Notice::Snapshot { frame, .. } => {
                self.seq = frame.seq;
                self.state = frame.state.clone();
            }
            Notice::Event(happened) => {
                self.seq = happened.frame.seq;
                fold(&mut self.state, &happened.frame);
            }
            Notice::Unknown { seq, .. } => self.seq = *seq,
            Notice::Phase(_) | Notice::Welcome(_) | Notice::Fault(_) | Notice::Refused(_) => {}
        }
    }

    /// The last event that is part of the state.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.seq
    }

    /// The project, as of the last notice.
    #[must_use]
    pub const fn state(&self) -> &ProjectState {
        &self.state
    }
}
