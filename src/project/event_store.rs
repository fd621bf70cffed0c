//! What the core asks of a store: an ordered log per project, appended to by one writer, with the contents of files
//! beside it. Adapters live in `store/`; every one passes the same contract tests.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cobuild_protocol::{Epoch, ParticipantId, ProjectId, RequestId, RunId, Seq, value::ContentHash};

/// A store of projects: logs, snapshots, replies and blobs.
///
/// All methods may be called from any task; cancelling the returned future does not undo an append that was already
/// handed over.
#[async_trait]
pub trait EventStore: Send + Sync + fmt::Debug + 'static {
    /// Every project there is, newest activity first.
    async fn list_projects(&self) -> Result<Vec<ProjectSummary>, StoreError>;

    /// The projects in which runs wait for their turn, the least recently active first.
    async fn projects_with_waiting_runs(&self) -> Result<Vec<ProjectId>, StoreError>;

    /// Opens a project for its one writer. `None` when there is no such project.
    async fn open_project(&self, project: &ProjectId) -> Result<Option<OpenedProject>, StoreError>;

    /// Creates a project with its first events in one transaction. [`StoreError::Conflict`] when the id is taken,
    /// [`StoreError::Full`] when there are [`NewProject::projects_max`] or more.
    async fn create_project(&self, new: NewProject) -> Result<(), StoreError>;

    /// Removes a project with its log, snapshots and replies. Blobs nobody refers to any more go soon after, when
    /// the store has time. Removing what does not exist is not an error.
    async fn delete_project(&self, project: &ProjectId) -> Result<(), StoreError>;

    /// The project whose preview has this host label.
    async fn find_by_preview_id(&self, preview_id: &str) -> Result<Option<ProjectId>, StoreError>;

    /// Appends a batch in one transaction: all of it or nothing. Returns once it is as durable as
    /// [`AppendBatch::durability`] asks. [`StoreError::Conflict`] when `expected_head` is not the log's head: then
    /// somebody else writes, and the caller must stop (fencing).
    async fn append(&self, batch: AppendBatch) -> Result<(), StoreError>;

    /// Reads frames with `from <= seq`, in order, at most `limits.events` of them and about `limits.size_bytes`,
    /// but at least one if there is one. The first may begin before `from` when compaction has merged it.
    /// [`StoreError::Folded`] when `from` is part of the log's base.
    async fn read(&self, project: &ProjectId, from: Seq, limits: ReadLimits) -> Result<Vec<StoredEvent>, StoreError>;

    /// The log's base: the fold of every event that is no longer kept as such. `None` while all are.
    async fn base(&self, project: &ProjectId) -> Result<Option<StoredSnapshot>, StoreError>;

    /// Reads a blob.
    async fn blob(&self, hash: &ContentHash) -> Result<Option<Bytes>, StoreError>;

    /// Removes blobs that no event or snapshot refers to any more, now. Returns how many were left.
    async fn collect_garbage(&self) -> Result<u64, StoreError>;

    /// Whether the store takes writes now; for `GET /ready`.
    async fn check(&self) -> Result<(), StoreError>;

    /// Finishes what was handed over and closes. Later calls fail with [`StoreError::Closed`].
    async fn close(&self);
}

/// A shared store.
pub type SharedStore = Arc<dyn EventStore>;

/// A line of the list of projects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectSummary {
    /// Which.
    pub project: ProjectId,
    /// Its name for people.
    pub name: String,
    /// When it was created: RFC 3339, UTC.
    pub created_at: String,
    /// When its last event was appended: RFC 3339, UTC.
    pub updated_at: String,
    /// Its last event.
    pub head: Seq,
}

/// What the writer needs to go on where the log ends.
#[derive(Debug, Clone)]
pub struct OpenedProject {
    /// The life of the log. The store starts a new one when it cannot vouch that everything it once confirmed is
    /// still there (the machine went down without warning).
    pub epoch: Epoch,
    /// The last event.
    pub head: Seq,
    /// The newest stored snapshot: the fold up to its `seq`, in the core's own format.
    pub snapshot: Option<StoredSnapshot>,
    /// Replies that left no event (rejections), oldest first; bounded by [`REPLIES_KEPT_MAX`].
    pub replies: Vec<StoredReply>,
    /// What the runs that wait need to begin, in no particular order.
    pub waiting: Vec<StoredWork>,
    /// How much of the log is kept.
    pub kept: KeptLog,
}

/// What compaction has left of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeptLog {
    /// The last event of the base; 0 while there is none. Everything after it can be read.
    pub base: Seq,
    /// Up to here compaction has merged what can be merged.
    pub merged: Seq,
    /// Frames after the base.
    pub frames: u64,
    /// Their size.
    pub size_bytes: u64,
}

/// How many eventless replies a store keeps per project. A client repeats a command within seconds of a lost
/// connection; 1,024 covers hours of a busy room. When there is one too many, the participant who has the most loses
/// their oldest; of several who have as many, the one whose oldest is oldest.
pub const REPLIES_KEPT_MAX: usize = 1024;

/// A fold of the log, in the core's own format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// The last event that is part of it.
    pub seq: Seq,
    /// Opaque to the store.
    pub state: Bytes,
}

/// A reply kept for the command being sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReply {
    /// The command.
    pub id: RequestId,
    /// Whose it was; `None`: kept by an earlier version.
    pub by: Option<ParticipantId>,
    /// The reply frame's JSON.
    pub frame: Bytes,
}

/// What a run that waits for its turn needs to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredWork {
    /// Which run.
    pub run: RunId,
    /// Opaque to the store.
    pub work: Bytes,
}

/// An event as it stands in the log: exactly the bytes clients are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the log; of a merged frame the last one.
    pub seq: Seq,
    /// The event frame's JSON.
    pub frame: Bytes,
    /// For a frame that compaction made of several.
    pub span: Option<Span>,
}

/// The places of the log one merged frame stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The first of them.
    pub first: Seq,
    /// How the frame is taken apart again, in the core's own format; opaque to the store.
    pub cuts: Bytes,
}

impl StoredEvent {
    /// An event that stands for itself.
    #[must_use]
    pub const fn new(seq: Seq, frame: Bytes) -> Self {
        Self { seq, frame, span: None }
    }

    /// The first place of the log it stands for.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.span.as_ref().map_or(self.seq, |span| span.first)
    }
}

/// A file's content on its way into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlob {
    /// SHA-256 of `content`; the caller has computed it.
    pub hash: ContentHash,
    /// The bytes.
    pub content: Bytes,
}

/// How safe an append must be before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Survives the death of this process. For deltas.
    Process,
    /// Survives the death of the machine. For accepted commands, terminal events and everything else a client was
    /// promised.
    Machine,
}

/// One transaction.
#[derive(Debug, Clone)]
pub struct AppendBatch {
    /// To which log.
    pub project: ProjectId,
    /// The head the caller believes in; the first event has this plus one.
    pub expected_head: Seq,
    /// Contiguous events; may be empty when there are only replies or a snapshot.
    pub events: Vec<StoredEvent>,
    /// Contents the events refer to. One already stored is skipped.
    pub blobs: Vec<NewBlob>,
    /// Replies that leave no event.
    pub replies: Vec<StoredReply>,
    /// Work of runs that wait from now on.
    pub waiting: Vec<StoredWork>,
    /// Runs that wait no longer, if they did.
    pub no_longer_waiting: Vec<RunId>,
    /// A snapshot of the state after the batch, replacing the one before.
    pub snapshot: Option<StoredSnapshot>,
    /// A step of compaction: the same history in less space. The head does not move by it.
    pub compaction: Option<Compaction>,
    /// When the append may return.
    pub durability: Durability,
    /// When: RFC 3339, UTC; becomes the project's `updated_at`.
    pub at: String,
}

/// A step of compaction. [`StoreError::Conflict`], and nothing is changed, when it does not fit the log as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compaction {
    /// Each takes the place of the frames stored for exactly its places.
    pub merged: Vec<StoredEvent>,
    /// The new [`KeptLog::merged`].
    pub merged_upto: Seq,
    /// The log's new base; frames up to its `seq` go. It must be the last place of a stored frame.
    pub base: Option<StoredSnapshot>,
}

/// A project's beginning.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Its id.
    pub project: ProjectId,
    /// Its name for people.
    pub name: String,
    /// The life of the log.
    pub epoch: Epoch,
    /// The preview's host label.
    pub preview_id: String,
    /// How many projects there may be, this one included.
    pub projects_max: u64,
    /// Events from seq 1.
    pub events: Vec<StoredEvent>,
    /// Contents the events refer to.
    pub blobs: Vec<NewBlob>,
    /// When: RFC 3339, UTC.
    pub at: String,
}

/// How much to read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Most events.
    pub events: usize,
    /// About how many bytes of frames.
    pub size_bytes: usize,
}

/// What a caller can do about a failed store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another writer appended, or the id is taken. Stop writing and read again.
    #[error("the log's head is not what the writer expected")]
    Conflict,
    /// There are as many projects as there may be.
    #[error("there are as many projects as there may be")]
    Full,
    /// No space, no permission, a broken disk. Nothing was stored; try again later.
    #[error("the store does not take writes: {0}")]
    Unavailable(Arc<str>),
    /// What is stored cannot be read.
    #[error("the store is damaged: {0}")]
    Corrupt(Arc<str>),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The event is no longer kept as such.
    #[error("events up to {upto} are no longer kept one by one")]
    Folded {
        /// The last event of the log's base.
        upto: Seq,
    },
}
