//! The runs of one project: the one that changes things, those that wait for it, and commands beside it.

use std::collections::HashMap;

use cobuild_protocol::{ParticipantId, RunId, value::GenerateMode};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    queue::RunQueue,
    run::{GenerateWork, Steered},
};

/// What runs and what waits.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// The one run that may change things; it stays here until its job is gone.
    active: Option<(RunId, Job)>,
    /// Commands, which run beside it.
    execs: HashMap<RunId, Job>,
    /// Whose turn is next.
    pub(crate) queue: RunQueue,
}

/// A job under way.
#[derive(Debug)]
struct Job {
    by: ParticipantId,
    cancel: CancellationToken,
    needs_sandbox: bool,
    /// Its run has a terminal event: nothing it says counts any more.
    over: bool,
    /// Who stopped it while that could not be put on record.
    stopped_by: Option<ParticipantId>,
    joinable: Option<Joinable>,
}

/// A `generate` under way, which other prompts may join.
#[derive(Debug)]
pub(crate) struct Joinable {
    model: String,
    apply: bool,
    mode: GenerateMode,
    /// Closed when the run will take no further turn.
    steers: mpsc::Sender<Steered>,
}

impl Joinable {
    pub(crate) fn new(work: &GenerateWork, steers: mpsc::Sender<Steered>) -> Self {
        Self { model: work.model.name.clone(), apply: work.apply, mode: work.mode, steers }
    }
}

impl Runs {
    /// Whether a run could begin now.
    pub(crate) fn is_idle(&self) -> bool {
        self.active.is_none() && self.queue.is_empty()
    }

    /// Whether the next waiting run may begin.
    pub(crate) fn may_take_next(&self) -> bool {
        self.active.is_none()
    }

    /// Whether anything runs.
    pub(crate) fn is_running(&self) -> bool {
        self.active.is_some() || !self.execs.is_empty()
    }

    /// Whether nothing runs or waits at all.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_idle() && self.execs.is_empty()
    }

    /// The run that may change things, unless it is over.
    pub(crate) fn active(&self) -> Option<RunId> {
        self.active.as_ref().filter(|(_, job)| !job.over).map(|(run, _)| *run)
    }

    /// Whose run may change things. It stays theirs until its job is gone, also when it is over.
    pub(crate) fn active_author(&self) -> Option<ParticipantId> {
        self.active.as_ref().map(|(_, job)| job.by)
    }

    /// Whether something that runs or waits would miss the sandbox. Commands would not: whoever stops the sandbox ends them.
    pub(crate) fn is_sandbox_needed(&self) -> bool {
        self.using_sandbox().is_some() || self.queue.needs_sandbox()
    }

    /// The run that would miss the sandbox at once.
    pub(crate) fn using_sandbox(&self) -> Option<RunId> {
        self.active.as_ref().filter(|(_, job)| job.needs_sandbox && !job.over).map(|(run, _)| *run)
    }

    /// How many commands run.
    pub(crate) fn executing(&self) -> usize {
        self.execs.len()
    }

    /// A place for a prompt in the run under way, if it can join that: one that would do the same with the same model.
    /// As long as the place is held, the run does not end.
    pub(crate) fn join(&self, work: &GenerateWork) -> Option<(RunId, mpsc::OwnedPermit<Steered>)> {
        let (run, job) = self.active.as_ref().filter(|(_, job)| !job.over)?;
        let joinable = job.joinable.as_ref()?;
        let alike = joinable.model == work.model.name && joinable.apply == work.apply && joinable.mode == work.mode;
        let place = joinable.steers.clone().try_reserve_owned().ok().filter(|_| alike)?;
        Some((*run, place))
    }

    /// The job of the run that may change things was started.
    pub(crate) fn started(
        &mut self,
        run: RunId,
        by: ParticipantId,
        needs_sandbox: bool,
        cancel: CancellationToken,
        joinable: Option<Joinable>,
    ) {
        self.queue.serve(by);
        self.active = Some((run, Job { by, cancel, needs_sandbox, over: false, stopped_by: None, joinable }));
    }

    /// The job of a command was started.
    pub(crate) fn started_beside(&mut self, run: RunId, by: ParticipantId, cancel: CancellationToken) {
        let job = Job { by, cancel, needs_sandbox: true, over: false, stopped_by: None, joinable: None };
        self.execs.insert(run, job);
    }

    /// Whether what this run says still counts.
    pub(crate) fn is_live(&self, run: RunId) -> bool {
        self.job(run).is_some_and(|job| !job.over)
    }

    /// The run's terminal event is on record: takes it out of the line, stops its job and closes the job's mouth.
    pub(crate) fn stop(&mut self, run: RunId) {
        self.queue.remove(run);
        if let Some(job) = self.job_mut(run) {
            job.over = true;
            job.cancel.cancel();
        }
    }

    /// Stops the run's job although the store takes nothing now; its end is put on record when the job reports it. What
    /// the run has said before goes on record, too.
    pub(crate) fn stop_before_the_record(&mut self, run: RunId, by: ParticipantId) {
        if let Some(job) = self.job_mut(run).filter(|job| !job.over) {
            job.stopped_by.get_or_insert(by);
            job.cancel.cancel();
        }
    }

    /// Who stopped this run without a record of it.
    pub(crate) fn stopped_by(&self, run: RunId) -> Option<ParticipantId> {
        self.job(run).and_then(|job| job.stopped_by)
    }

    /// The job is gone.
    pub(crate) fn ended(&mut self, run: RunId) {
        self.execs.remove(&run);
        if self.active.as_ref().is_some_and(|(active, _)| *active == run) {
            self.active = None;
        }
    }

    fn job(&self, run: RunId) -> Option<&Job> {
        match &self.active {
            Some((active, job)) if *active == run => Some(job),
            _ => self.execs.get(&run),
        }
    }

    fn job_mut(&mut self, run: RunId) -> Option<&mut Job> {
        match &mut self.active {
            Some((active, job)) if *active == run => Some(job),
            _ => self.execs.get_mut(&run),
        }
    }
}
