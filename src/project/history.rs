//! The file tree as it was: the fold of the log's file events up to a past one, and the [`points`] worth going back to.

mod points;

use cobuild_protocol::{Event, EventFrame, ProjectId, Seq, state::FileInfo};

use super::{
    error::ProjectError,
    event_store::{ReadLimits, SharedStore, StoreError},
    file_tree::Tree,
};

pub use self::points::{Cause, Point};
pub(crate) use self::points::{POINTS_MAX, points};

/// How much of the log is read at once.
const READ_LIMITS: ReadLimits = ReadLimits { events: 2048, size_bytes: 4 * 1024 * 1024 };

/// The tree after event `seq`. Reads the log from its beginning: a look into the past is rare and may take a moment.
pub(crate) async fn tree_at(store: &SharedStore, project: &ProjectId, seq: Seq) -> Result<Tree, ProjectError> {
    let (mut tree, mut last) = (Tree::new(), 0);
    while last < seq {
        let events = store.read(project, last + 1, READ_LIMITS).await?;
        if events.is_empty() {
            return Err(ProjectError::NotFound(format!("there is no event {seq}")));
        }
        for stored in events.into_iter().take_while(|stored| stored.seq <= seq) {
            last = stored.seq;
            let frame: EventFrame = serde_json::from_slice(&stored.frame)
                .map_err(|error| StoreError::Corrupt(format!("event {}: {error}", stored.seq).into()))?;
            apply(&mut tree, frame.event);
        }
    }
    Ok(tree)
}

fn apply(tree: &mut Tree, event: Event) {
    match event {
        Event::ProjectCreated(created) => {
            let entries = created.files.into_iter();
            tree.extend(entries.map(|file| (file.path, FileInfo { hash: file.hash, size_bytes: file.size_bytes })));
        }
        Event::FileWritten(written) => {
            tree.insert(written.path, FileInfo { hash: written.hash, size_bytes: written.size_bytes });
        }
        Event::FileDeleted(deleted) => {
            tree.remove(&deleted.path);
        }
        Event::FileRenamed(renamed) => {
            if let Some(info) = tree.remove(&renamed.from) {
                tree.insert(renamed.to, info);
            }
        }
        _ => {}
    }
}
