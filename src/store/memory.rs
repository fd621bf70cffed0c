//! A store in memory, for tests and for rooms nobody needs to see again. It forgets everything when dropped, and knows
//! nothing of threads or disks.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use cobuild_protocol::{Epoch, ProjectId, RunId, Seq, value::ContentHash};

use super::{head_after, last_of};
use crate::project::event_store::{
    AppendBatch, Compaction, EventStore, KeptLog, NewBlob, NewProject, OpenedProject, ProjectSummary, REPLIES_KEPT_MAX,
    ReadLimits, StoreError, StoredEvent, StoredReply, StoredSnapshot, StoredWork,
};

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    failing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    projects: BTreeMap<ProjectId, Project>,
    blobs: HashMap<ContentHash, Bytes>,
    closed: bool,
}

#[derive(Debug)]
struct Project {
    name: String,
    epoch: Epoch,
    preview_id: String,
    created_at: String,
    updated_at: String,
    /// What follows the base, in order.
    events: Vec<StoredEvent>,
    base: Option<StoredSnapshot>,
    merged: Seq,
    snapshot: Option<StoredSnapshot>,
    replies: VecDeque<StoredReply>,
    /// What runs that wait need to begin.
    waiting: BTreeMap<RunId, Bytes>,
    /// What its events refer to.
    blobs: HashSet<ContentHash>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// While true, every write is refused with [`StoreError::Unavailable`], as if the disk were full.
    pub fn fail_appends(&self, fail: bool) {
        self.failing.store(fail, Ordering::SeqCst);
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(StoreError::Closed) } else { Ok(state) }
    }

    fn state_to_write(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state()?;
        if self.failing.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("writes were told to fail".into()));
        }
        Ok(state)
    }
}

impl State {
    /// Removes blobs no project refers to.
    fn collect(&mut self) -> u64 {
        let Self { projects, blobs, .. } = self;
        let before = blobs.len();
        blobs.retain(|hash, _| projects.values().any(|project| project.blobs.contains(hash)));
        (before - blobs.len()) as u64
    }

    fn keep_blobs(&mut self, project: &ProjectId, blobs: Vec<NewBlob>) {
        let Some(project) = self.projects.get_mut(project) else { return };
        for NewBlob { hash, content } in blobs {
            project.blobs.insert(hash.clone());
            self.blobs.entry(hash).or_insert(content);
        }
    }
}

impl Project {
    fn head(&self) -> Seq {
        self.events.last().map_or(self.base(), |event| event.seq)
    }

    /// The last event of the base.
    fn base(&self) -> Seq {
        self.base.as_ref().map_or(0, |base| base.seq)
    }

    fn kept(&self) -> KeptLog {
        let size_bytes = self.events.iter().map(|event| event.frame.len() as u64).sum();
        KeptLog { base: self.base(), merged: self.merged, frames: self.events.len() as u64, size_bytes }
    }

    /// What compaction leaves of these events.
    fn compacted(&self, mut events: Vec<StoredEvent>, compaction: &Compaction) -> Result<Vec<StoredEvent>, StoreError> {
        let base = self.base();
        for event in &compaction.merged {
            let first = event.first();
            let from = if first == base + 1 { 0 } else { ending_at(&events, first.saturating_sub(1))? + 1 };
            let to = ending_at(&events, event.seq)?;
            if first <= base || from > to {
                return Err(StoreError::Conflict);
            }
            events.splice(from..=to, [event.clone()]);
        }
        if compaction.merged_upto > events.last().map_or(base, |event| event.seq) {
            return Err(StoreError::Conflict);
        }
        if let Some(base) = &compaction.base {
            let last = ending_at(&events, base.seq)?;
            events.drain(..=last);
        }
        Ok(events)
    }

    fn keep_reply(&mut self, reply: StoredReply) {
        self.replies.retain(|kept| kept.id != reply.id);
        self.replies.push_back(reply);
        if self.replies.len() > REPLIES_KEPT_MAX {
            let held = |by| self.replies.iter().filter(|kept| kept.by == by).count();
            let mut counts = HashMap::new();
            for reply in &self.replies {
                counts.entry(reply.by).or_insert_with(|| held(reply.by));
            }
            let most = counts.values().copied().max().unwrap_or_default();
            let oldest = self.replies.iter().position(|kept| counts[&kept.by] == most);
            oldest.and_then(|at| self.replies.remove(at));
        }
    }
}

/// Where the frame is that ends at this place.
fn ending_at(events: &[StoredEvent], seq: Seq) -> Result<usize, StoreError> {
    events.binary_search_by_key(&seq, |event| event.seq).map_err(|_| StoreError::Conflict)
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn list_projects(&self) -> Result<Vec<ProjectSummary>, StoreError> {
        let state = self.state()?;
        let mut list: Vec<_> = state
            .projects
            .iter()
            .map(|(id, project)| ProjectSummary {
                project: id.clone(),
                name: project.name.clone(),
                created_at: project.created_at.clone(),
                updated_at: project.updated_at.clone(),
                head: project.head(),
            })
            .collect();
        list.sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| a.project.cmp(&b.project)));
        Ok(list)
    }

    async fn projects_with_waiting_runs(&self) -> Result<Vec<ProjectId>, StoreError> {
        let state = self.state()?;
        let mut waiting: Vec<_> = state.projects.iter().filter(|(_, project)| !project.waiting.is_empty()).collect();
        waiting.sort_by(|(_, a), (_, b)| a.updated_at.cmp(&b.updated_at));
        Ok(waiting.into_iter().map(|(id, _)| id.clone()).collect())
    }

    async fn open_project(&self, project: &ProjectId) -> Result<Option<OpenedProject>, StoreError> {
        Ok(self.state()?.projects.get(project).map(|project| OpenedProject {
            epoch: project.epoch.clone(),
            head: project.head(),
            snapshot: project.snapshot.clone(),
            replies: project.replies.iter().cloned().collect(),
            waiting: project.waiting.iter().map(|(&run, work)| StoredWork { run, work: work.clone() }).collect(),
            kept: project.kept(),
        }))
    }

    async fn create_project(&self, new: NewProject) -> Result<(), StoreError> {
        let mut state = self.state_to_write()?;
        let taken = state.projects.contains_key(&new.project)
            || state.projects.values().any(|project| project.preview_id == new.preview_id);
        if taken {
            return Err(StoreError::Conflict);
        }
        if state.projects.len() as u64 >= new.projects_max {
            return Err(StoreError::Full);
        }
        last_of(0, &new.events)?;
        let project = Project {
            name: new.name,
            epoch: new.epoch,
            preview_id: new.preview_id,
            created_at: new.at.clone(),
            updated_at: new.at,
            events: new.events,
            base: None,
            merged: 0,
            snapshot: None,
            replies: VecDeque::new(),
            waiting: BTreeMap::new(),
            blobs: HashSet::new(),
        };
        state.projects.insert(new.project.clone(), project);
        state.keep_blobs(&new.project, new.blobs);
        Ok(())
    }

    async fn delete_project(&self, project: &ProjectId) -> Result<(), StoreError> {
        let mut state = self.state_to_write()?;
        state.projects.remove(project);
        state.collect();
        Ok(())
    }

    async fn find_by_preview_id(&self, preview_id: &str) -> Result<Option<ProjectId>, StoreError> {
        let state = self.state()?;
        Ok(state.projects.iter().find(|(_, project)| project.preview_id == preview_id).map(|(id, _)| id.clone()))
    }

    async fn append(&self, batch: AppendBatch) -> Result<(), StoreError> {
        let mut state = self.state_to_write()?;
        let project = state.projects.get_mut(&batch.project).ok_or(StoreError::Conflict)?;
        head_after(project.head(), &batch)?;
        if let Some(compaction) = batch.compaction {
            let events = project.events.iter().cloned().chain(batch.events).collect();
            project.events = project.compacted(events, &compaction)?;
            project.merged = project.merged.max(compaction.merged_upto);
            project.base = compaction.base.or(project.base.take());
        } else {
            project.events.extend(batch.events);
            project.updated_at = batch.at;
        }
        batch.replies.into_iter().for_each(|reply| project.keep_reply(reply));
        project.waiting.extend(batch.waiting.into_iter().map(|StoredWork { run, work }| (run, work)));
        project.waiting.retain(|run, _| !batch.no_longer_waiting.contains(run));
        project.snapshot = batch.snapshot.or(project.snapshot.take());
        state.keep_blobs(&batch.project, batch.blobs);
        Ok(())
    }

    async fn read(&self, project: &ProjectId, from: Seq, limits: ReadLimits) -> Result<Vec<StoredEvent>, StoreError> {
        let state = self.state()?;
        let Some(project) = state.projects.get(project) else { return Ok(Vec::new()) };
        if from.max(1) <= project.base() {
            return Err(StoreError::Folded { upto: project.base() });
        }
        let start = project.events.partition_point(|event| event.seq < from);
        let mut size_bytes = 0;
        let mut events = Vec::new();
        for event in project.events[start..].iter().take(limits.events.max(1)) {
            size_bytes += event.frame.len();
            events.push(event.clone());
            if size_bytes >= limits.size_bytes {
                break;
            }
        }
        Ok(events)
    }

    async fn base(&self, project: &ProjectId) -> Result<Option<StoredSnapshot>, StoreError> {
        Ok(self.state()?.projects.get(project).and_then(|project| project.base.clone()))
    }

    async fn blob(&self, hash: &ContentHash) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state()?.blobs.get(hash).cloned())
    }

    async fn collect_garbage(&self) -> Result<u64, StoreError> {
        Ok(self.state_to_write()?.collect())
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.state_to_write().map(drop)
    }

    async fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }
}
