//! Reading: a few connections that cannot write, used by blocking tasks. They see whatever was committed, and neither
//! wait for the writer nor hold it up.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use cobuild_protocol::{Epoch, ParticipantId, ProjectId, RequestId, RunId, Seq, value::ContentHash};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Semaphore;

use super::{database, integer};
use crate::project::event_store::{
    KeptLog, OpenedProject, ProjectSummary, ReadLimits, Span, StoreError, StoredEvent, StoredReply, StoredSnapshot,
    StoredWork,
};

/// Most connections. Reads are served from memory for the most part, so a few keep the processors busy; each costs up
/// to 2 MB of page cache.
const READERS_MAX: usize = 4;

/// The connections to read by; made when first needed.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self { path, permits: Arc::new(Semaphore::new(READERS_MAX)), idle: Mutex::default() })
    }

    /// Runs `query` on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let readers = Arc::clone(self);
        let work = move || {
            let _permit = permit;
            let mut connection = readers.take()?;
            let answer = query(&mut connection);
            readers.put_back(connection);
            answer
        };
        // A query that panicked has lost its connection; the next one makes another.
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string().into())))
    }

    /// Refuses further reads and closes the connections, those in use as soon as they are done.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| Ok(database::open_to_read(&self.path)?), Ok)
    }

    fn put_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.permits.is_closed() {
            idle.push(connection);
        }
    }
}

pub(super) fn list(db: &Connection) -> Result<Vec<ProjectSummary>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT id, name, created_at, updated_at, head FROM projects ORDER BY updated_at DESC, id ASC",
    )?;
    let mut rows = query.query([])?;
    let mut list = Vec::new();
    while let Some(row) = rows.next()? {
        list.push(ProjectSummary {
            project: id(row.get(0)?)?,
            name: row.get(1)?,
            created_at: row.get(2)?,
            updated_at: row.get(3)?,
            head: row.get::<_, i64>(4)?.cast_unsigned(),
        });
    }
    Ok(list)
}

pub(super) fn open(db: &mut Connection, project: &ProjectId) -> Result<Option<OpenedProject>, StoreError> {
    // One transaction, so that head, snapshot, replies and what waits belong together.
    let db = db.transaction()?;
    let found = db
        .prepare_cached("SELECT number, epoch, head, base, merged, frames, size_bytes FROM projects WHERE id = ?1")?
        .query_row([project.as_str()], |row| {
            let unsigned = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.cast_unsigned());
            let kept =
                KeptLog { base: unsigned(3)?, merged: unsigned(4)?, frames: unsigned(5)?, size_bytes: unsigned(6)? };
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, unsigned(2)?, kept))
        })
        .optional()?;
    let Some((number, epoch, head, kept)) = found else { return Ok(None) };
    let epoch = Epoch::try_from(epoch).map_err(|invalid| corrupt(&invalid))?;
    let snapshot = db
        .prepare_cached("SELECT seq, state FROM snapshots WHERE project = ?1")?
        .query_row([number], |row| {
            Ok(StoredSnapshot { seq: row.get::<_, i64>(0)?.cast_unsigned(), state: bytes(row.get(1)?) })
        })
        .optional()?;
    let mut query =
        db.prepare_cached("SELECT id, frame, participant FROM replies WHERE project = ?1 ORDER BY number")?;
    let mut rows = query.query([number])?;
    let mut replies = Vec::new();
    while let Some(row) = rows.next()? {
        let id = RequestId::try_from(row.get::<_, String>(0)?).map_err(|invalid| corrupt(&invalid))?;
        let by = row.get::<_, Option<i64>>(2)?.map(|number| ParticipantId::new(number.cast_unsigned()));
        replies.push(StoredReply { id, by, frame: bytes(row.get(1)?) });
    }
    let mut query = db.prepare_cached("SELECT run, work FROM waiting WHERE project = ?1 ORDER BY run")?;
    let waiting = query
        .query_map([number], |row| {
            Ok(StoredWork { run: RunId::new(row.get::<_, i64>(0)?.cast_unsigned()), work: bytes(row.get(1)?) })
        })?
        .collect::<Result<_, _>>()?;
    Ok(Some(OpenedProject { epoch, head, snapshot, replies, waiting, kept }))
}

pub(super) fn with_waiting_runs(db: &Connection) -> Result<Vec<ProjectId>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT id FROM projects WHERE number IN (SELECT DISTINCT project FROM waiting) ORDER BY updated_at, id",
    )?;
    query.query_map([], |row| row.get(0))?.map(|text| id(text?)).collect()
}

pub(super) fn base(db: &Connection, project: &ProjectId) -> Result<Option<StoredSnapshot>, StoreError> {
    let found = db
        .prepare_cached("SELECT seq, state FROM bases WHERE project = (SELECT number FROM projects WHERE id = ?1)")?
        .query_row([project.as_str()], |row| {
            Ok(StoredSnapshot { seq: row.get::<_, i64>(0)?.cast_unsigned(), state: bytes(row.get(1)?) })
        })
        .optional()?;
    Ok(found)
}

pub(super) fn find_by_preview_id(db: &Connection, preview_id: &str) -> Result<Option<ProjectId>, StoreError> {
    let found = db
        .prepare_cached("SELECT id FROM projects WHERE preview_id = ?1")?
        .query_row([preview_id], |row| row.get(0))
        .optional()?;
    found.map(id).transpose()
}

pub(super) fn events(
    db: &mut Connection,
    project: &ProjectId,
    from: Seq,
    limits: ReadLimits,
) -> Result<Vec<StoredEvent>, StoreError> {
    // One transaction, so that the base and what follows it belong together.
    let db = db.transaction()?;
    let found = db
        .prepare_cached("SELECT number, base FROM projects WHERE id = ?1")?
        .query_row([project.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.cast_unsigned())))
        .optional()?;
    let Some((number, base)) = found else { return Ok(Vec::new()) };
    let from = from.max(1);
    if from <= base {
        return Err(StoreError::Folded { upto: base });
    }
    let mut query = db.prepare_cached(
        "SELECT seq, frame, seq_first, cuts FROM events WHERE project = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let count = integer(limits.events.max(1) as u64);
    let mut rows = query.query(params![number, integer(from), count])?;
    let (mut events, mut size_bytes) = (Vec::new(), 0);
    let mut expected = from;
    while let Some(row) = rows.next()? {
        let span = match row.get::<_, Option<i64>>(2)? {
            Some(first) => Some(Span { first: first.cast_unsigned(), cuts: bytes(row.get(3)?) }),
            None => None,
        };
        let event = StoredEvent { seq: row.get::<_, i64>(0)?.cast_unsigned(), frame: bytes(row.get(1)?), span };
        // Only the first frame may begin before what was asked for.
        let follows = if events.is_empty() { event.first() <= expected } else { event.first() == expected };
        if !follows {
            return Err(corrupt(&format_args!("event {expected} of project {project} is missing")));
        }
        expected = event.seq + 1;
        size_bytes += event.frame.len();
        events.push(event);
        if size_bytes >= limits.size_bytes {
            break;
        }
    }
    Ok(events)
}

pub(super) fn blob(db: &Connection, hash: &ContentHash) -> Result<Option<Bytes>, StoreError> {
    let found = db
        .prepare_cached("SELECT content FROM blobs WHERE hash = ?1")?
        .query_row([hash.as_str()], |row| row.get(0))
        .optional()?;
    Ok(found.map(bytes))
}

fn bytes(content: Vec<u8>) -> Bytes {
    Bytes::from(content)
}

fn id(text: String) -> Result<ProjectId, StoreError> {
    ProjectId::try_from(text).map_err(|invalid| corrupt(&invalid))
}

fn corrupt(reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt(reason.to_string().into())
}
