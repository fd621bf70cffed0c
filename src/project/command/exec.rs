//! `exec`: a shell command in the sandbox. What it changes comes back into the tree.

use std::time::{Duration, Instant};

use cobuild_protocol::{
    Event, FilePath,
    command::Exec,
    event::{ExecFinished, ExecStarted, ProcessOutput},
};
use tokio::sync::mpsc;

use super::{Acceptance, Desk, begin};
use crate::project::{
    error::ProjectError,
    run::{JobContext, Work},
    sandbox_link::SandboxLink,
    sandbox_provider::{ExecRequest, Exit, OutputChunk, Program, SandboxError},
};

/// Longest time a command may run. A build of a large app takes a minute or two.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// Longest command line: more than anybody types, less than the kernel's limit for one argument.
const COMMAND_SIZE_BYTES_MAX: usize = 16 * 1024;
/// Most commands of one project at a time, beside its run. Each is a process tree of its own.
const CONCURRENT_MAX: usize = 4;
/// Pieces of output on their way to the log; a process that prints faster waits.
const OUTPUT_MAX: usize = 64;

pub(super) fn accept(desk: &mut Desk<'_>, command: Exec) -> Result<Acceptance, ProjectError> {
    let Exec { command, timeout_ms } = command;
    if command.trim().is_empty() {
        return Err(ProjectError::BadRequest("command must not be blank".into()));
    }
    if command.len() > COMMAND_SIZE_BYTES_MAX || command.contains('\0') {
        return Err(ProjectError::TooLarge(format!(
            "command has at most {COMMAND_SIZE_BYTES_MAX} bytes and no NUL characters"
        )));
    }
    if desk.runs.executing() >= CONCURRENT_MAX {
        return Err(ProjectError::QueueFull(format!("{CONCURRENT_MAX} commands are running; wait for one to end")));
    }
    let timeout = timeout_ms.map_or(TIMEOUT_MAX, Duration::from_millis).min(TIMEOUT_MAX);
    let run = desk.state.next_run();
    let (by, stamp) = (desk.by, desk.stamp(Some(run)));
    let seq = begin(desk.batch, desk.state, run, by, stamp, Work::Exec { command, timeout });
    Ok(Acceptance { run: Some(run), seq: Some(seq) })
}

pub(crate) async fn perform(context: JobContext, command: String, timeout: Duration) -> Result<(), ProjectError> {
    let Ran { failure, changed: _ } = run_shell(&context, &command, timeout).await?;
    failure.map_or(Ok(()), |failure| Err(ProjectError::ProcessFailed(failure.reason)))
}

/// How much of a command's last words a model gets to see: why it failed is there.
const TAIL_SIZE_BYTES_MAX: usize = 2 * 1024;

/// What became of a command.
#[derive(Debug)]
pub(super) struct Ran {
    /// How it failed, if it did.
    pub(super) failure: Option<Failure>,
    /// The files it changed, as far as the tree took them.
    pub(super) changed: Vec<FilePath>,
}

/// How a command failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// In a few words.
    pub(super) reason: String,
    /// The end of what it printed.
    pub(super) tail: String,
}

/// Runs one shell command and takes over what it changed.
pub(super) async fn run_shell(context: &JobContext, command: &str, timeout: Duration) -> Result<Ran, ProjectError> {
    let link = context.link().await?;
    link.push().await?;
    let before = link.held().await?;
    context.reporter.event(Event::ExecStarted(ExecStarted { command: command.to_owned() })).await?;
    let started = Instant::now();
    let mut tail = String::new();
    let exit = stream(context, &link, Program::Shell(command.to_owned()), timeout, |chunk| {
        tail.push_str(&chunk.text);
        tail.drain(..tail.ceil_char_boundary(tail.len().saturating_sub(TAIL_SIZE_BYTES_MAX)));
        Event::ExecOutput(ProcessOutput { stream: chunk.stream, text: chunk.text })
    })
    .await;
    let (exit_code, error) = match &exit {
        Ok(Exit::Code(code)) => (Some(*code), None),
        Ok(Exit::Signal(signal)) => (None, Some(format!("ended by signal {signal}"))),
        Ok(Exit::TimedOut) => (None, Some(format!("took longer than {} s", timeout.as_secs_f32()))),
        Ok(Exit::ReceivedTooMuch) => (None, Some("it fetched more than it may".to_owned())),
        Ok(Exit::Lost) => (None, Some("the sandbox went away".to_owned())),
        Err(error) => (None, Some(error.to_string())),
    };
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let finished = ExecFinished { exit_code, error: error.clone(), duration_ms };
    context.reporter.event(Event::ExecFinished(finished)).await?;
    let changed = match exit? {
        Exit::Lost => Vec::new(),
        _ => link.pull(context.reporter.clone(), Some(before)).await?,
    };
    let reason = match (exit_code, error) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("exit code {code}")),
        (None, error) => Some(error.unwrap_or_default()),
    };
    Ok(Ran { failure: reason.map(|reason| Failure { reason, tail }), changed })
}

/// Runs a program and reports its output as it comes. Dropping the future kills it.
pub(super) async fn stream(
    context: &JobContext,
    link: &SandboxLink,
    program: Program,
    timeout: Duration,
    mut event: impl FnMut(OutputChunk) -> Event,
) -> Result<Exit, ProjectError> {
    let (output, mut chunks) = mpsc::channel(OUTPUT_MAX);
    let mut process = link.exec(ExecRequest::new(program, timeout), output).await?;
    while let Some(chunk) = chunks.recv().await {
        let event = event(chunk);
        context.reporter.event(event).await?;
    }
    Ok(process.wait().await)
}

impl JobContext {
    /// The sandbox, once it takes commands.
    pub(super) async fn link(&self) -> Result<std::sync::Arc<SandboxLink>, SandboxError> {
        crate::project::sandbox_link::wait_ready(self.sandbox.clone()).await
    }

    /// The sandbox, if it takes commands already.
    pub(super) fn ready_link(&self) -> Option<std::sync::Arc<SandboxLink>> {
        crate::project::sandbox_link::ready(&self.sandbox.borrow())
    }
}
