//! Event streams of the older systems: one JSON object per event, one event per write.
//!
//! Their clients parse each network read on its own, so an event must neither share a write with another nor be split
//! over two; and the JSON is ASCII, so that no split can cut a character.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use cobuild_protocol::{ErrorBody, value::Role};
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{camel::Translation, dialect::Dialect};
use crate::http::{
    HttpState,
    auth::{Grant, Pass},
    listener::Connection,
};

/// Events on their way to one client; whoever makes them waits beyond that.
const EVENTS_MAX: usize = 16;
/// Longest time in which a client may take not one event. Its run goes on without it.
const STALL_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether a slow socket has taken an event.
const TAKEN_CHECK: Duration = Duration::from_millis(2);
/// A comment, which all known clients skip: it keeps an idle connection from looking dead.
const KEEPALIVE: &[u8] = b": keepalive\n\n";
/// The same for a later engine's clients, and what they are sent besides while they wait for an answer.
const CAMEL_KEEPALIVE: &[u8] = b": ping\r\n\r\n";
const CAMEL_PING: &[u8] = b": ping\r\n\r\nevent: ping\r\ndata: \r\n\r\n";

/// The way to one client. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    sender: mpsc::Sender<Bytes>,
    /// For a later engine's clients: their words for what browsers are told.
    camel: Option<Arc<Mutex<Translation>>>,
    /// Nobody is told anything any more.
    gone: Arc<AtomicBool>,
}

/// The client is no longer there, or takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl Events {
    /// Sends one event; waits while the client is slow.
    pub(crate) async fn send(&self, event: impl Serialize + Send) -> Result<(), Gone> {
        let event = value(event);
        let Some(camel) = &self.camel else { return self.write(format!("data: {}\n\n", ascii(&event))).await };
        let translated = camel.lock().unwrap_or_else(PoisonError::into_inner).of(event);
        for event in translated {
            self.write(format!("event: message\r\ndata: {}\r\n\r\n", ascii(&event))).await?;
        }
        Ok(())
    }

    /// Sends one event, to whoever still listens: what is told of goes on all the same.
    pub(crate) async fn tell(&self, event: impl Serialize + Send) {
        if !self.gone.load(Ordering::Relaxed) && self.send(event).await.is_err() {
            self.gone.store(true, Ordering::Relaxed);
        }
    }

    async fn write(&self, frame: String) -> Result<(), Gone> {
        match timeout(STALL_MAX, self.sender.send(Bytes::from(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

/// An event as JSON.
pub(crate) fn value(event: impl Serialize) -> Value {
    serde_json::to_value(event).expect("invariant: events are objects of texts, numbers and lists")
}

/// For how long a client may listen, and over which connection.
#[derive(Debug)]
pub(crate) struct Listener {
    pass: Pass,
    written: Option<Arc<AtomicU64>>,
    dialect: Dialect,
    is_pinged: bool,
}

impl Listener {
    pub(crate) fn new(state: &HttpState, grant: &Grant, role: Role, connection: Option<&Connection>) -> Self {
        let written = connection.map(|connection| Arc::clone(&connection.written));
        // The run is not the listener's: it goes on whoever has a place in the room.
        let pass = Pass::new(grant, role, state.timing.expiry_grace, CancellationToken::new());
        Self { pass, written, dialect: Dialect::Engine, is_pinged: false }
    }

    /// The same, spoken to in this way.
    pub(crate) fn speaking(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// The same, told regularly that the answer is still to come, where clients know that.
    pub(crate) fn pinged(self) -> Self {
        Self { is_pinged: true, ..self }
    }
}

/// Answers with a stream. `work` makes the events; when it ends, so does the stream. When the client has gone, its next
/// [`Events::send`] says so; it may as well go on. A run is the project's and goes on anyway. `expired` is the last event for a client whose token has ended.
pub(crate) fn respond<F>(
    state: &HttpState,
    listener: Listener,
    expired: impl FnOnce(ErrorBody) -> Value + Send + 'static,
    work: impl FnOnce(Events) -> F,
) -> Response
where
    F: Future<Output = Result<(), Gone>> + Send + 'static,
{
    let Listener { pass, written, dialect, is_pinged } = listener;
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let keepalive = match (dialect, is_pinged) {
        (Dialect::Engine | Dialect::Browser, _) => KEEPALIVE,
        (Dialect::Camel, false) => CAMEL_KEEPALIVE,
        (Dialect::Camel, true) => CAMEL_PING,
    };
    let camel = (dialect == Dialect::Camel).then(Arc::default);
    let own = Events { sender: sender.clone(), camel, gone: Arc::default() };
    let work = work(own.clone());
    let shutdown = state.shutdown.clone();
    state.tasks.spawn(async move {
        tokio::select! {
            _ = work => {}
            () = shutdown.cancelled() => {}
            error = pass.ended() => drop(own.send(expired(error)).await),
        }
    });
    let mut idle = interval_at(Instant::now() + state.timing.heartbeat, state.timing.heartbeat);
    idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let already = written.as_ref().map_or(0, |written| written.load(Ordering::Relaxed));
    // One byte: the head of the answer goes before the first event.
    let writes = Writes { events, keepalive, idle, written, expected: already + 1 };
    let body = Body::from_stream(stream::unfold(writes, Writes::next));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONNECTION, HeaderValue::from_static("keep-alive")),
        // nginx would collect events until its buffer is full.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

/// The body of an answer: gives the connection one event at a time, and the next one when the socket has taken it.
struct Writes {
    events: mpsc::Receiver<Bytes>,
    keepalive: &'static [u8],
    idle: Interval,
    /// What the socket has taken in all; `None` where that is not counted.
    written: Option<Arc<AtomicU64>>,
    /// What it will have taken when the last event is through, at least.
    expected: u64,
}

impl Writes {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        self.taken().await;
        let chunk = tokio::select! {
            biased;
            event = self.events.recv() => event?,
            _ = self.idle.tick() => Bytes::from_static(self.keepalive),
        };
        self.idle.reset();
        let already = self.written.as_ref().map_or(0, |written| written.load(Ordering::Relaxed));
        self.expected = already + chunk.len() as u64;
        Some((Ok(chunk), self))
    }

    /// Waits until the socket has taken the last event. Waiting at all is what makes the connection write it: it asks for
    /// more as long as there is more, and writes when there is nothing.
    async fn taken(&self) {
        tokio::task::yield_now().await;
        let Some(written) = &self.written else { return };
        while written.load(Ordering::Relaxed) < self.expected {
            sleep(TAKEN_CHECK).await;
        }
    }
}

/// JSON in ASCII: everything else as `\uXXXX`.
fn ascii(value: &Value) -> String {
    let json = value.to_string();
    if json.is_ascii() {
        return json;
    }
    let mut text = String::with_capacity(json.len() * 2);
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_ascii_and_means_the_same() {
        let value = json!({ "text": "Grüße ✓ 😀 \" \n" });
        let text = ascii(&value);
        assert!(text.is_ascii() && text.contains("\\ud83d\\ude00"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }
}
