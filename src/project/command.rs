//! From a command to what it does: one file each.
//!
//! A file in `command/` has an `accept` that checks the command against the committed state and puts its first events
//! into the batch; commands that begin a run also have a `perform`, the job.

pub(crate) mod apply;
pub(crate) mod cancel;
pub(crate) mod exec;
pub(crate) mod files;
pub(crate) mod generate;
pub(crate) mod install;
pub(crate) mod preview_check;
pub(crate) mod sandbox;
pub(crate) mod status;

use cobuild_protocol::{
    Command, Event, ParticipantId, RequestId, RunId, Seq,
    event::{RunQueued, RunStarted},
    value::RunKind,
};

use super::{
    batch::{After, Batch, Stamp},
    error::ProjectError,
    queue::Waiting,
    registry::ProjectParts,
    run::Work,
    runs::Runs,
    state::State,
};

/// Largest prompt. Far more than anybody types; a pasted log fits.
pub const PROMPT_SIZE_BYTES_MAX: usize = 256 * 1024;

/// What a command's `accept` may look at and change.
pub(crate) struct Desk<'a> {
    pub(crate) parts: &'a ProjectParts,
    pub(crate) state: &'a State,
    pub(crate) runs: &'a mut Runs,
    pub(crate) batch: &'a mut Batch,
    /// Set when a sandbox is wanted.
    pub(crate) sandbox_wanted: &'a mut SandboxWish,
    pub(crate) by: ParticipantId,
    pub(crate) id: RequestId,
}

/// What a command wants of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SandboxWish {
    None,
    Start,
    Stop,
}

/// What an accepted command is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acceptance {
    pub(crate) run: Option<RunId>,
    /// The event that records it; `None`: there was nothing to do.
    pub(crate) seq: Option<Seq>,
}

/// Carries a command out as far as the log is concerned.
pub(crate) fn accept(desk: &mut Desk<'_>, command: Command) -> Result<Acceptance, ProjectError> {
    match command {
        Command::Generate(command) => generate::accept(desk, command),
        Command::Apply(command) => apply::accept(desk, command),
        Command::Install(command) => install::accept(desk, command),
        Command::Cancel(command) => cancel::accept(desk, &command),
        Command::WriteFile(command) => files::write(desk, command),
        Command::DeleteFile(command) => files::delete(desk, command),
        Command::RenameFile(command) => files::rename(desk, command),
        Command::Exec(command) => exec::accept(desk, command),
        Command::StartSandbox(_) => sandbox::start(desk),
        Command::StopSandbox(_) => sandbox::stop(desk),
        Command::Status(_) | Command::ReadFile(_) => unreachable!("reads are answered without a batch"),
    }
}

impl Desk<'_> {
    /// The stamp of the command's first event.
    pub(crate) fn stamp(&self, run: Option<RunId>) -> Stamp {
        Stamp { run, by: Some(self.by), command: Some(self.id.clone()) }
    }

    /// Begins a run at once, or lines it up behind the one that is under way.
    pub(crate) fn begin_or_queue(&mut self, work: Work) -> Result<Acceptance, ProjectError> {
        let run = self.state.next_run();
        let stamp = self.stamp(Some(run));
        if self.runs.is_idle() {
            let seq = begin(self.batch, self.state, run, self.by, stamp, work);
            return Ok(Acceptance { run: Some(run), seq: Some(seq) });
        }
        if self.runs.queue.is_full() {
            return Err(ProjectError::QueueFull("too many prompts are waiting; try again when one is done".into()));
        }
        let queued = RunQueued {
            kind: work.kind(),
            position: self.runs.queue.position_for(self.by),
            prompt: work.prompt().map(str::to_owned),
        };
        let seq = self.batch.push(Event::RunQueued(queued), stamp);
        self.batch.after.push(After::Queue(Waiting { run, by: self.by, work }));
        Ok(Acceptance { run: Some(run), seq: Some(seq) })
    }
}

/// Puts the beginning of a run on record, and its job behind it.
pub(crate) fn begin(batch: &mut Batch, state: &State, run: RunId, by: ParticipantId, stamp: Stamp, work: Work) -> Seq {
    let started = RunStarted {
        kind: work.kind(),
        prompt: work.prompt().map(str::to_owned),
        model: match &work {
            Work::Generate(work) => Some(work.model.clone()),
            _ => None,
        },
    };
    let seq = batch.push(Event::RunStarted(started), stamp);
    if let Work::Generate(work) = &work {
        generate::open_messages(batch, state, Stamp { run: Some(run), by: Some(by), command: None }, work);
    }
    batch.after.push(After::Start(run, by, work));
    seq
}

impl Work {
    fn kind(&self) -> RunKind {
        match self {
            Self::Generate(_) => RunKind::Generate,
            Self::Apply { .. } => RunKind::Apply,
            Self::Install { .. } => RunKind::Install,
            Self::Exec { .. } => RunKind::Exec,
        }
    }

    fn prompt(&self) -> Option<&str> {
        match self {
            Self::Generate(work) => Some(&work.prompt),
            _ => None,
        }
    }

    /// Whether the work needs a sandbox sooner or later.
    pub(crate) fn needs_sandbox(&self) -> bool {
        match self {
            Self::Generate(work) => work.apply,
            Self::Apply { .. } | Self::Install { .. } | Self::Exec { .. } => true,
        }
    }
}
