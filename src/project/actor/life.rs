//! An actor's beginning and end: what a crash cut off is ended, and nothing is left open.

use std::collections::HashMap;

use cobuild_protocol::{
    Event,
    event::RunFinished,
    frame::{ControlFrame, Rejected},
    state::{RunInfo, RunState},
    value::{Outcome, RunKind},
};
use tokio::time::Instant;

use super::{Appending, ProjectActor};
use crate::project::{
    batch::{Batch, Stamp},
    error::ProjectError,
    event_log::CloseReason,
    event_store::StoreError,
    handle::Request,
    queue::Waiting,
    waiting_work::{self, Restored},
};

impl ProjectActor {
    /// Ends what a crash cut off: runs that were under way, a sandbox that is no more. What waited waits again, in the same
    /// order. Participants who are not here have as long to come back as after any lost connection; so what they locked is
    /// still theirs then.
    pub(super) fn recover(&mut self) {
        let mut batch = Batch::new(self.state.seq);
        self.interrupt_runs(&mut batch);
        self.restore_queue(&mut batch);
        batch.push_all(self.sandbox.forget(&self.state.view), &Stamp::default());
        let now = Instant::now();
        for participant in self.state.view.participants.values().filter(|participant| participant.present) {
            self.room.expect(participant.participant, now);
        }
        if !batch.is_empty() {
            self.append(batch);
        }
    }

    fn interrupt_runs(&self, batch: &mut Batch) {
        for run in self.state.view.runs.iter().filter(|run| run.state == RunState::Running) {
            push_end(batch, run, Outcome::Interrupted, &ProjectError::Interrupted);
        }
    }

    /// Lines up again what waited when the project was last in memory. What can no longer begin ends, and says why.
    fn restore_queue(&mut self, batch: &mut Batch) {
        let mut stored: HashMap<_, _> = self.restored.drain(..).map(|stored| (stored.run, stored.work)).collect();
        let runs = &self.state.view.runs;
        let begun = runs.iter().filter(|run| run.kind != RunKind::Exec && run.started_at.is_some());
        if let Some(by) = begun.max_by(|a, b| a.started_at.cmp(&b.started_at)).and_then(|last| last.by) {
            self.runs.queue.serve(by);
        }
        for run in runs.iter().filter(|run| run.state == RunState::Queued) {
            // A database of an earlier version has no work of what waited.
            let Some((by, work)) = run.by.zip(stored.remove(&run.run)) else {
                push_end(batch, run, Outcome::Interrupted, &ProjectError::Interrupted);
                continue;
            };
            match waiting_work::from_store(&self.parts, run.run, &work) {
                Ok(Restored { urgent, party, work }) => {
                    self.runs.queue.restore(Waiting { run: run.run, by, party, work }, urgent);
                }
                Err(error) => push_end(batch, run, Outcome::Failed, &error),
            }
        }
    }

    /// Leaves everything in order: no run under way, no process, a snapshot for the next time. What waits goes on then.
    pub(super) async fn close(mut self) {
        self.mailbox.close();
        if let Some(Appending { batch, result, .. }) = self.appending.take()
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
    pub(super) async fn fail(mut self, reason: StoreError) {
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

fn push_end(batch: &mut Batch, run: &RunInfo, outcome: Outcome, error: &ProjectError) {
    let finished = RunFinished { outcome, error: Some(error.body()), usage: run.usage.clone(), cancelled_by: None };
    batch.push(Event::RunFinished(finished), Stamp::run(run.run));
}

/// Tells whoever asked that it cannot be.
pub(super) fn refuse(request: Request, error: &ProjectError) {
    match request {
        Request::Join { reply, .. } => drop(reply.send(Err(error.clone()))),
        Request::Command { frame, reply, .. } => {
            let rejected = Rejected { id: Some(frame.id), error: error.body() };
            let _ = reply.send(ControlFrame::Rejected(rejected));
        }
        // Their senders see the dropped reply; a page's word is no loss.
        Request::Leave { .. }
        | Request::State { .. }
        | Request::IsRemoved { .. }
        | Request::Preview { .. }
        | Request::Recall { .. }
        | Request::Page { .. }
        | Request::Delete => {}
    }
}
