//! `restore`: the files as they were. A job reads the past; the actor makes it the present in one step.

use std::collections::BTreeSet;

use cobuild_protocol::{
    Event, ProjectState, Seq,
    command::Restore,
    event::{FileDeleted, FileWritten, Restored},
    value::FileOrigin,
};

use super::{Answer, Desk, Later};
use crate::project::{
    batch::{Batch, Stamp},
    error::ProjectError,
    file_tree::{Tree, check_lock, difference},
};

pub(super) fn accept(desk: &mut Desk<'_>, command: &Restore) -> Result<Answer, ProjectError> {
    if !(1..=desk.state.seq).contains(&command.to) {
        return Err(ProjectError::NotFound(format!("there is no event {}", command.to)));
    }
    Ok(Answer::Later(Later::Restore { to: command.to }))
}

/// Puts the way back on record, unless somebody else has locked one of the files it changes. Contents are in the store
/// already.
pub(crate) fn push(
    batch: &mut Batch,
    now: &ProjectState,
    to: Seq,
    then: &Tree,
    stamp: Stamp,
) -> Result<(), ProjectError> {
    let difference = difference(&now.files, then);
    for path in difference.deleted.iter().copied().chain(difference.written.iter().map(|(path, _)| *path)) {
        check_lock(now, path, stamp.by)?;
    }
    let follow = Stamp { command: None, ..stamp.clone() };
    batch.push(Event::Restored(Restored { to }), stamp);
    let deleted: BTreeSet<_> = difference.deleted;
    for path in deleted {
        let deleted = FileDeleted { path: path.clone(), origin: FileOrigin::Restore };
        batch.push(Event::FileDeleted(deleted), follow.clone());
    }
    for (path, info) in difference.written {
        let written = FileWritten {
            path: path.clone(),
            hash: info.hash.clone(),
            size_bytes: info.size_bytes,
            origin: FileOrigin::Restore,
        };
        batch.push(Event::FileWritten(written), follow.clone());
    }
    Ok(())
}
