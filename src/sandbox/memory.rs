//! Sandboxes in memory: files in a map, programs from a table, a preview that serves the files. For tests and for
//! machines that cannot make real ones but want to try the rest. It behaves as the others do and passes the same
//! contract; it isolates nothing, because nothing runs.

mod preview;
mod process;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use cobuild_protocol::{
    FilePath,
    value::{ContentHash, OutputStream},
};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    project::sandbox_provider::{
        ByteStream, ExecRequest, FileChange, OutputSender, Process, ProgressSender, Sandbox, SandboxEntry,
        SandboxError, SandboxHealth, SandboxProvider, SandboxSpec, Template,
    },
    sandbox::template,
};

/// What the preview prints when it starts.
const PREVIEW_GREETING: &str = "memory preview ready\n";

/// Makes sandboxes in memory.
#[derive(Debug)]
pub struct MemoryProvider {
    programs: Arc<HashMap<String, Script>>,
    made: Mutex<Vec<Arc<MemorySandbox>>>,
    refusal: Mutex<Option<String>>,
    held: watch::Sender<bool>,
}

/// What a program does. Programs are found by their whole command line; any other is not found, with exit code 127.
#[derive(Debug, Clone)]
pub struct Script {
    /// What it prints, in order.
    pub prints: Vec<(OutputStream, String)>,
    /// What it does to the project's files before it ends.
    pub changes: Vec<FileChange>,
    /// How it ends.
    pub end: ScriptEnd,
}

/// How a script ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptEnd {
    /// By itself, with this code.
    Code(i32),
    /// Not by itself.
    Hangs,
}

impl Script {
    /// Prints this and succeeds.
    #[must_use]
    pub fn prints(text: &str) -> Self {
        Self { prints: vec![(OutputStream::Stdout, text.into())], changes: Vec::new(), end: ScriptEnd::Code(0) }
    }

    /// Also changes files.
    #[must_use]
    pub fn changing(mut self, changes: Vec<FileChange>) -> Self {
        self.changes = changes;
        self
    }

    /// Also prints this, as an error.
    #[must_use]
    pub fn complaining(mut self, text: &str) -> Self {
        self.prints.push((OutputStream::Stderr, text.into()));
        self
    }

    /// Ends in this way.
    #[must_use]
    pub fn ending(mut self, end: ScriptEnd) -> Self {
        self.end = end;
        self
    }
}

impl Default for MemoryProvider {
    fn default() -> Self {
        Self::new([])
    }
}

impl MemoryProvider {
    /// A provider whose sandboxes know these programs, by command line: a shell's line, or arguments joined by spaces.
    #[must_use]
    pub fn new<const N: usize>(programs: [(&str, Script); N]) -> Self {
        Self {
            programs: Arc::new(programs.map(|(line, script)| (line.to_owned(), script)).into()),
            made: Mutex::default(),
            refusal: Mutex::default(),
            held: watch::Sender::new(false),
        }
    }

    /// Every sandbox made so far, oldest first, living or not.
    #[must_use]
    pub fn sandboxes(&self) -> Vec<Arc<MemorySandbox>> {
        lock(&self.made).clone()
    }

    /// From now on no sandbox can be made, for this reason; or they can be again.
    pub fn refuse(&self, reason: Option<&str>) {
        *lock(&self.refusal) = reason.map(str::to_owned);
    }

    /// While held, making a sandbox takes as long as it is held.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }
}

#[async_trait]
impl SandboxProvider for MemoryProvider {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn template(&self) -> Template {
        template::react_vite()
    }

    async fn create(&self, spec: SandboxSpec, progress: ProgressSender) -> Result<Arc<dyn Sandbox>, SandboxError> {
        self.check().await?;
        let mut held = self.held.subscribe();
        if *held.borrow() {
            // Whoever made the sender may not care.
            let _ = progress.send("Waiting in memory".into());
        }
        // The sender is our own.
        let _ = held.wait_for(|held| !held).await;
        let sandbox = Arc::new(MemorySandbox::new(self.programs.clone(), spec));
        lock(&self.made).push(sandbox.clone());
        Ok(sandbox)
    }

    async fn check(&self) -> Result<(), SandboxError> {
        match &*lock(&self.refusal) {
            Some(reason) => Err(SandboxError::Unavailable(reason.clone())),
            None => Ok(()),
        }
    }

    async fn close(&self) {
        for sandbox in self.sandboxes() {
            sandbox.stop().await;
        }
    }
}

/// A sandbox in memory.
#[derive(Debug)]
pub struct MemorySandbox {
    programs: Arc<HashMap<String, Script>>,
    files: Files,
    health: watch::Sender<SandboxHealth>,
    /// Cancelled when the sandbox is gone.
    gone: CancellationToken,
    previewing: Mutex<bool>,
}

/// The project's files, shared with the programs and the preview.
#[derive(Debug, Clone, Default)]
struct Files(Arc<Mutex<BTreeMap<FilePath, Bytes>>>);

impl Files {
    fn change(&self, changes: &[FileChange]) {
        let mut files = lock(&self.0);
        for change in changes {
            match change {
                FileChange::Write(file) => {
                    files.insert(file.path.clone(), file.content.clone());
                }
                FileChange::Delete(path) => {
                    files.remove(path);
                }
            }
        }
    }

    fn read(&self, path: &FilePath) -> Option<Bytes> {
        lock(&self.0).get(path).cloned()
    }
}

impl MemorySandbox {
    fn new(programs: Arc<HashMap<String, Script>>, spec: SandboxSpec) -> Self {
        let files = Files::default();
        files.change(&spec.files.into_iter().map(FileChange::Write).collect::<Vec<_>>());
        let (gone, previewing) = (CancellationToken::new(), Mutex::new(false));
        Self { programs, files, health: watch::Sender::new(SandboxHealth::Ready), gone, previewing }
    }

    /// The sandbox dies.
    pub fn lose(&self, reason: &str) {
        if !self.gone.is_cancelled() {
            self.gone.cancel();
            self.health.send_replace(SandboxHealth::Lost(reason.into()));
        }
    }

    /// The preview's server ends by itself.
    pub fn fail_preview(&self, reason: &str) {
        *lock(&self.previewing) = false;
        self.health.send_replace(SandboxHealth::PreviewFailed(reason.into()));
    }

    fn alive(&self) -> Result<(), SandboxError> {
        match &*self.health.borrow() {
            SandboxHealth::Lost(reason) => Err(SandboxError::Lost(reason.clone())),
            SandboxHealth::Ready | SandboxHealth::PreviewReady | SandboxHealth::PreviewFailed(_) => Ok(()),
        }
    }
}

#[async_trait]
impl Sandbox for MemorySandbox {
    async fn write(&self, changes: Vec<FileChange>) -> Result<(), SandboxError> {
        self.alive()?;
        self.files.change(&changes);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<SandboxEntry>, SandboxError> {
        self.alive()?;
        let entry = |(path, content): (&FilePath, &Bytes)| SandboxEntry {
            path: path.clone(),
            hash: hash(content),
            size_bytes: content.len() as u64,
        };
        Ok(lock(&self.files.0).iter().map(entry).collect())
    }

    async fn read(&self, path: &FilePath) -> Result<Bytes, SandboxError> {
        self.alive()?;
        self.files.read(path).ok_or(SandboxError::NotFound)
    }

    async fn exec(&self, request: ExecRequest, output: OutputSender) -> Result<Box<dyn Process>, SandboxError> {
        self.alive()?;
        let process = process::start(&self.programs, self.files.clone(), self.gone.child_token(), request, output)?;
        Ok(Box::new(process))
    }

    async fn start_preview(&self) -> Result<(), SandboxError> {
        self.alive()?;
        *lock(&self.previewing) = true;
        self.health.send_if_modified(|health| {
            let change = *health != SandboxHealth::PreviewReady;
            *health = SandboxHealth::PreviewReady;
            change
        });
        Ok(())
    }

    async fn connect_preview(&self) -> Result<Box<dyn ByteStream>, SandboxError> {
        self.alive()?;
        if *lock(&self.previewing) {
            Ok(Box::new(preview::connect(self.files.clone(), self.gone.clone())))
        } else {
            Err(SandboxError::Failed("there is no dev server".into()))
        }
    }

    fn preview_log(&self) -> String {
        if *lock(&self.previewing) { PREVIEW_GREETING.into() } else { String::new() }
    }

    fn health(&self) -> watch::Receiver<SandboxHealth> {
        self.health.subscribe()
    }

    async fn stop(&self) {
        self.lose("it was stopped");
    }
}

impl Drop for MemorySandbox {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

fn hash(content: &[u8]) -> ContentHash {
    hex::encode(Sha256::digest(content)).parse().expect("SHA-256 in hexadecimal is a content hash")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
