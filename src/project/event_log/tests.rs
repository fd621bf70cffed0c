use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use cobuild_protocol::Seq;
use futures_util::poll;

use super::*;
use crate::{
    project::event_store::{Compaction, EventStore, StoreError},
    store::{
        memory::MemoryStore,
        sqlite::{SqliteOptions, SqliteStore},
        testing::{batch, compaction, event, events, id, merged, new_project},
    },
};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);
const NO_LIMIT: usize = usize::MAX;

/// A log over `store` with a ring of `frames`, after events 1 to `head` were stored.
async fn log_of(store: SharedStore, head: Seq, frames: usize) -> EventLog {
    store.create_project(new_project("p", head)).await.expect("created");
    let limits = RingLimits { frames, ..RingLimits::default() };
    EventLog::with_limits(id("p"), "epoch".parse().expect("valid"), head, store, limits)
}

/// Appends `count` events and publishes them, as the actor does.
async fn append(log: &mut EventLog, count: Seq) {
    let batch = batch("p", log.head(), count);
    let events = batch.events.clone();
    log.shared.store.append(batch).await.expect("appended");
    log.publish(events);
}

async fn take(feed: &mut Feed, max_events: usize, max_bytes: usize) -> Result<Vec<Arc<Frame>>, FeedError> {
    let mut out = Vec::new();
    tokio::time::timeout(DEADLINE, feed.next(max_events, max_bytes, &mut out)).await.expect("in time")?;
    Ok(out)
}

fn seqs(frames: &[Arc<Frame>]) -> Vec<Seq> {
    frames.iter().map(|frame| frame.seq()).collect()
}

async fn take_seqs(feed: &mut Feed) -> Vec<Seq> {
    seqs(&take(feed, NO_LIMIT, NO_LIMIT).await.expect("events"))
}

async fn is_pending(future: impl Future) -> bool {
    poll!(pin!(future)).is_pending()
}

#[tokio::test]
async fn delivers_live_events_from_one_encoding() {
    let mut log = log_of(Arc::new(MemoryStore::new()), 0, 100).await;
    let (mut one, mut other) = (log.reader().feed(0), log.reader().feed(0));
    let mut out = Vec::new();
    let mut waiting = Box::pin(one.next(NO_LIMIT, NO_LIMIT, &mut out));
    assert!(poll!(&mut waiting).is_pending());
    append(&mut log, 3).await;
    let woken = tokio::time::timeout(DEADLINE, waiting).await.expect("in time");
    assert!(woken.is_ok());
    assert_eq!(seqs(&out), [1, 2, 3]);
    assert_eq!(out[0].json(), &event(1).frame);
    let same = take(&mut other, NO_LIMIT, NO_LIMIT).await.expect("events");
    assert!(out.iter().zip(&same).all(|(a, b)| Arc::ptr_eq(a, b)));
    assert_eq!((one.cursor(), log.reader().head(), one.epoch().as_str()), (3, 3, "epoch"));
}

#[tokio::test]
async fn replay_and_live_are_one_stream() {
    let mut log = log_of(Arc::new(MemoryStore::new()), 5, 4).await;
    append(&mut log, 3).await;
    let mut feed = log.reader().feed(2);
    // 3 to 5 are older than the ring: the store gives all that was published.
    assert_eq!(take_seqs(&mut feed).await, [3, 4, 5, 6, 7, 8]);
    append(&mut log, 2).await;
    assert_eq!(take_seqs(&mut feed).await, [9, 10]);
    append(&mut log, 9).await;
    assert_eq!(take_seqs(&mut feed).await, (11..=19).collect::<Vec<_>>());
    let mut late = log.reader().feed(19);
    assert!(is_pending(late.next(NO_LIMIT, NO_LIMIT, &mut Vec::new())).await);
}

#[tokio::test]
async fn keeps_to_the_limits() {
    let mut log = log_of(Arc::new(MemoryStore::new()), 10, 100).await;
    append(&mut log, 10).await;
    // The frames of two-digit events have one size.
    let frame = event(10).frame.len();
    for (from, in_ring) in [(9, false), (10, true)] {
        assert_eq!(log.shared.ring.read().expect("not poisoned").frames_from(from + 1).is_some(), in_ring);
        for (max_events, max_bytes, expected) in
            [(3, NO_LIMIT, 3), (0, NO_LIMIT, 1), (NO_LIMIT, 0, 1), (NO_LIMIT, frame, 1), (NO_LIMIT, frame + 1, 2)]
        {
            let mut feed = log.reader().feed(from);
            let taken = take(&mut feed, max_events, max_bytes).await.expect("events");
            assert_eq!(seqs(&taken), (from + 1..=from + expected).collect::<Vec<_>>(), "{max_events} {max_bytes}");
            assert_eq!(take_seqs(&mut feed).await, (from + expected + 1..=20).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn a_cancelled_wait_takes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("opens");
    let log = log_of(Arc::new(store), 5, 4).await;
    let mut feed = log.reader().feed(1);
    let mut out = Vec::new();
    // The read of the store has begun on another thread.
    assert!(is_pending(feed.next(NO_LIMIT, NO_LIMIT, &mut out)).await);
    assert_eq!((out.len(), feed.cursor()), (0, 1));
    assert_eq!(take_seqs(&mut feed).await, [2, 3, 4, 5]);
}

#[tokio::test]
async fn what_is_stored_but_not_published_stays_inside() {
    let mut log = log_of(Arc::new(MemoryStore::new()), 3, 4).await;
    log.shared.store.append(batch("p", 3, 2)).await.expect("appended");
    let mut feed = log.reader().feed(0);
    assert_eq!(take_seqs(&mut feed).await, [1, 2, 3]);
    assert!(is_pending(feed.next(NO_LIMIT, NO_LIMIT, &mut Vec::new())).await);
    log.publish(events(4..=5));
    assert_eq!(take_seqs(&mut feed).await, [4, 5]);
}

/// Merged frames are fewer than the events they stand for: as many frames as events were published would be too many.
#[tokio::test]
async fn what_is_stored_behind_a_merged_frame_stays_inside() {
    let mut log = log_of(Arc::new(MemoryStore::new()), 9, 4).await;
    let step = Compaction { merged: vec![merged(2, 8)], merged_upto: 9, base: None };
    log.shared.store.append(compaction("p", 9, step)).await.expect("compacted");
    log.shared.store.append(batch("p", 9, 3)).await.expect("appended");
    let mut feed = log.reader().feed(0);
    assert_eq!(take_seqs(&mut feed).await, [1, 8, 9]);
    assert!(is_pending(feed.next(NO_LIMIT, NO_LIMIT, &mut Vec::new())).await);
    log.publish(events(10..=12));
    assert_eq!(take_seqs(&mut feed).await, [10, 11, 12]);
}

/// A subscriber may look into the ring in the middle of `publish`.
#[tokio::test]
async fn the_ring_is_read_up_to_the_head() {
    let mut log = log_of(Arc::new(MemoryStore::new()), 0, 100).await;
    let mut feed = log.reader().feed(0);
    append(&mut log, 2).await;
    let early = events(3..=4).into_iter().map(|event| Arc::new(Frame::new(&log.shared.epoch, event))).collect();
    log.shared.ring.write().expect("not poisoned").extend(3, early);
    assert_eq!(take_seqs(&mut feed).await, [1, 2]);
    assert!(is_pending(feed.next(NO_LIMIT, NO_LIMIT, &mut Vec::new())).await);
}

#[tokio::test]
async fn closing_ends_feeds_after_the_last_event() {
    let mut log = log_of(Arc::new(MemoryStore::new()), 0, 100).await;
    let (mut behind, mut waiting) = (log.reader().feed(0), log.reader().feed(2));
    append(&mut log, 2).await;
    let mut out = Vec::new();
    let mut wait = Box::pin(waiting.next(NO_LIMIT, NO_LIMIT, &mut out));
    assert!(poll!(&mut wait).is_pending());
    log.close(CloseReason::Failed);
    log.close(CloseReason::Deleted);
    let Poll::Ready(Err(FeedError::Closed(CloseReason::Failed))) = poll!(&mut wait) else { panic!("ends at once") };
    assert_eq!(take_seqs(&mut behind).await, [1, 2]);
    let reader = log.reader();
    drop(log);
    for feed in [&mut behind, &mut reader.feed(2)] {
        let ended = take(feed, NO_LIMIT, NO_LIMIT).await;
        assert!(matches!(ended, Err(FeedError::Closed(CloseReason::Failed))), "{ended:?}");
    }
}

#[tokio::test]
async fn a_dropped_log_is_unloaded_and_a_deleted_one_ends_at_once() {
    let mut log = log_of(Arc::new(MemoryStore::new()), 0, 100).await;
    append(&mut log, 2).await;
    let reader = log.reader();
    drop(log);
    let mut feed = reader.feed(0);
    assert_eq!(take_seqs(&mut feed).await, [1, 2]);
    let ended = take(&mut feed, NO_LIMIT, NO_LIMIT).await;
    assert!(matches!(ended, Err(FeedError::Closed(CloseReason::Unloaded))), "{ended:?}");

    let log = log_of(Arc::new(MemoryStore::new()), 3, 100).await;
    let mut feed = log.reader().feed(0);
    log.close(CloseReason::Deleted);
    let ended = take(&mut feed, NO_LIMIT, NO_LIMIT).await;
    assert!(matches!(ended, Err(FeedError::Closed(CloseReason::Deleted))), "{ended:?}");
}

#[tokio::test]
async fn a_gap_is_an_error_and_never_skipped() {
    let store = Arc::new(MemoryStore::new());
    let mut log = log_of(store.clone(), 3, 2).await;
    let mut ahead = log.reader().feed(4);
    let lost = take(&mut ahead, NO_LIMIT, NO_LIMIT).await;
    assert!(matches!(lost, Err(FeedError::PositionLost { cursor: 4 })), "{lost:?}");

    // Published without having been stored, and too many for the ring.
    let mut feed = log.reader().feed(3);
    log.publish(events(4..=6));
    let lost = take(&mut feed, NO_LIMIT, NO_LIMIT).await;
    assert!(matches!(lost, Err(FeedError::PositionLost { cursor: 3 })), "{lost:?}");
    assert_eq!(feed.cursor(), 3);

    store.close().await;
    let failed = take(&mut feed, NO_LIMIT, NO_LIMIT).await;
    assert!(matches!(failed, Err(FeedError::Store { cursor: 3, source: StoreError::Closed })), "{failed:?}");
}

#[tokio::test]
async fn events_published_out_of_turn_come_from_the_store() {
    let mut log = log_of(Arc::new(MemoryStore::new()), 0, 100).await;
    let mut feed = log.reader().feed(0);
    append(&mut log, 2).await;
    log.shared.store.append(batch("p", 2, 3)).await.expect("appended");
    log.publish(events([5]));
    assert_eq!(take_seqs(&mut feed).await, [1, 2, 3, 4, 5]);
    log.publish(events([4]));
    append(&mut log, 1).await;
    assert_eq!(take_seqs(&mut feed).await, [6]);
}

#[tokio::test]
async fn lag_counts_what_came_after_the_subscriber() {
    let mut log = log_of(Arc::new(MemoryStore::new()), 50, 4).await;
    let mut feed = log.reader().feed(10);
    assert_eq!(feed.lag(), Lag::default(), "a replay is not lag");
    append(&mut log, 10).await;
    let frame = event(10).frame.len();
    let behind = |events: u64| Lag { events, size_bytes: events * frame as u64 };
    assert_eq!(feed.lag(), behind(10));
    for (max_events, expected) in [(30, 10), (12, 8), (5, 3), (1, 2), (2, 0)] {
        take(&mut feed, max_events, NO_LIMIT).await.expect("events");
        assert_eq!(feed.lag(), behind(expected), "at {}", feed.cursor());
    }
}

/// Eight subscribers at their own speeds, some giving up half-way through a wait now and then, on a ring so small that
/// the slow ones keep reading from the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_subscriber_sees_everything_once() {
    const EVENTS: Seq = 20_000;
    let mut log = log_of(Arc::new(MemoryStore::new()), 0, 64).await;
    let subscribers: Vec<_> = (0..8)
        .map(|speed| {
            let mut feed = log.reader().feed(0);
            tokio::spawn(async move {
                let mut out = Vec::new();
                while feed.cursor() < EVENTS {
                    for _ in 0..rand::random_range(0..=speed * 4) {
                        tokio::task::yield_now().await;
                    }
                    let next = feed.next(rand::random_range(1..200), NO_LIMIT, &mut out);
                    let result = if speed % 2 == 0 {
                        next.await
                    } else {
                        tokio::select! { biased; result = next => result, () = tokio::task::yield_now() => Ok(()) }
                    };
                    result.expect("the log stays open");
                }
                out
            })
        })
        .collect();
    while log.head() < EVENTS {
        let count = rand::random_range(1..=20).min(EVENTS - log.head());
        append(&mut log, count).await;
        if rand::random_ratio(1, 4) {
            tokio::task::yield_now().await;
        }
    }
    for subscriber in subscribers {
        let out = tokio::time::timeout(DEADLINE, subscriber).await.expect("in time").expect("no panic");
        assert!(out.iter().map(|frame| frame.seq()).eq(1..=EVENTS));
        assert!(out.iter().all(|frame| *frame.json() == event(frame.seq()).frame));
    }
}
