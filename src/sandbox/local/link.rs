//! The server's end of one helper: starts it, asks it for connections and commands, learns of its end.

use std::{
    collections::HashMap,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use rustix::{
    net::{AddressFamily, Shutdown, SocketFlags, SocketType},
    process::{Pid, PidfdFlags, Signal},
};
use tokio::{io::Interest, net::UnixDatagram, sync::oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    helper::HELPER_ARGUMENT,
    wire::{self, ARGUMENTS_SIZE_BYTES_MAX, FromHelper, Id, Setup, ToHelper},
};
use crate::project::sandbox_provider::SandboxError;

/// How long a helper may take to build its sandbox: some milliseconds, or seconds where the template is copied on a
/// busy machine.
const BUILD_TIME_MAX: Duration = Duration::from_secs(30);
/// How long the helper may take for an answer; it is idle except while it starts a command.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a helper that was told to stop may take before it is killed.
const STOP_TIME_MAX: Duration = Duration::from_secs(3);
/// Stack of the thread that waits for a helper: it only starts a process and removes a directory tree.
const WAITER_STACK_BYTES: usize = 256 * 1024;

/// A helper that stands.
#[derive(Debug)]
pub(super) struct Link {
    /// Only the wrapper is that of datagrams, which tokio knows; the socket keeps their borders and has a peer.
    socket: UnixDatagram,
    pending: Mutex<Pending>,
    process: Arc<OnceLock<OwnedFd>>,
    /// Why it was ended, if it was on purpose.
    reason: OnceLock<String>,
    /// The connection to the helper is over.
    gone: CancellationToken,
    /// The helper has ended, and what belonged to it is cleaned up.
    ended: CancellationToken,
}

#[derive(Debug, Default)]
struct Pending {
    next_id: Id,
    connections: HashMap<Id, oneshot::Sender<Result<OwnedFd, String>>>,
    starts: HashMap<Id, oneshot::Sender<Result<(), String>>>,
    exits: HashMap<Id, oneshot::Sender<Status>>,
    closed: bool,
}

/// How a command ended, as its parent sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
}

/// A started command.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) id: Id,
    /// Dropped without a value when the sandbox goes away.
    pub(super) exited: oneshot::Receiver<Status>,
}

/// A helper that stands, with what it handed over.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) link: Arc<Link>,
    pub(super) egress: std::net::TcpListener,
    pub(super) copied_because: Option<String>,
}

/// Why no helper stands.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The helper says which step failed and how.
    #[error("{step}: {reason}")]
    Step { step: String, reason: String },
    #[error("the sandbox's helper did not answer within {} s", BUILD_TIME_MAX.as_secs())]
    TimedOut,
    #[error("the sandbox's helper: {0}")]
    Io(#[from] io::Error),
}

impl Link {
    /// Starts a helper and waits until its sandbox stands. `cleanup` runs on a thread of its own after the helper has
    /// ended, however it ended.
    pub(super) async fn start(
        executable: &Path,
        setup: Setup,
        cleanup: impl FnOnce() + Send + 'static,
    ) -> Result<Standing, StartError> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(io::Error::from)?;
        rustix::io::ioctl_fionbio(&ours, true).map_err(io::Error::from)?;
        let link = Arc::new(Self {
            socket: UnixDatagram::from_std(ours.into())?,
            pending: Mutex::default(),
            process: Arc::default(),
            reason: OnceLock::new(),
            gone: CancellationToken::new(),
            ended: CancellationToken::new(),
        });
        let command = helper_command(executable, theirs);
        start_waiter(command, link.process.clone(), link.ended.clone(), cleanup).await?;
        let guard = CloseOnDrop(Some(link.clone()));
        let (egress, copied_because) = tokio::time::timeout(BUILD_TIME_MAX, link.build(setup))
            .await
            .map_err(|_| StartError::TimedOut)
            .flatten()?;
        guard.keep();
        tokio::spawn(link.clone().read());
        Ok(Standing { link, egress, copied_because })
    }

    async fn build(&self, setup: Setup) -> Result<(std::net::TcpListener, Option<String>), StartError> {
        self.send(&ToHelper::Setup(Box::new(setup)), &[]).await?;
        let mut buffer = vec![0; wire::RECORD_SIZE_BYTES_MAX];
        match self.receive(&mut buffer).await? {
            Some((FromHelper::Listening { copied_because }, mut descriptors)) => {
                let listener = descriptors.pop().ok_or_else(|| io::Error::other("it handed over no listener"))?;
                Ok((listener.into(), copied_because))
            }
            Some((FromHelper::Failed { step, reason }, _)) => Err(StartError::Step { step, reason }),
            Some(_) => Err(io::Error::other("it answered out of turn").into()),
            None => Err(io::Error::other("it ended at once").into()),
        }
    }

    /// Connects to a port inside.
    pub(super) async fn connect(&self, port: u16) -> Result<tokio::net::TcpStream, SandboxError> {
        let (answer, answered) = oneshot::channel();
        let id = self.register(|pending, id| {
            pending.connections.insert(id, answer);
        })?;
        self.request(&ToHelper::Connect { id, port }, &[]).await?;
        let socket = self.answer(answered).await?.map_err(SandboxError::Failed)?;
        tokio::net::TcpStream::from_std(socket.into())
            .map_err(|error| SandboxError::Failed(format!("the connection into the sandbox: {error}")))
    }

    /// Starts a command with these standard streams.
    pub(super) async fn spawn(&self, argv: Vec<String>, streams: [OwnedFd; 3]) -> Result<Started, SandboxError> {
        let length: usize = argv.iter().map(|word| word.len() + 1).sum();
        if length > ARGUMENTS_SIZE_BYTES_MAX {
            return Err(SandboxError::Refused("a command line has at most 64 KiB".into()));
        }
        if argv.iter().any(|word| word.contains('\0')) {
            return Err(SandboxError::Refused("a command line has no NUL characters".into()));
        }
        let (answer, answered) = oneshot::channel();
        let (exit, exited) = oneshot::channel();
        let id = self.register(|pending, id| {
            pending.exits.insert(id, exit);
            pending.starts.insert(id, answer);
        })?;
        let beside = [streams[0].as_fd(), streams[1].as_fd(), streams[2].as_fd()];
        // Should the caller give up in the middle of this, the command must not stay.
        let guard = KillOnDrop { link: self, id: Some(id) };
        self.request(&ToHelper::Spawn { id, argv }, &beside).await?;
        self.answer(answered).await?.map_err(SandboxError::Failed)?;
        guard.keep();
        Ok(Started { id, exited })
    }

    /// Kills a command with everything it started. Does not wait.
    pub(super) fn kill(&self, id: Id) {
        if self.gone.is_cancelled() {
            return;
        }
        match wire::send(&self.socket, &ToHelper::Kill { id }, &[]) {
            Ok(()) => {}
            // A helper so busy that its queue is full and a command that must go: then the whole sandbox goes.
            Err(error) => self.close(format!("a process could not be killed: {error}")),
        }
    }

    /// Ends the helper with everything in it. Does not wait. The first reason given is kept.
    pub(super) fn close(&self, reason: impl Into<String>) {
        let _ = self.reason.set(reason.into());
        // The helper sees the end of the stream; so does our own reader.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }

    /// Waits for the end of the helper and the removal of what was its. Kills it when it takes too long.
    pub(super) async fn ended(&self) {
        if tokio::time::timeout(STOP_TIME_MAX, self.ended.cancelled()).await.is_err() {
            if let Some(process) = self.process.get() {
                let _ = rustix::process::pidfd_send_signal(process, Signal::KILL);
            }
            self.ended.cancelled().await;
        }
    }

    /// An error once it is being ended or has ended.
    pub(super) fn check(&self) -> Result<(), SandboxError> {
        let over = self.gone.is_cancelled() || self.reason.get().is_some();
        if over { Err(SandboxError::Lost(self.why_gone())) } else { Ok(()) }
    }

    /// Waits until the helper can no longer be asked anything, and says why.
    pub(super) async fn gone(&self) -> String {
        self.gone.cancelled().await;
        self.why_gone()
    }

    fn why_gone(&self) -> String {
        self.reason.get().cloned().unwrap_or_else(|| "its helper process ended".into())
    }

    fn register(&self, insert: impl FnOnce(&mut Pending, Id)) -> Result<Id, SandboxError> {
        self.check()?;
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.closed {
            return Err(SandboxError::Lost(self.why_gone()));
        }
        pending.next_id += 1;
        let id = pending.next_id;
        insert(&mut pending, id);
        Ok(id)
    }

    async fn request(&self, record: &ToHelper, beside: &[std::os::fd::BorrowedFd<'_>]) -> Result<(), SandboxError> {
        tokio::time::timeout(ANSWER_TIME_MAX, self.send(record, beside))
            .await
            .map_err(|_| SandboxError::TimedOut("the sandbox does not take requests".into()))?
            .map_err(|_| SandboxError::Lost(self.why_gone()))
    }

    async fn answer<T>(&self, answered: oneshot::Receiver<T>) -> Result<T, SandboxError> {
        tokio::time::timeout(ANSWER_TIME_MAX, answered)
            .await
            .map_err(|_| SandboxError::TimedOut("the sandbox does not answer".into()))?
            .map_err(|_| SandboxError::Lost(self.why_gone()))
    }

    async fn send(&self, record: &ToHelper, beside: &[std::os::fd::BorrowedFd<'_>]) -> io::Result<()> {
        self.socket.async_io(Interest::WRITABLE, || wire::send(&self.socket, record, beside)).await
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(FromHelper, Vec<OwnedFd>)>> {
        self.socket.async_io(Interest::READABLE, || wire::receive(&self.socket, buffer)).await
    }

    /// Hands answers to whoever waits for them, until the helper is gone.
    async fn read(self: Arc<Self>) {
        let mut buffer = vec![0; wire::RECORD_SIZE_BYTES_MAX];
        while let Ok(Some((record, descriptors))) = self.receive(&mut buffer).await {
            self.dispatch(record, descriptors);
        }
        {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever waits learns it by the drop of the other end.
            *pending = Pending { closed: true, ..Pending::default() };
        }
        self.close("its helper process ended");
        self.gone.cancel();
    }

    /// A receiver that is gone has given up waiting; its answer is dropped.
    fn dispatch(&self, record: FromHelper, mut descriptors: Vec<OwnedFd>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = |pending: &mut Pending, id, result| {
            if let Some(waiting) = pending.connections.remove(&id) {
                let _ = waiting.send(result);
            }
        };
        match record {
            FromHelper::Connected { id } => {
                let socket = descriptors.pop().ok_or_else(|| "no descriptor came with it".to_owned());
                connection(&mut pending, id, socket);
            }
            FromHelper::Refused { id, reason } => connection(&mut pending, id, Err(reason)),
            FromHelper::Started { id } => {
                if let Some(waiting) = pending.starts.remove(&id) {
                    let _ = waiting.send(Ok(()));
                }
            }
            FromHelper::NotStarted { id, reason } => {
                pending.exits.remove(&id);
                if let Some(waiting) = pending.starts.remove(&id) {
                    let _ = waiting.send(Err(reason));
                }
            }
            FromHelper::Exited { id, code, signal } => {
                if let Some(waiting) = pending.exits.remove(&id) {
                    let _ = waiting.send(Status { code, signal });
                }
            }
            FromHelper::Listening { .. } | FromHelper::Failed { .. } => {
                tracing::warn!("a sandbox's helper reported its start twice");
            }
        }
    }
}

fn helper_command(executable: &Path, socket: OwnedFd) -> Command {
    let mut command = Command::new(executable);
    // Ctrl-C in the server's terminal is for the server, which has runs to bring to an end first.
    command.process_group(0);
    command.arg(HELPER_ARGUMENT).env_clear().current_dir("/").stdin(Stdio::from(socket)).stdout(Stdio::null());
    command
}

/// Starts the helper on a thread that lives as long as the helper: the kernel ends the helper when the *thread* that
/// started it ends, and a runtime's threads come and go.
async fn start_waiter(
    mut command: Command,
    process: Arc<OnceLock<OwnedFd>>,
    ended: CancellationToken,
    cleanup: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let (report, reported) = oneshot::channel();
    std::thread::Builder::new().name("sandbox-helper".into()).stack_size(WAITER_STACK_BYTES).spawn(move || {
        let spawned = command.spawn();
        // The command holds the helper's end of the socketpair; kept open here, its end would go unnoticed.
        drop(command);
        match spawned {
            Ok(mut child) => {
                if let Ok(descriptor) = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
                    let _ = process.set(descriptor);
                }
                let _ = report.send(Ok(()));
                if let Err(error) = child.wait() {
                    tracing::error!(%error, "cannot wait for a sandbox's helper");
                }
            }
            Err(error) => {
                let _ = report.send(Err(error));
            }
        }
        cleanup();
        ended.cancel();
    })?;
    reported.await.unwrap_or_else(|_| Err(io::Error::other("its thread ended")))
}

struct CloseOnDrop(Option<Arc<Link>>);

impl CloseOnDrop {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            link.close("it could not be built");
        }
    }
}

struct KillOnDrop<'a> {
    link: &'a Link,
    id: Option<Id>,
}

impl KillOnDrop<'_> {
    fn keep(mut self) {
        self.id = None;
    }
}

impl Drop for KillOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.link.kill(id);
        }
    }
}
