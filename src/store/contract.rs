//! What every store must do, run against each.

use std::sync::Arc;

use super::testing::{ALL, AT, batch, blob, event, events, id, log, new_project, reply};
use crate::project::event_store::{
    AppendBatch, EventStore, NewBlob, NewProject, REPLIES_KEPT_MAX, ReadLimits, SharedStore, StoreError, StoredSnapshot,
};

macro_rules! store_contract {
    ($($case:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(std::sync::Arc::new(crate::store::memory::MemoryStore::new())).await;
            })*
        }

        mod sqlite {
            use crate::store::sqlite::{SqliteOptions, SqliteStore};

            $(#[tokio::test]
            async fn $case() {
                let folder = tempfile::tempdir().expect("a folder");
                let store = SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("opens");
                super::$case(std::sync::Arc::new(store)).await;
            })*
        }
    };
}

store_contract! {
    creates_and_opens
    refuses_to_create_twice
    lists_by_activity
    appends_and_reads_within_limits
    refuses_what_does_not_continue_the_log
    lets_one_of_many_racing_writers_win
    keeps_the_newest_replies
    replaces_snapshots
    stores_a_content_once
    deletes
    collects_garbage
    refuses_everything_once_closed
}

async fn head(store: &dyn EventStore, project: &str) -> u64 {
    store.open_project(&id(project)).await.expect("readable").expect("exists").head
}

fn assert_conflict(result: Result<(), StoreError>) {
    assert!(matches!(result, Err(StoreError::Conflict)), "{result:?}");
}

async fn creates_and_opens(store: SharedStore) {
    assert!(store.open_project(&id("p")).await.expect("readable").is_none());
    store.create_project(new_project("p", 3)).await.expect("created");
    let opened = store.open_project(&id("p")).await.expect("readable").expect("exists");
    assert_eq!((opened.epoch.as_str(), opened.head), ("epochOfp", 3));
    assert!(opened.snapshot.is_none() && opened.replies.is_empty());
    assert_eq!(log(&*store, "p").await, events(1..=3));
    assert_eq!(store.find_by_preview_id("preview-of-p").await.expect("readable"), Some(id("p")));
    assert_eq!(store.find_by_preview_id("p").await.expect("readable"), None);
    store.check().await.expect("takes writes");
}

async fn refuses_to_create_twice(store: SharedStore) {
    store.create_project(new_project("p", 1)).await.expect("created");
    let same_preview = NewProject { preview_id: "preview-of-p".into(), ..new_project("q", 1) };
    let gap = NewProject { events: events([1, 3]), ..new_project("q", 0) };
    let late = NewProject { events: events([2]), ..new_project("q", 0) };
    for new in [new_project("p", 5), same_preview, gap, late] {
        assert_conflict(store.create_project(new).await);
    }
    assert_eq!(log(&*store, "p").await, events(1..=1));
    assert!(store.open_project(&id("q")).await.expect("readable").is_none());
}

async fn lists_by_activity(store: SharedStore) {
    assert_eq!(store.list_projects().await.expect("readable"), []);
    for project in ["a", "b", "c"] {
        store.create_project(new_project(project, 1)).await.expect("created");
    }
    let later = "2026-11-02T00:00:00.000Z";
    store.append(AppendBatch { at: later.into(), ..batch("b", 1, 2) }).await.expect("appended");
    let list = store.list_projects().await.expect("readable");
    assert_eq!(list.iter().map(|line| line.project.as_str()).collect::<Vec<_>>(), ["b", "a", "c"]);
    let b = &list[0];
    assert_eq!((&*b.name, &*b.created_at, &*b.updated_at, b.head), ("b by name", AT, later, 3));
}

async fn appends_and_reads_within_limits(store: SharedStore) {
    store.create_project(new_project("p", 1)).await.expect("created");
    store.create_project(new_project("other", 7)).await.expect("created");
    store.append(batch("p", 1, 9)).await.expect("appended");
    store.append(batch("p", 10, 0)).await.expect("an empty batch is fine");
    let frame = event(1).frame.len();
    for (from, count, size_bytes, expected) in [
        (0, usize::MAX, usize::MAX, 1..=10),
        (1, 4, usize::MAX, 1..=4),
        (4, 100, frame * 2, 4..=5),
        (4, 100, frame * 2 + 1, 4..=6),
        (9, 100, usize::MAX, 9..=10),
    ] {
        let read = store.read(&id("p"), from, ReadLimits { events: count, size_bytes }).await.expect("readable");
        assert_eq!(read, events(expected), "from {from}, {count} events, {size_bytes} bytes");
    }
    let smallest = ReadLimits { events: 0, size_bytes: 0 };
    assert_eq!(store.read(&id("p"), 3, smallest).await.expect("readable"), events([3]), "one if there is one");
    for (project, from) in [("p", 11), ("p", u64::MAX), ("absent", 1)] {
        assert_eq!(store.read(&id(project), from, ALL).await.expect("readable"), [], "{project} from {from}");
    }
}

async fn refuses_what_does_not_continue_the_log(store: SharedStore) {
    store.create_project(new_project("p", 3)).await.expect("created");
    let future = StoredSnapshot { seq: 5, state: "s".into() };
    for refused in [
        batch("p", 2, 1),
        batch("p", 4, 1),
        batch("p", 2, 0),
        batch("absent", 0, 1),
        AppendBatch { events: events([4]), ..batch("p", 2, 0) },
        AppendBatch { events: events([4, 6]), ..batch("p", 3, 0) },
        AppendBatch { events: events([5]), ..batch("p", 3, 0) },
        AppendBatch { events: events([3]), ..batch("p", 3, 0) },
        AppendBatch { snapshot: Some(future), ..batch("p", 3, 1) },
    ] {
        let with_more = AppendBatch { replies: vec![reply("c1")], blobs: vec![blob("b")], ..refused };
        assert_conflict(store.append(with_more).await);
    }
    let opened = store.open_project(&id("p")).await.expect("readable").expect("exists");
    assert_eq!((opened.head, opened.replies.len(), opened.snapshot), (3, 0, None));
    assert_eq!(log(&*store, "p").await, events(1..=3));
    assert_eq!(store.blob(&blob("b").hash).await.expect("readable"), None);
}

async fn lets_one_of_many_racing_writers_win(store: SharedStore) {
    store.create_project(new_project("p", 1)).await.expect("created");
    let racers: Vec<_> = (0..50)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.append(batch("p", 1, 1)).await })
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        match racer.await.expect("no panic") {
            Ok(()) => won += 1,
            lost => assert_conflict(lost),
        }
    }
    assert_eq!((won, head(&*store, "p").await), (1, 2));
    assert_eq!(log(&*store, "p").await, events(1..=2));
}

async fn keeps_the_newest_replies(store: SharedStore) {
    store.create_project(new_project("p", 1)).await.expect("created");
    store.create_project(new_project("other", 1)).await.expect("created");
    store.append(AppendBatch { replies: vec![reply("c0")], ..batch("other", 1, 0) }).await.expect("appended");
    let ids: Vec<_> = (0..REPLIES_KEPT_MAX + 5).map(|n| format!("c{n}")).collect();
    for some in ids.chunks(100) {
        let replies = some.iter().map(|id| reply(id)).collect();
        store.append(AppendBatch { replies, ..batch("p", 1, 0) }).await.expect("appended");
    }
    // One that is kept already only moves to the end.
    store.append(AppendBatch { replies: vec![reply("c9")], ..batch("p", 1, 0) }).await.expect("appended");
    let kept = store.open_project(&id("p")).await.expect("readable").expect("exists").replies;
    let expected: Vec<_> = ids[5..].iter().filter(|id| *id != "c9").map(|id| reply(id)).chain([reply("c9")]).collect();
    assert_eq!(kept, expected);
    let other = store.open_project(&id("other")).await.expect("readable").expect("exists").replies;
    assert_eq!(other, [reply("c0")]);
}

async fn replaces_snapshots(store: SharedStore) {
    store.create_project(new_project("p", 1)).await.expect("created");
    for seq in [2, 3] {
        let snapshot = StoredSnapshot { seq, state: format!("state {seq}").into() };
        store.append(AppendBatch { snapshot: Some(snapshot), ..batch("p", seq - 1, 1) }).await.expect("appended");
    }
    store.append(batch("p", 3, 4)).await.expect("appended");
    let opened = store.open_project(&id("p")).await.expect("readable").expect("exists");
    assert_eq!((opened.head, opened.snapshot), (7, Some(StoredSnapshot { seq: 3, state: "state 3".into() })));
}

async fn stores_a_content_once(store: SharedStore) {
    let shared = blob("template");
    let with_blob = NewProject { blobs: vec![shared.clone(), shared.clone()], ..new_project("p", 1) };
    store.create_project(with_blob).await.expect("created");
    let again = AppendBatch { blobs: vec![shared.clone(), blob("new"), blob("")], ..batch("p", 1, 1) };
    store.append(again).await.expect("appended");
    for text in ["template", "new", ""] {
        let NewBlob { hash, content } = blob(text);
        assert_eq!(store.blob(&hash).await.expect("readable"), Some(content), "{text:?}");
    }
    assert_eq!(store.blob(&blob("absent").hash).await.expect("readable"), None);
}

async fn deletes(store: SharedStore) {
    store.delete_project(&id("absent")).await.expect("not an error");
    store.create_project(new_project("p", 5)).await.expect("created");
    store.create_project(new_project("other", 2)).await.expect("created");
    let snapshot = Some(StoredSnapshot { seq: 6, state: "old".into() });
    let full = AppendBatch { snapshot, replies: vec![reply("c1")], ..batch("p", 5, 1) };
    store.append(full).await.expect("appended");
    store.delete_project(&id("p")).await.expect("deleted");

    assert!(store.open_project(&id("p")).await.expect("readable").is_none());
    assert_eq!(log(&*store, "p").await, []);
    assert_eq!(store.find_by_preview_id("preview-of-p").await.expect("readable"), None);
    assert_conflict(store.append(batch("p", 6, 1)).await);
    assert_eq!(store.list_projects().await.expect("readable").len(), 1);

    store.create_project(new_project("p", 1)).await.expect("the id is free again");
    let opened = store.open_project(&id("p")).await.expect("readable").expect("exists");
    assert_eq!((opened.head, opened.snapshot, opened.replies.len()), (1, None, 0));
    assert_eq!(log(&*store, "p").await, events([1]));
    assert_eq!(log(&*store, "other").await, events([1, 2]));
}

async fn collects_garbage(store: SharedStore) {
    let only = |text: &str, n: u32| blob(&format!("{text} {n}"));
    let with_blobs = |project: &str| NewProject {
        blobs: (0..300).map(|n| only(project, n)).chain([blob("shared")]).collect(),
        ..new_project(project, 1)
    };
    store.create_project(with_blobs("p")).await.expect("created");
    store.create_project(with_blobs("q")).await.expect("created");
    assert_eq!(store.collect_garbage().await.expect("collected"), 0);
    store.delete_project(&id("p")).await.expect("deleted");
    assert_eq!(store.collect_garbage().await.expect("collected"), 300);
    for (blob, kept) in [(only("p", 7), false), (only("q", 299), true), (blob("shared"), true)] {
        assert_eq!(store.blob(&blob.hash).await.expect("readable").is_some(), kept, "{blob:?}");
    }
    store.append(AppendBatch { blobs: vec![only("p", 7)], ..batch("q", 1, 1) }).await.expect("comes back");
    assert!(store.blob(&only("p", 7).hash).await.expect("readable").is_some());
    store.delete_project(&id("q")).await.expect("deleted");
    assert_eq!(store.collect_garbage().await.expect("collected"), 302);
}

async fn refuses_everything_once_closed(store: SharedStore) {
    store.create_project(new_project("p", 1)).await.expect("created");
    store.close().await;
    store.close().await;
    let p = id("p");
    let results = [
        store.list_projects().await.err(),
        store.open_project(&p).await.err(),
        store.create_project(new_project("q", 1)).await.err(),
        store.delete_project(&p).await.err(),
        store.find_by_preview_id("x").await.err(),
        store.append(batch("p", 1, 1)).await.err(),
        store.read(&p, 1, ALL).await.err(),
        store.blob(&blob("x").hash).await.err(),
        store.collect_garbage().await.err(),
        store.check().await.err(),
    ];
    for (index, error) in results.iter().enumerate() {
        assert!(matches!(error, Some(StoreError::Closed)), "call {index}: {error:?}");
    }
}
