//! People on their way in: who they are, as what, and whether there is room.

use std::sync::Arc;

use cobuild_protocol::{Cursor, Event, ParticipantId, event::ParticipantJoined};
use tokio::sync::oneshot;

use super::ProjectActor;
use crate::project::{
    batch::{After, Batch, PendingJoin, Stamp},
    error::ProjectError,
    file_tree::content_hash,
    handle::{Identity, Joined},
    places::{Holder, Place},
};

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
        let party: Option<Arc<str>> = identity.party.map(Arc::from);
        let place = match self.take_place(participant, party.clone(), known.is_none()) {
            Ok(place) => place,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let Some(role) = self.state.role(participant, identity.role) else {
            return drop(reply.send(Err(ProjectError::removed())));
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
        let sandbox = identity.looks;
        batch.after.push(After::Join(reply, PendingJoin { participant, role, party, place, since, sandbox }));
    }

    /// A place for one more connection, those on their way in counted. Somebody new is only let in where there is also
    /// room for all who may still come back.
    fn take_place(
        &self,
        participant: ParticipantId,
        party: Option<Arc<str>>,
        is_new: bool,
    ) -> Result<Place, ProjectError> {
        let leaving = self.room.leaving(party.as_deref());
        let holder = party.map_or(Holder::Participant(participant), Holder::Party);
        if is_new {
            self.places.check_room_for_newcomer(&holder, leaving)?;
        }
        self.places.take(holder)
    }

    /// By what a participant is known again without anybody else learning their key.
    pub(super) fn digest(&self, key: Option<&str>) -> String {
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
