//! The project's files as paths and hashes: what a write may be based on, and what it makes of the tree. Pure.

use std::collections::{BTreeMap, BTreeSet};

use cobuild_protocol::{
    FilePath, ParticipantId, ProjectState,
    state::FileInfo,
    value::{ContentHash, FileAction},
};
use sha2::{Digest, Sha256};

use super::error::ProjectError;

/// Path → content. The contents themselves are in the store.
pub(crate) type Tree = BTreeMap<FilePath, FileInfo>;

/// Largest file of a project. Source files are kilobytes; 1 MiB leaves room for an image, and one file always fits into
/// one frame.
pub const FILE_SIZE_BYTES_MAX: usize = 1024 * 1024;
/// Most files of a project: twenty times a large hand-written app; keeps snapshots under a megabyte.
pub const FILES_MAX: usize = 5000;

/// The hash of a content.
#[must_use]
pub fn content_hash(content: &[u8]) -> ContentHash {
    hex::encode(Sha256::digest(content)).try_into().expect("SHA-256 in hexadecimal is a content hash")
}

/// What writing the whole file at `path` would be.
pub(crate) fn action(tree: &Tree, path: &FilePath) -> FileAction {
    if tree.contains_key(path) { FileAction::Replace } else { FileAction::Create }
}

/// Whether a write based on `base` may replace what is at `path`.
pub(crate) fn check_base(tree: &Tree, path: &FilePath, base: Option<&ContentHash>) -> Result<(), ProjectError> {
    match (tree.get(path), base) {
        (None, None) => Ok(()),
        (Some(info), Some(base)) if info.hash == *base => Ok(()),
        (Some(_), Some(_)) => Err(ProjectError::StaleBase(format!("{path} has changed since it was read"))),
        (Some(_), None) => {
            Err(ProjectError::StaleBase(format!("{path} exists; send the hash of what you read as base")))
        }
        (None, Some(_)) => Err(ProjectError::StaleBase(format!("{path} has been deleted or moved"))),
    }
}

/// The same for what may be done without a base: whatever is there then.
pub(crate) fn check_given_base(tree: &Tree, path: &FilePath, base: Option<&ContentHash>) -> Result<(), ProjectError> {
    base.map_or(Ok(()), |base| check_base(tree, path, Some(base)))
}

/// Whether a file of this size may be at `path`: limits hold, and no file is where a
/// directory must be.
pub(crate) fn check_place(tree: &Tree, path: &FilePath, size_bytes: usize) -> Result<(), ProjectError> {
    check_size(path, size_bytes as u64)?;
    if tree.contains_key(path) {
        return Ok(());
    }
    if tree.len() >= FILES_MAX {
        return Err(ProjectError::TooLarge(format!("a project has at most {FILES_MAX} files")));
    }
    if let Some(above) =
        path.ancestors().find(|above| above.parse().is_ok_and(|above: FilePath| tree.contains_key(&above)))
    {
        return Err(ProjectError::Conflict(format!("{above} is a file, so {path} cannot be below it")));
    }
    // Only names that begin like this one can be below it, and they stand together.
    let alike =
        tree.range(path..).map(|(other, _)| other.as_str()).take_while(|other| other.starts_with(path.as_str()));
    if alike.into_iter().any(|other| other[path.as_str().len()..].starts_with('/')) {
        return Err(ProjectError::Conflict(format!("{path} is a directory")));
    }
    Ok(())
}

/// Whether a project takes a file of this size.
pub(crate) fn check_size(path: &FilePath, size_bytes: u64) -> Result<(), ProjectError> {
    if size_bytes > FILE_SIZE_BYTES_MAX as u64 {
        return Err(ProjectError::TooLarge(format!("{path} is larger than {FILE_SIZE_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// Whether somebody other than `by` has locked the file.
pub(crate) fn check_lock(view: &ProjectState, path: &FilePath, by: Option<ParticipantId>) -> Result<(), ProjectError> {
    match view.locks.get(path) {
        Some(locker) if Some(*locker) != by => {
            let name = view.participants.get(locker).map_or_else(|| locker.to_string(), |known| known.name.clone());
            Err(ProjectError::Conflict(format!("{name} has locked {path}")))
        }
        _ => Ok(()),
    }
}

/// What has to be done to `have` to make it `want`: deletions first, so that a directory can take a file's place.
pub(crate) fn difference<'a>(have: &'a Tree, want: &'a Tree) -> Difference<'a> {
    let deleted = have.keys().filter(|path| !want.contains_key(*path)).collect();
    let written = want.iter().filter(|(path, info)| have.get(*path).is_none_or(|old| old.hash != info.hash)).collect();
    Difference { deleted, written }
}

/// The steps from one tree to another.
pub(crate) struct Difference<'a> {
    pub(crate) deleted: BTreeSet<&'a FilePath>,
    pub(crate) written: Vec<(&'a FilePath, &'a FileInfo)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> FilePath {
        text.parse().unwrap()
    }

    fn tree(files: &[(&str, &str)]) -> Tree {
        files
            .iter()
            .map(|(name, content)| {
                let info = FileInfo { hash: content_hash(content.as_bytes()), size_bytes: content.len() as u64 };
                (path(name), info)
            })
            .collect()
    }

    #[test]
    fn a_write_must_know_what_it_replaces() {
        let tree = tree(&[("a", "1")]);
        let (old, other) = (content_hash(b"1"), content_hash(b"2"));
        for (file, base, allowed) in [
            ("a", Some(&old), true),
            ("a", Some(&other), false),
            ("a", None, false),
            ("b", None, true),
            ("b", Some(&old), false),
        ] {
            assert_eq!(check_base(&tree, &path(file), base).is_ok(), allowed, "{file} {base:?}");
        }
    }

    #[test]
    fn files_and_directories_do_not_share_a_place() {
        let tree = tree(&[("src/app", "1")]);
        for (file, allowed) in [("src/app", true), ("src/b", true), ("src", false), ("src/app/x", false)] {
            assert_eq!(check_place(&tree, &path(file), 1).is_ok(), allowed, "{file}");
        }
        assert!(check_place(&tree, &path("big"), FILE_SIZE_BYTES_MAX + 1).is_err());
    }

    #[test]
    fn the_difference_is_what_changed() {
        let (have, want) = (tree(&[("a", "1"), ("b", "1"), ("c", "1")]), tree(&[("b", "2"), ("c", "1"), ("d", "1")]));
        let difference = difference(&have, &want);
        assert_eq!(difference.deleted.iter().map(|p| p.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(difference.written.iter().map(|(p, _)| p.as_str()).collect::<Vec<_>>(), ["b", "d"]);
    }
}
