//! A store that takes its time, so that a crash may come before something was stored, and after it but before anybody
//! heard of it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use cobuild_protocol::{ProjectId, Seq, value::ContentHash};
use tokio::task::yield_now;

use crate::{
    project::event_store::{
        AppendBatch, EventStore, NewProject, OpenedProject, ProjectSummary, ReadLimits, StoreError, StoredEvent,
        StoredSnapshot,
    },
    store::memory::MemoryStore,
};

/// Most times an append lets others go first, before it stores and after.
const DELAY_MAX: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) memory: Arc<MemoryStore>,
    /// Every event that was ever stored, as it was; compaction does not touch it.
    pub(super) journal: Mutex<Vec<StoredEvent>>,
    appends: AtomicUsize,
    /// Those that somebody waits for. A crash leaves them here.
    under_way: AtomicUsize,
}

impl Disk {
    /// Whether somebody waits for an append; asked at a crash, after which nobody does.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.swap(0, Ordering::Relaxed) > 0
    }

    async fn delay(&self, factor: usize) {
        for _ in 0..(self.appends.load(Ordering::Relaxed) * factor) % (DELAY_MAX + 1) {
            yield_now().await;
        }
    }
}

#[async_trait]
impl EventStore for Disk {
    async fn append(&self, batch: AppendBatch) -> Result<(), StoreError> {
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.delay(1).await;
        let events = batch.events.clone();
        let result = self.memory.append(batch).await;
        if result.is_ok() {
            self.journal.lock().unwrap().extend(events);
        }
        self.delay(3).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        result
    }

    async fn read(&self, project: &ProjectId, from: Seq, limits: ReadLimits) -> Result<Vec<StoredEvent>, StoreError> {
        self.delay(1).await;
        self.memory.read(project, from, limits).await
    }

    async fn base(&self, project: &ProjectId) -> Result<Option<StoredSnapshot>, StoreError> {
        self.memory.base(project).await
    }

    async fn list_projects(&self) -> Result<Vec<ProjectSummary>, StoreError> {
        self.memory.list_projects().await
    }

    async fn projects_with_waiting_runs(&self) -> Result<Vec<ProjectId>, StoreError> {
        self.memory.projects_with_waiting_runs().await
    }

    async fn open_project(&self, project: &ProjectId) -> Result<Option<OpenedProject>, StoreError> {
        self.memory.open_project(project).await
    }

    async fn create_project(&self, new: NewProject) -> Result<(), StoreError> {
        let events = new.events.clone();
        let result = self.memory.create_project(new).await;
        if result.is_ok() {
            self.journal.lock().unwrap().extend(events);
        }
        result
    }

    async fn delete_project(&self, project: &ProjectId) -> Result<(), StoreError> {
        self.memory.delete_project(project).await
    }

    async fn find_by_preview_id(&self, preview_id: &str) -> Result<Option<ProjectId>, StoreError> {
        self.memory.find_by_preview_id(preview_id).await
    }

    async fn blob(&self, hash: &ContentHash) -> Result<Option<Bytes>, StoreError> {
        self.memory.blob(hash).await
    }

    async fn collect_garbage(&self) -> Result<u64, StoreError> {
        self.memory.collect_garbage().await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.memory.check().await
    }

    async fn close(&self) {
        self.memory.close().await;
    }
}
