//! A command in a sandbox: its pipes, its output, its end.

use std::{io, os::fd::OwnedFd, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cobuild_protocol::value::OutputStream;
use rustix::pipe::PipeFlags;
use tokio::{
    io::AsyncWriteExt,
    net::unix::pipe,
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    egress::Granted,
    link::{Link, Started, Status},
};
use crate::{
    project::sandbox_provider::{ExecRequest, Exit, OutputSender, Process, Program, SandboxError},
    sandbox::output::{self, OutputBudget},
};

/// How long a killed process may take to be gone before its end is reported anyway.
const KILL_TIME_MAX: Duration = Duration::from_secs(5);
/// bubblewrap ends with 128 and the signal's number when a signal ended the command, as shells do. So do programs of
/// their own accord: those codes are reported as they are. Only this one, for SIGKILL, no program chooses: it tells of
/// a kill by us, or by the kernel for want of memory.
const KILLED_CODE: i32 = 128 + SIGKILL;
const SIGKILL: i32 = 9;

/// A running command. Dropping it kills it.
#[derive(Debug)]
pub(super) struct LocalProcess {
    link: Arc<Link>,
    id: super::wire::Id,
    exit: watch::Receiver<Option<Exit>>,
}

/// The server's ends of a command's output.
#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) stdout: pipe::Receiver,
    pub(super) stderr: pipe::Receiver,
}

/// Starts a command with pipes: its input, two outputs. Never files of the host, whose names the command could read.
pub(super) async fn start(link: &Link, argv: Vec<String>, text: Bytes) -> Result<(Started, Outputs), SandboxError> {
    let failed = |error: io::Error| SandboxError::Failed(format!("pipes for a command: {error}"));
    let (input, writer) = new_pipe().map_err(failed)?;
    // Without a text nobody writes: the command reads the end of its input at once.
    if !text.is_empty() {
        let mut writer = pipe::Sender::from_owned_fd(writer).map_err(failed)?;
        // Ends with the command, which closes the other end.
        tokio::spawn(async move { writer.write_all(&text).await });
    }
    let (stdout, stdout_inside) = new_pipe().map_err(failed)?;
    let (stderr, stderr_inside) = new_pipe().map_err(failed)?;
    let outputs = Outputs {
        stdout: pipe::Receiver::from_owned_fd(stdout).map_err(failed)?,
        stderr: pipe::Receiver::from_owned_fd(stderr).map_err(failed)?,
    };
    let started = link.spawn(argv, [input, stdout_inside, stderr_inside]).await?;
    Ok((started, outputs))
}

fn new_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?)
}

impl LocalProcess {
    /// Starts what is asked for and passes its output on.
    pub(super) async fn exec(
        link: Arc<Link>,
        granted: Granted,
        request: ExecRequest,
        to: OutputSender,
    ) -> Result<Self, SandboxError> {
        let argv = match request.program {
            Program::Shell(line) => vec!["sh".into(), "-c".into(), line],
            Program::Argv(argv) if argv.is_empty() => {
                return Err(SandboxError::Refused("there is nothing to run".into()));
            }
            Program::Argv(argv) => argv,
        };
        let (Started { id, exited }, Outputs { stdout, stderr }) = start(&link, argv, request.input).await?;
        tokio::spawn(async move {
            let budget = OutputBudget::default();
            tokio::join!(
                output::pump(stdout, OutputStream::Stdout, &budget, to.clone()),
                output::pump(stderr, OutputStream::Stderr, &budget, to),
            );
        });
        let (report, exit) = watch::channel(None);
        let process = Self { link: link.clone(), id, exit };
        tokio::spawn(async move {
            tokio::pin!(exited);
            let end = tokio::select! {
                status = &mut exited => status.map_or(Exit::Lost, exit_of),
                () = sleep(request.timeout) => {
                    link.kill(id);
                    let _ = timeout(KILL_TIME_MAX, exited).await;
                    Exit::TimedOut
                }
                () = granted.exhausted() => {
                    link.kill(id);
                    let _ = timeout(KILL_TIME_MAX, exited).await;
                    Exit::ReceivedTooMuch
                }
            };
            drop(granted);
            report.send_replace(Some(end));
        });
        Ok(process)
    }
}

#[async_trait]
impl Process for LocalProcess {
    async fn wait(&mut self) -> Exit {
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or(Exit::Lost),
            Err(_) => Exit::Lost,
        }
    }

    fn kill(&mut self) {
        self.link.kill(self.id);
    }
}

impl Drop for LocalProcess {
    fn drop(&mut self) {
        if self.exit.borrow().is_none() {
            self.link.kill(self.id);
        }
    }
}

/// What became of the command, told by what became of bubblewrap.
pub(super) fn exit_of(status: Status) -> Exit {
    match status {
        Status { code: Some(KILLED_CODE), .. } => Exit::Signal(SIGKILL),
        Status { code: Some(code), .. } => Exit::Code(code),
        Status { signal: Some(signal), .. } => Exit::Signal(signal),
        Status { .. } => Exit::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_reported_as_it_is() {
        for code in [0, 1, 127, 129, 130, 143, 192, 255] {
            assert_eq!(exit_of(Status { code: Some(code), signal: None }), Exit::Code(code));
        }
        assert_eq!(exit_of(Status { code: Some(137), signal: None }), Exit::Signal(9));
        assert_eq!(exit_of(Status { code: None, signal: Some(15) }), Exit::Signal(15));
    }
}
