//! Writing: one thread that owns the one connection which can. It takes everything that waits into one transaction
//! (group commit), so a hundred rooms share the wait for the disk.

use std::{
    collections::VecDeque,
    fs::File,
    io, slice,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use cobuild_protocol::ProjectId;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    checkpoint::Checkpoints,
    database::{self, Database},
    statements::{self, Collected},
    transaction::{Transaction, own_answer},
};
use crate::project::event_store::{AppendBatch, Durability, NewProject, StoreError};

/// Writes that may wait, which is also the most that go into one transaction. A full queue makes callers wait, never
/// fail; each project has at most one append under way, so this many rooms can be busy at the same instant.
const QUEUE_MAX: usize = 256;

/// Something to be written.
#[derive(Debug)]
pub(super) enum Write {
    Append(AppendBatch),
    Create(NewProject),
    Delete(ProjectId),
    Check,
    /// Nothing; answered when everything handed over before it is done.
    Barrier,
}

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

#[derive(Debug)]
struct Waiting {
    write: Write,
    answer: Answer<()>,
}

#[derive(Debug)]
enum Job {
    /// Boxed: a queue keeps room for many, and most of the time there are few.
    Write(Box<Waiting>),
    Collect {
        after: i64,
        answer: Answer<Collected>,
    },
    Close {
        done: oneshot::Sender<()>,
    },
}

/// The way to the writing thread. Dropping it finishes what was handed over, and waits for that.
#[derive(Debug)]
pub(super) struct Writer {
    /// `None` only while being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn start(database: Database) -> io::Result<Self> {
        let (sender, jobs) = mpsc::channel(QUEUE_MAX);
        let commits = Arc::new(AtomicU64::new(0));
        let Database { mut connection, lock, path } = database;
        let checkpoints = Checkpoints::take_over(&mut connection, &path)?;
        let thread = Thread {
            checkpoints,
            connection,
            lock,
            jobs,
            held_back: None,
            commits: Arc::clone(&commits),
            // As `database::open` leaves it.
            durability: Durability::Machine,
            // What a deletion before the last end left behind.
            sweeping: true,
            collecting: None,
        };
        let thread = thread::Builder::new().name("store-writer".into()).spawn(move || thread.run())?;
        Ok(Self { jobs: Some(sender), thread: Some(thread), commits })
    }

    pub(super) async fn write(&self, write: Write) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Write(Box::new(Waiting { write, answer }))).await?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Step by step, so that appends get in between.
    pub(super) async fn collect_garbage(&self) -> Result<u64, StoreError> {
        let (mut removed, mut next) = (0, Some(0));
        while let Some(after) = next {
            let (answer, answered) = oneshot::channel();
            self.send(Job::Collect { after, answer }).await?;
            let step = answered.await.map_err(|_| StoreError::Closed)??;
            removed += step.removed;
            next = step.next;
        }
        Ok(removed)
    }

    /// Returns when everything handed over before is on the disk and the database is closed.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.send(Job::Close { done }).await.is_ok() {
            // An error means that another close was faster; it has been done all the same.
            let _ = closed.await;
        }
    }

    /// Transactions committed so far, for metrics.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job).await.map_err(|_| StoreError::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was reported by the panic hook; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Thread {
    /// Dropped before the connection, which must be the last: that one tidies up the files.
    checkpoints: Checkpoints,
    connection: Connection,
    lock: File,
    jobs: mpsc::Receiver<Job>,
    /// Taken from the queue, but not part of the group before it.
    held_back: Option<Job>,
    commits: Arc<AtomicU64>,
    /// What the connection is set to.
    durability: Durability,
    /// Whether rows of deleted projects may be left.
    sweeping: bool,
    /// Behind which blob the search goes on for those that nobody refers to; `None`: there are none. A blob and what
    /// refers to it come in one transaction, so what is found is wanted by nobody.
    collecting: Option<i64>,
}

impl Thread {
    fn run(mut self) {
        while let Some(job) = self.next_job() {
            match job {
                Job::Write(first) => self.commit_group(*first),
                Job::Collect { after, answer } => {
                    // Nobody left to tell is fine, here and below: what was handed over is done all the same.
                    let _ = answer.send(self.collect(after));
                }
                Job::Close { done } => {
                    self.close();
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    /// The next job; while there is none, removes what deleted projects left, step by step.
    fn next_job(&mut self) -> Option<Job> {
        if let Some(job) = self.held_back.take() {
            return Some(job);
        }
        while self.sweeping || self.collecting.is_some() {
            match self.jobs.try_recv() {
                Ok(job) => return Some(job),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => self.clean(),
            }
        }
        self.jobs.blocking_recv()
    }

    fn commit_group(&mut self, first: Waiting) {
        let mut group = vec![first];
        while group.len() < QUEUE_MAX {
            match self.jobs.try_recv() {
                Ok(Job::Write(waiting)) => group.push(*waiting),
                Ok(other) => {
                    self.held_back = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let results = self.write_group(&group);
        self.sweeping |= group.iter().any(|waiting| matches!(waiting.write, Write::Delete(_)));
        for (waiting, result) in group.into_iter().zip(results) {
            let _ = waiting.answer.send(result);
        }
    }

    fn write_group(&mut self, group: &[Waiting]) -> VecDeque<Result<(), StoreError>> {
        let error = match self.transact(group) {
            Ok(results) => return results,
            Err(error) => error,
        };
        if let [Waiting { write, .. }] = group {
            tracing::error!(%error, write = write.name(), "the store refused a write");
            return VecDeque::from([Err(error)]);
        }
        // A full disk takes the whole transaction with it. Each alone, so that only those are refused that don't fit.
        group.iter().flat_map(|waiting| self.write_group(slice::from_ref(waiting))).collect()
    }

    /// Writes the group in one transaction. A write that conflicts, or is one project too many, leaves no trace and doesn't
    /// concern the others; any other failure undoes them all.
    fn transact(&mut self, group: &[Waiting]) -> Result<VecDeque<Result<(), StoreError>>, StoreError> {
        self.set_durability(group.iter().map(|waiting| waiting.write.durability()).max())?;
        let transaction = Transaction::begin(&self.connection)?;
        let results = match group {
            // Alone it is all there is to undo.
            [Waiting { write, .. }] => match own_answer(write.apply(&transaction))? {
                Ok(()) => VecDeque::from([Ok(())]),
                refused @ Err(_) => return Ok(VecDeque::from([refused])),
            },
            _ => group
                .iter()
                .map(|waiting| transaction.attempt(|db| waiting.write.apply(db)))
                .collect::<Result<_, StoreError>>()?,
        };
        transaction.commit()?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(results)
    }

    /// SQLite ignores the setting inside a transaction, so it is made before.
    fn set_durability(&mut self, wanted: Option<Durability>) -> Result<(), StoreError> {
        let wanted = wanted.unwrap_or(Durability::Process);
        if wanted != self.durability {
            let synchronous = match wanted {
                Durability::Process => "NORMAL",
                Durability::Machine => "FULL",
            };
            self.connection.pragma_update(None, "synchronous", synchronous)?;
            self.durability = wanted;
        }
        Ok(())
    }

    fn collect(&mut self, after: i64) -> Result<Collected, StoreError> {
        let transaction = Transaction::begin(&self.connection)?;
        // Deleted projects first: they still refer to their blobs.
        let step = if statements::sweep(&transaction)? {
            Collected { removed: 0, next: Some(after) }
        } else {
            statements::collect(&transaction, after)?
        };
        transaction.commit()?;
        Ok(step)
    }

    /// A step of cleaning up: first the rows of deleted projects, then the blobs only those referred to.
    fn clean(&mut self) {
        let after = self.collecting.unwrap_or(0);
        let step = if self.sweeping { self.sweep() } else { self.collect(after).map(|step| step.next) };
        self.collecting = step.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not remove what deleted projects left; trying again after the next deletion");
            self.sweeping = false;
            None
        });
    }

    /// Returns where the collection of blobs begins, once everything is swept.
    fn sweep(&mut self) -> Result<Option<i64>, StoreError> {
        let transaction = Transaction::begin(&self.connection)?;
        self.sweeping = statements::sweep(&transaction)?;
        transaction.commit()?;
        Ok((!self.sweeping).then_some(0))
    }

    fn close(self) {
        let Self { checkpoints, connection, lock, .. } = self;
        drop(checkpoints);
        if let Err(error) = database::mark_clean(&connection) {
            tracing::warn!(%error, "the store could not be marked as closed in order");
        }
        drop(connection);
        // Last: until here nobody else may open it.
        drop(lock);
    }
}

impl Write {
    fn apply(&self, db: &Connection) -> Result<(), StoreError> {
        match self {
            Self::Append(batch) => statements::append(db, batch),
            Self::Create(new) => statements::create(db, new),
            Self::Delete(project) => statements::delete(db, project),
            Self::Check => statements::check(db),
            Self::Barrier => Ok(()),
        }
    }

    const fn durability(&self) -> Durability {
        match self {
            Self::Append(batch) => batch.durability,
            Self::Create(_) | Self::Delete(_) => Durability::Machine,
            Self::Check | Self::Barrier => Durability::Process,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Append(_) => "append",
            Self::Create(_) => "create",
            Self::Delete(_) => "delete",
            Self::Check => "check",
            Self::Barrier => "barrier",
        }
    }
}
