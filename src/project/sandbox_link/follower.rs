//! The task behind a link: makes the sandbox follow the tree, and the tree what processes did.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use cobuild_protocol::{
    Event, FilePath,
    event::FileRefused,
    state::FileInfo,
    value::{ContentHash, FileOrigin},
};
use tokio::sync::{mpsc, watch};

use super::{Holds, Request, gone, read_content};
use crate::project::{
    error::ProjectError,
    event_store::SharedStore,
    file_tree::{Tree, check_size, content_hash, difference},
    reconcile::Reconciler,
    run::{Reporter, StagedFile},
    sandbox_provider::{FileChange, RefusedChange, Sandbox, SandboxError, SandboxFile},
};

/// The files a package manager works on; they go ahead of the rest while an install is under way.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];

/// A version of a file in the tree; `None`: it is not there.
type Version = Option<ContentHash>;

/// See the module.
pub(super) struct Follower {
    sandbox: Arc<dyn Sandbox>,
    /// What the sandbox holds, as far as is known.
    held: Tree,
    /// Files whose version in the sandbox the tree refused, with the tree's version at that time. Neither goes over
    /// the other until somebody changes the file in the tree, or a process makes one of it that the tree takes.
    left_alone: BTreeMap<FilePath, Version>,
    /// Files whose version in the tree the sandbox refused, with that version. Tried again, but told only once.
    blocked: BTreeMap<FilePath, Version>,
    tree: watch::Receiver<Arc<Tree>>,
    store: SharedStore,
    /// For what is found to have changed outside of any run.
    reporter: Reporter,
    holds: Arc<Holds>,
}

impl Follower {
    pub(super) fn new(
        sandbox: Arc<dyn Sandbox>,
        held: Tree,
        tree: watch::Receiver<Arc<Tree>>,
        store: SharedStore,
        reporter: Reporter,
        holds: Arc<Holds>,
    ) -> Self {
        let (left_alone, blocked) = (BTreeMap::new(), BTreeMap::new());
        Self { sandbox, held, left_alone, blocked, tree, store, reporter, holds }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                request = inbox.recv() => match request {
                    Some(Request::Push { done }) => {
                        let _ = done.send(self.push().await);
                    }
                    Some(Request::Pull { reporter, before, done }) => {
                        let _ = done.send(self.pull(&reporter, before.as_ref()).await);
                    }
                    Some(Request::Held { done }) => {
                        let _ = done.send(self.held.clone());
                    }
                    None => return,
                },
                changed = self.tree.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.follow().await;
                }
                () = self.holds.released.notified() => self.follow().await,
            }
        }
    }

    async fn follow(&mut self) {
        if let Err(error) = self.push().await {
            tracing::warn!(%error, "the sandbox did not take a change of the tree");
        }
    }

    async fn push(&mut self) -> Result<(), SandboxError> {
        self.rescue().await?;
        let want = Arc::clone(&self.tree.borrow_and_update());
        let only_manifests = self.holds.count.load(Ordering::Acquire) > 0;
        let goes =
            |path: &FilePath| (!only_manifests || MANIFESTS.contains(&path.as_str())) && self.follows(&want, path);
        let difference = difference(&self.held, &want);
        let deleted: Vec<FilePath> = difference.deleted.into_iter().filter(|path| goes(path)).cloned().collect();
        let written: Vec<(FilePath, FileInfo)> = difference
            .written
            .into_iter()
            .filter(|(path, _)| goes(path))
            .map(|(path, info)| (path.clone(), info.clone()))
            .collect();
        if deleted.is_empty() && written.is_empty() {
            return Ok(());
        }
        let mut changes: Vec<FileChange> = deleted.iter().cloned().map(FileChange::Delete).collect();
        for (path, info) in &written {
            let content = read_content(&self.store, info).await.map_err(|_| unreadable(path))?;
            changes.push(FileChange::Write(SandboxFile { path: path.clone(), content }));
        }
        let refused = self.sandbox.write(changes).await?;
        let is_made = |path: &FilePath| refused.iter().all(|change| change.path != *path);
        for path in deleted.into_iter().filter(|path| is_made(path)) {
            self.held.remove(&path);
            self.in_step(&path);
        }
        for (path, info) in written.into_iter().filter(|(path, _)| is_made(path)) {
            self.in_step(&path);
            self.held.insert(path, info);
        }
        self.tell_blocked(&want, refused).await
    }

    /// Says once for each version of a file that the sandbox did not take it.
    async fn tell_blocked(&mut self, want: &Tree, refused: Vec<RefusedChange>) -> Result<(), SandboxError> {
        for RefusedChange { path, reason } in refused {
            let version = version(want, &path);
            if self.blocked.insert(path.clone(), version.clone()) != Some(version) {
                tell(&self.reporter, path, reason).await.map_err(|_| gone())?;
            }
        }
        Ok(())
    }

    /// Whether the sandbox's version of a file follows the tree's.
    fn follows(&self, want: &Tree, path: &FilePath) -> bool {
        self.left_alone.get(path).is_none_or(|refused_beside| *refused_beside != version(want, path))
    }

    /// The sandbox and the tree have the same version of this file.
    fn in_step(&mut self, path: &FilePath) {
        self.left_alone.remove(path);
        self.blocked.remove(path);
    }

    /// Before the tree's version goes over a file that a process has changed meanwhile, that change is taken over: merged,
    /// or kept as a conflict.
    async fn rescue(&mut self) -> Result<(), SandboxError> {
        let want = Arc::clone(&self.tree.borrow());
        let difference = difference(&self.held, &want);
        let touched: Vec<FilePath> = difference
            .written
            .into_iter()
            .map(|(path, _)| path)
            .chain(difference.deleted)
            .filter(|path| self.follows(&want, path))
            .cloned()
            .collect();
        for path in touched {
            let Some(held) = self.held.get(&path).cloned() else { continue };
            let content = match self.sandbox.read(&path).await {
                Ok(content) => content,
                Err(SandboxError::NotFound | SandboxError::Refused(_)) => continue,
                Err(error) => return Err(error),
            };
            let hash = content_hash(&content);
            if hash == held.hash || want.get(&path).is_some_and(|info| info.hash == hash) {
                continue;
            }
            let size_bytes = content.len() as u64;
            let base = self.base(&path, None);
            let file = StagedFile { path: path.clone(), content: Some(content), base };
            let reporter = self.reporter.clone();
            if self.take_over(&reporter, vec![file], Vec::new()).await.is_err() {
                return Err(gone());
            }
            self.held.insert(path, FileInfo { hash, size_bytes });
        }
        Ok(())
    }

    /// Returns the files that are in the tree now as processes left them.
    async fn pull(&mut self, reporter: &Reporter, before: Option<&Tree>) -> Result<Vec<FilePath>, ProjectError> {
        let mut listing: Tree = self
            .sandbox
            .list()
            .await?
            .into_iter()
            .map(|entry| (entry.path, FileInfo { hash: entry.hash, size_bytes: entry.size_bytes }))
            .collect();
        let difference = difference(&self.held, &listing);
        let deleted: Vec<FilePath> = difference.deleted.into_iter().cloned().collect();
        let written: Vec<(FilePath, u64)> =
            difference.written.into_iter().map(|(path, info)| (path.clone(), info.size_bytes)).collect();
        let (mut staged, mut refused, mut unsettled) = (Vec::new(), Vec::new(), Vec::new());
        for path in deleted {
            // Missing in the listing is not gone: it may have become too large. Only what is not there is deleted.
            match self.sandbox.read(&path).await {
                Err(SandboxError::NotFound) => match self.base(&path, before) {
                    base @ Some(_) => staged.push(StagedFile { path, content: None, base }),
                    // The tree never took it.
                    None => self.in_step(&path),
                },
                Err(error @ SandboxError::Lost(_)) => return Err(error.into()),
                Err(SandboxError::Refused(reason)) => {
                    unsettled.push(path.clone());
                    refused.push((path, reason));
                }
                Ok(_) | Err(_) => unsettled.push(path),
            }
        }
        for (path, size_bytes) in written {
            if let Err(error) = check_size(&path, size_bytes) {
                refused.push((path, error.to_string()));
                continue;
            }
            match self.sandbox.read(&path).await {
                Ok(content) => {
                    // A process at work on it may have changed it since it was listed.
                    let info = FileInfo { hash: content_hash(&content), size_bytes: content.len() as u64 };
                    listing.insert(path.clone(), info);
                    let base = self.base(&path, before);
                    staged.push(StagedFile { path, content: Some(content), base });
                }
                // It was there a moment ago; a process is still at work on it. The next pull sees it.
                Err(SandboxError::NotFound) => unsettled.push(path),
                Err(SandboxError::Refused(reason)) => {
                    unsettled.push(path.clone());
                    refused.push((path, reason));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let taken = self.take_over(reporter, staged, refused).await?;
        for path in unsettled {
            match self.held.remove(&path) {
                Some(info) => drop(listing.insert(path, info)),
                None => drop(listing.remove(&path)),
            }
        }
        self.held = listing;
        Ok(taken)
    }

    /// Brings files into the tree, and returns those. What it does not take, and what was refused before, is left alone
    /// from now on.
    async fn take_over(
        &mut self,
        reporter: &Reporter,
        staged: Vec<StagedFile>,
        mut refused: Vec<(FilePath, String)>,
    ) -> Result<Vec<FilePath>, ProjectError> {
        // As it was before: should somebody change it meanwhile, that goes to the sandbox.
        let tree = Arc::clone(&self.tree.borrow());
        let mut taken = Vec::new();
        if !staged.is_empty() {
            let paths: Vec<FilePath> = staged.iter().map(|file| file.path.clone()).collect();
            let reconciler = Reconciler { store: &self.store, tree: &self.tree, reporter };
            let reconciled = reconciler.write(staged, FileOrigin::Sandbox).await?;
            let is_refused = |path: &FilePath| reconciled.refused.iter().any(|(refused, _)| refused == path);
            for path in paths.into_iter().filter(|path| !is_refused(path)) {
                self.in_step(&path);
                if !reconciled.conflicted.contains(&path) {
                    taken.push(path);
                }
            }
            refused.extend(reconciled.refused);
        }
        for (path, reason) in refused {
            let version = version(&tree, &path);
            if self.left_alone.insert(path.clone(), version.clone()) != Some(version) {
                tell(reporter, path, reason).await?;
            }
        }
        Ok(taken)
    }

    /// What a process's change of this file was based on: what the tree had where it refused the version before, else
    /// what was there when the process began.
    fn base(&self, path: &FilePath, before: Option<&Tree>) -> Version {
        match self.left_alone.get(path) {
            Some(version) => version.clone(),
            None => version(before.unwrap_or(&self.held), path),
        }
    }
}

fn version(tree: &Tree, path: &FilePath) -> Version {
    tree.get(path).map(|info| info.hash.clone())
}

async fn tell(reporter: &Reporter, path: FilePath, reason: String) -> Result<(), ProjectError> {
    Ok(reporter.event(Event::FileRefused(FileRefused { path: path.into(), reason })).await?)
}

fn unreadable(path: &FilePath) -> SandboxError {
    SandboxError::Failed(format!("{path} could not be read from the store"))
}
