//! `cobuild status`

use std::{
    io::{self, Write, stdout},
    process::ExitCode,
};

use clap::Args;
use cobuild_protocol::{
    ProjectId,
    state::{RunInfo, RunState},
    value::{Outcome, PreviewState, RunKind, SandboxState},
};
use jiff::Timestamp;

use super::{
    CliError,
    progress::name,
    remote::{RemoteArgs, terminal},
    terminal::{Terminal, Tone},
    wording,
};
use crate::client::ProjectStatus;

/// Longest piece of a prompt that is shown, in characters.
const PROMPT_SHOWN_MAX: usize = 60;
/// Width of the column of labels.
const LABEL_WIDTH: usize = 9;

/// Which project.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StatusArgs {
    /// The project
    project: ProjectId,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Says how a project is.
pub(super) async fn run(args: StatusArgs) -> Result<ExitCode, CliError> {
    let status = args.remote.server()?.status(&args.project).await?;
    if args.remote.wants_json() {
        let json = serde_json::to_string(&status).expect("invariant: a status is JSON");
        writeln!(stdout(), "{json}")?;
    } else {
        print(&mut terminal(), &status)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A project in a few lines.
pub(super) fn print<W: Write>(to: &mut Terminal<W>, status: &ProjectStatus) -> io::Result<()> {
    let ProjectStatus { project, state, .. } = status;
    let title = if state.name == project.as_str() { state.name.clone() } else { format!("{} ({project})", state.name) };
    let title = to.paint(Tone::Strong, &title);
    to.line(&title)?;
    let size_bytes = state.files.values().map(|file| file.size_bytes).sum();
    label(to, "files", &format!("{}, {}", wording::count(state.files.len() as u64), wording::size(size_bytes)))?;
    label(to, "sandbox", &with(sandbox_state(state.sandbox.state), state.sandbox.error.as_deref()))?;
    let preview = state.preview.error.as_deref().or(state.preview.url.as_deref());
    label(to, "preview", &with(preview_state(state.preview.state), preview))?;
    let here: Vec<String> = state
        .participants
        .values()
        .filter(|who| who.present)
        .map(|who| format!("{} ({})", who.name, wording::role(who.role)))
        .collect();
    if !here.is_empty() {
        label(to, "here", &here.join(", "))?;
    }
    for run in &state.runs {
        let by = run.by.map(|by| name(state, by)).unwrap_or_default();
        match run.state {
            RunState::Running => label(to, "running", &format!("{by}: {}", task(run)))?,
            RunState::Queued => label(to, "waiting", &format!("{by}: {}", task(run)))?,
            RunState::Finished => {}
        }
    }
    if !state.conflicts.is_empty() {
        let paths: Vec<&str> = state.conflicts.iter().map(|conflict| conflict.path.as_str()).collect();
        label(to, "conflicts", &paths.join(", "))?;
    }
    match state.runs.iter().rev().find(|run| run.state == RunState::Finished) {
        Some(run) => label(to, "last", &ended(run)),
        None => Ok(()),
    }
}

fn label<W: Write>(to: &mut Terminal<W>, label: &str, text: &str) -> io::Result<()> {
    let label = to.paint(Tone::Faint, &format!("{label:LABEL_WIDTH$}"));
    let line = format!("  {label} {}", to.paint(Tone::Plain, text));
    to.line(&line)
}

fn with(state: &str, detail: Option<&str>) -> String {
    detail.map_or_else(|| state.to_owned(), |detail| format!("{state}, {detail}"))
}

/// What a run is about, on one line.
fn task(run: &RunInfo) -> String {
    let Some(prompt) = &run.prompt else {
        return match run.kind {
            RunKind::Generate => "a prompt".into(),
            RunKind::Apply => "a reply to apply".into(),
            RunKind::Install => "packages to install".into(),
            RunKind::Import => "a repository to import".into(),
            RunKind::Exec => "a command".into(),
        };
    };
    let line = prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= PROMPT_SHOWN_MAX {
        return line;
    }
    line.chars().take(PROMPT_SHOWN_MAX - 1).chain(['…']).collect()
}

fn ended(run: &RunInfo) -> String {
    let outcome = match run.outcome {
        Some(Outcome::Completed) => "completed",
        Some(Outcome::Failed) => "failed",
        Some(Outcome::Cancelled) => "cancelled",
        Some(Outcome::Interrupted) => "interrupted",
        None => "ended",
    };
    let when = run.finished_at.as_deref().map(|at| wording::ago(at, Timestamp::now())).unwrap_or_default();
    format!("{outcome} {when}: {}", task(run))
}

const fn sandbox_state(state: SandboxState) -> &'static str {
    match state {
        SandboxState::Stopped => "stopped",
        SandboxState::Creating => "starting",
        SandboxState::Ready => "ready",
        SandboxState::Lost => "lost",
        SandboxState::Restoring => "starting again",
    }
}

const fn preview_state(state: PreviewState) -> &'static str {
    match state {
        PreviewState::Stopped => "stopped",
        PreviewState::Starting => "starting",
        PreviewState::Ready => "ready",
        PreviewState::Failed => "failed",
    }
}
