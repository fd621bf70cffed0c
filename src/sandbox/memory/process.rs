//! Programs that are only a table: what they print, what they write, how they end.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cobuild_protocol::{FilePath, value::OutputStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Files, lock};
use crate::{
    project::sandbox_provider::{Exit, OutputChunk, OutputSender, Process, Program, SandboxFile},
    sandbox::output::{self, OutputBudget},
};

/// Signal 9, which ends a killed process.
const SIGKILL: i32 = 9;

/// How long a process takes to be gone that writes while it is killed.
const DEATH_TIME: Duration = Duration::from_millis(50);

/// One process in the count of those that run; taken out of it when dropped.
#[derive(Debug)]
pub(super) struct RunningProcess(watch::Sender<usize>);

impl RunningProcess {
    pub(super) fn count_in(running: &watch::Sender<usize>) -> Self {
        running.send_modify(|count| *count += 1);
        Self(running.clone())
    }
}

impl Drop for RunningProcess {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A program of the table.
#[derive(Debug, Clone)]
pub struct MemoryProgram {
    /// It is this program when the command line begins so.
    pub prefix: String,
    /// What it prints, in order.
    pub output: Vec<OutputChunk>,
    /// What it writes, after printing.
    pub writes: Vec<SandboxFile>,
    /// How it ends.
    pub ending: Ending,
    /// What it still writes when it is killed, before it is gone.
    pub last_writes: Vec<SandboxFile>,
}

/// How a program of the table ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// Not before it is killed.
    Hang,
}

impl MemoryProgram {
    /// The same program, saying this on standard error as well.
    #[must_use]
    pub fn complaining(mut self, text: &str) -> Self {
        self.output.push(OutputChunk { stream: OutputStream::Stderr, text: text.to_owned() });
        self
    }

    /// The same program, writing these files as well.
    #[must_use]
    pub fn writing(mut self, files: Vec<SandboxFile>) -> Self {
        self.writes = files;
        self
    }

    /// The same program, writing these files when it is killed.
    #[must_use]
    pub fn writing_when_killed(mut self, files: Vec<SandboxFile>) -> Self {
        self.last_writes = files;
        self
    }

    /// A program that prints a line and ends.
    #[must_use]
    pub fn new(prefix: &str, output: &str, ending: Ending) -> Self {
        let chunk = OutputChunk { stream: OutputStream::Stdout, text: output.to_owned() };
        Self { prefix: prefix.to_owned(), output: vec![chunk], writes: Vec::new(), ending, last_writes: Vec::new() }
    }
}

/// What a command line stands for: the table first, then the package manager, else nothing that exists.
pub(super) fn find(programs: &[MemoryProgram], program: &Program) -> Action {
    let (line, words) = match program {
        Program::Shell(line) => (line.clone(), line.split_whitespace().map(str::to_owned).collect()),
        Program::Argv(words) => (words.join(" "), words.clone()),
    };
    if let Some(known) = programs.iter().find(|known| line.starts_with(&known.prefix)) {
        return Action::Known(known.clone());
    }
    match words.as_slice() {
        [npm, install, packages @ ..] if npm == "npm" && install == "install" => {
            Action::Install(packages.iter().filter(|word| !word.starts_with('-')).cloned().collect())
        }
        [echo, rest @ ..] if echo == "echo" => {
            Action::Known(MemoryProgram::new("echo", &format!("{}\n", rest.join(" ")), Ending::Code(0)))
        }
        _ => {
            let mut unknown = MemoryProgram::new("", &format!("{line}: not found\n"), Ending::Code(127));
            unknown.output[0].stream = OutputStream::Stderr;
            Action::Known(unknown)
        }
    }
}

/// Why a file cannot be at a place, as on a disk: a file is where its directory must be, or a directory where it must.
pub(super) fn in_the_way(files: &Files, path: &FilePath) -> Option<String> {
    let is_file = |above: &&str| above.parse().is_ok_and(|above: FilePath| files.contains_key(&above));
    if path.ancestors().any(|above| is_file(&above)) {
        return Some(format!("a file or a link is in the way of {path}"));
    }
    let beneath = format!("{path}/");
    files.keys().any(|other| other.as_str().starts_with(&beneath)).then(|| format!("{path} is a directory"))
}

/// What a process does.
pub(super) enum Action {
    Known(MemoryProgram),
    Install(Vec<String>),
}

/// Starts it. It counts as `running` until it is gone.
pub(super) fn start(
    action: Action,
    timeout: Duration,
    files: &Arc<Mutex<Files>>,
    output: OutputSender,
    gone: CancellationToken,
    running: RunningProcess,
) -> MemoryProcess {
    let (exit, exited) = watch::channel(None);
    let killed = CancellationToken::new();
    let (files, kill) = (Arc::clone(files), killed.clone());
    let last_writes = match &action {
        Action::Known(program) => program.last_writes.clone(),
        Action::Install(_) => Vec::new(),
    };
    tokio::spawn(async move {
        let end = tokio::select! {
            biased;
            () = gone.cancelled() => Exit::Lost,
            () = killed.cancelled() => Exit::Signal(SIGKILL),
            code = run(action, &files, &output) => Exit::Code(code),
            () = tokio::time::sleep(timeout) => Exit::TimedOut,
        };
        if end == Exit::Signal(SIGKILL) && !last_writes.is_empty() {
            tokio::time::sleep(DEATH_TIME).await;
            write(&files, last_writes);
        }
        drop((output, running));
        exit.send_replace(Some(end));
    });
    MemoryProcess { kill, exited }
}

async fn run(action: Action, files: &Mutex<Files>, output: &OutputSender) -> i32 {
    let program = match action {
        Action::Known(program) => program,
        Action::Install(packages) => install(&packages, files),
    };
    let budget = OutputBudget::default();
    for chunk in &program.output {
        output::pump(chunk.text.as_bytes(), chunk.stream, &budget, output.clone()).await;
    }
    write(files, program.writes);
    match program.ending {
        Ending::Code(code) => code,
        Ending::Hang => std::future::pending().await,
    }
}

fn write(files: &Mutex<Files>, written: Vec<SandboxFile>) {
    lock(files).extend(written.into_iter().map(|file| (file.path, file.content)));
}

/// The package manager: adds names to `package.json`, and knows no package that begins with `no-such`.
fn install(packages: &[String], files: &Mutex<Files>) -> MemoryProgram {
    if let Some(unknown) = packages.iter().find(|package| package.starts_with("no-such")) {
        let reason = format!("npm error code E404\nnpm error 404 Not Found - '{unknown}' is not in this registry.\n");
        return MemoryProgram::new("npm install", &reason, Ending::Code(1));
    }
    let manifest = "package.json".parse().expect("a valid path");
    let mut files = lock(files);
    let parsed = files.get(&manifest).and_then(|text| serde_json::from_slice::<serde_json::Value>(text).ok());
    let mut json = parsed.unwrap_or_else(|| serde_json::json!({}));
    for package in packages {
        let name =
            package.char_indices().skip(1).find(|(_, c)| *c == '@').map_or(package.as_str(), |(at, _)| &package[..at]);
        json["dependencies"][name] = "^1.0.0".into();
    }
    if !packages.is_empty() {
        files.insert(manifest, Bytes::from(format!("{json:#}\n")));
    }
    MemoryProgram::new("npm install", &format!("added {} packages\n", packages.len()), Ending::Code(0))
}

/// A process of the table.
#[derive(Debug)]
pub(super) struct MemoryProcess {
    kill: CancellationToken,
    exited: watch::Receiver<Option<Exit>>,
}

impl Drop for MemoryProcess {
    fn drop(&mut self) {
        self.kill.cancel();
    }
}

#[async_trait]
impl Process for MemoryProcess {
    async fn wait(&mut self) -> Exit {
        let exited = self.exited.wait_for(Option::is_some).await;
        exited.ok().and_then(|exit| exit.clone()).unwrap_or(Exit::Lost)
    }

    fn kill(&mut self) {
        self.kill.cancel();
    }
}
