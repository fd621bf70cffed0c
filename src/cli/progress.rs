//! What happens in a room, told to a person at a terminal.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use cobuild_protocol::{
    Event, EventFrame, FilePath, ParticipantId, ProjectState,
    event::{ExecFinished, FileWritten, InstallFinished, PreviewChanged, RunFinished, SandboxChanged},
    state::RunInfo,
    value::{FileAction, FileOrigin, MessageRole, Outcome, PreviewState, RunKind, SandboxState},
};

use super::{
    terminal::{Terminal, Tone},
    wording,
};

/// Remembers between events what a line needs from earlier ones.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The files of the answers under way: what happens to each, and how much of it has been typed.
    typing: HashMap<FilePath, (FileAction, u64)>,
}

impl Progress {
    /// Shows an event. `state` has it folded in already.
    pub(super) fn show<W: Write>(
        &mut self,
        to: &mut Terminal<W>,
        frame: &EventFrame,
        state: &ProjectState,
    ) -> io::Result<()> {
        let who = |participant: ParticipantId| name(state, participant);
        let by = frame.by.map_or_else(|| "Somebody".to_owned(), who);
        let run = frame.run.and_then(|id| state.runs.iter().find(|run| run.run == id));
        match &frame.event {
            Event::ProjectCreated(created) => faint(to, &format!("The project {} was made", created.name)),
            Event::ParticipantJoined(joined) => faint(to, &format!("{} is here", joined.name)),
            Event::ParticipantLeft(left) => faint(to, &format!("{} left", who(left.participant))),
            Event::RunQueued(queued) => {
                to.status(&format!("{by}’s turn comes: place {} in the queue", queued.position))
            }
            Event::RunStarted(_) => started(to, run, &by),
            Event::RunFinished(finished) => self.finished(to, finished, frame, run, state),
            Event::MessageAdded(added) if added.role == MessageRole::Assistant => match &added.notice {
                Some(notice) => noticed(to, notice),
                None => Ok(()),
            },
            Event::TextDelta(delta) => to.text(Tone::Plain, &delta.text),
            Event::ReasoningDelta(_) => to.status("thinking …"),
            Event::FileStarted(started) => {
                self.typing.insert(started.path.clone(), (started.action, 0));
                to.status(&format!("… {}", started.path))
            }
            Event::FileDelta(delta) => {
                let Some((_, size_bytes)) = self.typing.get_mut(&delta.path) else { return Ok(()) };
                *size_bytes += delta.text.len() as u64;
                let size = wording::size(*size_bytes);
                to.status(&format!("… {}  {size}", delta.path))
            }
            Event::FileWritten(written) => self.written(to, written, &by),
            Event::FileDeleted(deleted) => good(to, "-", deleted.path.as_str(), ""),
            Event::FileRenamed(renamed) => good(to, "~", &format!("{} → {}", renamed.from, renamed.to), ""),
            Event::FileRefused(refused) => bad(to, &format!("{} was not written: {}", refused.path, refused.reason)),
            Event::FileConflicted(conflict) => {
                bad(to, &format!("{} has two versions: {}", conflict.path, conflict.reason))
            }
            Event::Restored(restored) => {
                faint(to, &format!("{by} brought the files back as they were at {}", restored.to))
            }
            Event::RepositoryImported(imported) => {
                faint(to, &format!("{}: {} files of {}", imported.name, imported.files, imported.url))?;
                match imported.left_out_total {
                    0 => Ok(()),
                    count => bad(to, &format!("{count} of its files were left out")),
                }
            }
            Event::RoleChanged(changed) => {
                let role = changed.role.map_or("nobody here any more", wording::role);
                faint(to, &format!("{} is {role} now", who(changed.participant)))
            }
            Event::ModelRetried(retried) => {
                let (why, seconds) = (&retried.error.message, retried.after_ms.div_ceil(1000));
                faint(to, &format!("{why}; asked again in {seconds} s"))
            }
            Event::ModelSwitched(switched) => {
                let why = &switched.error.message;
                bad(to, &format!("{} did not answer: {why}; {} does", switched.from, switched.to))
            }
            Event::PackagesDetected(detected) => detected
                .refused
                .iter()
                .try_for_each(|refusal| bad(to, &format!("{} is not installed: {}", refusal.name, refusal.reason))),
            Event::InstallStarted(install) => to.status(&format!("Installing {} …", install.packages.join(", "))),
            Event::InstallFinished(install) => installed(to, install),
            Event::ExecStarted(exec) => {
                let line = to.paint(Tone::Strong, &format!("$ {}", exec.command));
                to.line(&line)
            }
            Event::ExecOutput(output) => to.text(Tone::Faint, &output.text),
            Event::ExecFinished(exec) => executed(to, exec),
            Event::SandboxChanged(changed) => sandbox(to, changed),
            Event::PreviewChanged(changed) => preview(to, changed),
            Event::PreviewUnchecked(unchecked) => {
                bad(to, &format!("The preview could not be checked: {}", unchecked.reason))
            }
            Event::PreviewError(error) => bad(to, &format!("The preview shows an error: {}", error.message)),
            // A person at a terminal need not be told.
            _ => Ok(()),
        }
    }

    fn written<W: Write>(&mut self, to: &mut Terminal<W>, written: &FileWritten, by: &str) -> io::Result<()> {
        let size = wording::size(written.size_bytes);
        let sign = match self.typing.remove(&written.path) {
            Some((FileAction::Create, _)) => "+",
            _ => "~",
        };
        let detail = match written.origin {
            FileOrigin::Reply => size,
            FileOrigin::Participant => format!("{size}, by {by}"),
            FileOrigin::Merge => format!("{size}, merged with what {by} wrote"),
            FileOrigin::Restore => format!("{size}, restored"),
            FileOrigin::Sandbox => format!("{size}, in the sandbox"),
        };
        good(to, sign, written.path.as_str(), &detail)
    }

    fn finished<W: Write>(
        &mut self,
        to: &mut Terminal<W>,
        finished: &RunFinished,
        frame: &EventFrame,
        run: Option<&RunInfo>,
        state: &ProjectState,
    ) -> io::Result<()> {
        self.typing.clear();
        // A command in the sandbox has said all there is to say.
        if run.is_some_and(|run| run.kind == RunKind::Exec) && finished.outcome == Outcome::Completed {
            return Ok(());
        }
        let (tone, mut words) = match finished.outcome {
            Outcome::Completed => (Tone::Good, "✓ Completed".to_owned()),
            Outcome::Failed => (Tone::Bad, "✗ Failed".to_owned()),
            Outcome::Cancelled => {
                let by = finished.cancelled_by.map(|who| format!(" by {}", name(state, who))).unwrap_or_default();
                (Tone::Notice, format!("■ Cancelled{by}"))
            }
            Outcome::Interrupted => (Tone::Notice, "■ Interrupted: the server stopped in the middle of it".to_owned()),
        };
        let said = |message: &str| run.is_some_and(|run| run.steps.iter().any(|step| step.error() == Some(message)));
        if let (Outcome::Failed, Some(error)) = (finished.outcome, &finished.error)
            && !said(&error.message)
        {
            words = format!("{words}: {}", error.message);
        }
        let took = run.and_then(|run| wording::duration(run.started_at.as_deref()?, &frame.at));
        let details: Vec<String> = took.into_iter().chain(finished.usage.as_ref().and_then(wording::usage)).collect();
        let mut line = to.paint(tone, &words);
        if !details.is_empty() {
            line = format!("{line}  {}", to.paint(Tone::Faint, &details.join(" · ")));
        }
        to.line(&line)
    }
}

/// The name a participant goes by.
pub(super) fn name(state: &ProjectState, participant: ParticipantId) -> String {
    state.participants.get(&participant).map_or_else(|| participant.to_string(), |who| who.name.clone())
}

fn started<W: Write>(to: &mut Terminal<W>, run: Option<&RunInfo>, by: &str) -> io::Result<()> {
    let Some(run) = run else { return Ok(()) };
    let what = match (run.kind, &run.prompt) {
        (RunKind::Exec, _) => return Ok(()),
        (RunKind::Install, _) => "installs packages".to_owned(),
        (RunKind::Apply, _) => "applies a reply".to_owned(),
        (RunKind::Import, _) => "imports a repository".to_owned(),
        (RunKind::Generate, prompt) => prompt.clone().unwrap_or_default(),
    };
    let mut line = format!("{} {}", to.paint(Tone::Strong, &format!("▸ {by}:")), to.paint(Tone::Plain, &what));
    if let Some(model) = &run.model {
        line = format!("{line}  {}", to.paint(Tone::Faint, model));
    }
    to.line(&line)
}

fn installed<W: Write>(to: &mut Terminal<W>, install: &InstallFinished) -> io::Result<()> {
    match &install.error {
        Some(error) => bad(to, &format!("The packages were not installed: {error}")),
        None => good(to, "+", &install.installed.join(", "), "installed"),
    }
}

fn executed<W: Write>(to: &mut Terminal<W>, exec: &ExecFinished) -> io::Result<()> {
    match (exec.exit_code, &exec.error) {
        (Some(0), None) => Ok(()),
        (Some(code), None) => bad(to, &format!("exit code {code}")),
        (_, Some(error)) => bad(to, error),
        (None, None) => bad(to, "ended by a signal"),
    }
}

fn sandbox<W: Write>(to: &mut Terminal<W>, changed: &SandboxChanged) -> io::Result<()> {
    let detail = changed.detail.as_deref();
    match changed.state {
        SandboxState::Creating => to.status(detail.unwrap_or("Starting the sandbox …")),
        SandboxState::Restoring => to.status(detail.unwrap_or("Starting the sandbox again …")),
        SandboxState::Ready | SandboxState::Stopped => match &changed.error {
            Some(error) => bad(to, &format!("There is no sandbox: {error}")),
            None => to.clear_status(),
        },
        SandboxState::Lost => bad(to, changed.error.as_deref().unwrap_or("The sandbox was lost")),
    }
}

fn preview<W: Write>(to: &mut Terminal<W>, changed: &PreviewChanged) -> io::Result<()> {
    match (changed.state, &changed.url) {
        (PreviewState::Ready, Some(url)) => faint(to, &format!("Preview: {url}")),
        (PreviewState::Failed, _) => bad(to, changed.error.as_deref().unwrap_or("The preview failed")),
        _ => Ok(()),
    }
}

fn good<W: Write>(to: &mut Terminal<W>, sign: &str, what: &str, detail: &str) -> io::Result<()> {
    let line =
        format!("  {} {}  {}", to.paint(Tone::Good, sign), to.paint(Tone::Plain, what), to.paint(Tone::Faint, detail));
    to.line(line.trim_end())
}

fn bad<W: Write>(to: &mut Terminal<W>, text: &str) -> io::Result<()> {
    let line = to.paint(Tone::Bad, &format!("  ✗ {text}"));
    to.line(&line)
}

fn noticed<W: Write>(to: &mut Terminal<W>, text: &str) -> io::Result<()> {
    let line = to.paint(Tone::Notice, text);
    to.line(&line)
}

fn faint<W: Write>(to: &mut Terminal<W>, text: &str) -> io::Result<()> {
    let line = to.paint(Tone::Faint, text);
    to.line(&line)
}
