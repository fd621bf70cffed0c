//! Whatever the order of appends, cuts, resumes, crashes and restarts: a subscriber's view is the log's beginning up
//! to its cursor. The model is a `Vec`.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use cobuild_protocol::Seq;
use futures_util::poll;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    project::event_store::{AppendBatch, Durability},
    store::{
        memory::MemoryStore,
        sqlite::{SqliteOptions, SqliteStore},
        testing::{batch, id, log as stored, new_project},
    },
};

/// Subscribers in a room.
const SUBSCRIBERS: usize = 3;

/// So small that most takes begin in the store and end in the ring.
const RING: RingLimits = RingLimits { frames: 6, size_bytes: 300 };

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
    view: Vec<Bytes>,
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
        let subscriber = || Subscriber { feed: log.reader().feed(0), view: Vec::new() };
        let subscribers = std::iter::repeat_with(subscriber).take(SUBSCRIBERS).collect();
        Self { backing, log: Some(log), subscribers, model: Vec::new() }
    }

    async fn load(store: SharedStore) -> EventLog {
        let opened = store.open_project(&id("p")).await.expect("readable").expect("exists");
        EventLog::with_limits(id("p"), opened.epoch, opened.head, store, RING)
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
            Operation::Restart => self.restart().await,
        }
    }

    async fn append(&mut self, sizes: &[usize], machine: bool, publish: bool) {
        let head = self.model.len() as Seq;
        let frame = |(seq, size): (Seq, &usize)| StoredEvent { seq, frame: format!("{seq:>size$}").into() };
        let events: Vec<_> = (head + 1..).zip(sizes).map(frame).collect();
        self.model.extend(events.iter().map(|event| event.frame.clone()));
        let durability = if machine { Durability::Machine } else { Durability::Process };
        let batch = AppendBatch { events: events.clone(), durability, ..batch("p", head, 0) };
        self.log().shared.store.append(batch).await.expect("appended");
        if publish {
            self.log().publish(events);
        } else {
            self.restart().await;
        }
    }

    async fn take(&mut self, subscriber: usize, max_events: usize, max_bytes: usize, cancel: bool) {
        let head = self.log().head();
        let Subscriber { feed, view } = &mut self.subscribers[subscriber];
        let (before, mut out) = (feed.cursor(), Vec::new());
        {
            let mut next = pin!(feed.next(max_events, max_bytes, &mut out));
            if before == head {
                assert!(poll!(&mut next).is_pending(), "nothing to take");
            } else if !cancel {
                next.await.expect("events");
            } else if let std::task::Poll::Ready(result) = poll!(&mut next) {
                result.expect("events");
            }
        }
        assert!(out.len() <= max_events.max(1));
        assert!(cancel || before == head || !out.is_empty(), "something, if there is something");
        assert!(out.iter().map(|frame| frame.seq()).eq(before + 1..=before + out.len() as Seq));
        assert_eq!(feed.cursor(), before + out.len() as Seq);
        view.extend(out.iter().map(|frame| frame.json().clone()));
        assert_eq!(view[..], self.model[..view.len()]);
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
        let views: Vec<_> = self.subscribers.drain(..).map(|subscriber| subscriber.view).collect();
        // Every handle must be gone before the database can be opened again.
        self.log = None;
        let log = Self::load(self.backing.open()).await;
        assert_eq!((log.head(), log.reader().epoch()), (self.model.len() as Seq, &epoch));
        let reader = log.reader();
        let back = cursors.into_iter().zip(views);
        self.subscribers = back.map(|(cursor, view)| Subscriber { feed: reader.feed(cursor), view }).collect();
        self.log = Some(log);
    }

    /// Everybody catches up, and has exactly what the store has.
    async fn finish(mut self) {
        for subscriber in 0..SUBSCRIBERS {
            while self.subscribers[subscriber].view.len() < self.model.len() {
                self.take(subscriber, 7, 200, false).await;
            }
        }
        let store = Arc::clone(&self.log().shared.store);
        let stored: Vec<_> = stored(&*store, "p").await.into_iter().map(|event| event.frame).collect();
        assert_eq!(stored, self.model);
    }
}

fn check(backing: Backing, operations: Vec<Operation>) {
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
        check(Backing::Memory(Arc::new(MemoryStore::new())), operations);
    }
}

proptest! {
    // Each case is a database on the disk, opened several times.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn views_are_prefixes_in_sqlite(operations in prop::collection::vec(operation(), 1..60)) {
        check(Backing::Sqlite(tempfile::tempdir().expect("a folder")), operations);
    }
}
