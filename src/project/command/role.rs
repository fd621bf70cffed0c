//! `set_role`: an owner changes what a participant may do, or removes them.

use cobuild_protocol::{Event, command::SetRole, event::RoleChanged, value::Role};

use super::{Acceptance, Desk};
use crate::project::error::ProjectError;

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
    Ok(Acceptance { run: None, seq: Some(seq) })
}
