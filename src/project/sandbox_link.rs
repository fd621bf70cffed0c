//! The connection between a project's tree and its sandbox.
//!
//! The tree is the truth, the sandbox a copy. One task per sandbox knows what the copy holds and makes it follow the
//! committed tree: it always goes for the latest tree, so nothing queues up behind a slow sandbox. The other way round,
//! after a process may have changed files, [`SandboxLink::pull`] brings the changes into the tree.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use cobuild_protocol::{FilePath, state::FileInfo, value::FileOrigin};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    error::ProjectError,
    event_store::SharedStore,
    file_tree::{Tree, difference},
    run::{RefusedFile, Reporter, StagedFile},
    sandbox_provider::{FileChange, Sandbox, SandboxError, SandboxFile},
};

/// Requests to one link that may wait. Only a project's own jobs send them, and each waits for its answer.
const REQUESTS_MAX: usize = 16;

/// The files a package manager works on; they go ahead of the rest while an install is under way.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];

/// The sandbox as jobs see it.
#[derive(Debug, Clone)]
pub(crate) enum SandboxStatus {
    /// There is none, and none is being made.
    Stopped,
    /// One is being made.
    Creating,
    /// It takes commands.
    Ready(Arc<SandboxLink>),
    /// None could be made.
    Failed(SandboxError),
}

/// The end of making a sandbox.
#[derive(Debug)]
pub(crate) struct SandboxMade {
    /// Which attempt this was; an older one is stopped at once.
    pub(crate) generation: u64,
    /// The sandbox and the tree it holds.
    pub(crate) result: Result<(Arc<dyn Sandbox>, Tree), SandboxError>,
}

/// A sandbox that follows the tree.
#[derive(Debug)]
pub(crate) struct SandboxLink {
    sandbox: Arc<dyn Sandbox>,
    requests: mpsc::Sender<Request>,
    holds: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Request {
    Push { done: oneshot::Sender<Result<(), SandboxError>> },
    Pull { reporter: Reporter, done: oneshot::Sender<Result<(), ProjectError>> },
}

/// While it lives, only the package manager's files follow the tree.
#[derive(Debug)]
pub(crate) struct Hold(Arc<AtomicUsize>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl SandboxLink {
    /// Starts following. `held` is what the sandbox holds now.
    pub(crate) fn start(
        sandbox: Arc<dyn Sandbox>,
        held: Tree,
        tree: watch::Receiver<Arc<Tree>>,
        store: SharedStore,
        tracker: &TaskTracker,
        cancel: CancellationToken,
    ) -> Arc<Self> {
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let holds = Arc::new(AtomicUsize::new(0));
        let follower = Follower { sandbox: Arc::clone(&sandbox), held, tree, store, holds: Arc::clone(&holds) };
        tracker.spawn(async move { cancel.run_until_cancelled(follower.run(inbox)).await });
        Arc::new(Self { sandbox, requests, holds })
    }

    pub(crate) fn sandbox(&self) -> &Arc<dyn Sandbox> {
        &self.sandbox
    }

    /// Holds everything but the package manager's files back, so that a dev server does not see imports before their
    /// packages are there.
    pub(crate) fn hold(&self) -> Hold {
        self.holds.fetch_add(1, Ordering::AcqRel);
        Hold(Arc::clone(&self.holds))
    }

    /// Returns once the sandbox holds the tree as committed now (or as much of it as is not held back).
    pub(crate) async fn push(&self) -> Result<(), SandboxError> {
        let (done, pushed) = oneshot::channel();
        self.requests.send(Request::Push { done }).await.map_err(|_| gone())?;
        pushed.await.map_err(|_| gone())?
    }

    /// Brings what processes changed into the tree. Where the tree has changed meanwhile, the tree wins.
    pub(crate) async fn pull(&self, reporter: Reporter) -> Result<(), ProjectError> {
        let (done, pulled) = oneshot::channel();
        self.requests.send(Request::Pull { reporter, done }).await.map_err(|_| gone())?;
        pulled.await.map_err(|_| gone())?
    }
}

fn gone() -> SandboxError {
    SandboxError::Lost("it was stopped".into())
}

/// The task behind a link.
struct Follower {
    sandbox: Arc<dyn Sandbox>,
    held: Tree,
    tree: watch::Receiver<Arc<Tree>>,
    store: SharedStore,
    holds: Arc<AtomicUsize>,
}

impl Follower {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                request = inbox.recv() => match request {
                    Some(Request::Push { done }) => {
                        let _ = done.send(self.push().await);
                    }
                    Some(Request::Pull { reporter, done }) => {
                        let _ = done.send(self.pull(&reporter).await);
                    }
                    None => return,
                },
                changed = self.tree.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if let Err(error) = self.push().await {
                        tracing::warn!(%error, "the sandbox did not take a change of the tree");
                    }
                }
            }
        }
    }

    async fn push(&mut self) -> Result<(), SandboxError> {
        let want = Arc::clone(&self.tree.borrow_and_update());
        let only_manifests = self.holds.load(Ordering::Acquire) > 0;
        let goes = |path: &FilePath| !only_manifests || MANIFESTS.contains(&path.as_str());
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
        self.sandbox.write(changes).await?;
        for path in &deleted {
            self.held.remove(path);
        }
        self.held.extend(written);
        Ok(())
    }

    async fn pull(&mut self, reporter: &Reporter) -> Result<(), ProjectError> {
        let listing: Tree = self
            .sandbox
            .list()
            .await?
            .into_iter()
            .map(|entry| (entry.path, FileInfo { hash: entry.hash, size_bytes: entry.size_bytes }))
            .collect();
        let difference = difference(&self.held, &listing);
        let mut staged = Vec::new();
        for path in difference.deleted {
            staged.push(StagedFile { path: path.clone(), content: None, base: self.base(path) });
        }
        for (path, _) in difference.written {
            let content = match self.sandbox.read(path).await {
                Ok(content) => content,
                // It was there a moment ago; a process is still at work on it. The next pull sees it.
                Err(SandboxError::NotFound) => continue,
                Err(error) => return Err(error.into()),
            };
            staged.push(StagedFile { path: path.clone(), content: Some(content), base: self.base(path) });
        }
        if !staged.is_empty() {
            let refused = reporter.write_files(staged, FileOrigin::Sandbox).await?;
            for RefusedFile { file, reason } in refused {
                tracing::info!(path = %file.path, ?reason, "a process's change of a file was not taken over");
            }
        }
        self.held = listing;
        Ok(())
    }

    fn base(&self, path: &FilePath) -> Option<cobuild_protocol::value::ContentHash> {
        self.held.get(path).map(|info| info.hash.clone())
    }
}

/// Reads a file's content from the store.
pub(crate) async fn read_content(store: &SharedStore, info: &FileInfo) -> Result<Bytes, ProjectError> {
    match store.blob(&info.hash).await? {
        Some(content) => Ok(content),
        None => {
            tracing::error!(hash = %info.hash, "a file's content is missing in the store");
            Err(ProjectError::Internal)
        }
    }
}

/// Reads every file of a tree.
pub(crate) async fn read_tree(store: &SharedStore, tree: &Tree) -> Result<Vec<SandboxFile>, ProjectError> {
    let mut files = Vec::with_capacity(tree.len());
    for (path, info) in tree {
        files.push(SandboxFile { path: path.clone(), content: read_content(store, info).await? });
    }
    Ok(files)
}

fn unreadable(path: &FilePath) -> SandboxError {
    SandboxError::Failed(format!("{path} could not be read from the store"))
}

/// The sandbox, if it takes commands already.
pub(crate) fn ready(status: &SandboxStatus) -> Option<Arc<SandboxLink>> {
    match status {
        SandboxStatus::Ready(link) => Some(Arc::clone(link)),
        SandboxStatus::Stopped | SandboxStatus::Creating | SandboxStatus::Failed(_) => None,
    }
}

/// Waits for the sandbox that is being made.
pub(crate) async fn wait_ready(mut status: watch::Receiver<SandboxStatus>) -> Result<Arc<SandboxLink>, SandboxError> {
    let settled = status.wait_for(|status| !matches!(status, SandboxStatus::Creating)).await;
    match settled.as_deref() {
        Ok(SandboxStatus::Ready(link)) => Ok(Arc::clone(link)),
        Ok(SandboxStatus::Failed(error)) => Err(error.clone()),
        Ok(SandboxStatus::Stopped | SandboxStatus::Creating) | Err(_) => Err(gone()),
    }
}
