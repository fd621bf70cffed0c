//! `write_file`, `delete_file`, `rename_file`: a participant changes the tree. Done when accepted.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cobuild_protocol::{
    Event,
    command::{DeleteFile, RenameFile, WriteFile},
    event::FileRenamed,
    value::{Encoding, FileOrigin},
};

use super::{Acceptance, Answer, Desk, Later};
use crate::project::{
    error::ProjectError,
    file_tree::{check_base, check_given_base, check_place, content_hash},
    run::StagedFile,
};

pub(super) fn write(desk: &mut Desk<'_>, command: WriteFile) -> Result<Answer, ProjectError> {
    let WriteFile { path, content, encoding, base } = command;
    let content = match encoding {
        Encoding::Utf8 => Bytes::from(content),
        Encoding::Base64 => STANDARD
            .decode(content)
            .map(Bytes::from)
            .map_err(|_| ProjectError::BadRequest("content is not base64 with padding".into()))?,
    };
    let tree = &desk.state.view.files;
    check_place(tree, &path, content.len())?;
    desk.check_lock(&path)?;
    if tree.get(&path).is_some_and(|info| info.hash == content_hash(&content)) {
        return Ok(Answer::Now(Acceptance { run: None, seq: None }));
    }
    let fresh = check_base(tree, &path, base.as_ref());
    let file = StagedFile { path, content: Some(content), base };
    match fresh {
        Ok(()) => {
            let seq = desk.batch.push_file(file, FileOrigin::Participant, desk.stamp(None));
            Ok(Answer::Now(Acceptance { run: None, seq: Some(seq) }))
        }
        Err(_) if file.base.is_some() => Ok(Answer::Later(Later::Write(file))),
        Err(error) => Err(error),
    }
}

pub(super) fn delete(desk: &mut Desk<'_>, command: DeleteFile) -> Result<Acceptance, ProjectError> {
    let DeleteFile { path, base } = command;
    let tree = &desk.state.view.files;
    if !tree.contains_key(&path) {
        return Err(ProjectError::NotFound(format!("there is no file {path}")));
    }
    desk.check_lock(&path)?;
    check_given_base(tree, &path, base.as_ref())?;
    let file = StagedFile { path, content: None, base };
    let seq = desk.batch.push_file(file, FileOrigin::Participant, desk.stamp(None));
    Ok(Acceptance { run: None, seq: Some(seq) })
}

pub(super) fn rename(desk: &mut Desk<'_>, command: RenameFile) -> Result<Acceptance, ProjectError> {
    let RenameFile { from, to, base } = command;
    let tree = &desk.state.view.files;
    if !tree.contains_key(&from) {
        return Err(ProjectError::NotFound(format!("there is no file {from}")));
    }
    desk.check_lock(&from)?;
    check_given_base(tree, &from, base.as_ref())?;
    if tree.contains_key(&to) {
        return Err(ProjectError::Conflict(format!("there is a file at {to}")));
    }
    let mut without = tree.clone();
    without.remove(&from);
    check_place(&without, &to, 0)?;
    let seq = desk.batch.push(Event::FileRenamed(FileRenamed { from, to }), desk.stamp(None));
    Ok(Acceptance { run: None, seq: Some(seq) })
}
