//! All projects of this server: from an id to a running actor, creation, and removal once idle.

use std::{sync::Arc, time::Duration};

use cobuild_protocol::{
    Event, EventFrame, ProjectId, Seq,
    event::ProjectCreated,
    value::{FileEntry, UsageTotal},
};
use dashmap::DashMap;
use tokio::{
    sync::{Mutex, MutexGuard, mpsc, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    actor::{ActorParts, ProjectActor},
    batch::{Batch, Stamp, now},
    compaction::LogLimits,
    error::ProjectError,
    event_log::{EventLog, RingLimits, span},
    event_store::{
        NewBlob, NewProject, OpenedProject, ProjectSummary, ReadLimits, SharedStore, StoreError, StoredSnapshot,
    },
    file_tree::content_hash,
    handle::{MAILBOX_MAX, ProjectHandle},
    history::read_state,
    model_provider::ModelProvider,
    page_reader::PageReader,
    places::{PARTICIPANT_CONNECTIONS_MAX, PROJECT_CONNECTIONS_MAX, Places},
    presence::PresenceBoard,
    preview_pages::PreviewPages,
    remembered::RejectedCommands,
    repository::GitHost,
    sandbox_provider::SandboxProvider,
    state::State,
};

/// How much of a log is read at once while it is folded.
const LOAD_LIMITS: ReadLimits = ReadLimits { events: 2048, size_bytes: 4 * 1024 * 1024 };
/// Longest name of a project, in characters.
const NAME_LENGTH_MAX: usize = 80;

/// What every project works with.
#[derive(Debug, Clone)]
pub struct ProjectParts {
    /// Where logs and contents are.
    pub store: SharedStore,
    /// Who answers prompts.
    pub models: Arc<dyn ModelProvider>,
    /// Who makes sandboxes.
    pub sandboxes: Arc<dyn SandboxProvider>,
    /// Who reads web pages that are to be imitated.
    pub pages: Arc<dyn PageReader>,
    /// What an operator may choose.
    pub settings: Arc<ProjectSettings>,
}

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct ProjectSettings {
    /// The preview's address, with `{id}` where the preview id goes: `http://{id}.localhost:3100/`.
    pub preview_url: String,
    /// After how long without anybody and anything a project leaves memory and its sandbox ends.
    pub unload_after: Duration,
    /// When an install is given up. A cold install of a large tree takes half a minute on a slow line.
    pub install_time_max: Duration,
    /// Whether entering a room makes its sandbox, so that the preview is there when it is looked at.
    pub sandbox_on_join: bool,
    /// How much of a project's log is kept event by event.
    pub log_limits: LogLimits,
    /// How much of the log's end is kept in memory, ready to be sent.
    pub ring_limits: RingLimits,
    /// What one run may consume.
    pub run_budget: Budget,
    /// What all runs of a project may consume together.
    pub project_budget: Budget,
    /// Most projects of this server.
    pub projects_max: u64,
    /// Most connections of one project at once, event streams among them.
    pub project_connections_max: usize,
    /// Most connections of one participant in one project at once, or of all guests of one share link.
    pub participant_connections_max: usize,
    /// Where repositories may be imported from.
    pub git_hosts: Vec<GitHost>,
    /// The model that merges edits which say only what is new: `provider/model`. `None`: nobody does.
    pub merge_model: Option<String>,
}

/// How much models may consume; checked before each call. `None`: as much as they want.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// In 10⁻⁹ US dollars. Calls whose cost nobody knows do not count; only tokens limit those.
    pub cost_nano_usd: Option<u64>,
    /// Input and output, cached input too.
    pub tokens: Option<u64>,
}

impl Budget {
    /// What of it is used up, as a phrase for people.
    #[must_use]
    pub(crate) fn exhausted_by(&self, spent: &UsageTotal) -> Option<String> {
        let dollars = |nano: u64| format!("{}.{:02} dollars", nano / 1_000_000_000, nano % 1_000_000_000 / 10_000_000);
        if let Some(most) = self.cost_nano_usd.filter(|most| spent.known_cost_nano_usd >= *most) {
            return Some(dollars(most));
        }
        self.tokens.filter(|most| spent.usage.tokens() >= *most).map(|most| format!("{most} tokens"))
    }
}

impl ProjectSettings {
    pub(crate) fn preview_url(&self, preview_id: &str) -> String {
        self.preview_url.replace("{id}", preview_id)
    }
}

impl Default for ProjectSettings {
    fn default() -> Self {
        Self {
            preview_url: "http://{id}.localhost:3100/".into(),
            unload_after: Duration::from_secs(600),
            install_time_max: Duration::from_secs(180),
            sandbox_on_join: true,
            log_limits: LogLimits::default(),
            ring_limits: RingLimits::default(),
            run_budget: Budget::default(),
            project_budget: Budget::default(),
            projects_max: 10_000,
            project_connections_max: PROJECT_CONNECTIONS_MAX,
            participant_connections_max: PARTICIPANT_CONNECTIONS_MAX,
            git_hosts: vec![GitHost::github()],
            merge_model: None,
        }
    }
}

/// All projects of this server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ProjectRegistry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    parts: ProjectParts,
    /// One slot per project in use. Its lock is held while the project is loaded or removed, so there is never a second
    /// actor.
    slots: DashMap<ProjectId, Arc<Mutex<Slot>>>,
    actors: TaskTracker,
    cancel: CancellationToken,
    /// Cancelled when nothing new is to begin any more.
    draining: CancellationToken,
    /// Each actor holds a token of it until nothing runs in its project and nothing will.
    undrained: TaskTracker,
}

#[derive(Debug, Default)]
struct Slot {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    handle: ProjectHandle,
    actor: tokio::task::JoinHandle<()>,
}

impl Slot {
    /// Waits until an actor that is closing is gone.
    async fn clear(&mut self) {
        if let Some(running) = self.running.take()
            && let Err(error) = running.actor.await
        {
            tracing::error!(%error, "a project's actor panicked");
        }
    }

    fn handle(&self) -> Option<&ProjectHandle> {
        self.running.as_ref().map(|running| &running.handle).filter(|handle| !handle.is_closed())
    }
}

/// The use of a slot. However it ends – found, refused, given up – a slot without an actor goes with its last user.
struct Place<'a> {
    registry: &'a ProjectRegistry,
    id: &'a ProjectId,
    /// `None` only while being dropped.
    slot: Option<Arc<Mutex<Slot>>>,
}

impl<'a> Place<'a> {
    fn take(registry: &'a ProjectRegistry, id: &'a ProjectId) -> Self {
        let slot = Arc::clone(&registry.shared.slots.entry(id.clone()).or_default());
        Self { registry, id, slot: Some(slot) }
    }

    async fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.as_ref().expect("held until dropped").lock().await
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.slot = None;
        self.registry.forget(self.id);
    }
}

impl ProjectRegistry {
    /// A registry without any project in memory.
    #[must_use]
    pub fn new(parts: ProjectParts) -> Self {
        let shared = Shared {
            parts,
            slots: DashMap::new(),
            actors: TaskTracker::new(),
            cancel: CancellationToken::new(),
            draining: CancellationToken::new(),
            undrained: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What every project works with.
    #[must_use]
    pub fn parts(&self) -> &ProjectParts {
        &self.shared.parts
    }

    /// Where logs and contents are.
    #[must_use]
    pub fn store(&self) -> &SharedStore {
        &self.shared.parts.store
    }

    /// Every project there is, newest activity first.
    pub async fn list(&self) -> Result<Vec<ProjectSummary>, ProjectError> {
        Ok(self.store().list_projects().await?)
    }

    /// Makes a project from the template. Without an id, one is made up. [`ProjectError::Conflict`] when it is taken,
    /// [`ProjectError::QuotaExceeded`] when there are as many as there may be.
    pub async fn create(&self, id: Option<ProjectId>, name: Option<String>) -> Result<ProjectHandle, ProjectError> {
        let id = id.unwrap_or_else(random_project_id);
        if self.takes_nothing_new() {
            return Err(ProjectError::Closing);
        }
        let new = first_events(&self.shared.parts, &id, name);
        let projects_max = new.projects_max;
        match self.store().create_project(new).await {
            Ok(()) => self.get(&id).await,
            Err(StoreError::Conflict) => Err(ProjectError::Conflict(format!("there is a project {id} already"))),
            Err(StoreError::Full) => {
                let full = format!("this server keeps at most {projects_max} projects; delete one first");
                Err(ProjectError::QuotaExceeded(full))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A project that exists.
    pub async fn get(&self, id: &ProjectId) -> Result<ProjectHandle, ProjectError> {
        let place = Place::take(self, id);
        let mut slot = place.lock().await;
        if let Some(handle) = slot.handle() {
            return Ok(handle.clone());
        }
        slot.clear().await;
        if self.takes_nothing_new() {
            return Err(ProjectError::Closing);
        }
        let Some(opened) = self.store().open_project(id).await? else {
            return Err(ProjectError::NotFound(format!("there is no project {id}")));
        };
        let running = self.start(id, opened).await?;
        let handle = running.handle.clone();
        slot.running = Some(running);
        Ok(handle)
    }

    fn takes_nothing_new(&self) -> bool {
        self.shared.draining.is_cancelled() || self.shared.cancel.is_cancelled()
    }

    /// A project, made if it does not exist.
    pub async fn get_or_create(&self, id: &ProjectId) -> Result<ProjectHandle, ProjectError> {
        match self.get(id).await {
            Err(ProjectError::NotFound(_)) => match self.create(Some(id.clone()), None).await {
                // Somebody else was quicker.
                Err(ProjectError::Conflict(_)) => self.get(id).await,
                created => created,
            },
            found => found,
        }
    }

    /// The project whose preview has this host label.
    pub async fn find_preview(&self, preview_id: &str) -> Result<Option<ProjectHandle>, ProjectError> {
        match self.store().find_by_preview_id(preview_id).await? {
            Some(id) => self.get(&id).await.map(Some),
            None => Ok(None),
        }
    }

    /// Removes a project for good: its room is closed, its sandbox ended, its log deleted.
    pub async fn delete(&self, id: &ProjectId) -> Result<(), ProjectError> {
        let place = Place::take(self, id);
        let mut slot = place.lock().await;
        if self.store().open_project(id).await?.is_none() {
            return Err(ProjectError::NotFound(format!("there is no project {id}")));
        }
        if let Some(running) = &slot.running {
            running.handle.delete().await;
        }
        slot.clear().await;
        Ok(self.store().delete_project(id).await?)
    }

    /// Loads the projects in which runs wait since before a restart, one after the other and in the background: their
    /// queues go on although nobody is there.
    pub fn resume_waiting(&self) {
        let registry = self.clone();
        let work = async move {
            let waiting = match registry.store().projects_with_waiting_runs().await {
                Ok(waiting) => waiting,
                Err(error) => {
                    return tracing::error!(%error, "the runs that wait since before the start were not found");
                }
            };
            for project in waiting {
                if let Err(error) = registry.get(&project).await {
                    tracing::warn!(%project, %error, "a project in which runs wait was not loaded");
                }
            }
        };
        let cancel = self.shared.cancel.clone();
        self.shared.actors.spawn(async move { cancel.run_until_cancelled(work).await });
    }

    /// Begins nothing new, and waits until every run has come to its own end, but for no longer than `at_most`. What
    /// waits in a queue does not begin any more; it does when the project is loaded again. Rooms stay open meanwhile.
    pub async fn drain(&self, at_most: Duration) {
        self.shared.draining.cancel();
        self.shared.undrained.close();
        if timeout(at_most, self.shared.undrained.wait()).await.is_err() {
            tracing::info!("runs are still under way; they are interrupted");
        }
    }

    /// Cancelled as soon as nothing new begins any more.
    #[must_use]
    pub fn draining(&self) -> CancellationToken {
        self.shared.draining.clone()
    }

    /// Closes every project in order – no run stays without an end – and then the store and the sandboxes.
    pub async fn shutdown(&self) {
        self.shared.cancel.cancel();
        self.shared.actors.close();
        self.shared.actors.wait().await;
        self.shared.parts.sandboxes.close().await;
        self.store().close().await;
    }

    /// Drops the slot of a project that is not in memory, unless somebody is using it.
    fn forget(&self, id: &ProjectId) {
        self.shared.slots.remove_if(id, |_, slot| {
            Arc::strong_count(slot) == 1 && slot.try_lock().is_ok_and(|slot| slot.running.is_none())
        });
    }

    async fn start(&self, id: &ProjectId, opened: OpenedProject) -> Result<Running, ProjectError> {
        let parts = self.shared.parts.clone();
        let OpenedProject { epoch, head, snapshot, replies, waiting, kept } = opened;
        let snapshot_stored = snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);
        let state = load(&parts.store, id, snapshot.filter(|snapshot| snapshot.seq >= kept.base), head).await?;
        let log = EventLog::with_limits(id.clone(), epoch, head, Arc::clone(&parts.store), parts.settings.ring_limits);
        log.set_base(kept.base);
        let mut remembered = RejectedCommands::default();
        remembered.extend(replies);
        let (mailbox_sender, mailbox) = mpsc::channel(MAILBOX_MAX);
        let presence = PresenceBoard::default();
        let pages = PreviewPages::default();
        let settings = &parts.settings;
        let places = Places::new(settings.project_connections_max, settings.participant_connections_max);
        let (removals, removed) = watch::channel(());
        let weak_sender = mailbox_sender.downgrade();
        let handle = ProjectHandle {
            project: id.clone(),
            mailbox: mailbox_sender,
            log: log.reader(),
            presence: presence.clone(),
            pages: pages.clone(),
            places: places.clone(),
            removals: removed,
            store: Arc::clone(&parts.store),
        };
        let actor = ProjectActor::new(ActorParts {
            project: id.clone(),
            parts,
            state,
            log,
            presence,
            pages,
            places,
            removals,
            remembered,
            waiting,
            snapshot_stored,
            kept,
            mailbox,
            mailbox_sender: weak_sender,
            cancel: self.shared.cancel.child_token(),
            drain: self.shared.draining.clone(),
            undrained: self.shared.undrained.token(),
        });
        let (registry, project) = (self.clone(), id.clone());
        let actor = self.shared.actors.spawn(async move {
            actor.run().await;
            // Not before the actor is gone: its slot still says so to whoever comes now.
            registry.retire(&project);
        });
        Ok(Running { handle, actor })
    }

    /// An actor has ended by itself; its slot goes when nobody is looking at it.
    fn retire(&self, id: &ProjectId) {
        self.shared.slots.remove_if(id, |_, slot| {
            Arc::strong_count(slot) == 1 && slot.try_lock().is_ok_and(|slot| slot.handle().is_none())
        });
    }
}

/// The fold of a stored log.
async fn load(
    store: &SharedStore,
    id: &ProjectId,
    snapshot: Option<StoredSnapshot>,
    head: Seq,
) -> Result<State, ProjectError> {
    let mut state = match snapshot.as_ref().map(read_state) {
        Some(Ok(state)) => state,
        Some(Err(error)) => {
            tracing::warn!(project = %id, %error, "a snapshot of another format; the whole log is read instead");
            load_base(store, id).await?
        }
        None => load_base(store, id).await?,
    };
    while state.seq < head {
        let events = span::read(store, id, state.seq + 1, LOAD_LIMITS).await?;
        if events.is_empty() {
            return Err(StoreError::Corrupt("the log ends before its head".into()).into());
        }
        for stored in events {
            let frame: EventFrame = serde_json::from_slice(&stored.frame)
                .map_err(|error| StoreError::Corrupt(format!("event {}: {error}", stored.seq).into()))?;
            if frame.seq_first.unwrap_or(frame.seq) != state.seq + 1 {
                return Err(StoreError::Corrupt(format!("event {} is missing", state.seq + 1).into()).into());
            }
            state.apply(&frame);
        }
    }
    Ok(state)
}

/// Where a log begins: with the fold of what is no longer kept of it.
async fn load_base(store: &SharedStore, id: &ProjectId) -> Result<State, ProjectError> {
    let base = store.base(id).await?;
    Ok(base.map_or_else(|| Ok(State::default()), |base| read_state(&base))?)
}

/// A project's first event and the contents it speaks of.
fn first_events(parts: &ProjectParts, id: &ProjectId, name: Option<String>) -> NewProject {
    let template = parts.sandboxes.template();
    let preview_id = hex::encode(rand::random::<[u8; 16]>());
    let name: String = name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(NAME_LENGTH_MAX).collect();
    let name = if name.trim().is_empty() { id.to_string() } else { name.trim().to_owned() };
    let (files, blobs) = template
        .files
        .into_iter()
        .map(|file| {
            let hash = content_hash(&file.content);
            let size_bytes = file.content.len() as u64;
            (FileEntry { path: file.path, hash: hash.clone(), size_bytes }, NewBlob { hash, content: file.content })
        })
        .unzip();
    let mut batch = Batch::new(0);
    let created = ProjectCreated {
        name: name.clone(),
        template: template.name.to_owned(),
        preview_id: preview_id.clone(),
        files,
    };
    batch.push(Event::ProjectCreated(created), Stamp::default());
    let epoch = hex::encode(rand::random::<[u8; 16]>()).try_into().expect("hexadecimal digits are an epoch");
    let projects_max = parts.settings.projects_max;
    NewProject { project: id.clone(), name, epoch, preview_id, projects_max, events: batch.stored, blobs, at: now() }
}

/// Twelve letters and digits: unguessable enough for a room, short enough for an address.
fn random_project_id() -> ProjectId {
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let id: String =
        rand::random::<[u8; 12]>().iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    id.try_into().expect("letters and digits are a project id")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::project::{
        ProjectError,
        testing::{TestRoom, within},
    };

    #[tokio::test]
    async fn a_server_that_is_about_to_stop_makes_no_project() {
        let room = TestRoom::new().await;
        within(room.registry.drain(Duration::ZERO)).await;
        let late = "late".parse().unwrap();
        let refused = room.registry.create(Some(late), None).await.unwrap_err();
        assert!(matches!(refused, ProjectError::Closing), "{refused:?}");
        assert_eq!(room.registry.list().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn projects_that_do_not_exist_leave_nothing_behind() {
        let room = TestRoom::new().await;
        let _ada = room.enter("Ada").await;
        for number in 0..1_000 {
            let id = format!("nobody-{number}").parse().unwrap();
            room.registry.get(&id).await.unwrap_err();
            room.registry.delete(&id).await.unwrap_err();
        }
        let nobody = "nobody".parse().unwrap();
        futures_util::future::join_all((0..10).map(|_| room.registry.get(&nobody))).await;
        assert_eq!(room.registry.shared.slots.len(), 1, "only the room that is open");
        within(room.registry.delete(&"p".parse().unwrap())).await.unwrap();
        assert_eq!(room.registry.shared.slots.len(), 0);
    }
}
