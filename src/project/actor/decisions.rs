//! Commands: each is decided on once, and gets one reply, however often it is sent.

use std::{panic::AssertUnwindSafe, sync::Arc};

use cobuild_protocol::{
    CommandFrame, ParticipantId, RequestId,
    frame::{Accepted, ControlFrame, Rejected},
    value::Role,
};
use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::ProjectActor;
use crate::project::{
    batch::{After, Batch, Stamp},
    command::{self, Acceptance, Answer, Desk, Later, SandboxWish},
    error::ProjectError,
    run::{Reporter, UpdateBody},
};

/// Whose command it is.
pub(super) struct Sender {
    pub(super) by: ParticipantId,
    /// What they came with; owners may have decided otherwise.
    pub(super) role: Role,
    pub(super) party: Option<Arc<str>>,
}

impl ProjectActor {
    pub(super) fn decide(
        &mut self,
        sender: Sender,
        frame: CommandFrame,
        reply: oneshot::Sender<ControlFrame>,
        batch: &mut Batch,
    ) {
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

    /// A command that took a while gets its reply, and so does everybody who sent it again meanwhile.
    pub(super) fn settle(
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

    pub(super) fn earlier_reply(&self, id: &RequestId) -> Option<ControlFrame> {
        self.state.accepted(id).map(ControlFrame::Accepted).or_else(|| self.remembered.reply(id))
    }
}

fn is_retryable(answer: &ControlFrame) -> bool {
    matches!(answer, ControlFrame::Rejected(rejected) if rejected.error.retryable)
}
