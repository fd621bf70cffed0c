//! From a response's bytes to events. The parser is `sseer`'s; the limit on one event is ours, because the parser has
//! none.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, ready};
use memchr::memchr2;
use sseer::{errors::EventStreamError, event::Event, event_stream::EventStream};

/// Largest event. The largest true ones repeat a whole answer, which is far below this; beyond it somebody is filling
/// our memory.
pub const EVENT_SIZE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest object among the events that is no event; vendors' errors have a kilobyte.
const BARE_SIZE_BYTES_MAX: usize = 64 * 1024;

/// Why there are no more events.
#[derive(Debug, thiserror::Error)]
pub enum SseError<E> {
    /// The connection broke.
    #[error("the connection broke")]
    Transport(#[source] E),
    /// The bytes are no text.
    #[error("the stream is not UTF-8")]
    NotText,
    /// An event beyond the limit.
    #[error("an event has more than {0} bytes")]
    TooLarge(usize),
    /// An error object where an event should be: Gemini's come like that, and the parser passes over such lines.
    #[error("the stream has an error that is no event")]
    Bare(serde_json::Value),
}

/// Reads events from bytes, however they are cut. Ends after the first error.
pub fn events<S, E>(bytes: S, event_size_bytes_max: usize) -> impl Stream<Item = Result<Event, SseError<E>>>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let capped =
        Capped { bytes, size: EventSize::default(), event_size_bytes_max, bare: BareObject::default(), found: None };
    let mut failed = false;
    let until_failed = move |event: &Result<Event, EventStreamError<SseError<E>>>| {
        let before = failed;
        failed |= event.is_err();
        std::future::ready(!before)
    };
    EventStream::new(capped).take_while(until_failed).map(|event| {
        event.map_err(|error| match error {
            EventStreamError::Transport(error) => error,
            EventStreamError::Utf8Error(_) => SseError::NotText,
        })
    })
}

/// Passes bytes on until one event has too many, or is none.
struct Capped<S> {
    bytes: S,
    size: EventSize,
    event_size_bytes_max: usize,
    bare: BareObject,
    /// An object that was in the bytes passed on last.
    found: Option<serde_json::Value>,
}

impl<S, E> Stream for Capped<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    type Item = Result<Bytes, SseError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(object) = self.found.take() {
            return Poll::Ready(Some(Err(SseError::Bare(object))));
        }
        let Some(chunk) = ready!(self.bytes.poll_next_unpin(context)) else {
            return Poll::Ready(self.bare.end().map(|object| Err(SseError::Bare(object))));
        };
        let chunk = chunk.map_err(SseError::Transport)?;
        let Self { size, bare, .. } = &mut *self;
        let largest = size.push(&chunk, |line, left| bare.line(line, left));
        // What follows an error in the same piece is not read: where the bytes are cut changes nothing.
        let chunk = match bare.take() {
            Some((object, left)) => {
                self.found = Some(object);
                chunk.slice(..chunk.len() - left)
            }
            None => chunk,
        };
        Poll::Ready(Some(if largest > self.event_size_bytes_max {
            Err(SseError::TooLarge(self.event_size_bytes_max))
        } else {
            Ok(chunk)
        }))
    }
}

/// How large the event is that is coming in. An event ends with a blank line, and a line with LF, CR or both.
#[derive(Debug, Default)]
struct EventSize {
    size_bytes: usize,
    line_size_bytes: usize,
    after_cr: bool,
}

impl EventSize {
    /// Takes the next bytes; returns the size of the largest event so far seen in them. `line` is told each piece of a line,
    /// and `None` at its end, with how many bytes are left then.
    fn push(&mut self, mut chunk: &[u8], mut line: impl FnMut(Option<&[u8]>, usize)) -> usize {
        let mut largest = 0;
        if let Some(first) = chunk.first() {
            let pair = self.after_cr && *first == b'\n';
            chunk = &chunk[usize::from(pair)..];
            self.after_cr = false;
        }
        while let Some(at) = memchr2(b'\n', b'\r', chunk) {
            line(Some(&chunk[..at]), 0);
            self.line_size_bytes += at;
            self.size_bytes += at;
            largest = largest.max(self.size_bytes);
            if self.line_size_bytes == 0 {
                self.size_bytes = 0;
            }
            self.line_size_bytes = 0;
            let is_cr = chunk[at] == b'\r';
            let pair = is_cr && chunk.get(at + 1) == Some(&b'\n');
            self.after_cr = is_cr && at + 1 == chunk.len();
            chunk = &chunk[at + 1 + usize::from(pair)..];
            line(None, chunk.len());
        }
        line(Some(chunk), 0);
        self.line_size_bytes += chunk.len();
        self.size_bytes += chunk.len();
        largest.max(self.size_bytes)
    }
}

/// Collects lines that begin like a JSON object instead of an event, up to a blank line or the end.
#[derive(Debug, Default)]
struct BareObject {
    text: Vec<u8>,
    /// Whether the present line has begun.
    in_line: bool,
    /// Whether the present event has.
    in_event: bool,
    /// The first one that is whole, and how many bytes of the present piece are behind it.
    whole: Option<(serde_json::Value, usize)>,
}

impl BareObject {
    /// A piece of a line, or its end and how many bytes are left.
    fn line(&mut self, piece: Option<&[u8]>, left: usize) {
        match piece {
            Some([]) => {}
            Some(piece) => {
                if !self.text.is_empty() || (!self.in_event && piece[0] == b'{') {
                    self.text.extend_from_slice(piece);
                }
                (self.in_line, self.in_event) = (true, true);
                if self.text.len() > BARE_SIZE_BYTES_MAX {
                    self.text.clear();
                }
            }
            None if self.in_line => self.in_line = false,
            None => {
                self.in_event = false;
                if self.whole.is_none() {
                    self.whole = self.end().map(|object| (object, left));
                }
            }
        }
    }

    /// An object that is whole by now.
    fn take(&mut self) -> Option<(serde_json::Value, usize)> {
        self.whole.take()
    }

    /// Nothing more comes.
    fn end(&mut self) -> Option<serde_json::Value> {
        if self.text.is_empty() {
            return None;
        }
        let object: Option<serde_json::Value> = serde_json::from_slice(&std::mem::take(&mut self.text)).ok();
        object.filter(|object| object.get("error").is_some_and(|error| !error.is_null()))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt, stream};
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: Vec<Vec<u8>>, cap: usize) -> Vec<Result<(String, String), String>> {
        let bytes = stream::iter(chunks.into_iter().map(|chunk| Ok::<_, Infallible>(Bytes::from(chunk))));
        let events: Vec<_> = events(bytes, cap).collect().now_or_never().expect("the bytes are there");
        events
            .into_iter()
            .map(|event| event.map(|e| (e.event.to_string(), e.data.to_string())).map_err(|error| error.to_string()))
            .collect()
    }

    fn event(event: &str, data: &str) -> Result<(String, String), String> {
        Ok((event.to_owned(), data.to_owned()))
    }

    #[test]
    fn line_ends_comments_and_a_byte_order_mark() {
        let check = |bytes: &str, expected: &[Result<(String, String), String>]| {
            assert_eq!(read(vec![bytes.into()], 1000), expected, "{bytes:?}");
            let single = bytes.bytes().map(|byte| vec![byte]).collect();
            assert_eq!(read(single, 1000), expected, "{bytes:?} byte by byte");
        };
        let two = [event("message", "a"), event("ping", "b")];
        check("data: a\n\nevent: ping\ndata: b\n\n", &two);
        check("data: a\r\n\r\nevent: ping\r\ndata: b\r\n\r\n", &two);
        check("data: a\r\revent: ping\rdata: b\r\r", &two);
        check("\u{feff}: OPENROUTER PROCESSING\n\ndata: a\n\n: x\nevent: ping\ndata: b\n\n", &two);
        check("data: a\ndata: b\n\n", &[event("message", "a\nb")]);
        check("data: a\n\ndata: lost tail", &[event("message", "a")]);
        check("data: 😀\n\n", &[event("message", "😀")]);
    }

    #[test]
    fn bytes_that_are_no_text_end_it() {
        let chunks = vec![b"data: a\n\ndata: \xff\n\ndata: b\n\n".to_vec()];
        assert_eq!(read(chunks, 1000), [event("message", "a"), Err("the stream is not UTF-8".into())]);
    }

    #[test]
    fn one_event_is_capped_but_not_the_stream() {
        let small = "data: 0123456789\n\n: a comment\n\n".repeat(100);
        assert_eq!(read(vec![small.into()], 40).len(), 100);
        let events = read(vec![b"data: a\n\n".to_vec(), b"data: ".repeat(4), b"x".repeat(30)], 40);
        assert_eq!(events, [event("message", "a"), Err("an event has more than 40 bytes".into())]);
        let many_lines = "data: 0123456789\r\n".repeat(3);
        assert_eq!(read(vec![many_lines.into()], 40), [Err("an event has more than 40 bytes".into())]);
    }

    #[test]
    fn an_error_that_is_no_event_is_told() {
        let told = || Err("the stream has an error that is no event".to_owned());
        let object = "{\n  \"error\": {\n    \"code\": 503\n  }\n}";
        for (bytes, expected) in [
            (format!("data: a\n\n{object}"), vec![event("message", "a"), told()]),
            (format!("data: a\r\n\r\n{object}\r\n\r\n"), vec![event("message", "a"), told()]),
            (format!("{object}\n\ndata: a\n\n"), vec![told()]),
            (object.replace('\n', ""), vec![told()]),
            ("{ not json\n\ndata: a\n\n".to_owned(), vec![event("message", "a")]),
            ("{\"other\": 1}\n\ndata: a\n\n".to_owned(), vec![event("message", "a")]),
            (format!("data: a\n{object}\n\n"), vec![event("message", "a")]),
        ] {
            assert_eq!(read(vec![bytes.clone().into_bytes()], 1000), expected, "{bytes:?}");
            assert_eq!(read(bytes.bytes().map(|byte| vec![byte]).collect(), 1000), expected, "{bytes:?} byte by byte");
        }
        let large = format!("{{\"error\": \"{}\"}}", "x".repeat(BARE_SIZE_BYTES_MAX));
        assert!(read(vec![large.into_bytes()], 1_000_000).is_empty(), "too large for an error");
    }

    proptest! {
        #[test]
        fn sizes_do_not_depend_on_the_cuts(lines in proptest::collection::vec("[a-c]{0,6}(\n|\r|\r\n)", 0..20), cut in 1_usize..7) {
            let text = lines.concat();
            let mut whole = EventSize::default();
            let all = whole.push(text.as_bytes(), |_, _| {});
            let mut parts = EventSize::default();
            let most = text.as_bytes().chunks(cut).map(|chunk| parts.push(chunk, |_, _| {})).max().unwrap_or(0);
            prop_assert_eq!((all, whole.size_bytes), (most, parts.size_bytes));
        }
    }
}
