//! Streams as the socket gives them, read by read, and as the server writes them, write by write.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tracing::{Subscriber, field};
use tracing_subscriber::{Layer, layer};

use super::client::events;

/// Longest a stream may take on a busy machine; one that needs a real sandbox may have to build its template.
const STREAM_TIME_MAX: Duration = Duration::from_secs(400);

/// What a socket gives, read by read, up to the end of a chunked answer.
pub(crate) async fn reads_of(address: SocketAddr, request: &str) -> Vec<Vec<u8>> {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let (mut reads, mut end): (Vec<Vec<u8>>, Vec<u8>) = (Vec::new(), Vec::new());
    let whole = timeout(STREAM_TIME_MAX, async {
        while !end.ends_with(b"\r\n0\r\n\r\n") {
            let mut buffer = vec![0; 64 * 1024];
            let length = socket.read(&mut buffer).await.expect("bytes");
            assert_ne!(length, 0, "cut off");
            buffer.truncate(length);
            end.extend_from_slice(&buffer);
            reads.push(buffer);
        }
    });
    whole.await.expect("the stream ends");
    reads
}

/// Sends a request, leaves when the answer has gone as far as `until`, and waits until the server has let go. Returns what
/// came.
pub(crate) async fn leave_after(address: SocketAddr, request: &str, until: &str) -> String {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    let left = timeout(STREAM_TIME_MAX, async {
        while !text.contains(until) {
            let mut buffer = vec![0; 64 * 1024];
            let length = socket.read(&mut buffer).await.expect("bytes");
            assert_ne!(length, 0, "cut off: {text}");
            text.push_str(std::str::from_utf8(&buffer[..length]).expect("ASCII"));
        }
        socket.shutdown().await.expect("an end");
        socket.read_to_string(&mut text).await.expect("an end");
    });
    left.await.expect("the server takes leave");
    text
}

/// A request as it is sent.
pub(crate) fn request(method: &str, path: &str, project: Option<&str>, body: &str) -> String {
    let project = project.map(|project| format!("x-project-id: {project}\r\n")).unwrap_or_default();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{project}content-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Each event is a chunk, and a write, of its own – the last one too. Comments of an idle stream are skipped.
#[track_caller]
pub(crate) fn written_one_by_one(reads: &[Vec<u8>], what: &str) -> Vec<Value> {
    let all = reads.concat();
    let end_of_head = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8_lossy(&all[..end_of_head]).to_lowercase();
    for header in [
        "content-type: text/event-stream; charset=utf-8",
        "cache-control: no-cache",
        "x-accel-buffering: no",
        "transfer-encoding: chunked",
        "connection: keep-alive",
    ] {
        assert!(head.contains(header), "{what}: {head}");
    }
    assert!(!head.contains("content-encoding"), "{what}: {head}");
    assert!(all.is_ascii(), "{what}");
    let (mut rest, mut told) = (&all[end_of_head..], Vec::new());
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").expect("a length");
        let length =
            usize::from_str_radix(std::str::from_utf8(&rest[..line]).expect("ASCII"), 16).expect("hexadecimal");
        if length == 0 {
            break;
        }
        let chunk = std::str::from_utf8(&rest[line + 2..line + 2 + length]).expect("ASCII");
        rest = &rest[line + 2 + length + 2..];
        if chunk.starts_with(':') {
            continue;
        }
        let of_chunk = events(chunk);
        assert_eq!(of_chunk.len(), 1, "{what}: one event per chunk: {chunk:?}");
        assert!(chunk.starts_with("data: {") && chunk.ends_with("}\n\n"), "{what}: {chunk:?}");
        told.extend(of_chunk);
    }
    // What one read holds ends where an event ends: no event is held back or sent in two pieces.
    for read in reads {
        assert!(read.ends_with(b"\r\n"), "{what}: {:?}", String::from_utf8_lossy(read));
    }
    told
}

/// How much the server's sockets took at once, write by write.
#[derive(Clone, Default)]
pub(crate) struct Writes(Arc<Mutex<Vec<usize>>>);

impl Writes {
    /// Sees to it that no write is missed from now on. Another test's thread, which listens to nothing, may have been the
    /// first to write: that counts for all until this.
    pub(crate) fn begin() {
        tracing::callsite::rebuild_interest_cache();
    }

    pub(crate) fn take(&self) -> Vec<usize> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }

    /// Fails unless each event of an answer was one write, and the last one another; returns what kinds they are. Comments
    /// are none of these.
    #[track_caller]
    pub(crate) fn one_per_event(&self, all: &[u8], what: &str) -> Vec<Value> {
        let mut bounds = vec![0];
        bounds.extend(self.take().into_iter().scan(0, |sum, size| {
            *sum += size;
            Some(*sum)
        }));
        assert_eq!(bounds.last(), Some(&all.len()), "{what}: every write was seen");
        // From the line with a chunk's length to the line end behind it.
        let text = std::str::from_utf8(all).expect("ASCII");
        let mut at = text.find("\r\n\r\n").expect("a head") + 4;
        let mut kinds = Vec::new();
        while let Some(length) = text[at..].find("\r\n").map(|end| &text[at..at + end]).filter(|length| *length != "0")
        {
            let start = at + length.len() + 2;
            let end = start + usize::from_str_radix(length, 16).expect("hexadecimal");
            let place = bounds.iter().position(|bound| *bound == at);
            let event = &text[start..end];
            assert_eq!(place.and_then(|place| bounds.get(place + 1)), Some(&(end + 2)), "{what}: one write: {event}");
            kinds.extend(events(event).first().map(|event| event["type"].clone()));
            at = end + 2;
        }
        kinds
    }
}

impl<S: Subscriber> Layer<S> for Writes {
    fn on_event(&self, event: &tracing::Event<'_>, _: layer::Context<'_, S>) {
        struct Size(Option<usize>);
        impl field::Visit for Size {
            fn record_u64(&mut self, _: &field::Field, value: u64) {
                self.0 = usize::try_from(value).ok();
            }
            fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "size_bytes" {
                    self.0 = format!("{value:?}").parse().ok();
                }
            }
        }
        if event.metadata().target() == "cobuild::http::listener" {
            let mut size = Size(None);
            event.record(&mut size);
            self.0.lock().expect("not poisoned").extend(size.0);
        }
    }
}
