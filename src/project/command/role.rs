//! `set_role`: an owner changes what a participant may do, or removes them.

use cobuild_protocol::{
    Event, ParticipantId,
    command::SetRole,
    event::{FileUnlocked, RoleChanged},
    state::RunState,
    value::Role,
};

use super::{Acceptance, Desk, cancel};
use crate::project::{batch::Stamp, error::ProjectError};

pub(super) fn set(desk: &mut Desk<'_>, command: &SetRole) -> Result<Acceptance, ProjectError> {
    let SetRole { participant, role } = *command;
    if desk.role != Role::Owner {
        return Err(ProjectError::Forbidden("only owners change roles"));
    }
    if participant == desk.by {
        return Err(ProjectError::Conflict("nobody changes their own role; ask another owner".into()));
    }
    let Some(known) = desk.state.view.participants.get(&participant) else {
        return Err(ProjectError::NotFound(format!("there is no participant {participant}")));
    };
    if known.removed == role.is_none() && (role.is_none() || Some(known.role) == role) {
        return Ok(Acceptance { run: None, seq: None });
    }
    let seq = desk.batch.push(Event::RoleChanged(RoleChanged { participant, role }), desk.stamp(None));
    if role.is_none_or(|role| role < Role::Editor) {
        end_what_they_began(desk, participant);
    }
    Ok(Acceptance { run: None, seq: Some(seq) })
}

/// Who may no longer change anything does not go on changing things by what they left: their runs, waiting or under way,
/// end as cancelled, and their files are unlocked.
fn end_what_they_began(desk: &mut Desk<'_>, participant: ParticipantId) {
    let view = &desk.state.view;
    let theirs = view.runs.iter().filter(|run| run.by == Some(participant) && run.state != RunState::Finished);
    for run in theirs {
        cancel::finish(desk.batch, desk.state, run.run, desk.by);
    }
    for (path, _) in view.locks.iter().filter(|(_, locker)| **locker == participant) {
        let stamp = Stamp { run: None, by: Some(desk.by), command: None };
        desk.batch.push(Event::FileUnlocked(FileUnlocked { path: path.clone() }), stamp);
    }
}
