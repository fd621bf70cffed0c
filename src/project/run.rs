//! A run's life: what it has to do, what it works with, and what it may report back to the actor.
//!
//! A run's job owns nothing of the project. It reads the tree and the store, borrows the sandbox, and sends [`Update`]s;
//! the actor alone turns them into events.

use std::{panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use cobuild_protocol::{
    Event, FilePath, MessageId, PackageSpec, RequestId, RunId, Seq,
    command::LeaveOut,
    event::SandboxChanged,
    value::{ContentHash, FileOrigin, GenerateMode, ImageType, Usage},
};
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    batch::Stamp,
    command::{apply, exec, generate, import_repository, install},
    compaction,
    conversation::Conversation,
    error::ProjectError,
    file_tree::Tree,
    model_provider::ModelInfo,
    page_reader::PageAddress,
    preview_pages::PreviewPages,
    registry::ProjectParts,
    repository::RepositoryUrl,
    sandbox_link::{self, SandboxStatus},
    sandbox_provider::SandboxHealth,
    spending::Spending,
};
use crate::codegen::reply_path::Layout;

/// Room for updates on their way to the actor. A job that is faster than the log waits here; 256 deltas are a fraction
/// of a second of the fastest model.
pub(crate) const UPDATES_MAX: usize = 256;

/// What a run has to do.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    Generate(GenerateWork),
    Apply { reply: String, packages: Vec<PackageSpec>, edit: bool, leave_out: LeaveOut },
    Install { packages: Vec<PackageSpec> },
    Import { url: RepositoryUrl },
    Exec { command: String, timeout: std::time::Duration },
}

/// Prompts that may wait to join one run. Whoever sends more than this to a run under way is served by the queue.
pub(crate) const STEERS_MAX: usize = 8;

/// A prompt to answer.
#[derive(Debug, Clone)]
pub(crate) struct GenerateWork {
    pub(crate) wish: Wish,
    /// Resolved.
    pub(crate) model: ModelInfo,
    /// Those to ask when it fails before its first byte, in order.
    pub(crate) fallbacks: Vec<String>,
    pub(crate) apply: bool,
    pub(crate) verbatim: bool,
    pub(crate) mode: GenerateMode,
}

/// What somebody wants of a model.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) prompt: String,
    pub(crate) images: Vec<Picture>,
    /// A page to imitate.
    pub(crate) url: Option<PageAddress>,
    /// What whoever asks knows besides.
    pub(crate) background: Option<String>,
}

/// A picture that came with a prompt.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) media_type: ImageType,
    pub(crate) data: Bytes,
}

/// A prompt that joins a run under way.
pub(crate) type Steered = Wish;

impl GenerateWork {
    /// Whether the answer changes the project.
    pub(crate) fn changes_files(&self) -> bool {
        self.apply && self.mode.is_build()
    }
}

/// What a job works with.
pub(crate) struct JobContext {
    pub(crate) run: RunId,
    pub(crate) parts: ProjectParts,
    pub(crate) conversation: Conversation,
    /// The message the answer goes to, for `generate`.
    pub(crate) message: MessageId,
    /// Prompts that join the run, for `generate`.
    pub(crate) steers: Option<mpsc::Receiver<Steered>>,
    /// What the run's calls of models consume, and what the project's consumed before.
    pub(crate) spending: Spending,
    /// Whether the preview showed an error when the run began.
    pub(crate) was_broken: bool,
    /// How the project's files lie.
    pub(crate) layout: Layout,
    /// The committed tree, always current.
    pub(crate) tree: watch::Receiver<Arc<Tree>>,
    pub(crate) sandbox: watch::Receiver<SandboxStatus>,
    /// The preview's pages that are open.
    pub(crate) pages: PreviewPages,
    /// The preview's address.
    pub(crate) preview_url: String,
    pub(crate) reporter: Reporter,
}

/// Sends a job's updates to the actor.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    stamp: Stamp,
    updates: mpsc::Sender<Update>,
}

/// The actor has gone: the project is closing, and so should the job.
#[derive(Debug)]
pub(crate) struct ActorGone;

impl From<ActorGone> for ProjectError {
    fn from(_: ActorGone) -> Self {
        Self::Closing
    }
}

impl Reporter {
    /// Whatever it reports carries this stamp; the command, if any, on the first event only.
    pub(crate) fn new(stamp: Stamp, updates: mpsc::Sender<Update>) -> Self {
        Self { stamp, updates }
    }

    /// The same for what is no longer part of the run.
    pub(crate) fn outside_the_run(&self) -> Self {
        Self { stamp: Stamp::default(), updates: self.updates.clone() }
    }

    /// Reports what happened. Waits while the actor is busy.
    pub(crate) async fn report(&self, body: UpdateBody) -> Result<(), ActorGone> {
        self.updates.send(Update { stamp: self.stamp.clone(), body }).await.map_err(|_| ActorGone)
    }

    /// Reports what is no longer part of the run, unless the actor is too busy to hear it at once. For a job that is
    /// being dropped.
    pub(crate) fn try_report_outside(&self, body: UpdateBody) -> bool {
        self.updates.try_send(Update { stamp: Stamp::default(), body }).is_ok()
    }

    /// Opens another message for an answer, and waits until that is in the log.
    pub(crate) async fn open_answer(&self, model: &ModelInfo) -> Result<MessageId, ProjectError> {
        let (done, opened) = oneshot::channel();
        self.report(UpdateBody::OpenAnswer { model: model.clone(), done }).await?;
        opened.await.map_err(|_| ProjectError::Closing)
    }

    /// Reports one event.
    pub(crate) async fn event(&self, event: Event) -> Result<(), ActorGone> {
        self.report(UpdateBody::Events(vec![event])).await
    }

    /// Puts files into the tree, all in one step, and waits until that is in the log. Returns those that were refused.
    pub(crate) async fn write_files(
        &self,
        files: Vec<StagedFile>,
        origin: FileOrigin,
    ) -> Result<Vec<RefusedFile>, ProjectError> {
        let (done, written) = oneshot::channel();
        self.report(UpdateBody::WriteFiles { files, origin, done }).await?;
        written.await.map_err(|_| ProjectError::Closing)
    }
}

/// Something a job reports.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) stamp: Stamp,
    pub(crate) body: UpdateBody,
}

/// What a job may report.
#[derive(Debug)]
pub(crate) enum UpdateBody {
    /// These happened, in this order.
    Events(Vec<Event>),
    /// Put these files into the tree.
    WriteFiles { files: Vec<StagedFile>, origin: FileOrigin, done: oneshot::Sender<Vec<RefusedFile>> },
    /// Open another message for an answer.
    OpenAnswer { model: ModelInfo, done: oneshot::Sender<MessageId> },
    /// A call of the model is over.
    Usage(CallUsage),
    /// This could not be written into the tree; keep it beside.
    Conflict { path: FilePath, proposed: Option<Bytes>, reason: String },
    /// Make the tree what it was.
    Restore { to: Seq, tree: Tree, done: oneshot::Sender<Result<(), ProjectError>> },
    /// A command that took a while is done; its reply is in the state, unless it failed.
    Settled { id: RequestId, result: Result<(), ProjectError> },
    /// Put this step of compaction on record.
    Compact(compaction::Step),
    /// Compaction is done, or cannot go on.
    Compacted(Result<(), compaction::Stopped>),
    /// The job is over and everything it used is free again.
    Ended(Result<(), ProjectError>),
    /// A sandbox is being made, and this is how far that is.
    SandboxMaking { generation: u64, changed: SandboxChanged },
    /// A sandbox was made, or could not be.
    Sandbox(super::sandbox_link::SandboxMade),
    /// A sandbox that was to stop is gone.
    SandboxStopped { generation: u64 },
    /// A sandbox's health changed.
    Health { generation: u64, health: SandboxHealth },
}

/// What a call of a model consumed.
#[derive(Debug, Clone)]
pub(crate) struct CallUsage {
    pub(crate) message: MessageId,
    pub(crate) turn: u32,
    pub(crate) usage: Usage,
    pub(crate) context_tokens_max: Option<u64>,
}

/// A file on its way into the tree.
#[derive(Debug, Clone)]
pub(crate) struct StagedFile {
    pub(crate) path: FilePath,
    /// The new content; `None` deletes the file.
    pub(crate) content: Option<Bytes>,
    /// What the change was based on; `None`: there was no such file.
    pub(crate) base: Option<ContentHash>,
}

/// A file that was not put into the tree.
#[derive(Debug)]
pub(crate) struct RefusedFile {
    pub(crate) file: StagedFile,
    pub(crate) reason: Reason,
}

/// Why a file was not put into the tree.
#[derive(Debug)]
pub(crate) enum Reason {
    /// It is based on a content that is no longer there; merging may help.
    Stale,
    /// Somebody has locked it.
    Locked(String),
    /// It cannot be, whatever is done.
    Impossible(String),
}

/// Starts the job of a run. It ends by itself, or at once when `cancel` fires: dropping the work closes the model's
/// connection and kills its processes.
pub(crate) fn spawn(
    tracker: &tokio_util::task::TaskTracker,
    context: JobContext,
    work: Work,
    cancel: CancellationToken,
) {
    let reporter = context.reporter.clone();
    let sandbox = context.sandbox.clone();
    tracker.spawn(async move {
        let run = context.run;
        let work = AssertUnwindSafe(perform(context, work)).catch_unwind();
        let result: Result<(), ProjectError> = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ProjectError::Cancelled),
            outcome = work => outcome.unwrap_or_else(|_| {
                tracing::error!(%run, "a run panicked");
                Err(ProjectError::Internal)
            }),
        };
        if matches!(result, Err(ProjectError::Cancelled)) {
            take_over_rest(&sandbox, &reporter).await;
        }
        // Nobody to tell means the project is closing; it has ended the run already.
        let _ = reporter.report(UpdateBody::Ended(result)).await;
    });
}

/// What a cancelled run's processes left in the sandbox comes into the tree, outside the run.
async fn take_over_rest(sandbox: &watch::Receiver<SandboxStatus>, reporter: &Reporter) {
    let link = sandbox_link::ready(&sandbox.borrow());
    let Some(link) = link else { return };
    // Killed, they still write until they are gone; and the next run must not meet them.
    link.until_dead().await;
    if let Err(error) = link.pull(reporter.outside_the_run(), None).await {
        tracing::info!(%error, "what a cancelled run left in the sandbox was not taken over");
    }
}

async fn perform(context: JobContext, work: Work) -> Result<(), ProjectError> {
    match work {
        Work::Generate(work) => generate::perform(context, work).await,
        Work::Apply { reply, packages, edit: _, leave_out } => {
            apply::perform(context, reply, packages, leave_out).await
        }
        Work::Install { packages } => install::perform(context, packages).await,
        Work::Import { url } => import_repository::perform(context, url).await,
        Work::Exec { command, timeout } => exec::perform(context, command, timeout).await,
    }
}
