use cobuild_protocol::{Event, EventFrame, MessageId, event::QueueChanged, event::TextDelta};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{Role, WebSocketContext},
};

use super::*;
use crate::{
    project::{event_log::EventLog, event_store::StoredEvent},
    store::memory::MemoryStore,
};

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);
/// Sockets take about this much before they are full.
const SOCKET_BUFFER_SIZE_BYTES: usize = 4096;

struct Room {
    log: EventLog,
    casters: Casters,
}

impl Room {
    fn new() -> Self {
        let log = EventLog::new("p".parse().unwrap(), "e".parse().unwrap(), 0, Arc::new(MemoryStore::default()));
        Self { log, casters: Casters::new(TaskTracker::new()) }
    }

    fn seat(&self, wire: &Wire) -> Seat {
        self.casters.seat(&"p".parse().unwrap(), &self.log.reader(), wire.clone())
    }

    fn publish(&mut self, event: Event) {
        let seq = self.log.head() + 1;
        let frame = EventFrame { event, seq, seq_first: None, at: String::new(), run: None, by: None, command: None };
        self.log.publish(vec![StoredEvent { seq, frame: serde_json::to_vec(&frame).unwrap().into(), span: None }]);
    }

    fn say(&mut self, text: &str) {
        self.publish(Event::TextDelta(TextDelta { message: MessageId::new(1), text: text.into() }));
    }
}

/// A socket of ours and the client's end of it.
async fn socket() -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (ours, _) = listener.accept().await.unwrap();
    socket2::SockRef::from(&ours).set_send_buffer_size(SOCKET_BUFFER_SIZE_BYTES).unwrap();
    socket2::SockRef::from(&client).set_recv_buffer_size(SOCKET_BUFFER_SIZE_BYTES).unwrap();
    (Wire::new(ours), client)
}

/// The events a client reads until it has the one with this `seq`.
async fn read_to(client: &mut TcpStream, last: Seq) -> Vec<Seq> {
    let (mut bytes, mut seqs) = (BytesMut::new(), Vec::new());
    while seqs.last() != Some(&last) {
        assert_ne!(client.read_buf(&mut bytes).await.unwrap(), 0, "the socket was closed");
        let mut unread = std::io::Cursor::new(bytes.to_vec());
        let mut context = WebSocketContext::new(Role::Client, None);
        seqs.clear();
        while let Ok(Message::Text(json)) = context.read(&mut unread) {
            seqs.push(serde_json::from_str::<EventFrame>(&json).unwrap().seq);
        }
    }
    seqs
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("in time")
}

#[tokio::test]
async fn deltas_reach_a_lent_socket_and_other_events_give_it_back() {
    let mut room = Room::new();
    let (wire, mut client) = socket().await;
    let seat = room.seat(&wire);
    assert!(seat.lend(0));
    room.say("one");
    room.say("two");
    assert_eq!(within(read_to(&mut client, 2)).await, [1, 2]);
    room.publish(Event::QueueChanged(QueueChanged { queue: Vec::new() }));
    within(seat.returned()).await;
    assert_eq!(seat.take_back(), Some(Returned { cursor: 2, rest: Bytes::new() }));
    assert_eq!(seat.take_back(), None, "it is ours");
    assert!(!seat.lend(2), "event 3 is not written");
    assert!(seat.lend(3));
}

#[tokio::test]
async fn what_a_full_socket_does_not_take_comes_back() {
    let mut room = Room::new();
    let (wire, mut client) = socket().await;
    let seat = room.seat(&wire);
    assert!(seat.lend(0));
    let long = "x".repeat(50_000);
    within(async {
        let mut returned = std::pin::pin!(seat.returned());
        while futures_util::poll!(returned.as_mut()).is_pending() {
            room.say(&long);
            tokio::task::yield_now().await;
        }
    })
    .await;
    let Returned { cursor, rest } = seat.take_back().unwrap();
    assert!(!rest.is_empty());
    let (sent, seqs) =
        tokio::join!(async { wire.write_all(&mut rest.into(), DEADLINE).await }, within(read_to(&mut client, cursor)));
    assert!(sent.is_ok());
    assert_eq!(seqs, (1..=cursor).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_log_that_ends_gives_everything_back() {
    let mut room = Room::new();
    let (wire, _client) = socket().await;
    let seat = room.seat(&wire);
    room.say("one");
    assert!(seat.lend(1));
    drop(room.log);
    within(seat.returned()).await;
    assert!(seat.take_back().is_some());
    while !seat.caster.over.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    assert!(!seat.lend(1));
}

/// Connections that take their sockets back at any moment, while others are written to.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_writes_nothing_is_lost_or_doubled() {
    const EVENTS: Seq = 3000;
    let mut room = Room::new();
    let mut readers = Vec::new();
    for _ in 0..8 {
        let (wire, mut client) = socket().await;
        let (seat, log) = (room.seat(&wire), room.log.reader());
        tokio::spawn(async move {
            let mut feed = log.feed(0);
            let mut unsent = BytesMut::new();
            loop {
                wire.write_all(&mut unsent, DEADLINE).await.unwrap();
                if feed.cursor() == EVENTS {
                    return;
                }
                if feed.cursor() == log.head() && seat.lend(feed.cursor()) {
                    let impatience = std::time::Duration::from_micros(rand::random_range(0..500));
                    let _ = timeout(impatience, seat.returned()).await;
                    let Returned { cursor, rest } = seat.take_back().unwrap();
                    feed = log.feed(cursor);
                    unsent.extend_from_slice(&rest);
                } else {
                    let mut frames = Vec::new();
                    feed.next(16, 4096, &mut frames).await.unwrap();
                    frames.iter().for_each(|frame| framing::text(&mut unsent, frame.json()));
                }
            }
        });
        readers.push(tokio::spawn(async move { read_to(&mut client, EVENTS).await }));
    }
    for event in 1..=EVENTS {
        if event % 50 == 0 {
            room.publish(Event::QueueChanged(QueueChanged { queue: Vec::new() }));
        } else {
            room.say("word");
        }
        if event % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for reader in readers {
        assert_eq!(within(reader).await.unwrap(), (1..=EVENTS).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn whoever_has_left_is_not_kept_where_nothing_happens() {
    let room = Room::new();
    let (wire, _client) = socket().await;
    let stays = room.seat(&wire);
    let (wire, _client) = socket().await;
    for _ in 0..100 {
        drop(room.seat(&wire));
    }
    let (wire, _client) = socket().await;
    let _last = room.seat(&wire);
    assert_eq!(lock(&stays.caster.arrivals).len(), 2);
}

#[tokio::test]
async fn a_lent_socket_closes_with_its_connection() {
    let room = Room::new();
    let (wire, _client) = socket().await;
    let _stays = room.seat(&wire);
    let (wire, mut client) = socket().await;
    let seat = room.seat(&wire);
    assert!(seat.lend(0));
    drop((seat, wire));
    // Nothing happens in the room, so the caster does not look.
    assert_eq!(within(client.read(&mut [0])).await.unwrap(), 0);
}
