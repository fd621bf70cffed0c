//! What tests of stores and logs are made of.

use bytes::Bytes;
use cobuild_protocol::{ProjectId, Seq, value::ContentHash};
use sha2::{Digest, Sha256};

use crate::project::event_store::{
    AppendBatch, Durability, EventStore, NewBlob, NewProject, ReadLimits, StoredEvent, StoredReply,
};

pub(crate) const AT: &str = "2026-11-01T00:00:00.000Z";
pub(crate) const ALL: ReadLimits = ReadLimits { events: usize::MAX, size_bytes: usize::MAX };

pub(crate) fn id(text: &str) -> ProjectId {
    text.parse().expect("valid")
}

/// An event whose frame says which it is.
pub(crate) fn event(seq: Seq) -> StoredEvent {
    StoredEvent { seq, frame: format!(r#"{{"type":"text_delta","seq":{seq}}}"#).into() }
}

pub(crate) fn events(seqs: impl IntoIterator<Item = Seq>) -> Vec<StoredEvent> {
    seqs.into_iter().map(event).collect()
}

pub(crate) fn blob(text: &str) -> NewBlob {
    let hash: ContentHash = hex::encode(Sha256::digest(text)).parse().expect("valid");
    NewBlob { hash, content: Bytes::from(text.to_owned()) }
}

pub(crate) fn reply(id: &str) -> StoredReply {
    StoredReply { id: id.parse().expect("valid"), frame: format!(r#"{{"type":"rejected","id":"{id}"}}"#).into() }
}

/// A project with events 1 to `head`.
pub(crate) fn new_project(project: &str, head: Seq) -> NewProject {
    NewProject {
        project: id(project),
        name: format!("{project} by name"),
        epoch: format!("epochOf{project}").parse().expect("valid"),
        preview_id: format!("preview-of-{project}"),
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
        snapshot: None,
        durability: Durability::Process,
        at: AT.to_owned(),
    }
}

/// Everything in a project's log.
pub(crate) async fn log(store: &dyn EventStore, project: &str) -> Vec<StoredEvent> {
    store.read(&id(project), 1, ALL).await.expect("readable")
}
