//! What tests of stores and logs are made of.

use bytes::Bytes;
use cobuild_protocol::{ParticipantId, ProjectId, Seq, value::ContentHash};
use sha2::{Digest, Sha256};

use crate::project::event_store::{
    AppendBatch, Compaction, Durability, EventStore, NewBlob, NewProject, ReadLimits, Span, StoredEvent, StoredReply,
};

pub(crate) const AT: &str = "2026-11-01T00:00:00.000Z";
pub(crate) const ALL: ReadLimits = ReadLimits { events: usize::MAX, size_bytes: usize::MAX };

pub(crate) fn id(text: &str) -> ProjectId {
    text.parse().expect("valid")
}

/// An event whose frame says which it is.
pub(crate) fn event(seq: Seq) -> StoredEvent {
    StoredEvent::new(seq, format!(r#"{{"type":"text_delta","seq":{seq}}}"#).into())
}

pub(crate) fn events(seqs: impl IntoIterator<Item = Seq>) -> Vec<StoredEvent> {
    seqs.into_iter().map(event).collect()
}

/// A frame that stands for several events.
pub(crate) fn merged(first: Seq, last: Seq) -> StoredEvent {
    let frame = format!(r#"{{"type":"text_delta","seq":{last},"seq_first":{first}}}"#).into();
    StoredEvent { seq: last, frame, span: Some(Span { first, cuts: "cuts".into() }) }
}

/// A step of compaction.
pub(crate) fn compaction(project: &str, head: Seq, compaction: Compaction) -> AppendBatch {
    AppendBatch { compaction: Some(compaction), at: "2026-11-03T00:00:00.000Z".into(), ..batch(project, head, 0) }
}

pub(crate) fn blob(text: &str) -> NewBlob {
    let hash: ContentHash = hex::encode(Sha256::digest(text)).parse().expect("valid");
    NewBlob { hash, content: Bytes::from(text.to_owned()) }
}

pub(crate) fn reply(id: &str) -> StoredReply {
    let by = Some(ParticipantId::new(1));
    StoredReply { id: id.parse().expect("valid"), by, frame: format!(r#"{{"type":"rejected","id":"{id}"}}"#).into() }
}

/// A project with events 1 to `head`.
pub(crate) fn new_project(project: &str, head: Seq) -> NewProject {
    NewProject {
        project: id(project),
        name: format!("{project} by name"),
        epoch: format!("epochOf{project}").parse().expect("valid"),
        preview_id: format!("preview-of-{project}"),
        projects_max: u64::MAX,
        events: events(1..=head),
        blobs: Vec::new(),
        at: AT.to_owned(),
    }
}

/// `count` more events.
pub(crate) fn batch(project: &str, expected_head: Seq, count: Seq) -> AppendBatch {
    AppendBatch {
        project: id(project),
        expected_head,
        events: events(expected_head + 1..=expected_head + count),
        blobs: Vec::new(),
        replies: Vec::new(),
        waiting: Vec::new(),
        no_longer_waiting: Vec::new(),
        snapshot: None,
        compaction: None,
        durability: Durability::Process,
        at: AT.to_owned(),
    }
}

/// Everything in a project's log.
pub(crate) async fn log(store: &dyn EventStore, project: &str) -> Vec<StoredEvent> {
    store.read(&id(project), 1, ALL).await.expect("readable")
}
