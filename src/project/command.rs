//! From a command to what it does: one file each.
//!
//! A file in `command/` has an `accept` that checks the command against the committed state and puts its first events
//! into the batch; commands that begin a run also have a `perform`, the job.

pub(crate) mod apply;
mod aside;
pub(crate) mod cancel;
pub(crate) mod conflicts;
pub(crate) mod conversation;
pub(crate) mod exec;
pub(crate) mod files;
pub(crate) mod generate;
pub(crate) mod import_repository;
pub(crate) mod install;
pub(crate) mod locks;
mod look;
mod merge;
mod meter;
mod model_choice;
pub(crate) mod preview_check;
pub(crate) mod queued;
pub(crate) mod restore;
pub(crate) mod role;
pub(crate) mod sandbox;
pub(crate) mod status;

use std::sync::Arc;

use cobuild_protocol::{
    Command, Event, FilePath, ParticipantId, ProjectId, RequestId, RunId, Seq,
    command::Delivery,
    event::{RunQueued, RunStarted},
    value::{FileOrigin, GenerateMode, Role, RunKind},
};

use tokio::sync::{oneshot, watch};

use super::{
    batch::{After, Batch, Stamp},
    error::ProjectError,
    event_store::SharedStore,
    file_tree::{self, Tree},
    history,
    queue::Waiting,
    reconcile::Reconciler,
    registry::ProjectParts,
    run::{Reporter, StagedFile, UpdateBody, Work},
    runs::Runs,
    state::State,
};

/// Largest prompt. Far more than anybody types; a pasted log fits.
pub const PROMPT_SIZE_BYTES_MAX: usize = 256 * 1024;
/// Longest background of a prompt, in bytes: the text of a few pages. More would crowd out the project's own files.
pub const BACKGROUND_SIZE_BYTES_MAX: usize = 64 * 1024;
/// Most pictures of one prompt: a few screens; each costs a thousand tokens or more.
pub const IMAGES_MAX: usize = 4;
/// Largest picture. A screenshot is some hundred kilobytes, and vendors shrink what is larger than this anyway.
pub const IMAGE_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// What a command's `accept` may look at and change.
pub(crate) struct Desk<'a> {
    pub(crate) parts: &'a ProjectParts,
    pub(crate) state: &'a State,
    pub(crate) runs: &'a mut Runs,
    pub(crate) batch: &'a mut Batch,
    /// Set when a sandbox is wanted.
    pub(crate) sandbox_wanted: &'a mut SandboxWish,
    pub(crate) by: ParticipantId,
    pub(crate) role: Role,
    /// Those the participant came with.
    pub(crate) party: Option<Arc<str>>,
    pub(crate) id: RequestId,
}

/// What a command wants of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SandboxWish {
    None,
    Start,
    Stop,
    RestartPreview,
}

/// What an accepted command is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acceptance {
    pub(crate) run: Option<RunId>,
    /// The event that records it; `None`: there was nothing to do.
    pub(crate) seq: Option<Seq>,
}

/// What becomes of a command that is not rejected.
pub(crate) enum Answer {
    /// It is accepted.
    Now(Acceptance),
    /// A job finds out.
    Later(Later),
}

/// What a job does before a command can be answered: it reads from the store.
pub(crate) enum Later {
    /// Merges a write with what is there now.
    Write(StagedFile),
    /// Reads what the tree was.
    Restore { to: Seq },
}

impl Later {
    /// Does it. What it changes is reported under the command's own stamp.
    pub(crate) async fn perform(
        self,
        store: &SharedStore,
        tree: &watch::Receiver<Arc<Tree>>,
        project: &ProjectId,
        reporter: &Reporter,
    ) -> Result<(), ProjectError> {
        match self {
            Self::Write(file) => {
                let stale = ProjectError::StaleBase(format!("{} was never what base says", file.path));
                let base = file.base.clone();
                if !matches!(base, Some(base) if store.blob(&base).await?.is_some()) {
                    return Err(stale);
                }
                let reconciler = Reconciler { store, tree, reporter };
                let result = reconciler.write(vec![file], FileOrigin::Participant).await?;
                result.refused.into_iter().next().map_or(Ok(()), |(_, reason)| Err(ProjectError::Conflict(reason)))
            }
            Self::Restore { to } => {
                let then = history::tree_at(store, project, to).await?;
                let (done, restored) = oneshot::channel();
                reporter.report(UpdateBody::Restore { to, tree: then, done }).await?;
                restored.await.map_err(|_| ProjectError::Closing)?
            }
        }
    }
}

/// Whether the command begins what takes its time, which a server that is about to stop no longer does.
pub(crate) const fn begins_something(command: &Command) -> bool {
    matches!(
        command,
        Command::Generate(_)
            | Command::Apply(_)
            | Command::Install(_)
            | Command::Exec(_)
            | Command::ImportRepository(_)
            | Command::StartSandbox(_)
    )
}

/// Carries a command out as far as the log is concerned.
pub(crate) fn accept(desk: &mut Desk<'_>, command: Command) -> Result<Answer, ProjectError> {
    let done = match command {
        Command::WriteFile(command) => return files::write(desk, command),
        Command::Restore(command) => return restore::accept(desk, &command),
        Command::Generate(_) | Command::Apply(_) | Command::Install(_) | Command::ImportRepository(_) => {
            let delivery = delivery(&command);
            let work = work(desk.parts, command)?;
            desk.begin_or_queue(work, delivery)
        }
        Command::Say(command) => conversation::say(desk, command),
        Command::UpdateConversation(command) => conversation::update(desk, command),
        Command::ClearConversation(command) => conversation::clear(desk, &command),
        Command::Cancel(command) => cancel::accept(desk, &command),
        Command::DeleteFile(command) => files::delete(desk, command),
        Command::RenameFile(command) => files::rename(desk, command),
        Command::Exec(command) => exec::accept(desk, command),
        Command::StartSandbox(_) => sandbox::start(desk),
        Command::StopSandbox(stop) => sandbox::stop(desk, &stop),
        Command::RestartPreview(_) => sandbox::restart_preview(desk),
        Command::LockFile(command) => locks::lock(desk, command),
        Command::UnlockFile(command) => locks::unlock(desk, command),
        Command::ResolveConflict(command) => conflicts::resolve(desk, command),
        Command::MoveQueued(command) => queued::move_to(desk, &command),
        Command::RemoveQueued(command) => queued::remove(desk, &command),
        Command::SetRole(command) => role::set(desk, &command),
        Command::Status(_) | Command::ReadFile(_) | Command::SetPresence(_) => {
            unreachable!("reads are answered without a batch")
        }
    }?;
    Ok(Answer::Now(done))
}

/// What a command has done by a run that takes its turn.
///
/// # Errors
///
/// Why it cannot be done.
pub(super) fn work(parts: &ProjectParts, command: Command) -> Result<Work, ProjectError> {
    match command {
        Command::Generate(command) => generate::work(parts, command),
        Command::Apply(command) => apply::work(command),
        Command::Install(command) => install::work(command),
        Command::ImportRepository(command) => import_repository::work(parts, &command),
        _ => Err(ProjectError::Internal),
    }
}

fn delivery(command: &Command) -> Delivery {
    match command {
        Command::Generate(command) => command.delivery,
        _ => Delivery::Queue,
    }
}

impl Desk<'_> {
    /// The stamp of the command's first event.
    pub(crate) fn stamp(&self, run: Option<RunId>) -> Stamp {
        Stamp { run, by: Some(self.by), command: Some(self.id.clone()) }
    }

    /// Whether the participant may decide about what another one has begun.
    pub(crate) fn may_decide_for(&self, author: Option<ParticipantId>) -> Result<(), ProjectError> {
        if self.role == Role::Owner || author == Some(self.by) {
            Ok(())
        } else {
            Err(ProjectError::Forbidden("only its author and owners can do this"))
        }
    }

    /// Whether somebody else has locked the file.
    pub(crate) fn check_lock(&self, path: &FilePath) -> Result<(), ProjectError> {
        file_tree::check_lock(&self.state.view, path, Some(self.by))
    }

    /// Begins a run at once, or lines it up behind the one that is under way.
    pub(crate) fn begin_or_queue(&mut self, work: Work, delivery: Delivery) -> Result<Acceptance, ProjectError> {
        let run = self.state.next_run();
        let stamp = self.stamp(Some(run));
        if self.runs.is_idle() {
            let seq = begin(self.batch, self.state, run, self.by, stamp, work);
            return Ok(Acceptance { run: Some(run), seq: Some(seq) });
        }
        let work = match (delivery, work) {
            (Delivery::Interrupt, work) => match self.runs.active_author() {
                Some(author) => return self.interrupt(author, run, stamp, work),
                None => work,
            },
            (Delivery::Steer, Work::Generate(work)) => match self.runs.join(&work) {
                Some((run, place)) => {
                    return Ok(generate::join(self.batch, self.state, self.stamp(Some(run)), place, work));
                }
                None => Work::Generate(work),
            },
            (Delivery::Queue | Delivery::Steer, work) => work,
        };
        self.check_room_in_queue()?;
        let queued = RunQueued {
            kind: work.kind(),
            position: self.runs.queue.position_for(self.by),
            not_steered: delivery == Delivery::Steer,
            prompt: work.prompt().map(str::to_owned),
            mode: work.mode(),
        };
        let seq = self.batch.push(Event::RunQueued(queued), stamp);
        let waiting = self.waiting(run, work);
        self.batch.push_waiting(waiting);
        Ok(Acceptance { run: Some(run), seq: Some(seq) })
    }

    /// Ends the run under way, which is its author's until its job is gone, and is next. An interruption of the same
    /// participant that still waits makes room for this one.
    fn interrupt(
        &mut self,
        author: ParticipantId,
        run: RunId,
        stamp: Stamp,
        work: Work,
    ) -> Result<Acceptance, ProjectError> {
        self.may_decide_for(Some(author))?;
        let earlier = self.runs.queue.interruption_of(self.by);
        if earlier.is_none() {
            self.check_room_in_queue()?;
        }
        for ended in self.runs.active().into_iter().chain(earlier) {
            cancel::finish(self.batch, self.state, ended, self.by);
        }
        let before = self.runs.queue.interruptions() - usize::from(earlier.is_some());
        let queued = RunQueued {
            kind: work.kind(),
            position: u32::try_from(before + 1).unwrap_or(u32::MAX),
            not_steered: false,
            prompt: work.prompt().map(str::to_owned),
            mode: work.mode(),
        };
        let seq = self.batch.push(Event::RunQueued(queued), stamp);
        let waiting = self.waiting(run, work);
        self.batch.push_urgent(waiting);
        Ok(Acceptance { run: Some(run), seq: Some(seq) })
    }

    fn waiting(&self, run: RunId, work: Work) -> Waiting {
        Waiting { run, by: self.by, party: self.party.clone(), work }
    }

    fn check_room_in_queue(&self) -> Result<(), ProjectError> {
        if self.runs.queue.is_full_for(self.by, self.party.as_deref()) {
            return Err(ProjectError::QueueFull("too many prompts are waiting; try again when one is done".into()));
        }
        Ok(())
    }
}

/// Puts the beginning of a run on record, and its job behind it.
pub(crate) fn begin(batch: &mut Batch, state: &State, run: RunId, by: ParticipantId, stamp: Stamp, work: Work) -> Seq {
    let started = RunStarted {
        kind: work.kind(),
        prompt: work.prompt().map(str::to_owned),
        model: match &work {
            Work::Generate(work) => Some(work.model.name.clone()),
            _ => None,
        },
        mode: work.mode(),
        edit: matches!(work, Work::Apply { edit: true, .. }),
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
            Self::Import { .. } => RunKind::Import,
            Self::Exec { .. } => RunKind::Exec,
        }
    }

    fn prompt(&self) -> Option<&str> {
        match self {
            Self::Generate(work) => Some(&work.wish.prompt),
            _ => None,
        }
    }

    fn mode(&self) -> GenerateMode {
        match self {
            Self::Generate(work) => work.mode,
            _ => GenerateMode::Build,
        }
    }

    /// Whether the work needs a sandbox sooner or later.
    pub(crate) fn needs_sandbox(&self) -> bool {
        match self {
            Self::Generate(work) => work.changes_files(),
            Self::Apply { .. } | Self::Install { .. } | Self::Import { .. } | Self::Exec { .. } => true,
        }
    }
}
