//! One append in the making: events with their place in the log, what they refer to, and what is to be done once they
//! are safe.

use std::sync::Arc;

use bytes::Bytes;
use cobuild_protocol::{
    Event, EventFrame, MessageId, ParticipantId, ProjectId, RequestId, RunId, Seq,
    event::{FileDeleted, FileWritten, ParticipantJoined},
    frame::ControlFrame,
    value::{ContentHash, FileOrigin, Role},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    command::SandboxWish,
    compaction::Freed,
    error::ProjectError,
    event_store::{
        AppendBatch, Compaction, Durability, KeptLog, NewBlob, StoredEvent, StoredReply, StoredSnapshot, StoredWork,
    },
    file_tree::content_hash,
    handle::Joined,
    places::Place,
    queue::Waiting,
    run::{RefusedFile, StagedFile, Steered, Work},
    waiting_work,
};

/// Whose events these are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stamp {
    pub(crate) run: Option<RunId>,
    pub(crate) by: Option<ParticipantId>,
    pub(crate) command: Option<RequestId>,
}

impl Stamp {
    pub(crate) fn run(run: RunId) -> Self {
        Self { run: Some(run), ..Self::default() }
    }
}

/// What is to be done once the events are safe, in this order.
#[derive(Debug)]
// A batch has a handful, for the moment of its append.
#[allow(clippy::large_enum_variant)]
pub(crate) enum After {
    /// Tell the client what became of its command.
    Reply(oneshot::Sender<ControlFrame>, ControlFrame),
    /// Let a participant in.
    Join(oneshot::Sender<Result<Joined, ProjectError>>, PendingJoin),
    /// Line the run up.
    Queue(Waiting),
    /// Line the run up before all others.
    QueueFirst(Waiting),
    /// Put the waiting runs into this order.
    Reorder(Vec<RunId>),
    /// Start or stop the sandbox.
    Sandbox(SandboxWish),
    /// Stop the run, running or waiting.
    Stop(RunId),
    /// Start the job of a run whose beginning is now on record.
    Start(RunId, ParticipantId, Work),
    /// Hand a prompt to the run that it joins.
    Steer(mpsc::OwnedPermit<Steered>, Steered),
    /// Tell a job which message was opened for it.
    Opened(oneshot::Sender<MessageId>, MessageId),
    /// Tell a job what became of its files.
    Written(oneshot::Sender<Vec<RefusedFile>>, Vec<RefusedFile>),
    /// Count what compaction has left, and tell its job.
    Compacted { kept: KeptLog, freed: Freed, done: oneshot::Sender<KeptLog> },
}

/// A join whose subscription is made when the log is up to date.
#[derive(Debug)]
pub(crate) struct PendingJoin {
    pub(crate) participant: ParticipantId,
    pub(crate) role: Role,
    /// Those they came with.
    pub(crate) party: Option<Arc<str>>,
    /// Theirs among the project's connections.
    pub(crate) place: Place,
    pub(crate) since: Option<cobuild_protocol::Cursor>,
    /// Whether a sandbox is made for them.
    pub(crate) sandbox: bool,
}

/// An append in the making.
#[derive(Debug)]
pub(crate) struct Batch {
    head: Seq,
    at: String,
    pub(crate) events: Vec<EventFrame>,
    pub(crate) stored: Vec<StoredEvent>,
    blobs: Vec<NewBlob>,
    pub(crate) replies: Vec<StoredReply>,
    waiting: Vec<StoredWork>,
    /// Runs that begin or end: they wait no longer.
    no_longer_waiting: Vec<RunId>,
    /// A step of compaction; it has a batch to itself.
    pub(crate) compaction: Option<Compaction>,
    pub(crate) after: Vec<After>,
    durability: Durability,
}

impl Batch {
    /// An empty batch behind event `head`.
    pub(crate) fn new(head: Seq) -> Self {
        Self {
            head,
            at: now(),
            events: Vec::new(),
            stored: Vec::new(),
            blobs: Vec::new(),
            replies: Vec::new(),
            waiting: Vec::new(),
            no_longer_waiting: Vec::new(),
            compaction: None,
            after: Vec::new(),
            durability: Durability::Process,
        }
    }

    /// Whether there is nothing to append. (There may be something to do all the same.)
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.replies.is_empty() && self.compaction.is_none()
    }

    /// Whether there is nothing at all in it yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.is_empty() && self.after.is_empty()
    }

    /// Whether all it does is let people in.
    pub(crate) fn only_lets_in(&self) -> bool {
        let lets_in = self.after.iter().all(|consequence| matches!(consequence, After::Join(..)));
        let arrivals = self.events.iter().all(|frame| matches!(frame.event, Event::ParticipantJoined(_)));
        lets_in && arrivals && self.replies.is_empty() && self.compaction.is_none()
    }

    /// The newest arrival in this batch for which this is true.
    pub(crate) fn joined(&self, is_it: impl Fn(&ParticipantJoined) -> bool) -> Option<&ParticipantJoined> {
        self.events.iter().rev().find_map(|frame| match &frame.event {
            Event::ParticipantJoined(joined) if is_it(joined) => Some(joined),
            _ => None,
        })
    }

    /// The id the next newcomer gets, where those before this batch end at `next`.
    pub(crate) fn next_participant(&self, next: ParticipantId) -> ParticipantId {
        let numbers = self.events.iter().filter_map(|frame| match &frame.event {
            Event::ParticipantJoined(joined) => Some(joined.participant.number() + 1),
            _ => None,
        });
        ParticipantId::new(numbers.fold(next.number(), u64::max))
    }

    /// Adds an event and returns its place.
    pub(crate) fn push(&mut self, event: Event, stamp: Stamp) -> Seq {
        let seq = self.head + 1 + self.events.len() as Seq;
        if stamp.command.is_some() || !is_stream(&event) {
            self.durability = Durability::Machine;
        }
        let Stamp { run, by, command } = stamp;
        if matches!(event, Event::RunStarted(_) | Event::RunFinished(_)) {
            self.no_longer_waiting.extend(run);
        }
        let frame = EventFrame { event, seq, seq_first: None, at: self.at.clone(), run, by, command };
        let json = serde_json::to_vec(&frame).expect("an event has only string keys and finite numbers");
        self.stored.push(StoredEvent::new(seq, Bytes::from(json)));
        self.events.push(frame);
        seq
    }

    /// Adds events that share a stamp.
    pub(crate) fn push_all(&mut self, events: Vec<Event>, stamp: &Stamp) {
        for event in events {
            self.push(event, stamp.clone());
        }
    }

    /// Adds a change of one file: its event, and its content for the store.
    pub(crate) fn push_file(&mut self, file: StagedFile, origin: FileOrigin, stamp: Stamp) -> Seq {
        let StagedFile { path, content, base: _ } = file;
        match content {
            Some(content) => {
                let hash = content_hash(&content);
                let size_bytes = content.len() as u64;
                self.blobs.push(NewBlob { hash: hash.clone(), content });
                self.push(Event::FileWritten(FileWritten { path, hash, size_bytes, origin }), stamp)
            }
            None => self.push(Event::FileDeleted(FileDeleted { path, origin }), stamp),
        }
    }

    /// Adds a content no event puts into the tree; returns its hash.
    pub(crate) fn keep_blob(&mut self, content: Bytes) -> ContentHash {
        let hash = content_hash(&content);
        self.blobs.push(NewBlob { hash: hash.clone(), content });
        hash
    }

    /// Lines a run up, with what it needs to begin also after a restart.
    pub(crate) fn push_waiting(&mut self, waiting: Waiting) {
        self.waiting.push(waiting_work::to_store(&waiting, false));
        self.after.push(After::Queue(waiting));
    }

    /// The same before all others.
    pub(crate) fn push_urgent(&mut self, waiting: Waiting) {
        self.waiting.push(waiting_work::to_store(&waiting, true));
        self.after.push(After::QueueFirst(waiting));
    }

    /// Adds a reply that leaves no event, so that the command gets it again.
    pub(crate) fn push_reply(&mut self, id: RequestId, by: Option<ParticipantId>, reply: &ControlFrame) {
        let frame = serde_json::to_vec(reply).expect("a reply has only string keys and finite numbers");
        self.replies.push(StoredReply { id, by, frame: Bytes::from(frame) });
    }

    /// The transaction for the store.
    pub(crate) fn transaction(&self, project: &ProjectId, snapshot: Option<StoredSnapshot>) -> AppendBatch {
        AppendBatch {
            project: project.clone(),
            expected_head: self.head,
            events: self.stored.clone(),
            blobs: self.blobs.clone(),
            replies: self.replies.clone(),
            waiting: self.waiting.clone(),
            no_longer_waiting: self.no_longer_waiting.clone(),
            snapshot,
            compaction: self.compaction.clone(),
            durability: self.durability,
            at: self.at.clone(),
        }
    }
}

/// Events that come many a second and of which a machine's sudden death may take the last few.
fn is_stream(event: &Event) -> bool {
    matches!(
        event,
        Event::TextDelta(_)
            | Event::ReasoningDelta(_)
            | Event::FileStarted(_)
            | Event::FileDelta(_)
            | Event::InstallOutput(_)
            | Event::ExecOutput(_)
            | Event::ParticipantJoined(_)
            | Event::ParticipantLeft(_)
            | Event::SandboxChanged(_)
            | Event::PreviewChanged(_)
            | Event::PreviewError(_)
            | Event::PreviewUnchecked(_)
    )
}

/// The present moment: RFC 3339, UTC, milliseconds.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
