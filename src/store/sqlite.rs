//! The store in one SQLite file: one thread writes with group commit, one moves what was written from the log into the
//! database, a few connections read beside them.
//!
//! A blob stays as long as a project lives whose batches have brought it along (`AppendBatch::blobs`,
//! `NewProject::blobs`); what a frame says is not looked at.

mod checkpoint;
mod database;
mod reader;
mod statements;
mod transaction;
mod writer;

#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cobuild_protocol::{ProjectId, Seq, value::ContentHash};
use rusqlite::ErrorCode;

pub use self::database::OpenError;
use self::{
    reader::Readers,
    writer::{Write, Writer},
};
use crate::project::event_store::{
    AppendBatch, EventStore, NewProject, OpenedProject, ProjectSummary, ReadLimits, StoreError, StoredEvent,
    StoredSnapshot,
};

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The largest size of the database file, rounded down to whole pages; `None`: as large as the disk allows.
    /// Beyond it appends fail as they do on a full disk.
    pub size_bytes_max: Option<u64>,
    /// What distinguishes this boot of the machine from others; `None`: unknown, then any end that was not in order
    /// counts as the machine's.
    pub boot_id: Option<String>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { size_bytes_max: None, boot_id: database::boot_id() }
    }
}

/// A store in one SQLite file.
///
/// Dropping it without [`EventStore::close`] keeps everything, but waits for what was handed over.
#[derive(Debug)]
pub struct SqliteStore {
    /// Dropped before the writer, whose connection must be the last: that one tidies up the files.
    readers: Arc<Readers>,
    writer: Writer,
}

impl SqliteStore {
    /// Opens the database in the data folder; makes folder and database if need be. Blocks for some milliseconds, for
    /// longer after a crash.
    ///
    /// # Errors
    ///
    /// [`OpenError`], one sentence to be shown.
    pub fn open(folder: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self, OpenError> {
        let folder = folder.as_ref();
        let database = database::open(folder, options)?;
        let readers = Readers::new(database.path.clone());
        let writer = Writer::start(database)
            .map_err(|error| OpenError::Failed { folder: folder.to_owned(), reason: error.to_string() })?;
        Ok(Self { writer, readers })
    }

    /// Transactions committed since it was opened. Fewer than appends when appends come at the same time.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }
}

#[async_trait]
impl EventStore for SqliteStore {
    async fn list_projects(&self) -> Result<Vec<ProjectSummary>, StoreError> {
        self.readers.read(|db| reader::list(db)).await
    }

    async fn projects_with_waiting_runs(&self) -> Result<Vec<ProjectId>, StoreError> {
        self.readers.read(|db| reader::with_waiting_runs(db)).await
    }

    async fn open_project(&self, project: &ProjectId) -> Result<Option<OpenedProject>, StoreError> {
        // Whoever wrote last may have handed over an append and gone: the new writer must see it.
        self.writer.write(Write::Barrier).await?;
        let project = project.clone();
        self.readers.read(move |db| reader::open(db, &project)).await
    }

    async fn create_project(&self, new: NewProject) -> Result<(), StoreError> {
        self.writer.write(Write::Create(new)).await
    }

    async fn delete_project(&self, project: &ProjectId) -> Result<(), StoreError> {
        self.writer.write(Write::Delete(project.clone())).await
    }

    async fn find_by_preview_id(&self, preview_id: &str) -> Result<Option<ProjectId>, StoreError> {
        let preview_id = preview_id.to_owned();
        self.readers.read(move |db| reader::find_by_preview_id(db, &preview_id)).await
    }

    async fn append(&self, batch: AppendBatch) -> Result<(), StoreError> {
        self.writer.write(Write::Append(batch)).await
    }

    async fn read(&self, project: &ProjectId, from: Seq, limits: ReadLimits) -> Result<Vec<StoredEvent>, StoreError> {
        let project = project.clone();
        self.readers.read(move |db| reader::events(db, &project, from, limits)).await
    }

    async fn base(&self, project: &ProjectId) -> Result<Option<StoredSnapshot>, StoreError> {
        let project = project.clone();
        self.readers.read(move |db| reader::base(db, &project)).await
    }

    async fn blob(&self, hash: &ContentHash) -> Result<Option<Bytes>, StoreError> {
        let hash = hash.clone();
        self.readers.read(move |db| reader::blob(db, &hash)).await
    }

    async fn collect_garbage(&self) -> Result<u64, StoreError> {
        self.writer.collect_garbage().await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.writer.write(Write::Check).await
    }

    async fn close(&self) {
        self.readers.close();
        self.writer.close().await;
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let reason = error.to_string().into();
        match (&error, error.sqlite_error_code()) {
            (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation)) => {
                Self::Corrupt(reason)
            }
            (rusqlite::Error::SqliteFailure(..), _) => Self::Unavailable(reason),
            // A column of another type than we wrote.
            _ => Self::Corrupt(reason),
        }
    }
}

/// SQLite's integers are signed. No log gets near the end of either.
fn integer(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
