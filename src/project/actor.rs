//! The project's one writer. Only this task appends to the log, assigns `seq` and changes the state.
//!
//! Everything that happens arrives as a [`Wake`]. What it means becomes a [`Batch`] of events; at most one batch is on
//! its way to the store at a time, and only when it is safe there is it folded into the state, published and replied to.
//! So the state is always the fold of what is stored, and nobody ever sees an event that a restart could lose. The loop
//! itself waits for nothing slow: models, processes and sandboxes are jobs that report back.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use cobuild_protocol::{
    Command, CommandFrame, Cursor, Event, ParticipantId, ProjectId, RunId, Seq,
    event::{ParticipantJoined, ParticipantLeft, RunFinished},
    frame::{Accepted, AttachMode, ControlFrame, Rejected, ResultFrame, SnapshotFrame},
    state::RunState,
    value::{Outcome, Role},
};
use futures_util::future::BoxFuture;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    batch::{After, Batch, PendingJoin, Stamp},
    command::{self, Acceptance, Desk, SandboxWish},
    conversation::Conversation,
    error::ProjectError,
    event_log::{CloseReason, EventLog},
    event_store::{StoreError, StoredSnapshot},
    file_tree::{Tree, check_base, check_place},
    handle::{Identity, Joined, Preview, Request},
    registry::ProjectParts,
    remembered::Remembered,
    room::Room,
    run::{self, JobContext, RefusedFile, Reporter, RunReport, StagedFile, UPDATES_MAX, Update, UpdateBody, Work},
    runs::Runs,
    sandbox_slot::SandboxSlot,
    state::State,
};

/// Requests that change something and wait for the batch under way. The mailbox is not read beyond that.
const WAITING_MAX: usize = 256;
/// Pause before a failed append is tried again: long enough not to spin, short enough to go on soon after an operator
/// has made room on a full disk.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Events between two stored snapshots. Folding this many takes a few tens of milliseconds at most, and that is what
/// opening a project costs.
const SNAPSHOT_EVERY: Seq = 4096;
/// A client this far behind gets a snapshot: it is smaller than the replay.
const REPLAY_EVENTS_MAX: Seq = 20_000;
/// Longest name of a participant, in characters.
const NAME_LENGTH_MAX: usize = 64;

/// What the loop can wake up to.
enum Wake {
    /// The project is to close.
    Closing,
    /// The batch under way is stored, or cannot be.
    Appended(Result<(), StoreError>),
    /// Jobs reported; the updates are in the backlog.
    Reported,
    /// Somebody asks for something. `None`: every handle is gone.
    Asked(Option<Request>),
    /// It is time to look at what only time changes: departures, a failed append, nobody using the project.
    Time,
}

/// A batch on its way to the store.
struct Appending {
    batch: Batch,
    result: BoxFuture<'static, Result<(), StoreError>>,
}

pub(crate) struct ProjectActor {
    project: ProjectId,
    parts: ProjectParts,
    state: State,
    log: EventLog,
    /// Replies that left no event.
    remembered: Remembered,
    mailbox: mpsc::Receiver<Request>,
    waiting: VecDeque<Request>,
    updates: mpsc::Receiver<Update>,
    updates_sender: mpsc::Sender<Update>,
    backlog: VecDeque<Update>,
    appending: Option<Appending>,
    /// A batch the store refused, and when to try it again. Jobs wait meanwhile; nothing of theirs is lost.
    refused: Option<(Batch, Instant)>,
    /// Whether requests go before updates the next time, so that neither starves the other.
    requests_first: bool,
    runs: Runs,
    room: Room,
    sandbox: SandboxSlot,
    tree: watch::Sender<Arc<Tree>>,
    encoded_snapshot: Option<(Seq, bytes::Bytes)>,
    snapshot_stored: Seq,
    last_used: Instant,
    jobs: TaskTracker,
    cancel: CancellationToken,
    /// What readers of the log are told at the end.
    close_reason: CloseReason,
}

/// What the registry hands a new actor.
pub(crate) struct ActorParts {
    pub(crate) project: ProjectId,
    pub(crate) parts: ProjectParts,
    pub(crate) state: State,
    pub(crate) log: EventLog,
    pub(crate) remembered: Remembered,
    pub(crate) snapshot_stored: Seq,
    pub(crate) mailbox: mpsc::Receiver<Request>,
    pub(crate) cancel: CancellationToken,
}

impl ProjectActor {
    pub(crate) fn new(parts: ActorParts) -> Self {
        let ActorParts { project, parts, state, log, remembered, snapshot_stored, mailbox, cancel } = parts;
        let (updates_sender, updates) = mpsc::channel(UPDATES_MAX);
        let (tree, _) = watch::channel(Arc::new(state.view.files.clone()));
        let jobs = TaskTracker::new();
        let sandbox = SandboxSlot::new(
            parts.clone(),
            project.clone(),
            updates_sender.clone(),
            jobs.clone(),
            cancel.child_token(),
        );
        Self {
            project,
            parts,
            state,
            log,
            remembered,
            mailbox,
            waiting: VecDeque::new(),
            updates,
            updates_sender,
            backlog: VecDeque::new(),
            appending: None,
            refused: None,
            requests_first: false,
            runs: Runs::default(),
            room: Room::default(),
            sandbox,
            tree,
            encoded_snapshot: None,
            snapshot_stored,
            last_used: Instant::now(),
            jobs,
            cancel,
            close_reason: CloseReason::Unloaded,
        }
    }

    /// Lives until the project is closed or nobody has used it for a while.
    pub(crate) async fn run(mut self) {
        self.recover();
        loop {
            self.pump();
            match self.next_wake().await {
                Wake::Closing | Wake::Asked(None) => break,
                Wake::Appended(result) => {
                    if let Err(reason) = self.on_appended(result) {
                        return self.fail(reason).await;
                    }
                }
                Wake::Reported => {}
                Wake::Asked(Some(request)) => self.on_request(request),
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
        let appending = self.appending.as_mut();
        let mut reported = Vec::new();
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Wake::Closing,
            result = async { appending.expect("guarded by the condition").result.as_mut().await },
                if appending.is_some() => Wake::Appended(result),
            _ = self.updates.recv_many(&mut reported, UPDATES_MAX), if self.backlog.is_empty() => {
                self.backlog.extend(reported);
                Wake::Reported
            }
            request = self.mailbox.recv(), if self.waiting.len() < WAITING_MAX => Wake::Asked(request),
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
            Request::Preview { reply } => drop(reply.send(self.preview())),
            Request::Command { frame, reply, .. } if frame.command.is_read() => self.on_read(frame, reply),
            Request::Delete => {
                self.close_reason = CloseReason::Deleted;
                self.cancel.cancel();
            }
            Request::Join { .. } | Request::Command { .. } => self.waiting.push_back(request),
        }
    }

    fn on_read(&self, frame: CommandFrame, reply: oneshot::Sender<ControlFrame>) {
        let id = frame.id;
        match frame.command {
            Command::ReadFile(read) => {
                let Some(info) = self.state.view.files.get(&read.path).cloned() else {
                    let error = ProjectError::NotFound(format!("there is no file {}", read.path)).body();
                    return drop(reply.send(ControlFrame::Rejected(Rejected { id: Some(id), error })));
                };
                let store = Arc::clone(&self.parts.store);
                self.jobs.spawn(async move {
                    let answer = match super::sandbox_link::read_content(&store, &info).await {
                        Ok(content) => {
                            let data = command::status::file(&read.path, &info, &content);
                            ControlFrame::Result(ResultFrame { id, data })
                        }
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

/// From what waits to the next batch.
impl ProjectActor {
    /// Makes one batch of what waits and sends it to the store, unless one is under way.
    fn pump(&mut self) {
        if self.appending.is_some() || self.retry_refused() {
            return;
        }
        loop {
            let mut batch = Batch::new(self.state.seq);
            self.fill(&mut batch);
            if batch.is_empty() && batch.after.is_empty() {
                return;
            }
            if batch.is_empty() {
                // Nothing to store: a duplicate's reply, or a participant who is here already.
                self.finish(batch);
                continue;
            }
            return self.append(batch);
        }
    }

    /// Tries a refused batch again when it is time. True while there is one.
    fn retry_refused(&mut self) -> bool {
        match self.refused.take() {
            Some((batch, at)) if at <= Instant::now() => {
                self.append(batch);
                true
            }
            Some(refused) => {
                self.refused = Some(refused);
                self.reject_waiting();
                true
            }
            None => false,
        }
    }

    /// While the store takes nothing, whoever wants a change is told so at once.
    fn reject_waiting(&mut self) {
        let error = ProjectError::Store(StoreError::Unavailable("an earlier append failed".into()));
        for request in std::mem::take(&mut self.waiting) {
            refuse(request, &error);
        }
    }

    fn append(&mut self, batch: Batch) {
        let head = batch.events.last().map_or(self.state.seq, |event| event.seq);
        let snapshot = (head >= self.snapshot_stored + SNAPSHOT_EVERY).then(|| self.snapshot_to_store()).flatten();
        if let Some(snapshot) = &snapshot {
            self.snapshot_stored = snapshot.seq;
        }
        let transaction = batch.transaction(&self.project, snapshot);
        let store = Arc::clone(&self.parts.store);
        let result = Box::pin(async move { store.append(transaction).await });
        self.appending = Some(Appending { batch, result });
    }

    fn snapshot_to_store(&self) -> Option<StoredSnapshot> {
        match serde_json::to_vec(&self.state) {
            Ok(state) => Some(StoredSnapshot { seq: self.state.seq, state: state.into() }),
            Err(error) => {
                tracing::error!(project = %self.project, %error, "the state could not be written as a snapshot");
                None
            }
        }
    }

    /// Puts into the batch what may go next: departures and the next run, then updates and requests in turn.
    fn fill(&mut self, batch: &mut Batch) {
        for participant in self.room.take_departed(Instant::now()) {
            batch.push(Event::ParticipantLeft(ParticipantLeft { participant }), Stamp::default());
        }
        if batch.is_empty() && self.runs.may_take_next() {
            self.take_next_run(batch);
        }
        self.requests_first = !self.requests_first;
        if self.requests_first {
            self.fill_from_requests(batch);
        }
        // A cancellation in the batch is the last word of its run, so updates never join a request's events.
        if batch.events.is_empty() {
            self.fill_from_updates(batch);
        }
        self.fill_from_requests(batch);
    }

    fn take_next_run(&mut self, batch: &mut Batch) {
        if let Some(next) = self.runs.queue.pop() {
            let stamp = Stamp { run: Some(next.run), by: Some(next.by), command: None };
            command::begin(batch, &self.state, next.run, Some(next.by), stamp, next.work);
        }
    }

    /// A request decides on the committed state, so it has a batch to itself.
    fn fill_from_requests(&mut self, batch: &mut Batch) {
        while batch.is_empty()
            && let Some(request) = self.waiting.pop_front()
        {
            match request {
                Request::Join { identity, since, reply } => self.join(identity, since, reply, batch),
                Request::Command { by, role, frame, reply } => self.decide(by, role, frame, reply, batch),
                Request::Leave { .. } | Request::State { .. } | Request::Preview { .. } | Request::Delete => {
                    unreachable!("answered when they came in")
                }
            }
        }
    }

    /// Updates pile up into one batch, until one of them decides on the state that the others change.
    fn fill_from_updates(&mut self, batch: &mut Batch) {
        while let Some(update) = self.backlog.front() {
            let decides = !matches!(update.body, UpdateBody::Events(_));
            if decides && !batch.is_empty() {
                return;
            }
            let update = self.backlog.pop_front().expect("there is a front");
            self.take_update(update, batch);
            if decides && !batch.is_empty() {
                return;
            }
        }
    }

    fn take_update(&mut self, update: Update, batch: &mut Batch) {
        let Update { run, body } = update;
        let live = run.is_none_or(|run| self.runs.is_live(run));
        let stamp = run.map(Stamp::run).unwrap_or_default();
        match body {
            UpdateBody::Events(events) if live => {
                batch.push_all(events, &stamp);
            }
            // Said by a run that is over: nobody hears it.
            UpdateBody::Events(_) => {}
            UpdateBody::WriteFiles { files, origin, done } => {
                // What a cancelled command left in the sandbox is still taken over, outside the run.
                let stamp = if live { stamp } else { Stamp::default() };
                let live = live || origin == cobuild_protocol::value::FileOrigin::Sandbox;
                let (accepted, refused) = if live { self.check_files(files) } else { (Vec::new(), Vec::new()) };
                for file in accepted {
                    batch.push_file(file, origin, stamp.clone());
                }
                batch.after.push(After::Written(done, refused));
            }
            UpdateBody::Ended(result) => self.end_run(run, result, batch),
            UpdateBody::Sandbox(made) => {
                let events = self.sandbox.on_made(made, &self.tree, &self.parts.store, &self.state.view);
                batch.push_all(events, &Stamp::default());
            }
            UpdateBody::Health { generation, health } => {
                let wanted = !self.room.is_empty() || !self.runs.is_quiet();
                let events = self.sandbox.on_health(generation, health, wanted, &self.tree, &self.state.view);
                batch.push_all(events, &Stamp::default());
            }
        }
    }

    /// Splits files into those whose base still holds and those that would destroy somebody's work.
    fn check_files(&self, files: Vec<StagedFile>) -> (Vec<StagedFile>, Vec<RefusedFile>) {
        let tree = &self.state.view.files;
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for file in files {
            let size_bytes = file.content.as_ref().map_or(0, bytes::Bytes::len);
            let place = match &file.content {
                Some(_) => check_place(tree, &file.path, size_bytes),
                None => Ok(()),
            };
            match place.and_then(|()| check_base(tree, &file.path, file.base.as_ref())) {
                Ok(()) => accepted.push(file),
                Err(error) => refused.push(RefusedFile { path: file.path, reason: error.to_string() }),
            }
        }
        (accepted, refused)
    }

    fn end_run(&mut self, run: Option<RunId>, result: Result<RunReport, ProjectError>, batch: &mut Batch) {
        let Some(run) = run else { return };
        if self.runs.is_live(run) {
            let finished = match result {
                Ok(report) => {
                    RunFinished { outcome: Outcome::Completed, error: None, usage: report.usage, cancelled_by: None }
                }
                Err(error) => {
                    RunFinished { outcome: Outcome::Failed, error: Some(error.body()), usage: None, cancelled_by: None }
                }
            };
            batch.push(Event::RunFinished(finished), Stamp::run(run));
        }
        self.runs.ended(run);
    }

    fn join(
        &mut self,
        identity: Identity,
        since: Option<Cursor>,
        reply: oneshot::Sender<Result<Joined, ProjectError>>,
        batch: &mut Batch,
    ) {
        let digest = self.digest(identity.key.as_deref());
        let known = self.state.participant(&digest);
        let participant = known.unwrap_or_else(|| self.state.next_participant());
        let name = display_name(identity.name.as_deref(), participant);
        let unchanged = self.state.view.participants.get(&participant).is_some_and(|seen| {
            seen.present && seen.role == identity.role && (identity.name.is_none() || seen.name == name)
        });
        if !unchanged {
            let joined = ParticipantJoined { participant, name, role: identity.role, identity: digest };
            batch.push(Event::ParticipantJoined(joined), Stamp { by: Some(participant), ..Stamp::default() });
        }
        batch.after.push(After::Join(reply, PendingJoin { participant, since }));
    }

    /// By what a participant is known again without anybody else learning their key.
    fn digest(&self, key: Option<&str>) -> String {
        let key = key.map_or_else(|| hex::encode(rand::random::<[u8; 16]>()), str::to_owned);
        let salted = format!("{}\0{}\0{key}", self.project, self.state.view.preview_id);
        super::file_tree::content_hash(salted.as_bytes()).as_str()[..32].to_owned()
    }

    fn decide(
        &mut self,
        by: ParticipantId,
        role: Role,
        frame: CommandFrame,
        reply: oneshot::Sender<ControlFrame>,
        batch: &mut Batch,
    ) {
        let CommandFrame { id, command } = frame;
        if let Some(earlier) = self.earlier_reply(&id) {
            return batch.after.push(After::Reply(reply, earlier));
        }
        let mut wish = SandboxWish::None;
        let result = if role < Role::Editor {
            Err(ProjectError::Forbidden)
        } else {
            let mut desk = Desk {
                parts: &self.parts,
                state: &self.state,
                runs: &mut self.runs,
                batch: &mut *batch,
                sandbox_wanted: &mut wish,
                by,
                id: id.clone(),
            };
            command::accept(&mut desk, command)
        };
        let answer = match result {
            Ok(Acceptance { run, seq }) => {
                ControlFrame::Accepted(Accepted { id: id.clone(), run, seq: seq.unwrap_or(self.state.seq) })
            }
            Err(error) => ControlFrame::Rejected(Rejected { id: Some(id.clone()), error: error.body() }),
        };
        let retryable = matches!(&answer, ControlFrame::Rejected(rejected) if rejected.error.retryable);
        if batch.events.is_empty() && !retryable {
            batch.push_reply(id, &answer);
        }
        batch.after.push(After::Reply(reply, answer));
        match wish {
            SandboxWish::None => {}
            SandboxWish::Start => self.sandbox.ensure(&self.tree),
            SandboxWish::Stop => self.sandbox.stop(),
        }
    }

    fn earlier_reply(&self, id: &cobuild_protocol::RequestId) -> Option<ControlFrame> {
        self.state.accepted(id).map(ControlFrame::Accepted).or_else(|| self.remembered.get(id))
    }
}

/// What follows an append.
impl ProjectActor {
    /// # Errors
    ///
    /// The log cannot be continued by this actor.
    fn on_appended(&mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        let Some(Appending { batch, .. }) = self.appending.take() else { return Ok(()) };
        match result {
            Ok(()) => {
                self.finish(batch);
                Ok(())
            }
            Err(error @ StoreError::Unavailable(_)) => {
                tracing::error!(project = %self.project, %error, "an append failed");
                self.on_refused(batch, &error);
                Ok(())
            }
            Err(error @ (StoreError::Conflict | StoreError::Corrupt(_) | StoreError::Closed)) => Err(error),
        }
    }

    /// The events are safe: they become state, everybody sees them, and their consequences begin.
    fn finish(&mut self, batch: Batch) {
        let Batch { events, stored, replies, after, .. } = batch;
        let mut tree_changed = false;
        for frame in &events {
            self.state.apply(frame);
            tree_changed |= matches!(
                frame.event,
                Event::FileWritten(_) | Event::FileDeleted(_) | Event::FileRenamed(_) | Event::ProjectCreated(_)
            );
        }
        if tree_changed {
            self.tree.send_replace(Arc::new(self.state.view.files.clone()));
        }
        self.log.publish(stored);
        self.remembered.extend(replies);
        for consequence in after {
            self.follow_up(consequence);
        }
    }

    fn follow_up(&mut self, consequence: After) {
        match consequence {
            // Somebody who no longer listens for the reply gets it by sending the command again.
            After::Reply(reply, frame) => drop(reply.send(frame)),
            After::Join(reply, join) => {
                let joined = self.attach(join);
                let participant = joined.participant;
                self.room.enter(participant);
                if reply.send(Ok(joined)).is_err() {
                    self.room.leave(participant, Instant::now());
                }
                if self.parts.settings.sandbox_on_join {
                    self.sandbox.ensure_unless_failed(&self.tree);
                }
            }
            After::Queue(waiting) => self.runs.queue.push(waiting),
            After::Stop(run) => self.runs.stop(run),
            After::Start(run, work) => self.start(run, work),
            After::Written(done, refused) => drop(done.send(refused)),
        }
    }

    fn start(&mut self, run: RunId, work: Work) {
        if work.needs_sandbox() {
            self.sandbox.ensure(&self.tree);
        }
        let answer = self.state.view.messages.iter().rev().find(|message| message.run == Some(run));
        let context = JobContext {
            run,
            parts: self.parts.clone(),
            conversation: Conversation::before(&self.state.view, run),
            message: answer.map_or(self.state.next_message(0), |message| message.message),
            tree: self.tree.subscribe(),
            sandbox: self.sandbox.status(),
            reporter: Reporter::new(Some(run), self.updates_sender.clone()),
        };
        let cancel = self.cancel.child_token();
        self.runs.started(run, matches!(work, Work::Exec { .. }), cancel.clone());
        run::spawn(&self.jobs, context, work, cancel);
    }

    /// How a participant catches up, as of now.
    fn attach(&mut self, join: PendingJoin) -> Joined {
        let PendingJoin { participant, since } = join;
        let head = self.state.seq;
        let resumable = since.filter(|cursor| {
            cursor.epoch == *self.log.reader().epoch() && cursor.seq <= head && head - cursor.seq <= REPLAY_EVENTS_MAX
        });
        match resumable {
            Some(cursor) => {
                let mode = if cursor.seq == head { AttachMode::Live } else { AttachMode::Resumed };
                Joined { participant, mode, head, from: cursor.seq, snapshot: None }
            }
            None => {
                let snapshot = Some(self.snapshot());
                Joined { participant, mode: AttachMode::Snapshot, head, from: head, snapshot }
            }
        }
    }

    /// The encoded snapshot of the present state, made once for everybody who comes at the same moment.
    fn snapshot(&mut self) -> bytes::Bytes {
        let seq = self.state.seq;
        if let Some((_, snapshot)) = self.encoded_snapshot.as_ref().filter(|(at, _)| *at == seq) {
            return snapshot.clone();
        }
        let frame = ControlFrame::Snapshot(SnapshotFrame { seq, state: self.state.view.clone() });
        let json = serde_json::to_vec(&frame).expect("a state has only string keys and finite numbers");
        let snapshot = bytes::Bytes::from(json);
        self.encoded_snapshot = Some((seq, snapshot.clone()));
        snapshot
    }

    /// The store took nothing. Whoever waits for a reply is told; what jobs said is kept and tried again.
    fn on_refused(&mut self, mut batch: Batch, error: &StoreError) {
        let from_client =
            batch.after.iter().any(|consequence| matches!(consequence, After::Reply(..) | After::Join(..)));
        if !from_client {
            self.refused = Some((batch, Instant::now() + RETRY_AFTER));
            return;
        }
        let error = ProjectError::Store(error.clone());
        for consequence in batch.after.drain(..) {
            match consequence {
                After::Reply(reply, frame) => {
                    let id = match frame {
                        ControlFrame::Accepted(accepted) => Some(accepted.id),
                        ControlFrame::Rejected(rejected) => rejected.id,
                        _ => None,
                    };
                    let _ = reply.send(ControlFrame::Rejected(Rejected { id, error: error.body() }));
                }
                After::Join(reply, _) => drop(reply.send(Err(error.clone()))),
                After::Stop(_) | After::Queue(_) | After::Start(..) | After::Written(..) => {}
            }
        }
    }
}

/// The beginning and the end.
impl ProjectActor {
    /// Ends what a crash cut off: runs without an end, a sandbox that is no more, participants who are not here.
    fn recover(&mut self) {
        let mut batch = Batch::new(self.state.seq);
        self.interrupt_runs(&mut batch);
        batch.push_all(self.sandbox.forget(&self.state.view), &Stamp::default());
        for participant in self.state.view.participants.values().filter(|participant| participant.present) {
            let left = ParticipantLeft { participant: participant.participant };
            batch.push(Event::ParticipantLeft(left), Stamp::default());
        }
        if !batch.is_empty() {
            self.append(batch);
        }
    }

    fn interrupt_runs(&self, batch: &mut Batch) {
        for run in self.state.view.runs.iter().filter(|run| run.state != RunState::Finished) {
            let finished = RunFinished {
                outcome: Outcome::Interrupted,
                error: Some(ProjectError::Interrupted.body()),
                usage: None,
                cancelled_by: None,
            };
            batch.push(Event::RunFinished(finished), Stamp::run(run.run));
        }
    }

    /// Leaves everything in order: no run without an end, no process, a snapshot for the next time.
    async fn close(mut self) {
        self.mailbox.close();
        if let Some(Appending { batch, result }) = self.appending.take()
            && result.await.is_ok()
        {
            self.finish(batch);
        }
        self.cancel.cancel();
        self.updates.close();
        self.sandbox.close().await;
        let mut batch = Batch::new(self.state.seq);
        self.interrupt_runs(&mut batch);
        batch.push_all(self.sandbox.forget(&self.state.view), &Stamp::default());
        let snapshot =
            if batch.is_empty() && self.state.seq == self.snapshot_stored { None } else { self.snapshot_to_store() };
        match self.parts.store.append(batch.transaction(&self.project, snapshot)).await {
            Ok(()) => self.finish(batch),
            Err(error) => tracing::warn!(project = %self.project, %error, "the last events were not stored"),
        }
        self.reject_rest();
        self.log.close(self.close_reason);
        self.jobs.close();
        self.jobs.wait().await;
    }

    /// The log is somebody else's, or damaged: stop at once, without a word to it.
    async fn fail(mut self, reason: StoreError) {
        tracing::error!(project = %self.project, error = %reason, "the project's log cannot be continued; it is closed");
        self.mailbox.close();
        self.cancel.cancel();
        self.sandbox.close().await;
        self.reject_rest();
        self.log.close(CloseReason::Failed);
        self.updates.close();
        self.jobs.close();
        self.jobs.wait().await;
    }

    fn reject_rest(&mut self) {
        for request in std::mem::take(&mut self.waiting) {
            refuse(request, &ProjectError::Closing);
        }
        while let Ok(request) = self.mailbox.try_recv() {
            refuse(request, &ProjectError::Closing);
        }
    }
}

/// Tells whoever asked that it cannot be.
fn refuse(request: Request, error: &ProjectError) {
    match request {
        Request::Join { reply, .. } => drop(reply.send(Err(error.clone()))),
        Request::Command { frame, reply, .. } => {
            let rejected = Rejected { id: Some(frame.id), error: error.body() };
            let _ = reply.send(ControlFrame::Rejected(rejected));
        }
        // Their senders see the dropped reply.
        Request::Leave { .. } | Request::State { .. } | Request::Preview { .. } | Request::Delete => {}
    }
}

/// The name a participant goes by: theirs, without control characters and cut to length, or "Guest".
fn display_name(name: Option<&str>, participant: ParticipantId) -> String {
    let name: String = name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(NAME_LENGTH_MAX).collect();
    let name = name.trim();
    if name.is_empty() { format!("Guest {}", participant.number()) } else { name.to_owned() }
}
