//! What jobs report: each update becomes events, as long as its run is live.

use cobuild_protocol::{
    Event, MessageId, RunId,
    event::{RunFinished, UsageUpdated},
    value::{Outcome, Role, Usage},
};
use tokio::sync::oneshot;

use super::ProjectActor;
use crate::project::{
    batch::{After, Batch, Stamp},
    command,
    error::ProjectError,
    model_provider::ModelInfo,
    run::{CallUsage, Update, UpdateBody},
};

impl ProjectActor {
    pub(super) fn take_update(&mut self, update: Update, batch: &mut Batch) {
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
                let restored = self
                    .check_sender(&stamp)
                    .and_then(|()| command::restore::push(batch, &self.state.view, to, &tree, stamp));
                // The job that waits for it was cancelled: the project is closing.
                let _ = done.send(restored);
            }
            UpdateBody::Compact(step) => Self::take_step(step, batch),
            UpdateBody::Compacted(result) => self.compacted(result),
            UpdateBody::Settled { id, result } => self.settle(id, stamp.by, result, batch),
            UpdateBody::Ended(result) => self.end_run(stamp.run, result, batch),
            UpdateBody::SandboxMaking { generation, changed } => {
                batch.push_all(self.sandbox.on_making(generation, changed), &Stamp::default());
            }
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

    /// Fails where the sender of a command that took a while may change nothing any more.
    pub(super) fn check_sender(&self, stamp: &Stamp) -> Result<(), ProjectError> {
        let (Some(by), Some(_)) = (stamp.by, &stamp.command) else { return Ok(()) };
        let known = self.state.view.participants.get(&by);
        if self.state.is_removed(by) || known.is_some_and(|sender| sender.role < Role::Editor) {
            return Err(ProjectError::Forbidden("an owner has changed your role meanwhile"));
        }
        Ok(())
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
}
