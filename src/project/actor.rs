//! The project's one writer. Only this task appends to the log, assigns `seq` and changes the state.
//!
//! Everything that happens arrives as a [`Wake`]. What it means becomes a [`Batch`] of events; at most one batch is on
//! its way to the store at a time, and only when it is safe there is it folded into the state, published and replied to.
//! So the state is always the fold of what is stored, and nobody ever sees an event that a restart could lose. The loop
//! itself waits for nothing slow: models, processes and sandboxes are jobs that report back.

mod compaction;
mod decisions;
mod file_updates;
mod intake;
mod joining;
mod life;
mod outcome;
mod updates;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use cobuild_protocol::{
    Command, CommandFrame, ProjectId, RequestId, Seq,
    frame::{ControlFrame, Rejected, ResultFrame},
};
use futures_util::future::BoxFuture;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::{
    batch::Batch,
    command,
    compaction::Occasion,
    error::ProjectError,
    event_log::{CloseReason, EventLog},
    event_store::{KeptLog, StoreError, StoredWork},
    figures::Figures,
    file_tree::Tree,
    handle::{Preview, Request},
    places::Places,
    presence::PresenceBoard,
    preview_pages::PreviewPages,
    registry::ProjectParts,
    remembered::RejectedCommands,
    room::Room,
    run::{UPDATES_MAX, Update},
    runs::Runs,
    sandbox_slot::SandboxSlot,
    state::State,
};

/// Requests that change something and wait for the batch under way. The mailbox is not read beyond that.
const WAITING_MAX: usize = 256;

/// What the loop can wake up to.
enum Wake {
    /// The project is to close.
    Closing,
    /// Nothing new is to begin.
    Draining,
    /// The batch under way is stored, or cannot be.
    Appended(Result<(), StoreError>),
    /// Jobs reported; the updates are in the backlog.
    Reported,
    /// People ask for something: all that has come in. Empty: every handle is gone.
    Asked(Vec<Request>),
    /// It is time to look at what only time changes: departures, a failed append, nobody using the project.
    Time,
}

/// A batch on its way to the store.
struct Appending {
    batch: Batch,
    began: Instant,
    /// The place of the snapshot that goes with it.
    snapshot: Option<Seq>,
    result: BoxFuture<'static, Result<(), StoreError>>,
}

pub(crate) struct ProjectActor {
    project: ProjectId,
    parts: ProjectParts,
    state: State,
    log: EventLog,
    presence: PresenceBoard,
    pages: PreviewPages,
    places: Places,
    /// Told when an owner has removed somebody.
    removals: watch::Sender<()>,
    /// Replies that left no event.
    remembered: RejectedCommands,
    mailbox: mpsc::Receiver<Request>,
    /// For members, whose drop is a request.
    mailbox_sender: mpsc::WeakSender<Request>,
    waiting: VecDeque<Request>,
    /// What runs that waited before the project was loaded need to begin; taken at once.
    restored: Vec<StoredWork>,
    updates: mpsc::Receiver<Update>,
    updates_sender: mpsc::Sender<Update>,
    backlog: VecDeque<Update>,
    appending: Option<Appending>,
    /// A batch the store refused, and when to try it again. Jobs wait meanwhile; nothing of theirs is lost.
    refused: Option<(Batch, Instant)>,
    /// Commands a job is finding out about, and who waits for their replies.
    settling: HashMap<RequestId, Vec<oneshot::Sender<ControlFrame>>>,
    /// Whether requests go before updates the next time, so that neither starves the other.
    requests_first: bool,
    runs: Runs,
    room: Room,
    sandbox: SandboxSlot,
    tree: watch::Sender<Arc<Tree>>,
    encoded_snapshot: Option<(Seq, bytes::Bytes)>,
    snapshot_stored: Seq,
    /// What is kept of the log.
    kept: KeptLog,
    compacting: bool,
    /// A run has ended since compaction last began.
    run_ended: bool,
    last_used: Instant,
    jobs: TaskTracker,
    figures: Figures,
    cancel: CancellationToken,
    /// Cancelled when nothing new is to begin any more.
    drain: CancellationToken,
    /// Held until nothing runs, and nothing will.
    undrained: Option<TaskTrackerToken>,
    /// What readers of the log are told at the end.
    close_reason: CloseReason,
}

/// What the registry hands a new actor.
pub(crate) struct ActorParts {
    pub(crate) project: ProjectId,
    pub(crate) parts: ProjectParts,
    pub(crate) state: State,
    pub(crate) log: EventLog,
    pub(crate) presence: PresenceBoard,
    pub(crate) pages: PreviewPages,
    pub(crate) places: Places,
    pub(crate) removals: watch::Sender<()>,
    pub(crate) remembered: RejectedCommands,
    /// What the runs that wait need to begin.
    pub(crate) waiting: Vec<StoredWork>,
    pub(crate) snapshot_stored: Seq,
    pub(crate) kept: KeptLog,
    pub(crate) mailbox: mpsc::Receiver<Request>,
    pub(crate) mailbox_sender: mpsc::WeakSender<Request>,
    pub(crate) cancel: CancellationToken,
    pub(crate) drain: CancellationToken,
    pub(crate) undrained: TaskTrackerToken,
}

impl ProjectActor {
    pub(crate) fn new(parts: ActorParts) -> Self {
        let ActorParts {
            project,
            parts,
            state,
            log,
            presence,
            pages,
            places,
            removals,
            remembered,
            waiting,
            snapshot_stored,
            kept,
            mailbox,
            mailbox_sender,
            cancel,
            drain,
            undrained,
        } = parts;
        let (updates_sender, updates) = mpsc::channel(UPDATES_MAX);
        let (tree, _) = watch::channel(Arc::new(state.view.files.clone()));
        let jobs = TaskTracker::new();
        let preview_url = parts.settings.preview_url(&state.view.preview_id);
        let sandbox = SandboxSlot::new(
            parts.clone(),
            project.clone(),
            updates_sender.clone(),
            jobs.clone(),
            cancel.child_token(),
            preview_url,
            &state.view.sandbox,
        );
        Self {
            project,
            parts,
            state,
            log,
            presence,
            pages,
            places,
            removals,
            remembered,
            mailbox,
            mailbox_sender,
            waiting: VecDeque::new(),
            restored: waiting,
            updates,
            updates_sender,
            backlog: VecDeque::new(),
            appending: None,
            refused: None,
            settling: HashMap::new(),
            requests_first: false,
            runs: Runs::default(),
            room: Room::default(),
            sandbox,
            tree,
            encoded_snapshot: None,
            snapshot_stored,
            kept,
            compacting: false,
            run_ended: false,
            last_used: Instant::now(),
            jobs,
            figures: Figures::new(),
            cancel,
            drain,
            undrained: Some(undrained),
            close_reason: CloseReason::Unloaded,
        }
    }

    /// Lives until the project is closed or nobody has used it for a while.
    pub(crate) async fn run(mut self) {
        self.recover();
        self.compact(Occasion::Loaded);
        loop {
            self.pump();
            self.drained_if_quiet();
            match self.next_wake().await {
                Wake::Closing => break,
                Wake::Asked(requests) if requests.is_empty() => break,
                Wake::Appended(result) => {
                    if let Err(reason) = self.on_appended(result) {
                        return self.fail(reason).await;
                    }
                }
                Wake::Reported | Wake::Draining => {}
                Wake::Asked(requests) => requests.into_iter().for_each(|request| self.on_request(request)),
                Wake::Time => {
                    if self.is_unused() {
                        break;
                    }
                }
            }
        }
        self.close().await;
    }

    async fn next_wake(&mut self) -> Wake {
        let deadline = self.next_deadline();
        let undrained = self.undrained.is_some() && !self.drain.is_cancelled();
        let appending = self.appending.as_mut();
        let (mut reported, mut asked) = (Vec::new(), Vec::new());
        let may_ask = WAITING_MAX.saturating_sub(self.waiting.len());
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Wake::Closing,
            () = self.drain.cancelled(), if undrained => Wake::Draining,
            result = async { appending.expect("guarded by the condition").result.as_mut().await },
                if appending.is_some() => Wake::Appended(result),
            _ = self.updates.recv_many(&mut reported, UPDATES_MAX), if self.backlog.is_empty() => {
                self.backlog.extend(reported);
                Wake::Reported
            }
            _ = self.mailbox.recv_many(&mut asked, may_ask), if may_ask > 0 => Wake::Asked(asked),
            () = tokio::time::sleep_until(deadline) => Wake::Time,
        }
    }

    fn next_deadline(&self) -> Instant {
        let unload = self.last_used + self.parts.settings.unload_after;
        let retry = self.refused.as_ref().map(|(_, at)| *at);
        let free = self.appending.is_none() && retry.is_none();
        let departure = self.room.next_departure().filter(|_| free);
        [retry, departure].into_iter().flatten().fold(unload, Instant::min)
    }

    /// When nothing is to begin and nothing runs any more, the server need not wait for this project.
    fn drained_if_quiet(&mut self) {
        let open = self.appending.is_some() || self.refused.is_some() || !self.backlog.is_empty();
        if self.drain.is_cancelled() && !open && !self.runs.is_running() {
            self.undrained = None;
        }
    }

    /// Nothing runs, nobody is here, and it has been so for a while.
    fn is_unused(&mut self) -> bool {
        let in_use = !self.room.is_empty() || !self.runs.is_quiet() || self.appending.is_some();
        if in_use || self.refused.is_some() {
            self.last_used = Instant::now();
            return false;
        }
        self.last_used.elapsed() >= self.parts.settings.unload_after
    }
}

/// What comes in.
impl ProjectActor {
    /// Reads are answered at once from the committed state; what changes something waits for its batch.
    fn on_request(&mut self, request: Request) {
        self.last_used = Instant::now();
        match request {
            Request::Leave { participant } => self.room.leave(participant, Instant::now()),
            Request::State { reply } => drop(reply.send((self.state.seq, self.state.view.clone()))),
            Request::IsRemoved { key, reply } => {
                let known = self.state.participant(&self.digest(Some(&key)));
                // Whoever asked may have gone meanwhile.
                let _ = reply.send(known.is_some_and(|participant| self.state.is_removed(participant)));
            }
            Request::Recall { id, reply } => drop(reply.send(self.earlier_reply(&id))),
            Request::Preview { reply } => drop(reply.send(self.preview())),
            Request::Command { by, role, ref frame, .. }
                if frame.command.is_read() && self.state.role(by, role).is_none() =>
            {
                life::refuse(request, &ProjectError::removed());
            }
            Request::Command { frame, reply, .. } if frame.command.is_read() => self.on_read(frame, reply),
            Request::Delete => {
                self.close_reason = CloseReason::Deleted;
                self.cancel.cancel();
            }
            Request::Join { .. } | Request::Command { .. } | Request::Page { .. } => self.waiting.push_back(request),
        }
    }

    fn on_read(&self, frame: CommandFrame, reply: oneshot::Sender<ControlFrame>) {
        let id = frame.id;
        match frame.command {
            Command::ReadFile(read) => {
                let (store, project) = (Arc::clone(&self.parts.store), self.project.clone());
                let now = command::status::version_to_read(&self.state.view, &read);
                self.jobs.spawn(async move {
                    let answer = match command::status::read_file(&store, &project, &read, now).await {
                        Ok(data) => ControlFrame::Result(ResultFrame { id, data }),
                        Err(error) => ControlFrame::Rejected(Rejected { id: Some(id), error: error.body() }),
                    };
                    let _ = reply.send(answer);
                });
            }
            _ => {
                let data = command::status::status(&self.state);
                let _ = reply.send(ControlFrame::Result(ResultFrame { id, data }));
            }
        }
    }

    fn preview(&mut self) -> Preview {
        let preview = self.sandbox.preview(&self.state.view);
        if matches!(preview, Preview::Starting { .. }) {
            self.sandbox.ensure_unless_failed(&self.tree);
        }
        preview
    }
}
