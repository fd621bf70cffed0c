//! The actor's part in compaction: it says when, and puts each step on record.

use std::sync::Arc;

use cobuild_protocol::Event;

use super::ProjectActor;
use crate::project::{
    batch::{After, Batch, Stamp},
    compaction::{Compactor, Freed, Occasion, Step, Stopped},
    event_store::KeptLog,
    run::{Reporter, UpdateBody},
};

impl ProjectActor {
    /// Starts compaction, unless there is too little to do or one is under way.
    pub(super) fn compact(&mut self, occasion: Occasion) {
        let limits = self.parts.settings.log_limits;
        if self.compacting || !occasion.suffices(self.kept, self.state.seq, limits) {
            return;
        }
        self.compacting = true;
        let reporter = Reporter::new(Stamp::default(), self.updates_sender.clone());
        let compactor = Compactor {
            store: Arc::clone(&self.parts.store),
            project: self.project.clone(),
            limits,
            reporter: reporter.clone(),
        };
        let (kept, upto) = (self.kept, self.state.seq);
        let work = async move {
            let result = compactor.run(kept, upto).await;
            // The actor has gone: what is left to do is done when the project is loaded again.
            let _ = reporter.report(UpdateBody::Compacted(result)).await;
        };
        let cancel = self.cancel.clone();
        self.jobs.spawn(async move { cancel.run_until_cancelled(work).await });
    }

    /// A batch is stored: more is kept, and there may be something to do.
    pub(super) fn count_stored(&mut self, batch: &Batch) {
        if batch.events.is_empty() {
            return;
        }
        self.kept.frames += batch.stored.len() as u64;
        self.kept.size_bytes += batch.stored.iter().map(|event| event.frame.len() as u64).sum::<u64>();
        self.run_ended |= batch.events.iter().any(|frame| matches!(frame.event, Event::RunFinished(_)));
    }

    /// After everything that follows a batch: with its last event the state is up to date.
    pub(super) fn compact_if_due(&mut self) {
        let occasion = if self.run_ended { Occasion::RunEnded } else { Occasion::Appended };
        if !self.compacting {
            self.run_ended = false;
            self.compact(occasion);
        }
    }

    pub(super) fn take_step(step: Step, batch: &mut Batch) {
        let Step { compaction, freed, done } = step;
        let kept = KeptLog {
            merged: compaction.merged_upto,
            base: compaction.base.as_ref().map_or(0, |base| base.seq),
            ..KeptLog::default()
        };
        batch.compaction = Some(compaction);
        batch.after.push(After::Compacted { kept, freed, done });
    }

    /// A step is on record.
    pub(super) fn step_recorded(&mut self, step: KeptLog, freed: Freed) -> KeptLog {
        let KeptLog { base, merged, .. } = self.kept;
        self.kept = freed.from(KeptLog { base: base.max(step.base), merged: merged.max(step.merged), ..self.kept });
        self.log.set_base(self.kept.base);
        self.kept
    }

    /// The job has ended. What is left after a failure is tried at the next occasion.
    pub(super) fn compacted(&mut self, result: Result<(), Stopped>) {
        self.compacting = false;
        match result {
            Ok(()) => self.compact_if_due(),
            Err(Stopped::Closing) => {}
            Err(error) => tracing::warn!(project = %self.project, %error, "the log was not compacted"),
        }
    }
}
