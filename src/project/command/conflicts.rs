//! `resolve_conflict`: somebody decides between two versions of a file.

use bytes::Bytes;
use cobuild_protocol::{
    Event,
    command::{ConflictSide, ResolveConflict},
    event::{ConflictResolved, FileConflicted, FileDeleted, FileWritten},
    value::FileOrigin,
};

use super::{Acceptance, Desk};
use crate::project::{
    batch::Stamp,
    error::ProjectError,
    file_tree::{check_given_base, check_place},
    run::StagedFile,
};

pub(super) fn resolve(desk: &mut Desk<'_>, command: ResolveConflict) -> Result<Acceptance, ProjectError> {
    let ResolveConflict { conflict, keep, content, base } = command;
    let known = desk.state.view.conflicts.iter().find(|open| open.conflict == conflict).cloned();
    let Some(FileConflicted { path, proposed, proposed_size_bytes, .. }) = known else {
        return Err(ProjectError::NotFound(format!("there is no open conflict {conflict}")));
    };
    desk.check_lock(&path)?;
    let tree = &desk.state.view.files;
    // What was decided between two versions is not decided about a third.
    check_given_base(tree, &path, base.as_ref())?;
    let size_bytes = content.as_ref().map_or(proposed_size_bytes, |content| Some(content.len() as u64));
    check_place(tree, &path, usize::try_from(size_bytes.unwrap_or(0)).unwrap_or(usize::MAX))?;
    let exists = tree.contains_key(&path);
    let seq = desk.batch.push(Event::ConflictResolved(ConflictResolved { conflict }), desk.stamp(None));
    let stamp = Stamp { by: Some(desk.by), ..Stamp::default() };
    let origin = FileOrigin::Participant;
    match (content, keep, proposed) {
        (Some(content), _, _) => {
            let file = StagedFile { path, content: Some(Bytes::from(content)), base: None };
            desk.batch.push_file(file, origin, stamp);
        }
        (None, ConflictSide::Proposed, Some(hash)) => {
            let written = FileWritten { path, hash, size_bytes: size_bytes.unwrap_or(0), origin };
            desk.batch.push(Event::FileWritten(written), stamp);
        }
        (None, ConflictSide::Proposed, None) if exists => {
            desk.batch.push(Event::FileDeleted(FileDeleted { path, origin }), stamp);
        }
        (None, ConflictSide::Proposed, None) | (None, ConflictSide::Current, _) => {}
    }
    Ok(Acceptance { run: None, seq: Some(seq) })
}
