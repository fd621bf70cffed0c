//! Adjacent deltas as one frame, for a subscriber who is behind or asked for fewer, larger frames. Pure.
//!
//! Only what is sent is merged; the log keeps every event. A merged frame stands for all events from `seq_first` to
//! `seq`.

use std::sync::Arc;

use bytes::Bytes;
use cobuild_protocol::{Event, EventFrame, Seq};

use super::Frame;

/// From how many events behind on a subscriber's deltas are merged, whatever it asked for: fewer, larger frames help it
/// catch up.
pub const MERGE_LAG_EVENTS: u64 = 512;
/// Most bytes of text in one merged frame: a reader behind by a megabyte gets sixteen frames instead of thousands.
const MERGED_TEXT_SIZE_BYTES_MAX: usize = 64 * 1024;

/// A frame ready to be sent.
#[derive(Debug, Clone)]
pub struct Merged {
    /// The last event it stands for.
    pub seq: Seq,
    /// Its JSON.
    pub json: Bytes,
}

/// These frames with adjacent deltas of the same message, file or process put together.
#[must_use]
pub fn merge(frames: &[Arc<Frame>]) -> Vec<Merged> {
    let mut merged = Vec::new();
    let mut rest = frames;
    while let Some((first, others)) = rest.split_first() {
        let same_kind =
            others.iter().take_while(|frame| first.kind().is_delta() && frame.kind() == first.kind()).count();
        let (run, after) = rest.split_at(1 + same_kind);
        merge_kind(run, &mut merged);
        rest = after;
    }
    merged
}

/// Frames of one kind; what they are about may still differ.
fn merge_kind(run: &[Arc<Frame>], merged: &mut Vec<Merged>) {
    let as_it_is = |frame: &Arc<Frame>| Merged { seq: frame.seq(), json: frame.json().clone() };
    if let [single] = run {
        return merged.push(as_it_is(single));
    }
    let mut open: Option<EventFrame> = None;
    for frame in run {
        // What cannot be read is sent as it is.
        let Ok(next) = serde_json::from_slice::<EventFrame>(frame.json()) else {
            merged.extend(open.take().map(close));
            merged.push(as_it_is(frame));
            continue;
        };
        let appended = open.as_mut().is_some_and(|sum| append_delta(sum, &next));
        if !appended {
            merged.extend(open.replace(next).map(close));
        }
    }
    merged.extend(open.map(close));
}

fn close(frame: EventFrame) -> Merged {
    let json = serde_json::to_vec(&frame).expect("an event has only string keys and finite numbers");
    Merged { seq: frame.seq, json: Bytes::from(json) }
}

/// Puts `next` behind `sum`, if both are deltas about the same thing. What was `done` takes nothing more, and what a
/// command led to stays a frame of its own: its place is part of the command's reply.
pub(in crate::project) fn append_delta(sum: &mut EventFrame, next: &EventFrame) -> bool {
    if sum.run != next.run || sum.by != next.by || sum.command.is_some() || next.command.is_some() {
        return false;
    }
    let fits = |text: &str, more: &str| text.len() + more.len() <= MERGED_TEXT_SIZE_BYTES_MAX;
    let appended = match (&mut sum.event, &next.event) {
        (Event::TextDelta(sum), Event::TextDelta(next))
            if sum.message == next.message && fits(&sum.text, &next.text) =>
        {
            sum.text.push_str(&next.text);
            true
        }
        (Event::ReasoningDelta(sum), Event::ReasoningDelta(next))
            if sum.message == next.message && fits(&sum.text, &next.text) =>
        {
            sum.text.push_str(&next.text);
            true
        }
        (Event::ReplyDelta(sum), Event::ReplyDelta(next))
            if sum.message == next.message && fits(&sum.text, &next.text) =>
        {
            sum.text.push_str(&next.text);
            true
        }
        (Event::FileDelta(sum), Event::FileDelta(next))
            if (sum.message, &sum.path, sum.done) == (next.message, &next.path, false)
                && fits(&sum.text, &next.text) =>
        {
            sum.text.push_str(&next.text);
            sum.done = next.done;
            true
        }
        (Event::InstallOutput(sum), Event::InstallOutput(next)) | (Event::ExecOutput(sum), Event::ExecOutput(next))
            if sum.stream == next.stream && fits(&sum.text, &next.text) =>
        {
            sum.text.push_str(&next.text);
            true
        }
        _ => false,
    };
    if appended {
        sum.seq_first = Some(sum.seq_first.unwrap_or(sum.seq));
        sum.seq = next.seq;
        sum.at.clone_from(&next.at);
    }
    appended
}

#[cfg(test)]
mod tests {
    use cobuild_protocol::{
        Epoch, MessageId, RunId,
        event::{FileDelta, TextDelta},
    };

    use super::*;
    use crate::project::event_store::StoredEvent;

    fn frames(events: Vec<Event>) -> Vec<Arc<Frame>> {
        let epoch: Arc<Epoch> = Arc::new("e".parse().unwrap());
        let frame = |(at, event)| {
            let seq = at as Seq + 1;
            let run = Some(RunId::new(1));
            let frame = EventFrame { event, seq, seq_first: None, at: String::new(), run, by: None, command: None };
            Arc::new(Frame::new(&epoch, StoredEvent::new(seq, serde_json::to_vec(&frame).unwrap().into())))
        };
        events.into_iter().enumerate().map(frame).collect()
    }

    fn text(message: u64, text: &str) -> Event {
        Event::TextDelta(TextDelta { message: MessageId::new(message), text: text.into() })
    }

    fn file(path: &str, text: &str, done: bool) -> Event {
        let (message, path) = (MessageId::new(1), path.parse().unwrap());
        Event::FileDelta(FileDelta { message, path, text: text.into(), done })
    }

    /// Each merged frame as `first-last text`.
    fn check(events: Vec<Event>, expected: &[&str]) {
        let merged = merge(&frames(events));
        let shown: Vec<String> = merged
            .iter()
            .map(|merged| {
                let frame: EventFrame = serde_json::from_slice(&merged.json).unwrap();
                assert_eq!(frame.seq, merged.seq);
                let text = match frame.event {
                    Event::TextDelta(delta) => delta.text,
                    Event::FileDelta(delta) => format!("{}{}", delta.text, if delta.done { "." } else { "" }),
                    _ => unreachable!("not used here"),
                };
                format!("{}-{} {text}", frame.seq_first.unwrap_or(frame.seq), frame.seq)
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn merges_what_is_about_the_same_thing() {
        check(vec![text(1, "a"), text(1, "b"), text(1, "c")], &["1-3 abc"]);
        check(vec![text(1, "a"), text(2, "b"), text(2, "c")], &["1-1 a", "2-3 bc"]);
        check(
            vec![
                text(1, "a"),
                file("x", "1", false),
                file("x", "2", true),
                file("x", "3", false),
                file("y", "4", true),
            ],
            &["1-1 a", "2-3 12.", "4-4 3", "5-5 4."],
        );
        check(vec![], &[]);
    }

    #[test]
    fn keeps_merged_frames_small() {
        let long = "x".repeat(MERGED_TEXT_SIZE_BYTES_MAX - 1);
        let merged = merge(&frames(vec![text(1, &long), text(1, "y"), text(1, "z")]));
        assert_eq!(merged.iter().map(|merged| merged.seq).collect::<Vec<_>>(), [2, 3]);
    }
}
