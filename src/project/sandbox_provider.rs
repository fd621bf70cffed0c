//! What the core asks of a sandbox: a disposable place where a project's files are and its processes run. Adapters
//! live in `sandbox/`; every one passes the same contract test.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cobuild_protocol::{FilePath, ProjectId, value::ContentHash, value::OutputStream};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
};

/// Makes sandboxes.
#[async_trait]
pub trait SandboxProvider: Send + Sync + fmt::Debug + 'static {
    /// Its name on the wire: `local`, `e2b` …
    fn name(&self) -> &'static str;

    /// What a new project starts from: the template's name and its files, as they are before anything is installed.
    fn template(&self) -> Template;

    /// Makes a sandbox that holds `spec.files`. Slow steps are reported through `progress`. Dropping the future
    /// gives the sandbox up. Packages that `package.json` names and the template lacks are *not* installed here.
    async fn create(&self, spec: SandboxSpec, progress: ProgressSender) -> Result<Arc<dyn Sandbox>, SandboxError>;

    /// Whether sandboxes can be made now; the error says why not and what to do. For `GET /ready` and start-up.
    async fn check(&self) -> Result<(), SandboxError>;

    /// Ends everything this provider started. Called once, at shutdown.
    async fn close(&self);
}

/// What a new project starts from.
#[derive(Debug, Clone)]
pub struct Template {
    /// `react-vite`.
    pub name: &'static str,
    /// The files.
    pub files: Vec<SandboxFile>,
}

/// What a sandbox is made for.
#[derive(Debug, Clone)]
pub struct SandboxSpec {
    /// Whose it is.
    pub project: ProjectId,
    /// What it holds at first: the project's whole tree.
    pub files: Vec<SandboxFile>,
}

/// Sentences for people about what takes so long, such as "Installing the template's packages (one-time)".
/// Only the latest counts; whoever is slower misses those between.
pub type ProgressSender = watch::Sender<String>;

/// A file on its way into a sandbox, or out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxFile {
    /// Where.
    pub path: FilePath,
    /// What.
    pub content: Bytes,
}

/// A change to a sandbox's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChange {
    /// The file has this content now.
    Write(SandboxFile),
    /// The file is gone.
    Delete(FilePath),
}

impl FileChange {
    /// Where.
    #[must_use]
    pub const fn path(&self) -> &FilePath {
        match self {
            Self::Write(file) => &file.path,
            Self::Delete(path) => path,
        }
    }
}

/// A change that could not be made: something is in its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedChange {
    /// Of which file.
    pub path: FilePath,
    /// Why, as a sentence for the people in the room.
    pub reason: String,
}

/// What a file in a sandbox is, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxEntry {
    /// Where.
    pub path: FilePath,
    /// What it holds.
    pub hash: ContentHash,
    /// How long it is.
    pub size_bytes: u64,
}

/// One living sandbox. Shared by the jobs of one project; the actor decides when it ends.
#[async_trait]
pub trait Sandbox: Send + Sync + fmt::Debug + 'static {
    /// Changes files, in order, each by itself: one that cannot be made does not keep the others from being made.
    /// Returns those. What already has the content is not touched, so that a dev server's watcher does not fire.
    async fn write(&self, changes: Vec<FileChange>) -> Result<Vec<RefusedChange>, SandboxError>;

    /// Every regular file below the project's root, without `node_modules` and `.git`, in path order. Files that are
    /// too large for a project and names that are no [`FilePath`] are left out; [`SandboxError::Refused`] when there
    /// are more files than a project may have.
    async fn list(&self) -> Result<Vec<SandboxEntry>, SandboxError>;

    /// One file's content. [`SandboxError::NotFound`] for anything that is not a regular file beneath the root.
    async fn read(&self, path: &FilePath) -> Result<Bytes, SandboxError>;

    /// Starts a process. Its output arrives in `output`, which is closed after the last of it; the process is killed
    /// with everything it started when [`Process::kill`] is called, its handle is dropped, or its time is up.
    async fn exec(&self, request: ExecRequest, output: OutputSender) -> Result<Box<dyn Process>, SandboxError>;

    /// Makes sure the dev server runs, and returns once it answers. Its later end shows in [`Sandbox::health`].
    async fn start_preview(&self) -> Result<(), SandboxError>;

    /// Ends the dev server, if there is one; [`Sandbox::start_preview`] starts another.
    async fn stop_preview(&self);

    /// A byte stream to the dev server.
    async fn connect_preview(&self) -> Result<Box<dyn ByteStream>, SandboxError>;

    /// What the dev server printed last, newest at the end; at most 16 KiB.
    fn preview_log(&self) -> String;

    /// How the sandbox is, and every change of that.
    fn health(&self) -> watch::Receiver<SandboxHealth>;

    /// Ends the sandbox and everything in it. Returns when it is gone. Idempotent.
    async fn stop(&self);
}

/// How a sandbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SandboxHealth {
    /// It takes commands; there is no dev server.
    Ready,
    /// The dev server answers.
    PreviewReady,
    /// The dev server ended by itself; the sentence says how.
    PreviewFailed(String),
    /// The sandbox is gone; the sentence says why.
    Lost(String),
}

/// A connection to something in a sandbox.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// A process to start.
#[derive(Debug, Clone)]
pub struct ExecRequest {
    /// What.
    pub program: Program,
    /// When to kill it.
    pub timeout: Duration,
    /// What it can read from its standard input.
    pub input: Bytes,
    /// What may be connected to while it runs, beyond what the sandbox may reach anyway.
    pub network: Vec<NetworkRule>,
}

impl ExecRequest {
    /// Without input, and with the sandbox's own network rules.
    #[must_use]
    pub const fn new(program: Program, timeout: Duration) -> Self {
        Self { program, timeout, input: Bytes::new(), network: Vec::new() }
    }
}

/// One host that may be connected to by TLS, for as long as one process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRule {
    /// Its name, exactly as it is asked for, in lower case.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Where it is. `None`: where its name leads, if that is a public address.
    pub address: Option<SocketAddr>,
    /// The most that may come from it; then the process is killed.
    pub received_bytes_max: u64,
}

/// What to run. The working directory is the project's root; the environment is the sandbox's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A line for `sh -c`.
    Shell(String),
    /// A program with its arguments, as they are.
    Argv(Vec<String>),
}

/// Where a process's output goes. Bounded: a process that prints faster than it is read waits, and beyond
/// [`OUTPUT_SIZE_BYTES_MAX`] the rest is dropped with one line that says so.
pub type OutputSender = mpsc::Sender<OutputChunk>;

/// The most of one process's output that is kept: enough for the longest useful build log, small enough that a
/// program printing in a loop neither fills the log nor the disk. The process itself goes on.
pub const OUTPUT_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputChunk {
    /// On which stream.
    pub stream: OutputStream,
    /// What; UTF-8 with replacement characters for anything else, never cut inside a character.
    pub text: String,
}

/// A started process.
#[async_trait]
pub trait Process: Send + fmt::Debug {
    /// Waits for its end. Cancel-safe.
    async fn wait(&mut self) -> Exit;

    /// Kills it and everything it started. Does not wait.
    fn kill(&mut self);
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Its time was up and it was killed.
    TimedOut,
    /// More came for it than a [`NetworkRule`] allows, and it was killed.
    ReceivedTooMuch,
    /// The sandbox went away under it.
    Lost,
}

/// What a caller can do about a failed sandbox.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SandboxError {
    /// Sandboxes cannot be made here; the sentence names the cause and the fix.
    #[error("{0}")]
    Unavailable(String),
    /// The sandbox is gone; make another.
    #[error("the sandbox is gone: {0}")]
    Lost(String),
    /// It took longer than its limit.
    #[error("{0}")]
    TimedOut(String),
    /// No such file.
    #[error("no such file")]
    NotFound,
    /// The sandbox refuses it; asking differently may help.
    #[error("{0}")]
    Refused(String),
    /// Something that should work did not; the cause is in the log.
    #[error("{0}")]
    Failed(String),
}
