//! Writing files without destroying anybody's work: what was based on an older content is merged line by line with what
//! is there now; what cannot be merged becomes a conflict with both versions kept.

use std::sync::Arc;

use bytes::Bytes;
use cobuild_protocol::{FilePath, state::FileInfo, value::FileOrigin};
use tokio::sync::watch;

use super::{
    error::ProjectError,
    event_store::SharedStore,
    file_tree::Tree,
    run::{Reason, RefusedFile, Reporter, StagedFile, UpdateBody},
    sandbox_link::read_content,
};

/// How often a merge is made again because the file changed while it was made. More means somebody saves faster than
/// files can be read; then it is a conflict.
const ATTEMPTS_MAX: usize = 5;

/// Writes files into a tree that others write to as well.
pub(crate) struct Reconciler<'a> {
    pub(crate) store: &'a SharedStore,
    pub(crate) tree: &'a watch::Receiver<Arc<Tree>>,
    pub(crate) reporter: &'a Reporter,
}

/// What became of files that were not written as they are.
#[derive(Debug, Default)]
pub(crate) struct Reconciled {
    /// Not written at all, and why.
    pub(crate) refused: Vec<(FilePath, String)>,
    /// Kept beside what is in the tree.
    pub(crate) conflicted: Vec<FilePath>,
}

impl Reconciler<'_> {
    /// Writes what can be written, all of it in one step; then merges the rest, file by file.
    pub(crate) async fn write(&self, files: Vec<StagedFile>, origin: FileOrigin) -> Result<Reconciled, ProjectError> {
        let mut result = Reconciled::default();
        for RefusedFile { file, reason } in self.reporter.write_files(files, origin).await? {
            match reason {
                Reason::Stale => self.merge(file, &mut result).await?,
                Reason::Locked(reason) => self.conflict(file, reason, &mut result).await?,
                Reason::Impossible(reason) => result.refused.push((file.path, reason)),
            }
        }
        Ok(result)
    }

    async fn merge(&self, file: StagedFile, result: &mut Reconciled) -> Result<(), ProjectError> {
        for _ in 0..ATTEMPTS_MAX {
            let now = self.tree.borrow().get(&file.path).cloned();
            let Some(merged) = self.merged_with(&file, now.as_ref()).await? else { break };
            let attempt =
                StagedFile { path: file.path.clone(), content: Some(merged), base: now.map(|info| info.hash) };
            match self.reporter.write_files(vec![attempt], FileOrigin::Merge).await?.pop() {
                None => return Ok(()),
                Some(RefusedFile { reason: Reason::Stale, .. }) => {}
                Some(RefusedFile { reason: Reason::Locked(reason), .. }) => {
                    return self.conflict(file, reason, result).await;
                }
                Some(RefusedFile { reason: Reason::Impossible(reason), .. }) => {
                    result.refused.push((file.path, reason));
                    return Ok(());
                }
            }
        }
        self.conflict(file, "somebody else changed the same lines meanwhile".into(), result).await
    }

    /// Both changes in one text. `None` where there is none: a deletion, a binary file, the same lines changed.
    async fn merged_with(&self, file: &StagedFile, now: Option<&FileInfo>) -> Result<Option<Bytes>, ProjectError> {
        let (Some(proposed), Some(base), Some(now)) = (&file.content, &file.base, now) else { return Ok(None) };
        let Some(base) = self.store.blob(base).await? else { return Ok(None) };
        let current = read_content(self.store, now).await?;
        Ok(three_way(&base, &current, proposed))
    }

    async fn conflict(&self, file: StagedFile, reason: String, result: &mut Reconciled) -> Result<(), ProjectError> {
        result.conflicted.push(file.path.clone());
        let StagedFile { path, content: proposed, base: _ } = file;
        Ok(self.reporter.report(UpdateBody::Conflict { path, proposed, reason }).await?)
    }
}

/// Merges two texts that come from one. `None` when they are not texts or their changes touch.
pub(crate) fn three_way(base: &[u8], current: &[u8], proposed: &[u8]) -> Option<Bytes> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let merged = diffy::merge(text(base)?, text(current)?, text(proposed)?).ok()?;
    Some(Bytes::from(merged))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(current: &str, proposed: &str, expected: Option<&str>) {
        let merged = three_way(b"1\n2\n3\n4\n5\n", current.as_bytes(), proposed.as_bytes());
        assert_eq!(merged.as_deref(), expected.map(str::as_bytes), "{current:?} + {proposed:?}");
    }

    #[test]
    fn merges_what_does_not_touch() {
        check("0\n1\n2\n3\n4\n5\n", "1\n2\n3\n4\n5\n6\n", Some("0\n1\n2\n3\n4\n5\n6\n"));
        check("1\nzwei\n3\n4\n5\n", "1\n2\n3\n4\nfünf\n", Some("1\nzwei\n3\n4\nfünf\n"));
        check("1\nzwei\n3\n4\n5\n", "1\nzwei\n3\n4\n5\n", Some("1\nzwei\n3\n4\n5\n"));
        check("1\nzwei\n3\n4\n5\n", "1\ndeux\n3\n4\n5\n", None);
    }

    #[test]
    fn leaves_binary_files_alone() {
        assert_eq!(three_way(b"\xff1", b"\xff2", b"\xff3"), None);
    }
}
