//! An event as it goes out: encoded once, shared by every subscriber.

use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use cobuild_protocol::{Epoch, Seq};

use crate::project::event_store::StoredEvent;

/// An encoded event.
#[derive(Debug)]
pub struct Frame {
    first: Seq,
    seq: Seq,
    json: Bytes,
    kind: FrameKind,
    epoch: Arc<Epoch>,
    sse: OnceLock<Bytes>,
}

/// What may be done with a frame on its way to a subscriber who is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// `text_delta`
    TextDelta,
    /// `reasoning_delta`
    ReasoningDelta,
    /// `reply_delta`
    ReplyDelta,
    /// `file_delta`
    FileDelta,
    /// `install_output`
    InstallOutput,
    /// `exec_output`
    ExecOutput,
    /// `participant_joined` or `participant_left`: stands for itself, but nobody waits for it.
    Presence,
    /// Stands for itself.
    Other,
}

impl FrameKind {
    /// Whether adjacent frames of this kind, about the same message, file or process, may be sent as one.
    #[must_use]
    pub const fn is_delta(self) -> bool {
        !matches!(self, Self::Presence | Self::Other)
    }

    /// Reads the kind off the frame's beginning: our own encoder writes `type` first. Parsing every event again only
    /// to learn this would cost more than encoding it did.
    pub(in crate::project) fn of(json: &[u8]) -> Self {
        let name = json.strip_prefix(br#"{"type":""#).and_then(|rest| rest.split(|byte| *byte == b'"').next());
        match name {
            Some(b"text_delta") => Self::TextDelta,
            Some(b"reasoning_delta") => Self::ReasoningDelta,
            Some(b"reply_delta") => Self::ReplyDelta,
            Some(b"file_delta") => Self::FileDelta,
            Some(b"install_output") => Self::InstallOutput,
            Some(b"exec_output") => Self::ExecOutput,
            Some(b"participant_joined" | b"participant_left") => Self::Presence,
            _ => Self::Other,
        }
    }
}

impl Frame {
    pub(super) fn new(epoch: &Arc<Epoch>, event: StoredEvent) -> Self {
        let kind = FrameKind::of(&event.frame);
        let first = event.first();
        Self { first, seq: event.seq, json: event.frame, kind, epoch: Arc::clone(epoch), sse: OnceLock::new() }
    }

    /// The first place of the log it stands for: its own, unless compaction has merged it.
    #[must_use]
    pub const fn first(&self) -> Seq {
        self.first
    }

    /// Its place in the log, or the last of its places.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.seq
    }

    /// The event frame's JSON: the payload of a WebSocket text frame, a line of `GET …/log`.
    #[must_use]
    pub const fn json(&self) -> &Bytes {
        &self.json
    }

    /// Whether it is a delta, and which.
    #[must_use]
    pub const fn kind(&self) -> FrameKind {
        self.kind
    }

    /// Its size as JSON; what limits and lag are counted in.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.json.len()
    }

    /// The event as a server-sent event, `id: <epoch>:<seq>` and `data: <json>`; built when first asked for.
    #[must_use]
    pub fn sse(&self) -> &Bytes {
        self.sse.get_or_init(|| server_sent(&self.epoch, self.seq, &self.json))
    }
}

/// An event as a server-sent event.
#[must_use]
pub fn server_sent(epoch: &Epoch, seq: Seq, json: &[u8]) -> Bytes {
    let head = format!("id: {epoch}:{seq}\ndata: ");
    let mut chunk = BytesMut::with_capacity(head.len() + json.len() + 2);
    chunk.put_slice(head.as_bytes());
    chunk.put_slice(json);
    chunk.put_slice(b"\n\n");
    chunk.freeze()
}

#[cfg(test)]
mod tests {
    use cobuild_protocol::{
        event::{Event, EventFrame, ExecStarted, FileDelta, ProcessOutput, ReasoningDelta, TextDelta},
        id::MessageId,
        value::OutputStream,
    };

    use super::*;

    fn frame(json: impl Into<Bytes>) -> Frame {
        let epoch = Arc::new("abc".parse().expect("valid"));
        Frame::new(&epoch, StoredEvent::new(41, json.into()))
    }

    fn encode(event: Event) -> Vec<u8> {
        let at = "2026-11-01T00:00:00.000Z".to_owned();
        let frame = EventFrame { event, seq: 41, seq_first: None, at, run: None, by: None, command: None };
        serde_json::to_vec(&frame).expect("an event is JSON")
    }

    #[test]
    fn sse_form() {
        let frame = frame(r#"{"type":"x"}"#);
        assert_eq!(frame.sse(), "id: abc:41\ndata: {\"type\":\"x\"}\n\n");
        assert_eq!(frame.sse().as_ptr(), frame.sse().as_ptr(), "built once");
    }

    /// Fails when the protocol's encoder no longer writes `type` first.
    #[test]
    fn kinds_of_real_events() {
        let message = MessageId::new(1);
        let text = String::from("\"type\":\"x\"");
        let path = "src/App.jsx".parse().expect("valid");
        let output = ProcessOutput { stream: OutputStream::Stdout, text: text.clone() };
        for (event, expected) in [
            (Event::TextDelta(TextDelta { message, text: text.clone() }), FrameKind::TextDelta),
            (Event::ReasoningDelta(ReasoningDelta { message, text: text.clone() }), FrameKind::ReasoningDelta),
            (Event::FileDelta(FileDelta { message, path, text: text.clone(), done: false }), FrameKind::FileDelta),
            (Event::InstallOutput(output.clone()), FrameKind::InstallOutput),
            (Event::ExecOutput(output), FrameKind::ExecOutput),
            (Event::ExecStarted(ExecStarted { command: text }), FrameKind::Other),
        ] {
            assert_eq!(frame(encode(event)).kind(), expected);
        }
        assert_eq!(frame("not ours").kind(), FrameKind::Other);
    }
}
