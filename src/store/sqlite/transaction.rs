//! A transaction of the writer's. Its own statements are compiled once for the connection: rusqlite's transactions and
//! savepoints compile theirs each time, which beside a single delta is no small part of the work.

use std::ops::Deref;

use rusqlite::Connection;

use crate::project::event_store::StoreError;

/// Dropping it undoes everything.
#[derive(Debug)]
pub(super) struct Transaction<'a> {
    db: &'a Connection,
}

impl<'a> Transaction<'a> {
    /// Takes the lock for writing at once.
    pub(super) fn begin(db: &'a Connection) -> rusqlite::Result<Self> {
        run(db, "BEGIN IMMEDIATE")?;
        Ok(Self { db })
    }

    /// Where it fails, everything is undone.
    pub(super) fn commit(self) -> rusqlite::Result<()> {
        run(self.db, "COMMIT")
    }

    /// One write of several: what is refused leaves no trace and does not concern the others.
    ///
    /// # Errors
    ///
    /// The whole transaction must be undone.
    pub(super) fn attempt(
        &self,
        write: impl FnOnce(&Connection) -> Result<(), StoreError>,
    ) -> Result<Result<(), StoreError>, StoreError> {
        run(self.db, "SAVEPOINT attempt")?;
        let answer = own_answer(write(self.db))?;
        if answer.is_err() {
            run(self.db, "ROLLBACK TO attempt")?;
        }
        run(self.db, "RELEASE attempt")?;
        Ok(answer)
    }
}

/// What a write is answered by itself; any other failure is that of its transaction.
pub(super) fn own_answer(result: Result<(), StoreError>) -> Result<Result<(), StoreError>, StoreError> {
    match result {
        answer @ (Ok(()) | Err(StoreError::Conflict | StoreError::Full)) => Ok(answer),
        Err(error) => Err(error),
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.db
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.db.is_autocommit() {
            // SQLite undoes by itself what cannot be undone here: when the connection ends, or the process.
            let _ = run(self.db, "ROLLBACK");
        }
    }
}

fn run(db: &Connection, statement: &str) -> rusqlite::Result<()> {
    db.prepare_cached(statement)?.execute([])?;
    Ok(())
}
