//! The connection between a project's tree and its sandbox.
//!
//! The tree is the truth, the sandbox a copy. One task per sandbox knows what the copy holds and makes it follow the
//! committed tree: it always goes for the latest tree, so nothing queues up behind a slow sandbox. The other way round,
//! after a process may have changed files, [`SandboxLink::pull`] brings the changes into the tree.

mod follower;
mod leash;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use cobuild_protocol::{FilePath, state::FileInfo};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::leash::Leash;
use self::{follower::Follower, leash::Leashes};
use super::{
    error::ProjectError,
    event_store::SharedStore,
    file_tree::Tree,
    run::Reporter,
    sandbox_provider::{ExecRequest, OutputSender, Sandbox, SandboxError, SandboxFile, SandboxHealth},
};

/// Requests to one link that may wait. Only a project's own jobs send them, and each waits for its answer.
const REQUESTS_MAX: usize = 16;
/// How long a sandbox that no longer answers may take to say of itself that it is lost.
const LOSS_SAID_WITHIN: Duration = Duration::from_secs(2);

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
    leashes: Leashes,
    looks: AtomicUsize,
}

#[derive(Debug)]
enum Request {
    Push { done: oneshot::Sender<Result<(), SandboxError>> },
    Pull { reporter: Reporter, before: Option<Tree>, done: oneshot::Sender<Result<Vec<FilePath>, ProjectError>> },
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
        let follower = Follower::new(Arc::clone(&sandbox), held, tree, store, reporter, Arc::clone(&holds));
        tracker.spawn(async move { cancel.run_until_cancelled(follower.run(inbox)).await });
        Arc::new(Self { sandbox, requests, holds, leashes: Leashes::default(), looks: AtomicUsize::new(0) })
    }

    pub(crate) fn sandbox(&self) -> &Arc<dyn Sandbox> {
        &self.sandbox
    }

    /// Whether it is lost, by its own account. Another one takes its place, or none, in a moment.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(*self.sandbox.health().borrow(), SandboxHealth::Lost(_))
    }

    /// Whether it is lost; one that has just stopped to answer may be about to say so.
    pub(crate) async fn turns_out_lost(&self) -> bool {
        let mut health = self.sandbox.health();
        let lost = health.wait_for(|health| matches!(health, SandboxHealth::Lost(_)));
        tokio::time::timeout(LOSS_SAID_WITHIN, lost).await.is_ok_and(|lost| lost.is_ok())
    }

    /// The number of the next look at what the dev server serves.
    pub(crate) fn next_look(&self) -> usize {
        self.looks.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts a process for a job. Dropping it kills it; [`SandboxLink::until_dead`] waits for that.
    pub(crate) async fn exec(&self, request: ExecRequest, output: OutputSender) -> Result<Leash, SandboxError> {
        self.leashes.start(Arc::clone(&self.sandbox), request, output).await
    }

    /// Waits until the processes that jobs have dropped are gone, or have had their time for it.
    pub(crate) async fn until_dead(&self) {
        self.leashes.until_dead().await;
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
    /// changed since then, the process may not have seen, so both changes are merged, or kept side by side. Returns the
    /// files that the tree took.
    pub(crate) async fn pull(&self, reporter: Reporter, before: Option<Tree>) -> Result<Vec<FilePath>, ProjectError> {
        let (done, pulled) = oneshot::channel();
        self.requests.send(Request::Pull { reporter, before, done }).await.map_err(|_| gone())?;
        pulled.await.map_err(|_| gone())?
    }
}

fn gone() -> SandboxError {
    SandboxError::Lost("it was stopped".into())
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

/// The sandbox, if it takes commands already.
pub(crate) fn ready(status: &SandboxStatus) -> Option<Arc<SandboxLink>> {
    match status {
        SandboxStatus::Ready(link) => Some(Arc::clone(link)),
        SandboxStatus::Stopped | SandboxStatus::Creating | SandboxStatus::Failed(_) => None,
    }
}

/// Waits for the sandbox that is being made, or that takes the place of one that is lost.
pub(crate) async fn wait_ready(mut status: watch::Receiver<SandboxStatus>) -> Result<Arc<SandboxLink>, SandboxError> {
    let is_settled = |status: &SandboxStatus| match status {
        SandboxStatus::Creating => false,
        SandboxStatus::Ready(link) => !link.is_lost(),
        SandboxStatus::Stopped | SandboxStatus::Failed(_) => true,
    };
    let settled = status.wait_for(is_settled).await;
    match settled.as_deref() {
        Ok(SandboxStatus::Ready(link)) => Ok(Arc::clone(link)),
        Ok(SandboxStatus::Failed(error)) => Err(error.clone()),
        Ok(SandboxStatus::Stopped | SandboxStatus::Creating) | Err(_) => Err(gone()),
    }
}
