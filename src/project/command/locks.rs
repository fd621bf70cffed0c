//! `lock_file`, `unlock_file`: keep others from changing a file while somebody edits it.

use cobuild_protocol::{
    Event,
    command::{LockFile, UnlockFile},
    event::{FileLocked, FileUnlocked},
};

use super::{Acceptance, Desk};
use crate::project::error::ProjectError;

/// Most locked files of one project: a person edits a handful at a time.
const LOCKS_MAX: usize = 200;

pub(super) fn lock(desk: &mut Desk<'_>, command: LockFile) -> Result<Acceptance, ProjectError> {
    let path = command.path;
    desk.check_lock(&path)?;
    let view = &desk.state.view;
    if !view.files.contains_key(&path) {
        return Err(ProjectError::NotFound(format!("there is no file {path}")));
    }
    if view.locks.contains_key(&path) {
        return Ok(Acceptance { run: None, seq: None });
    }
    if view.locks.len() >= LOCKS_MAX {
        return Err(ProjectError::TooLarge(format!("at most {LOCKS_MAX} files can be locked")));
    }
    let locked = FileLocked { path, participant: desk.by };
    let seq = desk.batch.push(Event::FileLocked(locked), desk.stamp(None));
    Ok(Acceptance { run: None, seq: Some(seq) })
}

pub(super) fn unlock(desk: &mut Desk<'_>, command: UnlockFile) -> Result<Acceptance, ProjectError> {
    let path = command.path;
    let Some(locker) = desk.state.view.locks.get(&path).copied() else {
        return Ok(Acceptance { run: None, seq: None });
    };
    desk.may_decide_for(Some(locker))?;
    let seq = desk.batch.push(Event::FileUnlocked(FileUnlocked { path }), desk.stamp(None));
    Ok(Acceptance { run: None, seq: Some(seq) })
}
