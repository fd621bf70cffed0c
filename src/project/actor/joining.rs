//! People on their way in: who they are, as what, and whether there is room.

use std::{sync::Arc, time::Duration};

use cobuild_protocol::{Cursor, Event, ParticipantId, event::ParticipantJoined};
use tokio::sync::oneshot;

use super::ProjectActor;
use crate::project::{
    batch::{After, Batch, PendingJoin, Stamp},
    error::ProjectError,
    file_tree::content_hash,
    handle::{Identity, Joined},
};

/// When to try again to come into a crowded project.
const CROWDED_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Longest name of a participant, in characters.
const NAME_LENGTH_MAX: usize = 64;

impl ProjectActor {
    pub(super) fn join(
        &mut self,
        identity: Identity,
        since: Option<Cursor>,
        reply: oneshot::Sender<Result<Joined, ProjectError>>,
        batch: &mut Batch,
    ) {
        let digest = self.digest(identity.key.as_deref());
        let just_came = || batch.joined(|joined| joined.identity == digest).map(|joined| joined.participant);
        let known = self.state.participant(&digest).or_else(just_came);
        let participant = known.unwrap_or_else(|| batch.next_participant(self.state.next_participant()));
        if let Err(error) = self.check_connections(participant, batch) {
            return drop(reply.send(Err(error)));
        }
        let Some(role) = self.state.role(participant, identity.role) else {
            let removed = ProjectError::Forbidden("an owner has removed you from this project");
            return drop(reply.send(Err(removed)));
        };
        let name = display_name(identity.name.as_deref(), participant);
        let goes_by = |seen: &str| identity.name.is_none() || seen == name;
        let unchanged = match batch.joined(|joined| joined.participant == participant) {
            Some(joined) => joined.role == role && goes_by(&joined.name),
            None => self
                .state
                .view
                .participants
                .get(&participant)
                .is_some_and(|seen| seen.present && seen.role == role && goes_by(&seen.name)),
        };
        if !unchanged {
            let joined = ParticipantJoined { participant, name, role, identity: digest };
            batch.push(Event::ParticipantJoined(joined), Stamp { by: Some(participant), ..Stamp::default() });
        }
        let party = identity.party.map(Arc::from);
        batch.after.push(After::Join(reply, PendingJoin { participant, role, party, since, sandbox: identity.looks }));
    }

    /// Whether there is room for one more connection, those on their way in counted.
    fn check_connections(&self, participant: ParticipantId, batch: &Batch) -> Result<(), ProjectError> {
        let (of_project, of_participant) = self.room.connections(participant);
        let coming = batch.after.iter().filter_map(|consequence| match consequence {
            After::Join(_, join) => Some(join.participant),
            _ => None,
        });
        let (all, theirs) = coming.fold((of_project, of_participant), |(all, theirs), comer| {
            (all + 1, theirs + usize::from(comer == participant))
        });
        if theirs >= self.parts.settings.participant_connections_max {
            return Err(ProjectError::RateLimited("this participant has too many connections", CROWDED_RETRY_AFTER));
        }
        if all >= self.parts.settings.project_connections_max {
            return Err(ProjectError::RateLimited("this project has too many connections", CROWDED_RETRY_AFTER));
        }
        Ok(())
    }

    /// By what a participant is known again without anybody else learning their key.
    fn digest(&self, key: Option<&str>) -> String {
        let key = key.map_or_else(|| hex::encode(rand::random::<[u8; 16]>()), str::to_owned);
        let salted = format!("{}\0{}\0{key}", self.project, self.state.view.preview_id);
        content_hash(salted.as_bytes()).as_str()[..32].to_owned()
    }
}

/// The name a participant goes by: theirs, without control characters and cut to length, or "Guest".
fn display_name(name: Option<&str>, participant: ParticipantId) -> String {
    let name: String = name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(NAME_LENGTH_MAX).collect();
    let name = name.trim();
    if name.is_empty() { format!("Guest {}", participant.number()) } else { name.to_owned() }
}
