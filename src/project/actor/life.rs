//! An actor's beginning and end: what a crash cut off is ended, and nothing is left open.

use cobuild_protocol::{
    Event,
    event::RunFinished,
    frame::{ControlFrame, Rejected},
    state::RunState,
    value::Outcome,
};
use tokio::time::Instant;

use super::{Appending, ProjectActor};
use crate::project::{
    batch::{Batch, Stamp},
    error::ProjectError,
    event_log::CloseReason,
    event_store::StoreError,
    handle::Request,
};

impl ProjectActor {
    /// Ends what a crash cut off: runs without an end, a sandbox that is no more. Participants who are not here have as
    /// long to come back as after any lost connection; so what they locked is still theirs then.
    pub(super) fn recover(&mut self) {
        let mut batch = Batch::new(self.state.seq);
        self.interrupt_runs(&mut batch);
        batch.push_all(self.sandbox.forget(&self.state.view), &Stamp::default());
        let now = Instant::now();
        for participant in self.state.view.participants.values().filter(|participant| participant.present) {
            self.room.expect(participant.participant, now);
        }
        if !batch.is_empty() {
            self.append(batch);
        }
    }

    pub(super) fn interrupt_runs(&self, batch: &mut Batch) {
        for run in self.state.view.runs.iter().filter(|run| run.state != RunState::Finished) {
            let finished = RunFinished {
                outcome: Outcome::Interrupted,
                error: Some(ProjectError::Interrupted.body()),
                usage: run.usage.clone(),
                cancelled_by: None,
            };
            batch.push(Event::RunFinished(finished), Stamp::run(run.run));
        }
    }

    /// Leaves everything in order: no run without an end, no process, a snapshot for the next time.
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
        | Request::Removals { .. }
        | Request::Preview { .. }
        | Request::Page { .. }
        | Request::Delete => {}
    }
}
