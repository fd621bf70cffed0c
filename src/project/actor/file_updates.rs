//! Files that jobs want to write: those whose base still holds go into the tree, the others come back or are kept beside
//! what is there.

use bytes::Bytes;
use cobuild_protocol::{
    Event, FilePath, ParticipantId, RunId, event::FileConflicted, state::FileInfo, value::FileOrigin,
};
use tokio::sync::oneshot;

use super::ProjectActor;
use crate::project::{
    batch::{After, Batch, Stamp},
    file_tree::{Tree, check_base, check_lock, check_place, content_hash},
    run::{Reason, RefusedFile, StagedFile},
};

impl ProjectActor {
    pub(super) fn write_files(
        &mut self,
        files: Vec<StagedFile>,
        origin: FileOrigin,
        done: oneshot::Sender<Vec<RefusedFile>>,
        stamp: Stamp,
        live: bool,
        batch: &mut Batch,
    ) {
        // What a cancelled command left in the sandbox is still taken over, outside the run.
        let mut stamp = if live { stamp } else { Stamp::default() };
        let wanted = live || origin == FileOrigin::Sandbox;
        if let Err(error) = self.check_sender(&stamp) {
            let refuse = |file| RefusedFile { file, reason: Reason::Impossible(error.to_string()) };
            return batch.after.push(After::Written(done, files.into_iter().map(refuse).collect()));
        }
        let author = stamp.by.or_else(|| self.author(stamp.run));
        let (accepted, refused) =
            if wanted { self.check_files(files, author, origin) } else { (Vec::new(), Vec::new()) };
        for file in accepted {
            batch.push_file(file, origin, stamp.clone());
            stamp.command = None;
        }
        batch.after.push(After::Written(done, refused));
    }

    fn author(&self, run: Option<RunId>) -> Option<ParticipantId> {
        self.state.view.runs.iter().rev().find(|info| Some(info.run) == run).and_then(|info| info.by)
    }

    /// Splits files into those whose base still holds and those that would destroy somebody's work.
    fn check_files(
        &self,
        files: Vec<StagedFile>,
        author: Option<ParticipantId>,
        origin: FileOrigin,
    ) -> (Vec<StagedFile>, Vec<RefusedFile>) {
        let mut tree = self.state.view.files.clone();
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for file in files {
            let reason = self.check_file(&tree, &file, author, origin);
            match (reason, &file.content) {
                (Some(reason), _) => {
                    refused.push(RefusedFile { file, reason });
                    continue;
                }
                (None, Some(content)) => {
                    let info = FileInfo { hash: content_hash(content), size_bytes: content.len() as u64 };
                    tree.insert(file.path.clone(), info);
                }
                (None, None) => drop(tree.remove(&file.path)),
            }
            accepted.push(file);
        }
        (accepted, refused)
    }

    fn check_file(
        &self,
        tree: &Tree,
        file: &StagedFile,
        author: Option<ParticipantId>,
        origin: FileOrigin,
    ) -> Option<Reason> {
        if let Some(content) = &file.content
            && let Err(error) = check_place(tree, &file.path, content.len())
        {
            return Some(Reason::Impossible(error.to_string()));
        }
        if origin != FileOrigin::Sandbox
            && let Err(error) = check_lock(&self.state.view, &file.path, author)
        {
            return Some(Reason::Locked(error.to_string()));
        }
        check_base(tree, &file.path, file.base.as_ref()).is_err().then_some(Reason::Stale)
    }

    /// Two versions of a file: the tree keeps the one it has, the store both.
    pub(super) fn keep_both(
        &mut self,
        path: FilePath,
        proposed: Option<Bytes>,
        reason: String,
        stamp: Stamp,
        batch: &mut Batch,
    ) {
        let conflict = self.state.next_conflict();
        let current = self.state.view.files.get(&path).map(|info| info.hash.clone());
        let proposed_size_bytes = proposed.as_ref().map(|content| content.len() as u64);
        let proposed = proposed.map(|content| batch.keep_blob(content));
        let event = FileConflicted { conflict, path, current, proposed, proposed_size_bytes, reason };
        batch.push(Event::FileConflicted(event), stamp);
    }
}
