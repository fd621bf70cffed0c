//! `move_queued`, `remove_queued`: authors and owners rearrange what waits.

use cobuild_protocol::{
    Event, RunId,
    command::{MoveQueued, RemoveQueued},
    event::QueueChanged,
};

use super::{Acceptance, Desk, cancel};
use crate::project::{batch::After, error::ProjectError};

pub(super) fn move_to(desk: &mut Desk<'_>, command: &MoveQueued) -> Result<Acceptance, ProjectError> {
    check(desk, command.run)?;
    let mut queue = desk.runs.queue.order();
    queue.retain(|run| *run != command.run);
    let place = usize::try_from(command.position.saturating_sub(1)).unwrap_or(usize::MAX).min(queue.len());
    queue.insert(place, command.run);
    if queue == desk.runs.queue.order() {
        return Ok(Acceptance { run: None, seq: None });
    }
    desk.batch.after.push(After::Reorder(queue.clone()));
    let seq = desk.batch.push(Event::QueueChanged(QueueChanged { queue }), desk.stamp(None));
    // The event belongs to no run, and what is not in it would be missing in the reply to the same command sent again.
    Ok(Acceptance { run: None, seq: Some(seq) })
}

pub(super) fn remove(desk: &mut Desk<'_>, command: &RemoveQueued) -> Result<Acceptance, ProjectError> {
    check(desk, command.run)?;
    cancel::accept(desk, &cobuild_protocol::command::Cancel { run: command.run })
}

fn check(desk: &Desk<'_>, run: RunId) -> Result<(), ProjectError> {
    match desk.runs.queue.author(run) {
        Some(author) => desk.may_decide_for(Some(author)),
        None => Err(ProjectError::NotFound(format!("no run {run} is waiting"))),
    }
}
