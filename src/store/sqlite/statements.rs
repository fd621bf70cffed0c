//! What is written, inside a transaction of the writer's. What ends in a conflict, the writer undoes.

use cobuild_protocol::{ProjectId, RunId};
use rusqlite::{Connection, OptionalExtension, params};

use super::integer;
use crate::{
    project::event_store::{
        AppendBatch, Compaction, NewBlob, NewProject, REPLIES_KEPT_MAX, StoreError, StoredEvent, StoredReply,
        StoredSnapshot, StoredWork,
    },
    store::{head_after, last_of},
};

/// Rows of a deleted project that go in one transaction: some milliseconds, so that appends hardly wait for it.
const SWEPT_AT_ONCE: i64 = 2_000;
/// Blobs looked at in one transaction, for the same reason; they are larger.
const COLLECTED_AT_ONCE: i64 = 128;

pub(super) fn append(db: &Connection, batch: &AppendBatch) -> Result<(), StoreError> {
    let head = head_after(batch.expected_head, batch)?;
    let added = Extent::of(&batch.events);
    // Nobody was active in a project because its log was compacted.
    let found = db
        .prepare_cached(
            "UPDATE projects SET head = ?3, updated_at = iif(?5, updated_at, ?4), frames = frames + ?6,
                 size_bytes = size_bytes + ?7
             WHERE id = ?1 AND head = ?2 RETURNING number",
        )?
        .query_row(
            params![
                batch.project.as_str(),
                integer(batch.expected_head),
                integer(head),
                batch.at,
                batch.compaction.is_some(),
                added.frames,
                added.size_bytes
            ],
            |row| row.get::<_, i64>(0),
        )
        .optional()?;
    let project = found.ok_or(StoreError::Conflict)?;
    insert_events(db, project, &batch.events)?;
    insert_blobs(db, project, &batch.blobs)?;
    insert_replies(db, project, &batch.replies)?;
    insert_waiting(db, project, &batch.waiting)?;
    remove_waiting(db, project, &batch.no_longer_waiting)?;
    if let Some(compaction) = &batch.compaction {
        compact(db, project, integer(head), compaction)?;
    }
    if let Some(snapshot) = &batch.snapshot {
        db.prepare_cached("INSERT OR REPLACE INTO snapshots (project, seq, state) VALUES (?1, ?2, ?3)")?
            .execute(params![project, integer(snapshot.seq), &*snapshot.state])?;
    }
    Ok(())
}

pub(super) fn create(db: &Connection, new: &NewProject) -> Result<(), StoreError> {
    let head = last_of(0, &new.events)?;
    let extent = Extent::of(&new.events);
    let added = db
        .prepare_cached(
            "INSERT INTO projects (id, name, epoch, preview_id, head, created_at, updated_at, frames, size_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            new.project.as_str(),
            new.name,
            new.epoch.as_str(),
            new.preview_id,
            integer(head),
            new.at,
            extent.frames,
            extent.size_bytes
        ])?;
    if added == 0 {
        return Err(StoreError::Conflict);
    }
    let project = db.last_insert_rowid();
    let count: i64 = db.prepare_cached("SELECT count(*) FROM projects")?.query_row([], |row| row.get(0))?;
    if count.cast_unsigned() > new.projects_max {
        return Err(StoreError::Full);
    }
    insert_events(db, project, &new.events)?;
    insert_blobs(db, project, &new.blobs)
}

/// Takes the project out of sight. What is left of it goes later, by [`sweep`]: a long log would hold up everybody.
pub(super) fn delete(db: &Connection, project: &ProjectId) -> Result<(), StoreError> {
    db.prepare_cached("INSERT INTO removed (number) SELECT number FROM projects WHERE id = ?1")?
        .execute([project.as_str()])?;
    db.prepare_cached("DELETE FROM projects WHERE id = ?1")?.execute([project.as_str()])?;
    Ok(())
}

/// Writes something small, to see whether it can be done.
pub(super) fn check(db: &Connection) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO meta (key, value) VALUES ('checks', '1') ON CONFLICT (key) DO UPDATE SET value = value + 1",
    )?
    .execute([])?;
    Ok(())
}

/// Removes some rows of a deleted project. Returns whether there may be more to do.
pub(super) fn sweep(db: &Connection) -> rusqlite::Result<bool> {
    let removed = db.prepare_cached("SELECT min(number) FROM removed")?.query_row([], |row| row.get(0))?;
    let Some(project): Option<i64> = removed else { return Ok(false) };
    let swept = db
        .prepare_cached(
            "DELETE FROM events WHERE rowid IN (SELECT rowid FROM events WHERE project = ?1 ORDER BY seq LIMIT ?2)",
        )?
        .execute([project, SWEPT_AT_ONCE])?;
    if swept == 0 {
        for table in ["snapshots", "bases", "replies", "waiting", "blob_refs"] {
            db.execute(&format!("DELETE FROM {table} WHERE project = ?1"), [project])?;
        }
        db.execute("DELETE FROM removed WHERE number = ?1", [project])?;
    }
    Ok(true)
}

/// A step of the collection of blobs nobody refers to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Collected {
    /// Blobs removed by this step.
    pub(super) removed: u64,
    /// Where the next step goes on; `None` at the end.
    pub(super) next: Option<i64>,
}

/// Looks at some blobs after `after`, the internal number of one.
pub(super) fn collect(db: &Connection, after: i64) -> rusqlite::Result<Collected> {
    let upto = after + COLLECTED_AT_ONCE;
    let removed = db
        .prepare_cached(
            "DELETE FROM blobs WHERE number > ?1 AND number <= ?2
             AND NOT EXISTS (SELECT 1 FROM blob_refs WHERE blob_refs.hash = blobs.hash)",
        )?
        .execute([after, upto])?;
    let last: Option<i64> = db.prepare_cached("SELECT max(number) FROM blobs")?.query_row([], |row| row.get(0))?;
    let next = last.is_some_and(|last| last > upto).then_some(upto);
    Ok(Collected { removed: removed as u64, next })
}

fn insert_events(db: &Connection, project: i64, events: &[StoredEvent]) -> Result<(), StoreError> {
    let mut insert = db.prepare_cached("INSERT INTO events (project, seq, frame) VALUES (?1, ?2, ?3)")?;
    for event in events {
        insert.execute(params![project, integer(event.seq), &*event.frame])?;
    }
    Ok(())
}

/// A part of a log, or how much it grows or shrinks.
#[derive(Debug, Clone, Copy)]
struct Extent {
    frames: i64,
    size_bytes: i64,
}

impl Extent {
    fn of(events: &[StoredEvent]) -> Self {
        let size_bytes: usize = events.iter().map(|event| event.frame.len()).sum();
        Self { frames: events.len() as i64, size_bytes: size_bytes as i64 }
    }
}

/// Keeps count of what is kept.
fn count(db: &Connection, project: i64, change: Extent) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE projects SET frames = frames + ?2, size_bytes = size_bytes + ?3 WHERE number = ?1")?
        .execute([project, change.frames, change.size_bytes])?;
    Ok(())
}

/// Removes the frames that end between two places, both included.
fn remove_frames(db: &Connection, project: i64, first: i64, last: i64) -> Result<(), StoreError> {
    let removed = db
        .prepare_cached(
            "SELECT count(*), coalesce(sum(length(frame)), 0) FROM events WHERE project = ?1 AND seq BETWEEN ?2 AND ?3",
        )?
        .query_row([project, first, last], |row| Ok(Extent { frames: row.get(0)?, size_bytes: row.get(1)? }))?;
    db.prepare_cached("DELETE FROM events WHERE project = ?1 AND seq BETWEEN ?2 AND ?3")?
        .execute([project, first, last])?;
    count(db, project, Extent { frames: -removed.frames, size_bytes: -removed.size_bytes })
}

fn compact(db: &Connection, project: i64, head: i64, compaction: &Compaction) -> Result<(), StoreError> {
    let base: i64 =
        db.prepare_cached("SELECT base FROM projects WHERE number = ?1")?.query_row([project], |row| row.get(0))?;
    for event in &compaction.merged {
        replace(db, project, base, event)?;
    }
    if let Some(folded) = &compaction.base {
        fold(db, project, base, folded)?;
    }
    let upto = integer(compaction.merged_upto);
    if upto > head {
        return Err(StoreError::Conflict);
    }
    db.prepare_cached("UPDATE projects SET merged = max(merged, ?2) WHERE number = ?1")?.execute([project, upto])?;
    Ok(())
}

/// Whether a stored frame ends at this place.
fn ends_at(db: &Connection, project: i64, seq: i64) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT 1 FROM events WHERE project = ?1 AND seq = ?2")?.exists([project, seq])?)
}

/// Puts one frame in the place of those that stand for the same events.
fn replace(db: &Connection, project: i64, base: i64, event: &StoredEvent) -> Result<(), StoreError> {
    let (first, last) = (integer(event.first()), integer(event.seq));
    let whole = (base + 1..=last).contains(&first)
        && (first == base + 1 || ends_at(db, project, first - 1)?)
        && ends_at(db, project, last)?;
    if !whole {
        return Err(StoreError::Conflict);
    }
    remove_frames(db, project, first, last)?;
    db.prepare_cached("INSERT INTO events (project, seq, frame, seq_first, cuts) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![project, last, &*event.frame, first, event.span.as_ref().map(|span| &*span.cuts)])?;
    count(db, project, Extent { frames: 1, size_bytes: event.frame.len() as i64 })
}

/// Makes this the log's base, in place of the one before and the frames since.
fn fold(db: &Connection, project: i64, base: i64, folded: &StoredSnapshot) -> Result<(), StoreError> {
    let upto = integer(folded.seq);
    if upto <= base || !ends_at(db, project, upto)? {
        return Err(StoreError::Conflict);
    }
    remove_frames(db, project, base + 1, upto)?;
    db.prepare_cached("INSERT OR REPLACE INTO bases (project, seq, state) VALUES (?1, ?2, ?3)")?.execute(params![
        project,
        upto,
        &*folded.state
    ])?;
    db.prepare_cached("UPDATE projects SET base = ?2 WHERE number = ?1")?.execute([project, upto])?;
    Ok(())
}

fn insert_blobs(db: &Connection, project: i64, blobs: &[NewBlob]) -> Result<(), StoreError> {
    for NewBlob { hash, content } in blobs {
        let referred = db
            .prepare_cached("INSERT OR IGNORE INTO blob_refs (project, hash) VALUES (?1, ?2)")?
            .execute(params![project, hash.as_str()])?;
        let known =
            referred == 0 || db.prepare_cached("SELECT 1 FROM blobs WHERE hash = ?1")?.exists([hash.as_str()])?;
        if !known {
            db.prepare_cached("INSERT INTO blobs (hash, content) VALUES (?1, ?2)")?
                .execute(params![hash.as_str(), &**content])?;
        }
    }
    Ok(())
}

fn insert_replies(db: &Connection, project: i64, replies: &[StoredReply]) -> Result<(), StoreError> {
    if replies.is_empty() {
        return Ok(());
    }
    for reply in replies {
        let by = reply.by.map(|by| integer(by.number()));
        db.prepare_cached("INSERT OR REPLACE INTO replies (project, id, participant, frame) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![project, reply.id.as_str(), by, &*reply.frame])?;
    }
    let kept: i64 =
        db.prepare_cached("SELECT count(*) FROM replies WHERE project = ?1")?.query_row([project], |row| row.get(0))?;
    for _ in REPLIES_KEPT_MAX as i64..kept {
        db.prepare_cached(
            "DELETE FROM replies WHERE number = (SELECT min(number) FROM replies WHERE project = ?1
             GROUP BY participant ORDER BY count(*) DESC, min(number) LIMIT 1)",
        )?
        .execute([project])?;
    }
    Ok(())
}

fn insert_waiting(db: &Connection, project: i64, waiting: &[StoredWork]) -> Result<(), StoreError> {
    for StoredWork { run, work } in waiting {
        db.prepare_cached("INSERT OR REPLACE INTO waiting (project, run, work) VALUES (?1, ?2, ?3)")?
            .execute(params![project, integer(run.number()), &**work])?;
    }
    Ok(())
}

fn remove_waiting(db: &Connection, project: i64, runs: &[RunId]) -> Result<(), StoreError> {
    for run in runs {
        db.prepare_cached("DELETE FROM waiting WHERE project = ?1 AND run = ?2")?
            .execute([project, integer(run.number())])?;
    }
    Ok(())
}
