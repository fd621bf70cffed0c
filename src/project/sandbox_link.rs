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
use cobuild_protocol::{
    Event, FilePath,
    event::FileRefused,
    state::FileInfo,
    value::{ContentHash, FileOrigin},
};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    error::ProjectError,
    event_store::SharedStore,
    file_tree::{Tree, content_hash, difference},
    reconcile::Reconciler,
    run::{Reporter, StagedFile},
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
    pub(crate) result: Result<Made, SandboxError>,
}

/// A sandbox that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) sandbox: Arc<dyn Sandbox>,
    /// The tree it holds.
    pub(crate) held: Tree,
    /// What is not as it should be, for the room.
    pub(crate) problem: Option<String>,
}

/// A sandbox that follows the tree.
#[derive(Debug)]
pub(crate) struct SandboxLink {
    sandbox: Arc<dyn Sandbox>,
    requests: mpsc::Sender<Request>,
    holds: Arc<Holds>,
}

#[derive(Debug)]
enum Request {
    Push { done: oneshot::Sender<Result<(), SandboxError>> },
    Pull { reporter: Reporter, before: Option<Tree>, done: oneshot::Sender<Result<(), ProjectError>> },
    Held { done: oneshot::Sender<Tree> },
}

/// How many want files held back, and a word when one of them no longer does.
#[derive(Debug, Default)]
struct Holds {
    count: AtomicUsize,
    released: Notify,
}

/// While it lives, only the package manager's files follow the tree. What was held back follows when it is dropped, in
/// whatever way that comes about.
#[derive(Debug)]
pub(crate) struct Hold(Arc<Holds>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.released.notify_one();
    }
}

impl SandboxLink {
    /// Starts following. `held` is what the sandbox holds now.
    pub(crate) fn start(
        sandbox: Arc<dyn Sandbox>,
        held: Tree,
        tree: watch::Receiver<Arc<Tree>>,
        store: SharedStore,
        reporter: Reporter,
        tracker: &TaskTracker,
        cancel: CancellationToken,
    ) -> Arc<Self> {
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let holds = Arc::new(Holds::default());
        let follower =
            Follower { sandbox: Arc::clone(&sandbox), held, tree, store, reporter, holds: Arc::clone(&holds) };
        tracker.spawn(async move { cancel.run_until_cancelled(follower.run(inbox)).await });
        Arc::new(Self { sandbox, requests, holds })
    }

    pub(crate) fn sandbox(&self) -> &Arc<dyn Sandbox> {
        &self.sandbox
    }

    /// Holds everything but the package manager's files back, so that a dev server does not see imports before their
    /// packages are there.
    pub(crate) fn hold(&self) -> Hold {
        self.holds.count.fetch_add(1, Ordering::AcqRel);
        Hold(Arc::clone(&self.holds))
    }

    /// Returns once the sandbox holds the tree as committed now (or as much of it as is not held back).
    pub(crate) async fn push(&self) -> Result<(), SandboxError> {
        let (done, pushed) = oneshot::channel();
        self.requests.send(Request::Push { done }).await.map_err(|_| gone())?;
        pushed.await.map_err(|_| gone())?
    }

    /// What the sandbox holds now; for [`SandboxLink::pull`] after a process.
    pub(crate) async fn held(&self) -> Result<Tree, SandboxError> {
        let (done, held) = oneshot::channel();
        self.requests.send(Request::Held { done }).await.map_err(|_| gone())?;
        held.await.map_err(|_| gone())
    }

    /// Brings what processes changed into the tree. `before` is what the sandbox held when the process began: what
    /// changed since then, the process may not have seen, so both changes are merged, or kept side by side.
    pub(crate) async fn pull(&self, reporter: Reporter, before: Option<Tree>) -> Result<(), ProjectError> {
        let (done, pulled) = oneshot::channel();
        self.requests.send(Request::Pull { reporter, before, done }).await.map_err(|_| gone())?;
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
    /// For what is found to have changed outside of any run.
    reporter: Reporter,
    holds: Arc<Holds>,
}

impl Follower {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
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

    /// Before the tree's version goes over a file that a process has changed meanwhile, that change is taken over: merged,
    /// or kept as a conflict.
    async fn rescue(&mut self) -> Result<(), SandboxError> {
        let want = Arc::clone(&self.tree.borrow());
        let difference = difference(&self.held, &want);
        let touched: Vec<FilePath> =
            difference.written.into_iter().map(|(path, _)| path).chain(difference.deleted).cloned().collect();
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
            let file = StagedFile { path: path.clone(), content: Some(content), base: Some(held.hash) };
            let reporter = self.reporter.clone();
            if self.take_over(&reporter, vec![file]).await.is_err() {
                return Err(gone());
            }
            self.held.insert(path, FileInfo { hash, size_bytes });
        }
        Ok(())
    }

    async fn pull(&mut self, reporter: &Reporter, before: Option<&Tree>) -> Result<(), ProjectError> {
        let mut listing: Tree = self
            .sandbox
            .list()
            .await?
            .into_iter()
            .map(|entry| (entry.path, FileInfo { hash: entry.hash, size_bytes: entry.size_bytes }))
            .collect();
        let difference = difference(&self.held, &listing);
        let (mut staged, mut still_there) = (Vec::new(), Vec::new());
        for path in difference.deleted {
            // Missing in the listing is not gone: it may have become too large. Only what is not there is deleted.
            match self.sandbox.read(path).await {
                Err(SandboxError::NotFound) => {
                    staged.push(StagedFile { path: path.clone(), content: None, base: self.base(path, before) });
                }
                Err(error @ SandboxError::Lost(_)) => return Err(error.into()),
                Ok(_) | Err(_) => still_there.extend(self.held.get(path).map(|info| (path.clone(), info.clone()))),
            }
        }
        for (path, _) in difference.written {
            let content = match self.sandbox.read(path).await {
                Ok(content) => content,
                // It was there a moment ago; a process is still at work on it. The next pull sees it.
                Err(SandboxError::NotFound) => continue,
                Err(error) => return Err(error.into()),
            };
            staged.push(StagedFile { path: path.clone(), content: Some(content), base: self.base(path, before) });
        }
        listing.extend(still_there);
        self.take_over(reporter, staged).await?;
        self.held = listing;
        Ok(())
    }

    async fn take_over(&self, reporter: &Reporter, staged: Vec<StagedFile>) -> Result<(), ProjectError> {
        if staged.is_empty() {
            return Ok(());
        }
        let reconciler = Reconciler { store: &self.store, tree: &self.tree, reporter };
        for (path, reason) in reconciler.write(staged, FileOrigin::Sandbox).await?.refused {
            reporter.event(Event::FileRefused(FileRefused { path: path.to_string(), reason })).await?;
        }
        Ok(())
    }

    /// What a process's change of this file was based on: what was there when the process began.
    fn base(&self, path: &FilePath, before: Option<&Tree>) -> Option<ContentHash> {
        before.unwrap_or(&self.held).get(path).map(|info| info.hash.clone())
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
