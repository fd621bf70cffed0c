//! Whatever the order of appends, cuts, resumes, compactions, crashes and restarts: a subscriber's view is the log's
//! beginning up to its cursor, or it was told that its place is no longer there. The model is a `Vec`.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use cobuild_protocol::{
    Event, EventFrame, MessageId, Seq,
    event::{ExecStarted, TextDelta},
};
use futures_util::poll;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    project::event_store::{AppendBatch, Compaction, Durability, KeptLog, ReadLimits, StoredSnapshot},
    store::{
        memory::MemoryStore,
        sqlite::{SqliteOptions, SqliteStore},
        testing::{batch, compaction, id, new_project},
    },
};

/// Subscribers in a room.
const SUBSCRIBERS: usize = 3;

/// So small that most takes begin in the store and end in the ring.
const RING: RingLimits = RingLimits { frames: 6, size_bytes: 900 };

#[derive(Debug, Clone)]
enum Operation {
    /// The actor appends events of these sizes, and publishes them unless it crashes in between.
    Append { sizes: Vec<usize>, machine: bool, publish: bool },
    /// A writer that was left behind tries to append.
    AppendAsStale { behind: Seq },
    /// A subscriber takes what there is within limits, or gives up its wait at once.
    Take { subscriber: usize, max_events: usize, max_bytes: usize, cancel: bool },
    /// A subscriber loses its connection and comes back with its cursor.
    Reconnect { subscriber: usize },
    /// The actor merges what the next events leave to be merged, and crashes or not before it hears that it is done.
    Merge { events: usize, crash: bool },
    /// The oldest frames are folded into the base.
    Fold { frames: usize },
    /// The server goes down without warning and comes back; so do all subscribers.
    Restart,
}

fn operation() -> impl Strategy<Value = Operation> {
    let sizes = prop::collection::vec(1_usize..80, 1..8);
    prop_oneof![
        6 => (sizes, any::<bool>(), prop::bool::weighted(0.9))
            .prop_map(|(sizes, machine, publish)| Operation::Append { sizes, machine, publish }),
        1 => (1..5_u64).prop_map(|behind| Operation::AppendAsStale { behind }),
        8 => (0..SUBSCRIBERS, 0..20_usize, 0..500_usize, prop::bool::weighted(0.2)).prop_map(
            |(subscriber, max_events, max_bytes, cancel)| Operation::Take { subscriber, max_events, max_bytes, cancel }
        ),
        2 => (0..SUBSCRIBERS).prop_map(|subscriber| Operation::Reconnect { subscriber }),
        3 => (1..30_usize, prop::bool::weighted(0.1)).prop_map(|(events, crash)| Operation::Merge { events, crash }),
        1 => (1..6_usize).prop_map(|frames| Operation::Fold { frames }),
        1 => Just(Operation::Restart),
    ]
}

/// The store under test, and how it survives a restart.
#[derive(Debug)]
enum Backing {
    Memory(Arc<MemoryStore>),
    Sqlite(TempDir),
}

impl Backing {
    fn open(&self) -> SharedStore {
        match self {
            Self::Memory(store) => Arc::<MemoryStore>::clone(store),
            Self::Sqlite(folder) => {
                Arc::new(SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("opens"))
            }
        }
    }
}

#[derive(Debug)]
struct Subscriber {
    feed: Feed,
}

/// The system, and the model it is compared with.
struct Room {
    backing: Backing,
    log: Option<EventLog>,
    subscribers: Vec<Subscriber>,
    /// Event `seq` is at `seq - 1`.
    model: Vec<Bytes>,
}

impl Room {
    async fn new(backing: Backing) -> Self {
        let store = backing.open();
        store.create_project(new_project("p", 0)).await.expect("created");
        let log = Self::load(store).await;
        let subscriber = || Subscriber { feed: log.reader().feed(0) };
        let subscribers = std::iter::repeat_with(subscriber).take(SUBSCRIBERS).collect();
        Self { backing, log: Some(log), subscribers, model: Vec::new() }
    }

    async fn load(store: SharedStore) -> EventLog {
        let opened = store.open_project(&id("p")).await.expect("readable").expect("exists");
        let log = EventLog::with_limits(id("p"), opened.epoch, opened.head, store, RING);
        log.set_base(opened.kept.base);
        log
    }

    fn log(&mut self) -> &mut EventLog {
        self.log.as_mut().expect("the server is up")
    }

    async fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Append { sizes, machine, publish } => self.append(&sizes, machine, publish).await,
            Operation::AppendAsStale { behind } => {
                let log = self.log();
                let Some(expected) = log.head().checked_sub(behind) else { return };
                log.shared.store.append(batch("p", expected, 1)).await.expect_err("refused");
            }
            Operation::Take { subscriber, max_events, max_bytes, cancel } => {
                self.take(subscriber, max_events, max_bytes, cancel).await;
            }
            Operation::Reconnect { subscriber } => self.reconnect(subscriber),
            Operation::Merge { events, crash } => self.merge(events, crash).await,
            Operation::Fold { frames } => self.fold(frames).await,
            Operation::Restart => self.restart().await,
        }
    }

    async fn append(&mut self, sizes: &[usize], machine: bool, publish: bool) {
        let head = self.model.len() as Seq;
        let events: Vec<_> = (head + 1..).zip(sizes).map(|(seq, size)| event(seq, *size)).collect();
        self.model.extend(events.iter().map(|event| event.frame.clone()));
        let durability = if machine { Durability::Machine } else { Durability::Process };
        let batch = AppendBatch { events: events.clone(), durability, ..batch("p", head, 0) };
        self.log().shared.store.append(batch).await.expect("appended");
        // What is stored is not out yet; `take` looks after that.
        self.take(sizes[0] % SUBSCRIBERS, 20, usize::MAX, false).await;
        if publish {
            self.log().publish(events);
        } else {
            self.restart().await;
        }
    }

    async fn take(&mut self, subscriber: usize, max_events: usize, max_bytes: usize, cancel: bool) {
        let head = self.log().head();
        let base = self.log().reader().base();
        let Subscriber { feed } = &mut self.subscribers[subscriber];
        let (before, mut out) = (feed.cursor(), Vec::new());
        {
            let mut next = pin!(feed.next(max_events, max_bytes, &mut out));
            if before == head {
                assert!(poll!(&mut next).is_pending(), "nothing to take");
            } else if before < base {
                let lost = next.await;
                // As long as the ring has it, nobody asks the store.
                assert!(matches!(lost, Ok(()) | Err(FeedError::PositionLost { .. })), "{lost:?}");
            } else if !cancel {
                next.await.expect("events");
            } else if let std::task::Poll::Ready(result) = poll!(&mut next) {
                result.expect("events");
            }
        }
        assert!(out.len() <= max_events.max(1));
        assert!(cancel || before == head || before < base || !out.is_empty(), "something, if there is something");
        let mut last = before;
        for frame in &out {
            assert_eq!(frame.first(), last + 1);
            last = frame.seq();
            check(&self.model, frame.first(), last, frame.json());
        }
        assert_eq!(feed.cursor(), last);
        assert!(last <= head);
        if before < base && out.is_empty() {
            // It was told so; now it gets a snapshot.
            *feed = self.log.as_ref().expect("the server is up").reader().feed(base);
        }
    }

    async fn kept(&mut self) -> KeptLog {
        self.log().shared.store.open_project(&id("p")).await.expect("readable").expect("exists").kept
    }

    async fn merge(&mut self, events: usize, crash: bool) {
        let kept = self.kept().await;
        let store = Arc::clone(&self.log().shared.store);
        let limits = ReadLimits { events, size_bytes: usize::MAX };
        let unmerged = store.read(&id("p"), kept.merged.max(kept.base) + 1, limits).await.expect("readable");
        let Some(merged_upto) = unmerged.last().map(|event| event.seq) else { return };
        let step = Compaction { merged: span::merge(&unmerged), merged_upto, base: None };
        let head = self.model.len() as Seq;
        store.append(compaction("p", head, step)).await.expect("compacted");
        drop(store);
        if crash {
            self.restart().await;
        }
    }

    async fn fold(&mut self, frames: usize) {
        let kept = self.kept().await;
        let store = Arc::clone(&self.log().shared.store);
        let limits = ReadLimits { events: frames, size_bytes: usize::MAX };
        let oldest = store.read(&id("p"), kept.base + 1, limits).await.expect("readable");
        let Some(seq) = oldest.last().map(|event| event.seq).filter(|seq| *seq <= kept.merged) else { return };
        let base = Some(StoredSnapshot { seq, state: format!("fold {seq}").into() });
        let step = Compaction { merged: Vec::new(), merged_upto: kept.merged, base };
        store.append(compaction("p", self.model.len() as Seq, step)).await.expect("folded");
        self.log().set_base(seq);
    }

    fn reconnect(&mut self, subscriber: usize) {
        let reader = self.log().reader();
        let feed = &mut self.subscribers[subscriber].feed;
        *feed = reader.feed(feed.cursor());
        assert_eq!(feed.lag(), Lag::default());
    }

    async fn restart(&mut self) {
        let cursors: Vec<_> = self.subscribers.iter().map(|subscriber| subscriber.feed.cursor()).collect();
        let epoch = self.log().reader().epoch().clone();
        self.subscribers.clear();
        // Every handle must be gone before the database can be opened again.
        self.log = None;
        let log = Self::load(self.backing.open()).await;
        assert_eq!((log.head(), log.reader().epoch()), (self.model.len() as Seq, &epoch));
        let reader = log.reader();
        self.subscribers = cursors.into_iter().map(|cursor| Subscriber { feed: reader.feed(cursor) }).collect();
        self.log = Some(log);
    }

    /// Everybody catches up, and has exactly what the store has.
    async fn finish(mut self) {
        for subscriber in 0..SUBSCRIBERS {
            while self.subscribers[subscriber].feed.cursor() < self.model.len() as Seq {
                self.take(subscriber, 7, 200, false).await;
            }
            assert_eq!(self.subscribers[subscriber].feed.lag(), Lag::default());
        }
        let base = self.kept().await.base;
        let store = Arc::clone(&self.log().shared.store);
        // From every place there is.
        for from in base + 1..=self.model.len() as Seq {
            let all = ReadLimits { events: usize::MAX, size_bytes: usize::MAX };
            let mut last = from - 1;
            for event in span::read(&store, &id("p"), from, all).await.expect("readable") {
                assert_eq!(event.first(), last + 1);
                last = event.seq;
                check(&self.model, event.first(), last, &event.frame);
            }
            assert_eq!(last, self.model.len() as Seq);
        }
    }
}

/// A delta, or now and then something else.
fn event(seq: Seq, size: usize) -> StoredEvent {
    let text = seq.to_string().repeat(size);
    let event = match seq % 7 {
        0 => Event::ExecStarted(ExecStarted { command: text }),
        _ => Event::TextDelta(TextDelta { message: MessageId::new(1), text }),
    };
    let frame = EventFrame { event, seq, seq_first: None, at: String::new(), run: None, by: None, command: None };
    StoredEvent::new(seq, serde_json::to_vec(&frame).expect("JSON").into())
}

/// That a frame says what the events it stands for said.
fn check(model: &[Bytes], first: Seq, last: Seq, json: &Bytes) {
    let events = &model[usize::try_from(first).expect("small") - 1..usize::try_from(last).expect("small")];
    if let [event] = events {
        return assert_eq!(event, json);
    }
    let text = |json: &Bytes| match serde_json::from_slice::<EventFrame>(json).expect("an event") {
        EventFrame { event: Event::TextDelta(delta), seq, seq_first, .. } => {
            (delta.text, seq_first.unwrap_or(seq), seq)
        }
        other => panic!("merged: {other:?}"),
    };
    let texts: String = events.iter().map(|event| text(event).0).collect();
    assert_eq!(text(json), (texts, first, last));
}

fn perform(backing: Backing, operations: Vec<Operation>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut room = Room::new(backing).await;
        for operation in operations {
            room.perform(operation).await;
        }
        room.finish().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn views_are_prefixes_in_memory(operations in prop::collection::vec(operation(), 1..80)) {
        perform(Backing::Memory(Arc::new(MemoryStore::new())), operations);
    }
}

proptest! {
    // Each case is a database on the disk, opened several times.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn views_are_prefixes_in_sqlite(operations in prop::collection::vec(operation(), 1..60)) {
        perform(Backing::Sqlite(tempfile::tempdir().expect("a folder")), operations);
    }
}
