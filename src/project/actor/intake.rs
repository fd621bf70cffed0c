//! From what waits to the next batch: requests decide, updates report, both become events.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use cobuild_protocol::{
    CommandFrame, Cursor, Event, FilePath, MessageId, ParticipantId, RequestId, RunId, Seq,
    event::{FileConflicted, ParticipantJoined, ParticipantLeft, PreviewChanged, RunFinished, UsageUpdated},
    frame::{Accepted, ControlFrame, Rejected},
    state::FileInfo,
    value::{FileOrigin, Outcome, PreviewState, Role, Usage},
};
use futures_util::FutureExt;
use tokio::{sync::oneshot, time::Instant};

use super::{Appending, ProjectActor};
use crate::project::{
    batch::{After, Batch, PendingJoin, Stamp},
    command::{self, Acceptance, Answer, Desk, Later, SandboxWish},
    error::ProjectError,
    event_store::StoredSnapshot,
    file_tree::{Tree, check_base, check_lock, check_place, content_hash},
    handle::{Identity, Joined, Request},
    model_provider::ModelInfo,
    preview_pages::PageNews,
    room::{PARTICIPANT_CONNECTIONS_MAX, PROJECT_CONNECTIONS_MAX},
    run::{CallUsage, Reason, RefusedFile, Reporter, StagedFile, Update, UpdateBody},
};

/// Events between two stored snapshots. Folding this many takes a few tens of milliseconds at most, and that is what
/// opening a project costs.
const SNAPSHOT_EVERY: Seq = 4096;
/// When to try again to come into a crowded project.
const CROWDED_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Longest name of a participant, in characters.
const NAME_LENGTH_MAX: usize = 64;

/// Whose command it is.
struct Sender {
    by: ParticipantId,
    /// What they came with; owners may have decided otherwise.
    role: Role,
    party: Option<Arc<str>>,
}

impl ProjectActor {
    /// Makes one batch of what waits and sends it to the store, unless one is under way.
    pub(super) fn pump(&mut self) {
        if self.appending.is_some() || self.retry_refused() {
            return;
        }
        loop {
            let mut batch = Batch::new(self.state.seq);
            self.fill(&mut batch);
            if batch.is_untouched() {
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
                self.answer_without_the_store();
                true
            }
            None => false,
        }
    }

    pub(super) fn append(&mut self, batch: Batch) {
        let head = batch.events.last().map_or(self.state.seq, |event| event.seq);
        let snapshot = (head >= self.snapshot_stored + SNAPSHOT_EVERY).then(|| self.snapshot_to_store()).flatten();
        let snapshot_seq = snapshot.as_ref().map(|snapshot| snapshot.seq);
        let transaction = batch.transaction(&self.project, snapshot);
        let store = Arc::clone(&self.parts.store);
        let result = Box::pin(async move { store.append(transaction).await });
        self.appending = Some(Appending { batch, began: Instant::now(), snapshot: snapshot_seq, result });
    }

    pub(super) fn snapshot_to_store(&self) -> Option<StoredSnapshot> {
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
        self.take_next_run(batch);
        self.requests_first = !self.requests_first;
        if self.requests_first {
            self.fill_from_requests(batch);
        }
        // What jobs said never shares a batch with a request: a cancellation is the last word of its run, and a batch
        // the store refuses is told to whoever asked, but kept for jobs.
        if batch.is_untouched() {
            self.fill_from_updates(batch);
        }
        // Once more: the updates may have been the end of the run before.
        self.take_next_run(batch);
        if batch.is_untouched() {
            self.fill_from_requests(batch);
        }
    }

    fn take_next_run(&mut self, batch: &mut Batch) {
        if batch.is_untouched()
            && !self.drain.is_cancelled()
            && self.runs.may_take_next()
            && let Some(next) = self.runs.queue.pop()
        {
            let stamp = Stamp { run: Some(next.run), by: Some(next.by), command: None };
            command::begin(batch, &self.state, next.run, next.by, stamp, next.work);
        }
    }

    /// A request decides on the committed state, so it has a batch to itself. Only people come in together: a crowd that
    /// comes back costs the store and everybody who is there a few appends, not one for each.
    fn fill_from_requests(&mut self, batch: &mut Batch) {
        while let Some(request) = self.waiting.pop_front_if(|request| {
            batch.is_untouched() || matches!(request, Request::Join { .. }) && batch.only_lets_in()
        }) {
            match request {
                Request::Join { identity, since, reply } => self.join(identity, since, reply, batch),
                Request::Command { by, role, party, frame, reply } => {
                    self.decide(Sender { by, role, party }, frame, reply, batch);
                }
                Request::Page { news } => self.note_page(news, batch),
                Request::Leave { .. }
                | Request::State { .. }
                | Request::Removals { .. }
                | Request::Preview { .. }
                | Request::Recall { .. }
                | Request::Delete => {
                    unreachable!("answered when they came in")
                }
            }
        }
    }

    /// What a page of the preview says. Without a dev server there is no page to say anything.
    fn note_page(&self, news: PageNews, batch: &mut Batch) {
        let preview = &self.state.view.preview;
        if preview.state != PreviewState::Ready {
            return;
        }
        let event = match news {
            PageNews::Threw(error) if preview.error.as_ref() != Some(&error.message) => {
                Event::PreviewError(error.into())
            }
            // Not where the dev server has found another since.
            PageNews::Outdated(message) if preview.error.as_ref() == Some(&message) => {
                let (state, url) = (PreviewState::Ready, preview.url.clone());
                Event::PreviewChanged(PreviewChanged { state, url, error: None })
            }
            PageNews::Threw(_) | PageNews::Outdated(_) => return,
        };
        batch.push(event, Stamp::default());
    }

    /// Updates pile up into one batch, until one of them decides on the state that the others change.
    fn fill_from_updates(&mut self, batch: &mut Batch) {
        while let Some(update) = self.backlog.front() {
            let decides = !matches!(update.body, UpdateBody::Events(_));
            if decides && !batch.is_untouched() {
                return;
            }
            let update = self.backlog.pop_front().expect("there is a front");
            self.take_update(update, batch);
            if decides && !batch.is_untouched() {
                return;
            }
        }
    }

    fn take_update(&mut self, update: Update, batch: &mut Batch) {
        let Update { stamp, body } = update;
        let live = stamp.run.is_none_or(|run| self.runs.is_live(run));
        match body {
            UpdateBody::Events(events) if live => batch.push_all(events, &stamp),
            // Said by a run that is over: nobody hears it.
            UpdateBody::Events(_) | UpdateBody::Conflict { .. } if !live => {}
            UpdateBody::Events(_) => unreachable!("the arms above"),
            UpdateBody::WriteFiles { files, origin, done } => self.write_files(files, origin, done, stamp, live, batch),
            UpdateBody::OpenAnswer { model, done } if live => self.open_answer(model, done, &stamp, batch),
            // The job's wait ends with it.
            UpdateBody::OpenAnswer { .. } => {}
            UpdateBody::Usage(call) => self.add_usage(call, if live { stamp } else { Stamp::default() }, batch),
            UpdateBody::Conflict { path, proposed, reason } => self.keep_both(path, proposed, reason, stamp, batch),
            UpdateBody::Restore { to, tree, done } => {
                // The job that waits for it was cancelled: the project is closing.
                let _ = done.send(command::restore::push(batch, &self.state.view, to, &tree, stamp));
            }
            UpdateBody::Compact(step) => Self::take_step(step, batch),
            UpdateBody::Compacted(result) => self.compacted(result),
            UpdateBody::Settled { id, result } => self.settle(id, stamp.by, result, batch),
            UpdateBody::Ended(result) => self.end_run(stamp.run, result, batch),
            UpdateBody::Sandbox(made) => {
                let events = self.sandbox.on_made(made, &self.tree, &self.parts.store);
                batch.push_all(events, &Stamp::default());
            }
            UpdateBody::SandboxStopped { generation } => {
                batch.push_all(self.sandbox.on_stopped(generation, &self.state.view), &Stamp::default());
            }
            UpdateBody::Health { generation, health } => {
                let wanted = !self.room.is_empty() || !self.runs.is_quiet();
                let events = self.sandbox.on_health(generation, health, wanted, &self.tree);
                batch.push_all(events, &Stamp::default());
            }
        }
    }

    fn write_files(
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
        let author = stamp.by.or_else(|| self.author(stamp.run));
        let (accepted, refused) =
            if wanted { self.check_files(files, author, origin) } else { (Vec::new(), Vec::new()) };
        for file in accepted {
            batch.push_file(file, origin, stamp.clone());
            stamp.command = None;
        }
        batch.after.push(After::Written(done, refused));
    }

    fn open_answer(&mut self, model: ModelInfo, done: oneshot::Sender<MessageId>, stamp: &Stamp, batch: &mut Batch) {
        let message = self.state.next_message(0);
        batch.push(Event::MessageAdded(command::generate::answer_message(message, &model)), stamp.clone());
        batch.after.push(After::Opened(done, message));
    }

    /// A call of the model has its price, also when its run is over.
    fn add_usage(&self, call: CallUsage, stamp: Stamp, batch: &mut Batch) {
        let CallUsage { message, turn, usage, context_tokens_max } = call;
        let view = &self.state.view;
        let known = view.messages.iter().rev().find(|known| known.message == message);
        let plus = |before: Option<&Usage>| before.map_or_else(|| usage.clone(), |before| before.plus(&usage));
        let run = known.and_then(|known| known.run).and_then(|run| self.state.usage_of(run));
        let updated = UsageUpdated {
            message,
            turn,
            message_usage: plus(known.and_then(|known| known.usage.as_ref())),
            run_usage: plus(run.as_ref()),
            project_usage: view.usage.with(&usage),
            usage,
            context_tokens_max,
        };
        batch.push(Event::UsageUpdated(Box::new(updated)), stamp);
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
    fn keep_both(&mut self, path: FilePath, proposed: Option<Bytes>, reason: String, stamp: Stamp, batch: &mut Batch) {
        let conflict = self.state.next_conflict();
        let current = self.state.view.files.get(&path).map(|info| info.hash.clone());
        let proposed_size_bytes = proposed.as_ref().map(|content| content.len() as u64);
        let proposed = proposed.map(|content| batch.keep_blob(content));
        let event = FileConflicted { conflict, path, current, proposed, proposed_size_bytes, reason };
        batch.push(Event::FileConflicted(event), stamp);
    }

    /// A command that took a while gets its reply, and so does everybody who sent it again meanwhile.
    fn settle(
        &mut self,
        id: RequestId,
        by: Option<ParticipantId>,
        result: Result<(), ProjectError>,
        batch: &mut Batch,
    ) {
        let replies = self.settling.remove(&id).unwrap_or_default();
        let answer = match result {
            Ok(()) => ControlFrame::Accepted(self.state.accepted(&id).unwrap_or(Accepted {
                id: id.clone(),
                run: None,
                seq: self.state.seq,
            })),
            Err(error) => ControlFrame::Rejected(Rejected { id: Some(id.clone()), error: error.body() }),
        };
        if self.state.accepted(&id).is_none() && !is_retryable(&answer) {
            batch.push_reply(id, by, &answer);
        }
        batch.after.extend(replies.into_iter().map(|reply| After::Reply(reply, answer.clone())));
    }

    fn end_run(&mut self, run: Option<RunId>, result: Result<(), ProjectError>, batch: &mut Batch) {
        let Some(run) = run else { return };
        if self.runs.is_live(run) {
            let outcome = match result {
                Ok(()) => Outcome::Completed,
                Err(ProjectError::Cancelled) => Outcome::Cancelled,
                Err(_) => Outcome::Failed,
            };
            let cancelled_by = self.runs.stopped_by(run).filter(|_| outcome == Outcome::Cancelled);
            let error = result.err().map(|error| error.body());
            let finished = RunFinished { outcome, error, usage: self.state.usage_of(run), cancelled_by };
            batch.push(Event::RunFinished(finished), Stamp::run(run));
        }
        self.runs.ended(run);
    }

    pub(super) fn join(
        &mut self,
        identity: Identity,
        since: Option<Cursor>,
        reply: oneshot::Sender<Result<Joined, ProjectError>>,
        batch: &mut Batch,
    ) {
        let digest = self.digest(identity.key.as_deref());
        let just_came = || batch.joined(|joined| joined.identity == digest).map(|joined| joined.participant);
        let known = self.state.participant(&digest).or_else(just_came);
        let participant = known.unwrap_or_else(|| batch.next_participant(self.state.next_participant()));
        if let Err(error) = self.check_connections(participant, batch) {
            return drop(reply.send(Err(error)));
        }
        let Some(role) = self.state.role(participant, identity.role) else {
            let removed = ProjectError::Forbidden("an owner has removed you from this project");
            return drop(reply.send(Err(removed)));
        };
        let name = display_name(identity.name.as_deref(), participant);
        let goes_by = |seen: &str| identity.name.is_none() || seen == name;
        let unchanged = match batch.joined(|joined| joined.participant == participant) {
            Some(joined) => joined.role == role && goes_by(&joined.name),
            None => self
                .state
                .view
                .participants
                .get(&participant)
                .is_some_and(|seen| seen.present && seen.role == role && goes_by(&seen.name)),
        };
        if !unchanged {
            let joined = ParticipantJoined { participant, name, role, identity: digest };
            batch.push(Event::ParticipantJoined(joined), Stamp { by: Some(participant), ..Stamp::default() });
        }
        let party = identity.party.map(Arc::from);
        batch.after.push(After::Join(reply, PendingJoin { participant, role, party, since, sandbox: identity.looks }));
    }

    /// Whether there is room for one more connection, those on their way in counted.
    fn check_connections(&self, participant: ParticipantId, batch: &Batch) -> Result<(), ProjectError> {
        let (of_project, of_participant) = self.room.connections(participant);
        let coming = batch.after.iter().filter_map(|consequence| match consequence {
            After::Join(_, join) => Some(join.participant),
            _ => None,
        });
        let (all, theirs) = coming.fold((of_project, of_participant), |(all, theirs), comer| {
            (all + 1, theirs + usize::from(comer == participant))
        });
        if theirs >= PARTICIPANT_CONNECTIONS_MAX {
            return Err(ProjectError::RateLimited("this participant has too many connections", CROWDED_RETRY_AFTER));
        }
        if all >= PROJECT_CONNECTIONS_MAX {
            return Err(ProjectError::RateLimited("this project has too many connections", CROWDED_RETRY_AFTER));
        }
        Ok(())
    }

    /// By what a participant is known again without anybody else learning their key.
    fn digest(&self, key: Option<&str>) -> String {
        let key = key.map_or_else(|| hex::encode(rand::random::<[u8; 16]>()), str::to_owned);
        let salted = format!("{}\0{}\0{key}", self.project, self.state.view.preview_id);
        content_hash(salted.as_bytes()).as_str()[..32].to_owned()
    }

    fn decide(&mut self, sender: Sender, frame: CommandFrame, reply: oneshot::Sender<ControlFrame>, batch: &mut Batch) {
        let Sender { by, role, party } = sender;
        let CommandFrame { id, command } = frame;
        if let Some(earlier) = self.earlier_reply(&id) {
            return batch.after.push(After::Reply(reply, earlier));
        }
        if let Some(replies) = self.settling.get_mut(&id) {
            return replies.push(reply);
        }
        let mut wish = SandboxWish::None;
        let role = self.state.role(by, role).unwrap_or(Role::Viewer);
        let result = if role < Role::Editor {
            Err(ProjectError::Forbidden("a viewer cannot do this"))
        } else if self.drain.is_cancelled() && command::begins_something(&command) {
            Err(ProjectError::Closing)
        } else {
            let mut desk = Desk {
                parts: &self.parts,
                state: &self.state,
                runs: &mut self.runs,
                batch: &mut *batch,
                sandbox_wanted: &mut wish,
                by,
                role,
                party,
                id: id.clone(),
            };
            command::accept(&mut desk, command)
        };
        let answer = match result {
            Ok(Answer::Later(later)) => {
                self.settling.insert(id.clone(), vec![reply]);
                return self.settle_later(id, by, later);
            }
            Ok(Answer::Now(Acceptance { run, seq })) => {
                ControlFrame::Accepted(Accepted { id: id.clone(), run, seq: seq.unwrap_or(self.state.seq) })
            }
            Err(error) => ControlFrame::Rejected(Rejected { id: Some(id.clone()), error: error.body() }),
        };
        if batch.events.is_empty() && !is_retryable(&answer) {
            batch.push_reply(id, Some(by), &answer);
        }
        batch.after.push(After::Sandbox(wish));
        batch.after.push(After::Reply(reply, answer));
    }

    /// Starts the job that finds out what becomes of a command.
    fn settle_later(&mut self, id: RequestId, by: ParticipantId, later: Later) {
        let stamp = Stamp { run: None, by: Some(by), command: Some(id.clone()) };
        let reporter = Reporter::new(stamp, self.updates_sender.clone());
        let (store, tree, project) = (Arc::clone(&self.parts.store), self.tree.subscribe(), self.project.clone());
        let work = async move {
            let performed = AssertUnwindSafe(later.perform(&store, &tree, &project, &reporter)).catch_unwind().await;
            let result = performed.unwrap_or_else(|_| {
                tracing::error!(command = %id, "a command panicked");
                Err(ProjectError::Internal)
            });
            // The actor has gone: whoever waits for the reply sees that.
            let _ = reporter.report(UpdateBody::Settled { id, result }).await;
        };
        let cancel = self.cancel.clone();
        self.jobs.spawn(async move { cancel.run_until_cancelled(work).await });
    }

    pub(super) fn earlier_reply(&self, id: &RequestId) -> Option<ControlFrame> {
        self.state.accepted(id).map(ControlFrame::Accepted).or_else(|| self.remembered.reply(id))
    }
}

fn is_retryable(answer: &ControlFrame) -> bool {
    matches!(answer, ControlFrame::Rejected(rejected) if rejected.error.retryable)
}

/// The name a participant goes by: theirs, without control characters and cut to length, or "Guest".
fn display_name(name: Option<&str>, participant: ParticipantId) -> String {
    let name: String = name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(NAME_LENGTH_MAX).collect();
    let name = name.trim();
    if name.is_empty() { format!("Guest {}", participant.number()) } else { name.to_owned() }
}
