//! A project's state: the fold of its log. Pure; nothing here waits, stores or publishes.
//!
//! [`State`] is what everybody in the room sees ([`ProjectState`]) plus what only the server needs: counters, who is
//! who, and the replies that commands already got. [`State::apply`] is the only way it changes.

mod view;

use std::collections::{BTreeMap, HashMap, VecDeque};

use cobuild_protocol::{
    ConflictId, Event, EventFrame, MessageId, ParticipantId, ProjectState, RequestId, RunId, Seq,
    frame::Accepted,
    value::{Role, Usage},
};
use serde::{Deserialize, Serialize};

/// The fold of one event into what everybody sees, for those who keep no more than that.
pub(crate) use self::view::apply as fold;

/// How many accepted commands are remembered for being sent again. A client repeats a command within seconds of a lost
/// connection; 4,096 covers hours of a busy room.
const ACCEPTED_KEPT_MAX: usize = 4096;

/// A project's state after event `seq`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// The last event that is part of it.
    pub(crate) seq: Seq,
    /// What everybody in the room sees.
    pub(crate) view: ProjectState,
    runs: u64,
    messages: u64,
    participants: u64,
    conflicts: u64,
    /// What owners decided about participants; it outweighs what their tokens say.
    roles: BTreeMap<ParticipantId, Option<Role>>,
    identities: BTreeMap<String, ParticipantId>,
    accepted: AcceptedCommands,
}

impl State {
    /// Folds one event in. Events come in order, without gaps.
    pub(crate) fn apply(&mut self, frame: &EventFrame) {
        debug_assert_eq!(frame.seq_first.unwrap_or(frame.seq), self.seq + 1, "events are folded in order");
        self.seq = frame.seq;
        if let Some(command) = &frame.command {
            self.accepted.remember(Accepted { id: command.clone(), run: frame.run, seq: frame.seq });
        }
        view::apply(&mut self.view, frame);
        self.count(frame);
    }

    /// Keeps the counters ahead of every id in the log.
    fn count(&mut self, frame: &EventFrame) {
        if let Some(run) = frame.run {
            self.runs = self.runs.max(run.number());
        }
        match &frame.event {
            Event::MessageAdded(added) => self.messages = self.messages.max(added.message.number()),
            Event::FileConflicted(conflict) => self.conflicts = self.conflicts.max(conflict.conflict.number()),
            Event::RoleChanged(changed) => drop(self.roles.insert(changed.participant, changed.role)),
            Event::ParticipantJoined(joined) => {
                self.participants = self.participants.max(joined.participant.number());
                self.identities.insert(joined.identity.clone(), joined.participant);
                // Each participant has one identity: there are more only where somebody was forgotten.
                if self.identities.len() > self.view.participants.len() {
                    self.identities.retain(|_, participant| self.view.participants.contains_key(participant));
                }
            }
            _ => {}
        }
    }

    /// The id the next run gets.
    pub(crate) fn next_run(&self) -> RunId {
        RunId::new(self.runs + 1)
    }

    /// The id the next message gets, `offset` messages from now.
    pub(crate) fn next_message(&self, offset: u64) -> MessageId {
        MessageId::new(self.messages + 1 + offset)
    }

    /// What a run's model calls consumed so far.
    pub(crate) fn usage_of(&self, run: RunId) -> Option<Usage> {
        self.view.runs.iter().rev().find(|info| info.run == run).and_then(|info| info.usage.clone())
    }

    /// The id the next conflict gets.
    pub(crate) fn next_conflict(&self) -> ConflictId {
        ConflictId::new(self.conflicts + 1)
    }

    /// What this participant may do: what an owner decided, else what they came with. `None`: nothing.
    pub(crate) fn role(&self, participant: ParticipantId, came_with: Role) -> Option<Role> {
        self.roles.get(&participant).copied().unwrap_or(Some(came_with))
    }

    /// The id the next participant gets.
    pub(crate) fn next_participant(&self) -> ParticipantId {
        ParticipantId::new(self.participants + 1)
    }

    /// Who has this identity.
    pub(crate) fn participant(&self, identity: &str) -> Option<ParticipantId> {
        self.identities.get(identity).copied()
    }

    /// The reply an accepted command got.
    pub(crate) fn accepted(&self, command: &RequestId) -> Option<Accepted> {
        self.accepted.get(command)
    }
}

/// The replies of accepted commands, by id; the oldest are forgotten first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "VecDeque<Accepted>", into = "VecDeque<Accepted>")]
struct AcceptedCommands {
    order: VecDeque<RequestId>,
    replies: HashMap<RequestId, (Option<RunId>, Seq)>,
}

impl AcceptedCommands {
    fn remember(&mut self, reply: Accepted) {
        if self.replies.insert(reply.id.clone(), (reply.run, reply.seq)).is_none() {
            self.order.push_back(reply.id);
        }
        while self.order.len() > ACCEPTED_KEPT_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.replies.remove(&oldest);
            }
        }
    }

    fn get(&self, id: &RequestId) -> Option<Accepted> {
        self.replies.get(id).map(|&(run, seq)| Accepted { id: id.clone(), run, seq })
    }
}

impl From<VecDeque<Accepted>> for AcceptedCommands {
    fn from(replies: VecDeque<Accepted>) -> Self {
        let mut commands = Self::default();
        replies.into_iter().for_each(|reply| commands.remember(reply));
        commands
    }
}

impl From<AcceptedCommands> for VecDeque<Accepted> {
    fn from(commands: AcceptedCommands) -> Self {
        commands.order.iter().filter_map(|id| commands.get(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_commands_are_bounded_and_survive_serialisation() {
        let mut commands = AcceptedCommands::default();
        for seq in 1..=(ACCEPTED_KEPT_MAX as u64 + 5) {
            commands.remember(Accepted { id: format!("c{seq}").parse().unwrap(), run: None, seq });
        }
        assert_eq!(commands.get(&"c5".parse().unwrap()), None);
        let json = serde_json::to_string(&commands).unwrap();
        let back: AcceptedCommands = serde_json::from_str(&json).unwrap();
        assert_eq!(back.get(&"c6".parse().unwrap()).map(|a| a.seq), Some(6));
        assert_eq!(back.order.len(), ACCEPTED_KEPT_MAX);
    }
}
