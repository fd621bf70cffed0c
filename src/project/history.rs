//! The file tree as it was: the fold of the log's file events up to a past one, and the [`points()`] worth going back to.

mod points;

use cobuild_protocol::{Event, EventFrame, ProjectId, Seq, state::FileInfo};

use super::{
    error::ProjectError,
    event_log::span,
    event_store::{ReadLimits, SharedStore, StoreError, StoredSnapshot},
    file_tree::Tree,
    state::State,
};

pub use self::points::{Cause, Point};
pub(crate) use self::points::{POINTS_MAX, points};

/// How much of the log is read at once.
const READ_LIMITS: ReadLimits = ReadLimits { events: 2048, size_bytes: 4 * 1024 * 1024 };

/// The tree after event `seq`. Reads the log from its base on: a look into the past is rare and may take a moment.
pub(crate) async fn tree_at(store: &SharedStore, project: &ProjectId, seq: Seq) -> Result<Tree, ProjectError> {
    loop {
        match fold_up_to(store, project, seq).await {
            // The base has moved on meanwhile; from the new one on, everything is there.
            Err(ProjectError::Store(StoreError::Folded { .. })) => {}
            folded => return folded,
        }
    }
}

async fn fold_up_to(store: &SharedStore, project: &ProjectId, seq: Seq) -> Result<Tree, ProjectError> {
    let (mut tree, mut last) = match store.base(project).await? {
        Some(base) if seq < base.seq => {
            let first = base.seq;
            return Err(ProjectError::NotFound(format!("the history of this project is kept from event {first} on")));
        }
        Some(base) => (read_state(&base)?.view.files, base.seq),
        None => (Tree::new(), 0),
    };
    while last < seq {
        let events = span::read(store, project, last + 1, READ_LIMITS).await?;
        if events.is_empty() {
            return Err(ProjectError::NotFound(format!("there is no event {seq}")));
        }
        // A merged frame may reach beyond `seq`: it is of deltas, which change no file.
        for stored in events.into_iter().take_while(|stored| stored.first() <= seq) {
            last = stored.seq;
            let frame: EventFrame = serde_json::from_slice(&stored.frame)
                .map_err(|error| StoreError::Corrupt(format!("event {}: {error}", stored.seq).into()))?;
            apply(&mut tree, frame.event);
        }
    }
    Ok(tree)
}

/// The state a stored fold holds.
pub(crate) fn read_state(stored: &StoredSnapshot) -> Result<State, StoreError> {
    serde_json::from_slice(&stored.state)
        .map_err(|error| StoreError::Corrupt(format!("the fold of events up to {}: {error}", stored.seq).into()))
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
