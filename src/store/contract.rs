//! What every store must do, run against each.

use std::sync::Arc;

use cobuild_protocol::{ParticipantId, RunId};

use super::testing::{ALL, AT, batch, blob, compaction, event, events, id, log, merged, new_project, reply};
use crate::project::event_store::{
    AppendBatch, Compaction, EventStore, KeptLog, NewBlob, NewProject, REPLIES_KEPT_MAX, ReadLimits, SharedStore,
    StoreError, StoredEvent, StoredReply, StoredSnapshot, StoredWork,
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
    creates_no_more_than_there_may_be
    lists_by_activity
    appends_and_reads_within_limits
    refuses_what_does_not_continue_the_log
    lets_one_of_many_racing_writers_win
    keeps_the_newest_replies
    keeps_the_replies_of_those_who_have_few
    keeps_the_work_of_waiting_runs
    replaces_snapshots
    counts_what_is_kept
    merges_frames_in_place
    folds_the_oldest_frames_into_a_base
    refuses_a_compaction_that_does_not_fit
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

async fn creates_no_more_than_there_may_be(store: SharedStore) {
    let new = |project: &str| NewProject { projects_max: 2, ..new_project(project, 1) };
    let make = |project| store.create_project(new(project));
    let results = futures_util::future::join_all(["a", "b", "c", "d"].map(make)).await;
    let full = |result: &Result<(), StoreError>| matches!(result, Err(StoreError::Full));
    assert_eq!(results.iter().filter(|result| full(result)).count(), 2, "{results:?}");
    let there = store.list_projects().await.expect("readable");
    assert_eq!(there.len(), 2);
    assert_conflict(make(there[0].project.as_str()).await);
    store.delete_project(&there[0].project).await.expect("deleted");
    make("e").await.expect("there is room again");
    assert!(full(&make("f").await) && store.open_project(&id("f")).await.expect("readable").is_none());
    store.create_project(NewProject { projects_max: 3, ..new_project("f", 1) }).await.expect("created");
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

async fn keeps_the_replies_of_those_who_have_few(store: SharedStore) {
    store.create_project(new_project("p", 1)).await.expect("created");
    let of = |by, id: String| StoredReply { by, ..reply(&id) };
    let (quiet, busy, unknown) = (Some(ParticipantId::new(2)), Some(ParticipantId::new(1)), None);
    let first = vec![of(quiet, "quiet".into()), of(unknown, "unknown".into())];
    store.append(AppendBatch { replies: first.clone(), ..batch("p", 1, 0) }).await.expect("appended");
    let many: Vec<_> = (0..REPLIES_KEPT_MAX + 50).map(|number| of(busy, format!("busy-{number}"))).collect();
    for some in many.chunks(100) {
        store.append(AppendBatch { replies: some.to_vec(), ..batch("p", 1, 0) }).await.expect("appended");
    }
    let kept = store.open_project(&id("p")).await.expect("readable").expect("exists").replies;
    let expected: Vec<_> = first.into_iter().chain(many[52..].iter().cloned()).collect();
    assert_eq!(kept, expected);
}

async fn keeps_the_work_of_waiting_runs(store: SharedStore) {
    let work = |run, text: &'static str| StoredWork { run: RunId::new(run), work: text.into() };
    for project in ["p", "q", "idle"] {
        store.create_project(new_project(project, 1)).await.expect("created");
    }
    assert_eq!(store.projects_with_waiting_runs().await.expect("readable"), []);
    let waiting = vec![work(2, "two"), work(3, "three")];
    let later = "2026-11-02T00:00:00.000Z".to_owned();
    store.append(AppendBatch { waiting, at: later, ..batch("p", 1, 1) }).await.expect("appended");
    store.append(AppendBatch { waiting: vec![work(2, "other")], ..batch("q", 1, 0) }).await.expect("appended");
    // What is not stored leaves nothing that waits.
    assert_conflict(store.append(AppendBatch { waiting: vec![work(9, "late")], ..batch("idle", 0, 1) }).await);
    assert_eq!(store.projects_with_waiting_runs().await.expect("readable"), [id("q"), id("p")]);
    let begun = AppendBatch { no_longer_waiting: vec![RunId::new(2), RunId::new(7)], ..batch("p", 2, 1) };
    store.append(begun).await.expect("appended");
    let waiting = |project: &'static str| {
        let store = Arc::clone(&store);
        async move { store.open_project(&id(project)).await.expect("readable").expect("exists").waiting }
    };
    assert_eq!((waiting("p").await, waiting("q").await), (vec![work(3, "three")], vec![work(2, "other")]));
    store.delete_project(&id("q")).await.expect("deleted");
    store.create_project(new_project("q", 1)).await.expect("the id is free again");
    assert_eq!(waiting("q").await, []);
    assert_eq!(store.projects_with_waiting_runs().await.expect("readable"), [id("p")]);
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

async fn kept(store: &dyn EventStore, project: &str) -> KeptLog {
    store.open_project(&id(project)).await.expect("readable").expect("exists").kept
}

fn size_bytes(events: &[StoredEvent]) -> u64 {
    events.iter().map(|event| event.frame.len() as u64).sum()
}

async fn counts_what_is_kept(store: SharedStore) {
    store.create_project(new_project("p", 2)).await.expect("created");
    store.append(batch("p", 2, 3)).await.expect("appended");
    store.append(batch("p", 5, 0)).await.expect("appended");
    store.append(batch("p", 4, 1)).await.expect_err("refused");
    let expected = KeptLog { base: 0, merged: 0, frames: 5, size_bytes: size_bytes(&events(1..=5)) };
    assert_eq!(kept(&*store, "p").await, expected);
}

async fn merges_frames_in_place(store: SharedStore) {
    store.create_project(new_project("p", 9)).await.expect("created");
    store.create_project(new_project("other", 9)).await.expect("created");
    let before = store.list_projects().await.expect("readable");
    let step = Compaction { merged: vec![merged(2, 4), merged(5, 6)], merged_upto: 7, base: None };
    store.append(compaction("p", 9, step)).await.expect("compacted");

    let expected = vec![event(1), merged(2, 4), merged(5, 6), event(7), event(8), event(9)];
    assert_eq!(log(&*store, "p").await, expected);
    assert_eq!((head(&*store, "p").await, log(&*store, "other").await), (9, events(1..=9)));
    let kept = kept(&*store, "p").await;
    assert_eq!(kept, KeptLog { base: 0, merged: 7, frames: 6, size_bytes: size_bytes(&expected) });
    assert_eq!(store.list_projects().await.expect("readable"), before, "nobody was active");
    // From the middle of a merged frame on, that frame is the first.
    for (from, index) in [(1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (7, 3), (9, 5)] {
        assert_eq!(store.read(&id("p"), from, ALL).await.expect("readable"), expected[index..], "{from}");
    }
    let two = ReadLimits { events: 2, size_bytes: usize::MAX };
    assert_eq!(store.read(&id("p"), 3, two).await.expect("readable"), expected[1..3]);
    // It goes on as before.
    store.append(batch("p", 9, 2)).await.expect("appended");
    let step = Compaction { merged: vec![merged(7, 10)], merged_upto: 10, base: None };
    store.append(compaction("p", 11, step)).await.expect("compacted");
    let expected = [event(1), merged(2, 4), merged(5, 6), merged(7, 10), event(11)];
    assert_eq!(log(&*store, "p").await, expected);
}

async fn folds_the_oldest_frames_into_a_base(store: SharedStore) {
    store.create_project(new_project("p", 9)).await.expect("created");
    store.create_project(new_project("other", 3)).await.expect("created");
    assert_eq!(store.base(&id("p")).await.expect("readable"), None);
    assert_eq!(store.base(&id("absent")).await.expect("readable"), None);
    let base = |seq| StoredSnapshot { seq, state: format!("fold {seq}").into() };
    let step = Compaction { merged: vec![merged(2, 4)], merged_upto: 9, base: Some(base(4)) };
    store.append(compaction("p", 9, step)).await.expect("compacted");
    assert_eq!(store.base(&id("p")).await.expect("readable"), Some(base(4)));
    for from in [0, 1, 4] {
        let folded = store.read(&id("p"), from, ALL).await;
        assert!(matches!(folded, Err(StoreError::Folded { upto: 4 })), "{from}: {folded:?}");
    }
    assert_eq!(store.read(&id("p"), 5, ALL).await.expect("readable"), events(5..=9));
    let expected = KeptLog { base: 4, merged: 9, frames: 5, size_bytes: size_bytes(&events(5..=9)) };
    assert_eq!(kept(&*store, "p").await, expected);
    // The base moves on, the log goes on behind it – also when nothing is left of it.
    let step = Compaction { merged: vec![merged(5, 6)], merged_upto: 9, base: Some(base(9)) };
    store.append(compaction("p", 9, step)).await.expect("compacted");
    assert_eq!(store.base(&id("p")).await.expect("readable"), Some(base(9)));
    assert_eq!((head(&*store, "p").await, kept(&*store, "p").await.frames), (9, 0));
    assert_eq!(store.read(&id("p"), 10, ALL).await.expect("readable"), []);
    store.append(batch("p", 9, 1)).await.expect("appended");
    assert_eq!(store.read(&id("p"), 10, ALL).await.expect("readable"), events([10]));
    assert_eq!(log(&*store, "other").await, events(1..=3));

    store.delete_project(&id("p")).await.expect("deleted");
    assert_eq!(store.base(&id("p")).await.expect("readable"), None);
    store.create_project(new_project("p", 1)).await.expect("the id is free again");
    assert_eq!((log(&*store, "p").await, kept(&*store, "p").await.base), (events([1]), 0));
}

async fn refuses_a_compaction_that_does_not_fit(store: SharedStore) {
    store.create_project(new_project("p", 9)).await.expect("created");
    let base = |seq| Some(StoredSnapshot { seq, state: "fold".into() });
    let step = Compaction { merged: vec![merged(3, 5)], merged_upto: 5, base: base(1) };
    store.append(compaction("p", 9, step)).await.expect("compacted");
    let (log_before, kept_before) = (store.read(&id("p"), 2, ALL).await.expect("readable"), kept(&*store, "p").await);
    let merge = |first, last| Compaction { merged: vec![merged(first, last)], merged_upto: 5, base: None };
    for (case, step) in [
        ("begins in a merged frame", merge(4, 6)),
        ("ends in a merged frame", merge(2, 4)),
        ("part of a merged frame", merge(3, 4)),
        ("part of the base", merge(1, 2)),
        ("beyond the head", merge(8, 10)),
        ("nothing", Compaction { merged: vec![StoredEvent { seq: 6, ..merged(7, 8) }], ..merge(7, 8) }),
        ("one that fits, one that does not", Compaction { merged: vec![merged(6, 7), merged(4, 5)], ..merge(6, 7) }),
        ("looked at what is not there", Compaction { merged_upto: 10, ..Compaction::default() }),
        ("a base in a merged frame", Compaction { base: base(4), ..Compaction::default() }),
        ("a base of the past", Compaction { base: base(1), ..Compaction::default() }),
        ("a base of the future", Compaction { base: base(10), ..Compaction::default() }),
    ] {
        let refused = store.append(compaction("p", 9, step)).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{case}: {refused:?}");
        assert_eq!(store.read(&id("p"), 2, ALL).await.expect("readable"), log_before, "{case}");
        assert_eq!(kept(&*store, "p").await, kept_before, "{case}");
    }
    // And whoever was left behind does not compact either.
    assert_conflict(store.append(compaction("p", 8, merge(6, 7))).await);
    store.append(compaction("p", 9, merge(6, 7))).await.expect("compacted");
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
    // Some of it may have been removed already: a store does this by itself when it has time.
    assert!(store.collect_garbage().await.expect("collected") <= 300);
    for (blob, kept) in [(only("p", 7), false), (only("q", 299), true), (blob("shared"), true)] {
        assert_eq!(store.blob(&blob.hash).await.expect("readable").is_some(), kept, "{blob:?}");
    }
    store.append(AppendBatch { blobs: vec![only("p", 7)], ..batch("q", 1, 1) }).await.expect("comes back");
    assert!(store.blob(&only("p", 7).hash).await.expect("readable").is_some());
    store.delete_project(&id("q")).await.expect("deleted");
    store.collect_garbage().await.expect("collected");
    for blob in [only("p", 7), only("q", 299), blob("shared")] {
        assert!(store.blob(&blob.hash).await.expect("readable").is_none(), "{blob:?}");
    }
}

async fn refuses_everything_once_closed(store: SharedStore) {
    store.create_project(new_project("p", 1)).await.expect("created");
    store.close().await;
    store.close().await;
    let p = id("p");
    let results = [
        store.list_projects().await.err(),
        store.projects_with_waiting_runs().await.err(),
        store.open_project(&p).await.err(),
        store.create_project(new_project("q", 1)).await.err(),
        store.delete_project(&p).await.err(),
        store.find_by_preview_id("x").await.err(),
        store.append(batch("p", 1, 1)).await.err(),
        store.read(&p, 1, ALL).await.err(),
        store.base(&p).await.err(),
        store.blob(&blob("x").hash).await.err(),
        store.collect_garbage().await.err(),
        store.check().await.err(),
    ];
    for (index, error) in results.iter().enumerate() {
        assert!(matches!(error, Some(StoreError::Closed)), "call {index}: {error:?}");
    }
}
