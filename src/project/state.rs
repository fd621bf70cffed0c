//! A project's state: the fold of its log. Pure; nothing here waits, stores or publishes.
//!
//! [`State`] is what everybody in the room sees ([`ProjectState`]) plus what only the server needs: counters, who is
//! who, and the replies that commands already got. [`State::apply`] is the only way it changes.

mod view;

use std::collections::BTreeMap;

use cobuild_protocol::{
    ConflictId, Event, EventFrame, MessageId, ParticipantId, ProjectState, RequestId, RunId, Seq,
    frame::Accepted,
    value::{Role, Usage},
};
use serde::{Deserialize, Serialize};

use super::remembered::Remembered;

/// The fold of one event into what everybody sees, for those who keep no more than that.
pub(crate) use self::view::apply as fold;

/// How many accepted commands are remembered for being sent again, of all participants together. A client repeats a
/// command within seconds of a lost connection; 4,096 covers hours of a busy room.
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
            self.accepted.remember(Accepted { id: command.clone(), run: frame.run, seq: frame.seq }, frame.by);
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
                // Each participant has one identity: there are more only where somebody was forgotten. Of whom an owner
                // has decided something is known again, however many came since.
                if self.identities.len() > self.view.participants.len() {
                    let (seen, decided) = (&self.view.participants, &self.roles);
                    self.identities
                        .retain(|_, participant| seen.contains_key(participant) || decided.contains_key(participant));
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

    /// Whether an owner has removed this participant.
    pub(crate) fn is_removed(&self, participant: ParticipantId) -> bool {
        self.roles.get(&participant).is_some_and(Option::is_none)
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

/// The replies of accepted commands, by id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<StoredAcceptance>", into = "Vec<StoredAcceptance>")]
struct AcceptedCommands(Remembered<(Option<RunId>, Seq), ACCEPTED_KEPT_MAX>);

/// One of them, as snapshots have it.
#[derive(Debug, Serialize, Deserialize)]
struct StoredAcceptance {
    #[serde(flatten)]
    reply: Accepted,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<ParticipantId>,
}

impl AcceptedCommands {
    fn remember(&mut self, Accepted { id, run, seq }: Accepted, by: Option<ParticipantId>) {
        self.0.keep(id, by, (run, seq));
    }

    fn get(&self, id: &RequestId) -> Option<Accepted> {
        self.0.get(id).map(|&(run, seq)| Accepted { id: id.clone(), run, seq })
    }
}

impl From<Vec<StoredAcceptance>> for AcceptedCommands {
    fn from(replies: Vec<StoredAcceptance>) -> Self {
        let mut commands = Self::default();
        replies.into_iter().for_each(|StoredAcceptance { reply, by }| commands.remember(reply, by));
        commands
    }
}

impl From<AcceptedCommands> for Vec<StoredAcceptance> {
    fn from(commands: AcceptedCommands) -> Self {
        let stored = |(id, by, (run, seq))| StoredAcceptance { reply: Accepted { id, run, seq }, by };
        commands.0.into_vec().into_iter().map(stored).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_commands_are_bounded_and_survive_serialisation() {
        let mut commands = AcceptedCommands::default();
        for seq in 1..=(ACCEPTED_KEPT_MAX as u64 + 5) {
            let by = Some(ParticipantId::new(1 + seq % 2));
            commands.remember(Accepted { id: format!("c{seq}").parse().unwrap(), run: None, seq }, by);
        }
        assert_eq!(commands.get(&"c5".parse().unwrap()), None);
        let json = serde_json::to_string(&commands).unwrap();
        let back: AcceptedCommands = serde_json::from_str(&json).unwrap();
        assert_eq!(back.get(&"c6".parse().unwrap()).map(|a| a.seq), Some(6));
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
        assert_eq!(back.0.into_vec().len(), ACCEPTED_KEPT_MAX);
    }
}
