//! A sandbox in memory: files in a map, programs from a table, a preview that serves the files.
//!
//! It isolates nothing because it runs nothing. Tests use it where a real sandbox would only be slow; a server started
//! with `SANDBOX_PROVIDER=memory` lets somebody try the room on a machine without bubblewrap.

mod preview;
mod process;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cobuild_protocol::FilePath;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::process::RunningProcess;
pub use self::process::{Ending, MemoryProgram};
use super::template;
use crate::project::{
    content_hash,
    sandbox_provider::{
        ByteStream, ExecRequest, FileChange, OutputSender, Process, Program, ProgressSender, RefusedChange, Sandbox,
        SandboxEntry, SandboxError, SandboxFile, SandboxHealth, SandboxProvider, SandboxSpec, Template,
    },
};

type Files = BTreeMap<FilePath, Bytes>;

/// How long one that has died of its files seems to live.
const LOSS_NOTICED_AFTER: Duration = Duration::from_millis(50);

/// Makes sandboxes in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryProvider {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    programs: Vec<MemoryProgram>,
    refusal: Mutex<Option<SandboxError>>,
    /// Sandboxes come with their preview, as those that were kept ready do.
    warm: bool,
    living: Mutex<Vec<Arc<MemorySandbox>>>,
    /// The next sandbox that files are put into dies of it.
    fragile: AtomicBool,
    running: watch::Sender<usize>,
}

impl MemoryProvider {
    /// A provider whose sandboxes know these programs, and `npm install`.
    #[must_use]
    pub fn new(programs: Vec<MemoryProgram>) -> Self {
        Self { shared: Arc::new(Shared { programs, ..Shared::default() }) }
    }

    /// A provider whose sandboxes come with their preview.
    #[must_use]
    pub fn warm() -> Self {
        Self { shared: Arc::new(Shared { warm: true, ..Shared::default() }) }
    }

    /// Refuses to make sandboxes from now on, or (`None`) makes them again.
    pub fn refuse(&self, error: Option<SandboxError>) {
        *lock(&self.shared.refusal) = error;
    }

    /// Lets every living sandbox die as if by itself.
    pub fn lose_all(&self) {
        for sandbox in lock(&self.shared.living).drain(..) {
            sandbox.end(SandboxHealth::Lost("it was lost".into()));
        }
    }

    /// Lets the next sandbox die that files are put into. As with real ones, it takes a moment until that is noticed.
    pub fn lose_at_next_write(&self) {
        self.shared.fragile.store(true, Ordering::Release);
    }

    /// Waits until a living sandbox holds this content; for tests that cannot see the copying.
    pub async fn until_held(&self, path: &str, content: &str) {
        let holds = || {
            lock(&self.shared.living).iter().any(|sandbox| {
                let files = lock(&sandbox.files);
                files.iter().any(|(held, bytes)| held.as_str() == path && bytes == content.as_bytes())
            })
        };
        while !holds() {
            tokio::task::yield_now().await;
        }
    }

    /// How many processes run, in all sandboxes, and every change of that.
    #[must_use]
    pub fn running(&self) -> watch::Receiver<usize> {
        self.shared.running.subscribe()
    }

    /// How many sandboxes live.
    #[must_use]
    pub fn living(&self) -> usize {
        lock(&self.shared.living).len()
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

    async fn create(&self, spec: SandboxSpec, _: ProgressSender) -> Result<Arc<dyn Sandbox>, SandboxError> {
        self.check().await?;
        let files = spec.files.into_iter().map(|file| (file.path, file.content)).collect();
        let sandbox = Arc::new(MemorySandbox {
            files: Arc::new(Mutex::new(files)),
            health: watch::channel(if self.shared.warm { SandboxHealth::PreviewReady } else { SandboxHealth::Ready }).0,
            alive: CancellationToken::new(),
            provider: Arc::clone(&self.shared),
        });
        lock(&self.shared.living).push(Arc::clone(&sandbox));
        Ok(sandbox)
    }

    async fn check(&self) -> Result<(), SandboxError> {
        lock(&self.shared.refusal).clone().map_or(Ok(()), Err)
    }

    async fn close(&self) {
        for sandbox in lock(&self.shared.living).drain(..) {
            sandbox.end(SandboxHealth::Lost("the server stops".into()));
        }
    }
}

/// One sandbox in memory.
#[derive(Debug)]
pub struct MemorySandbox {
    files: Arc<Mutex<Files>>,
    health: watch::Sender<SandboxHealth>,
    alive: CancellationToken,
    provider: Arc<Shared>,
}

impl MemorySandbox {
    fn end(&self, health: SandboxHealth) {
        self.alive.cancel();
        self.health.send_replace(health);
    }

    fn check_alive(&self) -> Result<(), SandboxError> {
        if self.alive.is_cancelled() { Err(SandboxError::Lost("it was stopped".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Sandbox for MemorySandbox {
    async fn write(&self, changes: Vec<FileChange>) -> Result<Vec<RefusedChange>, SandboxError> {
        if self.provider.fragile.swap(false, Ordering::AcqRel) {
            self.alive.cancel();
            let health = self.health.clone();
            tokio::spawn(async move {
                tokio::time::sleep(LOSS_NOTICED_AFTER).await;
                health.send_replace(SandboxHealth::Lost("it was lost".into()));
            });
        }
        self.check_alive()?;
        let mut files = lock(&self.files);
        let mut refused = Vec::new();
        for change in changes {
            if let Some(reason) = process::in_the_way(&files, change.path()) {
                refused.push(RefusedChange { path: change.path().clone(), reason });
                continue;
            }
            match change {
                FileChange::Write(SandboxFile { path, content }) => drop(files.insert(path, content)),
                FileChange::Delete(path) => drop(files.remove(&path)),
            }
        }
        Ok(refused)
    }

    async fn list(&self) -> Result<Vec<SandboxEntry>, SandboxError> {
        self.check_alive()?;
        let entry = |(path, content): (&FilePath, &Bytes)| SandboxEntry {
            path: path.clone(),
            hash: content_hash(content),
            size_bytes: content.len() as u64,
        };
        Ok(lock(&self.files).iter().map(entry).collect())
    }

    async fn read(&self, path: &FilePath) -> Result<Bytes, SandboxError> {
        self.check_alive()?;
        lock(&self.files).get(path).cloned().ok_or(SandboxError::NotFound)
    }

    async fn exec(&self, request: ExecRequest, output: OutputSender) -> Result<Box<dyn Process>, SandboxError> {
        self.check_alive()?;
        if matches!(&request.program, Program::Argv(words) if words.is_empty()) {
            return Err(SandboxError::Refused("there is nothing to run".into()));
        }
        let program = process::find(&self.provider.programs, &request.program);
        let running = RunningProcess::count_in(&self.provider.running);
        let gone = self.alive.child_token();
        Ok(Box::new(process::start(program, request.timeout, &self.files, output, gone, running)))
    }

    async fn start_preview(&self) -> Result<(), SandboxError> {
        self.check_alive()?;
        // One that shows its preview already has nothing to say, as a real one that was kept warm has not.
        self.health.send_if_modified(|health| {
            let is_new = !matches!(health, SandboxHealth::PreviewReady);
            *health = SandboxHealth::PreviewReady;
            is_new
        });
        Ok(())
    }

    async fn stop_preview(&self) {
        if self.check_alive().is_ok() {
            self.health.send_replace(SandboxHealth::Ready);
        }
    }

    async fn connect_preview(&self) -> Result<Box<dyn ByteStream>, SandboxError> {
        self.check_alive()?;
        Ok(Box::new(preview::connect(Arc::clone(&self.files), self.alive.clone())))
    }

    fn preview_log(&self) -> String {
        "the files are served from memory\n".to_owned()
    }

    fn health(&self) -> watch::Receiver<SandboxHealth> {
        self.health.subscribe()
    }

    async fn stop(&self) {
        self.end(SandboxHealth::Lost("it was stopped".into()));
        lock(&self.provider.living).retain(|other| !std::ptr::eq(Arc::as_ptr(other), self));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
