//! What follows an append: events become state, everybody sees them, and their consequences begin – or, where the store
//! took nothing, whoever waits is told.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cobuild_protocol::{
    Command, Event, EventFrame, ParticipantId, RunId, Seq,
    command::Cancel,
    frame::{AttachMode, ControlFrame, Rejected, SnapshotFrame},
    value::Role,
};
use tokio::{sync::mpsc, time::Instant};

use super::{Appending, ProjectActor, life::refuse};
use crate::{
    codegen::reply_path::Layout,
    project::{
        batch::{After, Batch, PendingJoin, Stamp},
        command::SandboxWish,
        conversation::Conversation,
        error::ProjectError,
        event_store::StoreError,
        figures::Figures,
        handle::{Joined, Member, Request},
        run::{self, JobContext, Reporter, STEERS_MAX, Work},
        runs::Joinable,
        spending::Spending,
    },
};

/// Pause before a failed append is tried again: long enough not to spin, short enough to go on soon after an operator
/// has made room on a full disk.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A client this far behind gets a snapshot: it is smaller than the replay.
const REPLAY_EVENTS_MAX: Seq = 20_000;

impl ProjectActor {
    /// # Errors
    ///
    /// The log cannot be continued by this actor.
    pub(super) fn on_appended(&mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        let Some(Appending { batch, began, snapshot, .. }) = self.appending.take() else { return Ok(()) };
        match result {
            Ok(()) => {
                self.snapshot_stored = snapshot.unwrap_or(self.snapshot_stored);
                self.figures.appended(batch.events.len(), began.elapsed());
                self.finish(batch);
                Ok(())
            }
            // Nothing of the room depends on it: its job hears of it and gives up. If the log is somebody else's, the
            // next append will say so.
            Err(error) if batch.compaction.is_some() => {
                tracing::warn!(project = %self.project, %error, "the store did not take a step of compaction");
                Ok(())
            }
            Err(error @ StoreError::Unavailable(_)) => {
                tracing::error!(project = %self.project, %error, "an append failed");
                Figures::refused();
                self.on_refused(batch, &error);
                Ok(())
            }
            Err(
                error @ (StoreError::Conflict
                | StoreError::Corrupt(_)
                | StoreError::Closed
                | StoreError::Full
                | StoreError::Folded { .. }),
            ) => Err(error),
        }
    }

    /// The events are safe: they become state, everybody sees them, and their consequences begin.
    pub(super) fn finish(&mut self, batch: Batch) {
        self.count_stored(&batch);
        let Batch { events, stored, replies, after, .. } = batch;
        let mut tree_changed = false;
        if !events.is_empty() {
            // As large as the state itself, and of no use to anybody who comes from now on.
            self.encoded_snapshot = None;
        }
        for frame in &events {
            self.state.apply(frame);
            self.figures.event(frame, &self.state.view);
            match &frame.event {
                Event::ParticipantLeft(left) => self.presence.remove(left.participant),
                Event::RoleChanged(changed) if changed.role.is_none() => {
                    self.room.expel(changed.participant);
                    self.removals.send_replace(());
                }
                _ => {}
            }
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
        self.figures.queued(self.runs.queue.len());
        self.compact_if_due();
    }

    fn follow_up(&mut self, consequence: After) {
        match consequence {
            // Somebody who no longer listens for the reply gets it by sending the command again.
            After::Reply(reply, frame) => drop(reply.send(frame)),
            After::Join(reply, join) => {
                let sandbox = join.sandbox;
                let Some(joined) = self.attach(join) else { return };
                // Nobody reads it any more: its member leaves when it is dropped.
                let _ = reply.send(Ok(joined));
                if sandbox && self.parts.settings.sandbox_on_join {
                    self.sandbox.ensure_unless_failed(&self.tree);
                }
            }
            After::Queue(waiting) => self.runs.queue.push(waiting),
            After::QueueFirst(waiting) => self.runs.queue.push_urgent(waiting),
            After::Reorder(order) => self.runs.queue.reorder(&order),
            After::Stop(run) => self.runs.stop(run),
            After::Sandbox(SandboxWish::None) => {}
            After::Sandbox(SandboxWish::Start) => self.sandbox.ensure(&self.tree),
            After::Sandbox(SandboxWish::Stop) => self.sandbox.stop(),
            After::Sandbox(SandboxWish::RestartPreview) => self.sandbox.restart_preview(),
            After::Start(run, by, work) => self.start(run, by, work),
            After::Steer(place, wish) => drop(place.send(wish)),
            After::Opened(done, message) => drop(done.send(message)),
            After::Written(done, refused) => drop(done.send(refused)),
            After::Compacted { kept, freed, done } => {
                let kept = self.step_recorded(kept, freed);
                // The job was cancelled: what it did is done all the same.
                let _ = done.send(kept);
            }
        }
    }

    fn start(&mut self, run: RunId, by: ParticipantId, work: Work) {
        let needs_sandbox = work.needs_sandbox();
        if needs_sandbox {
            self.sandbox.ensure(&self.tree);
        }
        let (steers, joining) = mpsc::channel(STEERS_MAX);
        let joinable = match &work {
            Work::Generate(work) => Some(Joinable::new(work, steers)),
            _ => None,
        };
        let answer = self.state.view.messages.iter().rev().find(|message| message.run == Some(run));
        let context = JobContext {
            run,
            parts: self.parts.clone(),
            conversation: Conversation::before(&self.state.view, run),
            message: answer.map_or(self.state.next_message(0), |message| message.message),
            steers: joinable.is_some().then_some(joining),
            spending: Spending::new(self.state.view.usage.clone()),
            // What a page claims takes nobody's way back.
            was_broken: self.state.view.preview.error.as_ref().is_some_and(|error| !self.pages.claimed(error)),
            layout: if self.state.view.repository.is_some() { Layout::Repository } else { Layout::App },
            tree: self.tree.subscribe(),
            sandbox: self.sandbox.status(),
            pages: self.pages.clone(),
            preview_url: self.parts.settings.preview_url(&self.state.view.preview_id),
            reporter: Reporter::new(Stamp::run(run), self.updates_sender.clone()),
        };
        let cancel = self.cancel.child_token();
        match work {
            Work::Exec { .. } => self.runs.started_beside(run, by, cancel.clone()),
            _ => self.runs.started(run, by, needs_sandbox, cancel.clone(), joinable),
        }
        run::spawn(&self.jobs, context, work, cancel);
    }

    /// How a participant catches up, as of now.
    fn attach(&mut self, join: PendingJoin) -> Option<Joined> {
        let PendingJoin { participant, role, party, place, since, sandbox: _ } = join;
        // Without a mailbox every handle is gone, and with them whoever asked.
        let mailbox = self.mailbox_sender.upgrade()?;
        let seat = self.room.enter(participant, party.clone(), Instant::now());
        let member = Member::new(participant, role, party, place, seat, mailbox);
        let head = self.state.seq;
        let resumable = since.filter(|cursor| {
            cursor.epoch == *self.log.reader().epoch()
                && (self.kept.base..=head).contains(&cursor.seq)
                && head - cursor.seq <= REPLAY_EVENTS_MAX
        });
        Some(match resumable {
            Some(cursor) => {
                let mode = if cursor.seq == head { AttachMode::Live } else { AttachMode::Resumed };
                Joined { member, mode, head, from: cursor.seq, snapshot: None }
            }
            None => {
                let snapshot = Some(self.snapshot());
                Joined { member, mode: AttachMode::Snapshot, head, from: head, snapshot }
            }
        })
    }

    /// The encoded snapshot of the present state, made once for everybody who comes at the same moment.
    fn snapshot(&mut self) -> Bytes {
        let seq = self.state.seq;
        if let Some((_, snapshot)) = self.encoded_snapshot.as_ref().filter(|(at, _)| *at == seq) {
            return snapshot.clone();
        }
        let frame = ControlFrame::Snapshot(Box::new(SnapshotFrame { seq, state: self.state.view.clone() }));
        let json = serde_json::to_vec(&frame).expect("a state has only string keys and finite numbers");
        let snapshot = Bytes::from(json);
        self.encoded_snapshot = Some((seq, snapshot.clone()));
        snapshot
    }

    /// While the store takes nothing, whoever wants a change is told so at once – but what runs can be stopped, and who is
    /// here already may come in.
    pub(super) fn answer_without_the_store(&mut self) {
        let error = ProjectError::Store(StoreError::Unavailable("an earlier append failed".into()));
        for request in std::mem::take(&mut self.waiting) {
            match request {
                Request::Join { identity, since, reply } => {
                    let mut batch = Batch::new(self.state.seq);
                    self.join(identity, since, reply, &mut batch);
                    if batch.is_empty() {
                        batch.after.into_iter().for_each(|consequence| self.follow_up(consequence));
                    } else {
                        batch.after.into_iter().for_each(|consequence| turn_down(consequence, &error));
                    }
                }
                Request::Command { by, role, ref frame, .. } => {
                    if let Command::Cancel(Cancel { run }) = frame.command
                        && self.state.role(by, role).is_some_and(|role| role >= Role::Editor)
                    {
                        self.runs.stop_before_the_record(run, by);
                    }
                    refuse(request, &error);
                }
                request => refuse(request, &error),
            }
        }
    }

    /// The store took nothing. Whoever waits for a reply is told; what jobs said is kept and tried again.
    fn on_refused(&mut self, mut batch: Batch, error: &StoreError) {
        let from_client =
            batch.after.iter().any(|consequence| matches!(consequence, After::Reply(..) | After::Join(..)));
        if !from_client {
            self.refused = Some((batch, Instant::now() + RETRY_AFTER));
            return;
        }
        if let Some((run, by)) = cancellation(&batch) {
            self.runs.stop_before_the_record(run, by);
        }
        let error = ProjectError::Store(error.clone());
        batch.after.drain(..).for_each(|consequence| turn_down(consequence, &error));
    }
}

/// Tells whoever waits for this that it cannot be.
fn turn_down(consequence: After, error: &ProjectError) {
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
        After::Sandbox(_)
        | After::Stop(_)
        | After::Queue(_)
        | After::QueueFirst(_)
        | After::Reorder(_)
        | After::Start(..)
        | After::Steer(..)
        | After::Opened(..)
        | After::Written(..)
        | After::Compacted { .. } => {}
    }
}

/// The run this batch was to cancel, and who wants that, if it is a `cancel` and nothing else.
fn cancellation(batch: &Batch) -> Option<(RunId, ParticipantId)> {
    let [EventFrame { event: Event::RunFinished(finished), run, command: Some(_), .. }] = &batch.events[..] else {
        return None;
    };
    run.zip(finished.cancelled_by)
}
