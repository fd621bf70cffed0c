//! Opening the database: the folder, the lock, the schema, and whether everything once confirmed is still there.

use std::{
    fs::{DirBuilder, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};

use super::SqliteOptions;

/// The file in the data folder that holds everything.
const DATABASE_NAME: &str = "cobuild.db";
/// The file whose lock says that a process uses the data folder. It stays behind; only the lock counts.
const LOCK_NAME: &str = "cobuild.lock";

/// Each brings the database from the version of its index to the next. Never changed once released.
const MIGRATIONS: [&str; 3] = [include_str!("schema.sql"), include_str!("compaction.sql"), include_str!("waiting.sql")];

/// How long to wait for somebody else's transaction. We are the only process, so it can only be a person with a
/// database tool; longer than this and appends fail rather than hang.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Compiled statements kept: more than the writer has.
const STATEMENTS_KEPT: usize = 64;

/// What the write-ahead log's file is cut back to after a burst made it larger.
const WAL_SIZE_KEPT_BYTES: i64 = 16 << 20;

/// Why the store cannot be opened. Each is one sentence for the person who started the server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No permission, no such place, a read-only disk.
    #[error("the data folder {} is not writable: {reason}", folder.display())]
    NotWritable {
        /// Which.
        folder: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Another process uses it.
    #[error("the data folder {} is in use by another cobuild process", folder.display())]
    InUse {
        /// Which.
        folder: PathBuf,
    },
    /// A newer release wrote it.
    #[error(
        "the database in {} has version {found}, this cobuild knows versions up to {known}: use a newer cobuild",
        folder.display()
    )]
    TooNew {
        /// Where.
        folder: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version we know.
        known: i64,
    },
    /// It is not a database of ours, or is damaged.
    #[error("the database in {} cannot be read: {reason}", folder.display())]
    Damaged {
        /// Where.
        folder: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// No space, a broken disk, no more threads.
    #[error("the database in {} cannot be opened: {reason}", folder.display())]
    Failed {
        /// Where.
        folder: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// An open database, and the lock that keeps other processes out as long as it lives.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) lock: File,
}

/// Opens the database in `folder` for its only writer; makes both if need be.
pub(super) fn open(folder: &Path, options: &SqliteOptions) -> Result<Database, OpenError> {
    let lock = lock(folder)?;
    let path = folder.join(DATABASE_NAME);
    let connection = prepare(&path, folder, options).map_err(|error| match error {
        PrepareError::Open(error) => error,
        PrepareError::Sqlite(error) => explain(folder, &error),
    })?;
    Ok(Database { connection, path, lock })
}

/// Opens a further connection, which cannot write.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// Opens a further connection, for [`super::checkpoint`] only.
pub(super) fn open_to_checkpoint(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let not_writable =
        |error: io::Error| OpenError::NotWritable { folder: folder.to_owned(), reason: error.to_string() };
    // 0700: conversations and code are nobody else's business on a shared machine.
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(not_writable)?;
    let path = folder.join(LOCK_NAME);
    let lock = File::options().create(true).truncate(false).write(true).open(path).map_err(not_writable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(not_writable(error)),
    }
}

enum PrepareError {
    Open(OpenError),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for PrepareError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn prepare(path: &Path, folder: &Path, options: &SqliteOptions) -> Result<Connection, PrepareError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Before anything is written: a database of a newer version stays exactly as it is.
    let found = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?;
    let known = MIGRATIONS.len() as i64;
    if !(0..=known).contains(&found) {
        return Err(PrepareError::Open(OpenError::TooNew { folder: folder.to_owned(), found, known }));
    }
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_SIZE_KEPT_BYTES, |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    migrate(&mut connection, found)?;
    vouch(&mut connection, options.boot_id.as_deref())?;
    if let Some(size_bytes) = options.size_bytes_max {
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(size_bytes).unwrap_or(i64::MAX) / page;
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(connection)
}

fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    for (version, script) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(script)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Begins new epochs when the machine went down without warning since the database was last opened: then the tail of
/// events that were only promised to survive a process may be gone, and a client that saw them must not count on.
/// When a process died, the operating system still wrote everything.
fn vouch(connection: &mut Connection, boot_id: Option<&str>) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let meta = |key: &str| {
        let mut query = transaction.prepare("SELECT value FROM meta WHERE key = ?1")?;
        query.query_row([key], |row| row.get::<_, String>(0)).optional()
    };
    let same_boot = boot_id.is_some() && meta("boot")?.as_deref() == boot_id;
    let clean = meta("clean")?.is_none_or(|clean| clean == "1");
    if !clean && !same_boot {
        transaction.execute("UPDATE projects SET epoch = lower(hex(randomblob(16)))", [])?;
    }
    let set = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
    transaction.execute(set, ["boot", boot_id.unwrap_or_default()])?;
    transaction.execute(set, ["clean", "0"])?;
    transaction.commit()
}

/// Says that everything is on the disk, so that the next start can vouch for it. Nothing may be written after it.
pub(super) fn mark_clean(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute("UPDATE meta SET value = '1' WHERE key = 'clean'", [])?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// What distinguishes one boot of this machine from another. `None` where the system doesn't say: then no unclean end
/// can be told from a power failure.
pub(super) fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

fn explain(folder: &Path, error: &rusqlite::Error) -> OpenError {
    let (folder, reason) = (folder.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            OpenError::NotWritable { folder, reason }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => OpenError::Damaged { folder, reason },
        _ => OpenError::Failed { folder, reason },
    }
}
