//! The project's place for a sandbox: empty, being filled, or filled. Owned by the actor, which alone decides when a
//! sandbox is made and ended; making and ending are jobs.

use std::{sync::Arc, time::Duration};

use cobuild_protocol::{
    Event, ProjectId, ProjectState,
    event::{PreviewChanged, SandboxChanged},
    value::{PreviewState, SandboxInfo, SandboxState},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    batch::Stamp,
    command::install::npm_install,
    event_store::SharedStore,
    file_tree::Tree,
    handle::Preview,
    registry::ProjectParts,
    run::{Reporter, Update, UpdateBody},
    sandbox_link::{Made, SandboxLink, SandboxMade, SandboxStatus, read_tree},
    sandbox_provider::{ExecRequest, Exit, OutputChunk, Program, Sandbox, SandboxError, SandboxHealth, SandboxSpec},
};

/// How often a sandbox or its dev server is brought back by itself within [`REVIVAL_WINDOW`]. More than that and
/// something is wrong that starting again does not cure.
const REVIVALS_MAX: usize = 3;
/// See [`REVIVALS_MAX`].
const REVIVAL_WINDOW: Duration = Duration::from_secs(60);
/// When bringing a project's own packages into a new sandbox is given up.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(180);
/// How much of what npm said last is told when it failed: its reason is at the end.
const NPM_TAIL_SIZE_BYTES_MAX: usize = 600;

/// The place for a sandbox.
pub(crate) struct SandboxSlot {
    parts: ProjectParts,
    project: ProjectId,
    updates: mpsc::Sender<Update>,
    jobs: TaskTracker,
    parent: CancellationToken,
    /// Ends what belongs to the present sandbox.
    cancel: CancellationToken,
    status: watch::Sender<SandboxStatus>,
    generation: u64,
    /// Which it is; kept while it is made again by itself, and known until another is made.
    id: Option<String>,
    /// Somebody stopped it on purpose: only a run or `start_sandbox` makes another.
    parked: bool,
    /// The preview's address.
    preview_url: String,
    revivals: Vec<Instant>,
}

impl SandboxSlot {
    pub(crate) fn new(
        parts: ProjectParts,
        project: ProjectId,
        updates: mpsc::Sender<Update>,
        jobs: TaskTracker,
        parent: CancellationToken,
        preview_url: String,
        last: &SandboxInfo,
    ) -> Self {
        let (status, _) = watch::channel(SandboxStatus::Stopped);
        let cancel = parent.child_token();
        Self {
            parts,
            project,
            updates,
            jobs,
            parent,
            cancel,
            status,
            generation: 0,
            id: last.sandbox.clone(),
            parked: last.parked,
            preview_url,
            revivals: Vec::new(),
        }
    }

    pub(crate) fn status(&self) -> watch::Receiver<SandboxStatus> {
        self.status.subscribe()
    }

    /// Makes a sandbox unless there is one or one is being made; starts its dev server again if that has failed.
    pub(crate) fn ensure(&mut self, tree: &watch::Sender<Arc<Tree>>) {
        if matches!(*self.status.borrow(), SandboxStatus::Stopped | SandboxStatus::Failed(_)) {
            return self.make(SandboxState::Creating, tree);
        }
        let link = super::sandbox_link::ready(&self.status.borrow());
        if let Some(link) = link
            && matches!(*link.sandbox().health().borrow(), SandboxHealth::PreviewFailed(_))
        {
            self.start_preview(link.sandbox());
        }
    }

    /// Makes a sandbox where there is none, but not where the last attempt failed or somebody stopped it: nobody asked
    /// for one in so many words.
    pub(crate) fn ensure_unless_failed(&mut self, tree: &watch::Sender<Arc<Tree>>) {
        if matches!(*self.status.borrow(), SandboxStatus::Stopped) && !self.parked {
            self.make(SandboxState::Creating, tree);
        }
    }

    fn make(&mut self, state: SandboxState, tree: &watch::Sender<Arc<Tree>>) {
        self.generation += 1;
        self.cancel = self.parent.child_token();
        self.status.send_replace(SandboxStatus::Creating);
        let id = self.id.take().filter(|_| !self.parked).unwrap_or_else(new_id);
        self.parked = false;
        self.id = Some(id.clone());
        let maker = Maker {
            parts: self.parts.clone(),
            project: self.project.clone(),
            reporter: self.reporter(),
            tree: tree.subscribe(),
            generation: self.generation,
            state,
            id,
        };
        let generation = self.generation;
        let cancel = self.cancel.clone();
        self.jobs.spawn(async move {
            let reporter = maker.reporter.clone();
            let Some(result) = cancel.run_until_cancelled(maker.make()).await else { return };
            let _ = reporter.report(UpdateBody::Sandbox(SandboxMade { generation, result })).await;
        });
    }

    /// A sandbox is being made. One that is to stop by now is not spoken of as if it came.
    pub(crate) fn on_making(&self, generation: u64, changed: SandboxChanged) -> Vec<Event> {
        if generation == self.generation { vec![Event::SandboxChanged(changed)] } else { Vec::new() }
    }

    /// A sandbox was made, or could not be.
    pub(crate) fn on_made(
        &mut self,
        made: SandboxMade,
        tree: &watch::Sender<Arc<Tree>>,
        store: &SharedStore,
    ) -> Vec<Event> {
        let Made { sandbox, held, problem } = match made.result {
            Ok(Made { sandbox, .. }) if made.generation != self.generation => {
                self.jobs.spawn(async move { sandbox.stop().await });
                return Vec::new();
            }
            Err(_) if made.generation != self.generation => return Vec::new(),
            Ok(made) => made,
            Err(error) => {
                let reason = error.to_string();
                self.id = None;
                self.status.send_replace(SandboxStatus::Failed(error));
                return vec![
                    self.sandbox_event(SandboxState::Stopped, None, Some(reason.clone())),
                    self.preview_event(PreviewState::Failed, Some(reason)),
                ];
            }
        };
        self.watch_health(&sandbox);
        self.spawn_preview(&sandbox, None, false);
        let link = SandboxLink::start(
            sandbox,
            held,
            tree.subscribe(),
            Arc::clone(store),
            self.reporter(),
            &self.jobs,
            self.cancel.child_token(),
        );
        self.status.send_replace(SandboxStatus::Ready(link));
        // Said before anything the sandbox says: one that was kept warm may have its preview at once.
        vec![self.sandbox_event(SandboxState::Ready, None, problem), self.preview_event(PreviewState::Starting, None)]
    }

    fn watch_health(&self, sandbox: &Arc<dyn Sandbox>) {
        let (mut health, reporter, generation) = (sandbox.health(), self.reporter(), self.generation);
        let cancel = self.cancel.clone();
        self.jobs.spawn(async move {
            let report = async {
                loop {
                    let health_now = health.borrow_and_update().clone();
                    let lost = matches!(health_now, SandboxHealth::Lost(_));
                    let update = UpdateBody::Health { generation, health: health_now };
                    if reporter.report(update).await.is_err() || lost || health.changed().await.is_err() {
                        return;
                    }
                }
            };
            cancel.run_until_cancelled(report).await;
        });
    }

    /// Ends the dev server and starts it again.
    pub(crate) fn restart_preview(&self) {
        if let Some(link) = super::sandbox_link::ready(&self.status.borrow()) {
            self.spawn_preview(link.sandbox(), Some(self.preview_event(PreviewState::Starting, None)), true);
        }
    }

    fn start_preview(&self, sandbox: &Arc<dyn Sandbox>) {
        self.spawn_preview(sandbox, Some(self.preview_event(PreviewState::Starting, None)), false);
    }

    /// Starts the dev server, after it was said that it starts.
    fn spawn_preview(&self, sandbox: &Arc<dyn Sandbox>, starting: Option<Event>, stop_first: bool) {
        let (sandbox, reporter, cancel) = (Arc::clone(sandbox), self.reporter(), self.cancel.clone());
        let url = self.preview_url.clone();
        self.jobs.spawn(async move {
            let start = async {
                if let Some(starting) = starting {
                    let _ = reporter.event(starting).await;
                }
                if stop_first {
                    sandbox.stop_preview().await;
                }
                if let Err(error) = sandbox.start_preview().await {
                    let failed =
                        PreviewChanged { state: PreviewState::Failed, url: Some(url), error: Some(error.to_string()) };
                    let _ = reporter.event(Event::PreviewChanged(failed)).await;
                }
            };
            cancel.run_until_cancelled(start).await;
        });
    }

    /// The sandbox says how it is. `wanted`: somebody would miss it.
    pub(crate) fn on_health(
        &mut self,
        generation: u64,
        health: SandboxHealth,
        wanted: bool,
        tree: &watch::Sender<Arc<Tree>>,
    ) -> Vec<Event> {
        if generation != self.generation {
            return Vec::new();
        }
        match health {
            SandboxHealth::Ready => Vec::new(),
            SandboxHealth::PreviewReady => vec![self.preview_event(PreviewState::Ready, None)],
            SandboxHealth::PreviewFailed(reason) => {
                let failed = self.preview_event(PreviewState::Failed, Some(reason));
                let link = super::sandbox_link::ready(&self.status.borrow());
                match link {
                    Some(link) if wanted && self.may_revive() => self.start_preview(link.sandbox()),
                    _ => {}
                }
                vec![failed]
            }
            SandboxHealth::Lost(reason) => {
                self.cancel.cancel();
                let events = vec![
                    self.sandbox_event(SandboxState::Lost, None, Some(reason)),
                    self.preview_event(PreviewState::Stopped, None),
                ];
                // Whoever waits for the next one must not see an empty place in between.
                if wanted && self.may_revive() {
                    self.make(SandboxState::Restoring, tree);
                } else {
                    self.status.send_replace(SandboxStatus::Stopped);
                }
                events
            }
        }
    }

    fn may_revive(&mut self) -> bool {
        let now = Instant::now();
        self.revivals.retain(|at| now.duration_since(*at) < REVIVAL_WINDOW);
        self.revivals.push(now);
        self.revivals.len() <= REVIVALS_MAX
    }

    /// Ends the sandbox, if there is one; `sandbox_changed` follows when it is gone.
    pub(crate) fn stop(&mut self) {
        let link = self.empty();
        self.parked = true;
        let (reporter, generation) = (self.reporter(), self.generation);
        self.jobs.spawn(async move {
            if let Some(link) = link {
                link.sandbox().stop().await;
            }
            let _ = reporter.report(UpdateBody::SandboxStopped { generation }).await;
        });
    }

    /// A sandbox that was to stop is gone. If another has been asked for meanwhile, that one is what people see.
    pub(crate) fn on_stopped(&self, generation: u64, view: &ProjectState) -> Vec<Event> {
        if generation == self.generation { self.forget(view) } else { Vec::new() }
    }

    /// Ends the sandbox and waits for that; says nothing.
    pub(crate) async fn close(&mut self) {
        if let Some(link) = self.empty() {
            link.sandbox().stop().await;
        }
    }

    fn empty(&mut self) -> Option<Arc<SandboxLink>> {
        self.generation += 1;
        self.cancel.cancel();
        super::sandbox_link::ready(&self.status.send_replace(SandboxStatus::Stopped))
    }

    /// What must be said so that the state no longer speaks of a sandbox.
    pub(crate) fn forget(&self, view: &ProjectState) -> Vec<Event> {
        let mut events = Vec::new();
        let newly_parked = self.parked && !view.sandbox.parked && view.sandbox.sandbox.is_some();
        if view.sandbox.state != SandboxState::Stopped || newly_parked {
            events.push(self.sandbox_event(SandboxState::Stopped, None, None));
        }
        if view.preview.state != PreviewState::Stopped {
            events.push(self.preview_event(PreviewState::Stopped, None));
        }
        events
    }

    /// The live preview, now.
    pub(crate) fn preview(&self, view: &ProjectState) -> Preview {
        match &*self.status.borrow() {
            SandboxStatus::Ready(link) => match view.preview.state {
                PreviewState::Ready => Preview::Ready(Arc::clone(link.sandbox())),
                PreviewState::Failed => {
                    let log = link.sandbox().preview_log();
                    let reason = view.preview.error.clone().unwrap_or_default();
                    Preview::Failed { reason: if log.is_empty() { reason } else { format!("{reason}\n\n{log}") } }
                }
                PreviewState::Starting | PreviewState::Stopped => Preview::Starting { detail: None },
            },
            SandboxStatus::Failed(error) => Preview::Failed { reason: error.to_string() },
            SandboxStatus::Stopped if self.parked => {
                Preview::Failed { reason: "The sandbox was stopped. Start it in the project.".into() }
            }
            SandboxStatus::Stopped | SandboxStatus::Creating => {
                Preview::Starting { detail: view.sandbox.detail.clone() }
            }
        }
    }

    fn reporter(&self) -> Reporter {
        Reporter::new(Stamp::default(), self.updates.clone())
    }

    fn provider(&self) -> String {
        self.parts.sandboxes.name().to_owned()
    }

    fn sandbox_event(&self, state: SandboxState, detail: Option<String>, error: Option<String>) -> Event {
        let (sandbox, parked) = (self.id.clone(), self.parked);
        Event::SandboxChanged(SandboxChanged { state, provider: self.provider(), sandbox, parked, detail, error })
    }

    fn preview_event(&self, state: PreviewState, error: Option<String>) -> Event {
        let url = (state != PreviewState::Stopped).then(|| self.preview_url.clone());
        Event::PreviewChanged(PreviewChanged { state, url, error })
    }
}

/// The job that makes a sandbox.
struct Maker {
    parts: ProjectParts,
    project: ProjectId,
    reporter: Reporter,
    tree: watch::Receiver<Arc<Tree>>,
    generation: u64,
    state: SandboxState,
    id: String,
}

/// Names a sandbox. Random, so that nobody takes one project's for another's.
fn new_id() -> String {
    format!("sbx_{}", hex::encode(rand::random::<[u8; 8]>()))
}

impl Maker {
    async fn make(mut self) -> Result<Made, SandboxError> {
        self.say(None).await;
        let tree = Arc::clone(&self.tree.borrow_and_update());
        let files = read_tree(&self.parts.store, &tree)
            .await
            .map_err(|error| SandboxError::Failed(format!("the project's files could not be read: {error}")))?;
        let own_packages = self.has_own_packages(&files);
        let spec = SandboxSpec { project: self.project.clone(), files };
        let (progress, mut sentences) = watch::channel(String::new());
        let mut create = std::pin::pin!(self.parts.sandboxes.create(spec, progress));
        let sandbox = loop {
            tokio::select! {
                sandbox = &mut create => break sandbox?,
                Ok(()) = sentences.changed() => {
                    let sentence = sentences.borrow_and_update().clone();
                    self.say(Some(sentence)).await;
                }
            }
        };
        let mut problem = None;
        if own_packages && let Err(error) = self.restore_packages(sandbox.as_ref()).await {
            tracing::warn!(project = %self.project, %error, "the project's packages were not restored");
            problem = Some(format!("The project's packages could not all be installed again: {error}"));
        }
        Ok(Made { sandbox, held: (*tree).clone(), problem })
    }

    async fn say(&self, detail: Option<String>) {
        let provider = self.parts.sandboxes.name().to_owned();
        let sandbox = Some(self.id.clone());
        let changed = SandboxChanged { state: self.state, provider, sandbox, parked: false, detail, error: None };
        // The actor has gone: the job is cancelled in a moment.
        let _ = self.reporter.report(UpdateBody::SandboxMaking { generation: self.generation, changed }).await;
    }

    /// Whether `package.json` asks for more than the template's packages.
    fn has_own_packages(&self, files: &[super::sandbox_provider::SandboxFile]) -> bool {
        let manifest = |files: &[super::sandbox_provider::SandboxFile]| {
            files
                .iter()
                .find(|file| file.path.as_str() == "package.json")
                .and_then(|file| serde_json::from_slice::<serde_json::Value>(&file.content).ok())
                .map(|manifest| (manifest["dependencies"].clone(), manifest["devDependencies"].clone()))
        };
        let own = manifest(files);
        own.is_some() && own != manifest(&self.parts.sandboxes.template().files)
    }

    async fn restore_packages(&self, sandbox: &dyn Sandbox) -> Result<(), SandboxError> {
        self.say(Some("Installing the project's packages".into())).await;
        let (output, mut chunks) = mpsc::channel::<OutputChunk>(64);
        let request = ExecRequest::new(Program::Argv(npm_install(&[], RESTORE_TIMEOUT)), RESTORE_TIMEOUT);
        let mut process = sandbox.exec(request, output).await?;
        let mut last = String::new();
        while let Some(chunk) = chunks.recv().await {
            last.push_str(&chunk.text);
            if last.len() > NPM_TAIL_SIZE_BYTES_MAX {
                last.drain(..last.ceil_char_boundary(last.len() - NPM_TAIL_SIZE_BYTES_MAX));
            }
        }
        match process.wait().await {
            Exit::Code(0) => Ok(()),
            Exit::Code(code) => Err(SandboxError::Failed(format!("npm ended with {code}: {}", last.trim()))),
            exit => Err(SandboxError::Failed(format!("npm did not end by itself ({exit:?}): {}", last.trim()))),
        }
    }
}
