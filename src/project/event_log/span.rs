//! Frames that stand for several events: made by compaction, taken apart again for whoever has seen a part of one. Pure,
//! but for [`read`].
//!
//! Beside such a frame the store keeps its cuts: how many bytes of its text each of its places brought along. So a
//! client may come back from any place of the log and gets exactly what it misses.

use bytes::Bytes;
use cobuild_protocol::{Event, EventFrame, ProjectId, Seq};

use super::{FrameKind, append_delta};
use crate::project::event_store::{ReadLimits, SharedStore, Span, StoreError, StoredEvent};

/// Reads the log from a place on; the first frame begins right there.
pub(in crate::project) async fn read(
    store: &SharedStore,
    project: &ProjectId,
    from: Seq,
    limits: ReadLimits,
) -> Result<Vec<StoredEvent>, StoreError> {
    let mut events = store.read(project, from, limits).await?;
    if let Some(first) = events.first_mut() {
        *first = begin_at(first, from)?;
    }
    Ok(events)
}

/// What can be merged of these frames, each with the places it stands for. The others stay as they are.
pub(in crate::project) fn merge(events: &[StoredEvent]) -> Vec<StoredEvent> {
    let mut merged = Vec::new();
    let mut open: Option<Open> = None;
    for event in events {
        let delta = delta(event);
        let appended = open.as_mut().zip(delta.as_ref()).is_some_and(|(open, delta)| open.append(delta));
        if !appended {
            merged.extend(open.take().and_then(Open::close));
            open = delta.map(Open::new);
        }
    }
    merged.extend(open.and_then(Open::close));
    merged
}

/// A delta that stands for itself.
fn delta(event: &StoredEvent) -> Option<EventFrame> {
    let may_merge = event.span.is_none() && FrameKind::of(&event.frame).is_delta();
    // What cannot be read, or not be taken apart again, stays as it is.
    let frame: Option<EventFrame> = may_merge.then(|| serde_json::from_slice(&event.frame).ok()).flatten();
    frame.filter(|frame| text(&frame.event).is_some())
}

/// A merged frame in the making.
struct Open {
    frame: EventFrame,
    first: Seq,
    cuts: Vec<u8>,
}

impl Open {
    fn new(frame: EventFrame) -> Self {
        let mut cuts = Vec::new();
        push_length(&mut cuts, text(&frame.event).map_or(0, str::len));
        Self { first: frame.seq, frame, cuts }
    }

    fn append(&mut self, next: &EventFrame) -> bool {
        let appended = append_delta(&mut self.frame, next);
        if appended {
            push_length(&mut self.cuts, text(&next.event).map_or(0, str::len));
        }
        appended
    }

    /// `None`: it was only one.
    fn close(self) -> Option<StoredEvent> {
        let Self { frame, first, cuts } = self;
        (first < frame.seq).then(|| stored(&frame, first, cuts.into()))
    }
}

fn stored(frame: &EventFrame, first: Seq, cuts: Bytes) -> StoredEvent {
    let json = serde_json::to_vec(frame).expect("an event has only string keys and finite numbers");
    let span = (first < frame.seq).then_some(Span { first, cuts });
    StoredEvent { seq: frame.seq, frame: Bytes::from(json), span }
}

/// The frame without the places before `from`.
fn begin_at(event: &StoredEvent, from: Seq) -> Result<StoredEvent, StoreError> {
    let Some(Span { first, cuts }) = event.span.as_ref().filter(|span| span.first < from && from <= event.seq) else {
        return Ok(event.clone());
    };
    let damaged = || StoreError::Corrupt(format!("event {} cannot be taken apart", event.seq).into());
    let mut frame: EventFrame = serde_json::from_slice(&event.frame).map_err(|_| damaged())?;
    let (mut seen, mut rest) = (0, &cuts[..]);
    for _ in *first..from {
        seen += take_length(&mut rest).ok_or_else(damaged)?;
    }
    let text = text_mut(&mut frame.event).ok_or_else(damaged)?;
    *text = text.get(seen..).ok_or_else(damaged)?.to_owned();
    frame.seq_first = (from < frame.seq).then_some(from);
    Ok(stored(&frame, from, cuts.slice(cuts.len() - rest.len()..)))
}

/// The text of a delta.
fn text(event: &Event) -> Option<&str> {
    match event {
        Event::TextDelta(delta) => Some(&delta.text),
        Event::ReasoningDelta(delta) => Some(&delta.text),
        Event::ReplyDelta(delta) => Some(&delta.text),
        Event::FileDelta(delta) => Some(&delta.text),
        Event::InstallOutput(said) | Event::ExecOutput(said) => Some(&said.text),
        _ => None,
    }
}

fn text_mut(event: &mut Event) -> Option<&mut String> {
    match event {
        Event::TextDelta(delta) => Some(&mut delta.text),
        Event::ReasoningDelta(delta) => Some(&mut delta.text),
        Event::ReplyDelta(delta) => Some(&mut delta.text),
        Event::FileDelta(delta) => Some(&mut delta.text),
        Event::InstallOutput(said) | Event::ExecOutput(said) => Some(&mut said.text),
        _ => None,
    }
}

/// Seven bits a byte, lowest first; the highest bit says that more follow (LEB128). Most deltas are shorter than 128.
fn push_length(cuts: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        cuts.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    cuts.push(length as u8);
}

fn take_length(cuts: &mut &[u8]) -> Option<usize> {
    let (mut length, mut shift) = (0, 0);
    loop {
        let (byte, rest) = cuts.split_first()?;
        *cuts = rest;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(length);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use cobuild_protocol::{
        MessageId, ParticipantId, RequestId, RunId,
        event::{FileDelta, ProcessOutput, RunFinished, TextDelta},
        value::{Outcome, OutputStream},
    };

    use super::*;

    fn log(events: Vec<Event>) -> Vec<StoredEvent> {
        let frame = |(at, event)| {
            let (seq, at) = (at as Seq + 1, format!("at {at}"));
            let by = None::<ParticipantId>;
            EventFrame { event, seq, seq_first: None, at, run: Some(RunId::new(1)), by, command: None }
        };
        let frames = events.into_iter().enumerate().map(frame);
        frames.map(|frame| StoredEvent::new(frame.seq, serde_json::to_vec(&frame).unwrap().into())).collect()
    }

    fn text(text: &str) -> Event {
        Event::TextDelta(TextDelta { message: MessageId::new(1), text: text.into() })
    }

    fn file(text: &str, done: bool) -> Event {
        let path = "a.js".parse().unwrap();
        Event::FileDelta(FileDelta { message: MessageId::new(1), path, text: text.into(), done })
    }

    fn said(text: &str) -> Event {
        Event::ExecOutput(ProcessOutput { stream: OutputStream::Stdout, text: text.into() })
    }

    fn end() -> Event {
        Event::RunFinished(RunFinished { outcome: Outcome::Completed, error: None, usage: None, cancelled_by: None })
    }

    /// As `first-last text`.
    fn shown(event: &StoredEvent) -> String {
        let frame: EventFrame = serde_json::from_slice(&event.frame).unwrap();
        assert_eq!((frame.seq, frame.seq_first.unwrap_or(frame.seq)), (event.seq, event.first()));
        format!("{}-{} {}", event.first(), event.seq, super::text(&frame.event).unwrap_or("-"))
    }

    #[test]
    fn merges_deltas_about_the_same_thing() {
        let long = "x".repeat(40_000);
        for (events, expected) in [
            (vec![], vec![]),
            (vec![text("a")], vec![]),
            (vec![end(), text("a"), text("ü"), end(), text("b")], vec!["2-3 aü"]),
            (vec![file("a", false), file("b", true), file("c", false), file("", true)], vec!["1-2 ab", "3-4 c"]),
            (vec![text("a"), said("b"), said("c"), text("d"), text("e")], vec!["2-3 bc", "4-5 de"]),
            (vec![text(&long), text(&long), text("a")], vec![&*format!("2-3 {long}a")]),
        ] {
            let merged: Vec<_> = merge(&log(events)).iter().map(shown).collect();
            assert_eq!(merged, expected);
        }
    }

    #[test]
    fn what_a_command_led_to_stays_a_frame_of_its_own() {
        let mut events = log(vec![text("a"), text("b"), text("c")]);
        let mut frame: EventFrame = serde_json::from_slice(&events[0].frame).unwrap();
        frame.command = Some("c1".parse::<RequestId>().unwrap());
        events[0].frame = serde_json::to_vec(&frame).unwrap().into();
        assert_eq!(merge(&events).iter().map(shown).collect::<Vec<_>>(), ["2-3 bc"]);
    }

    #[test]
    fn a_merged_frame_is_not_merged_again() {
        let merged = merge(&log(vec![text("a"), text("b")]));
        assert_eq!(merge(&[merged[0].clone(), merged[0].clone()]), []);
    }

    #[test]
    fn is_taken_apart_at_every_place() {
        let texts = ["a", "", "üü", &"long ".repeat(100), "", "e"];
        let merged = merge(&log(texts.iter().map(|part| text(part)).collect()));
        let [whole] = &merged[..] else { panic!("one frame: {merged:?}") };
        for from in 1..=6 {
            let cut = begin_at(whole, from as Seq).unwrap();
            assert_eq!(shown(&cut), format!("{from}-6 {}", texts[from - 1..].concat()));
            // And what is left is taken apart again.
            for again in from..=6 {
                let cut = begin_at(&cut, again as Seq).unwrap();
                assert_eq!(shown(&cut), format!("{again}-6 {}", texts[again - 1..].concat()));
            }
        }
        assert_eq!(begin_at(whole, 6).unwrap().span, None);
    }

    #[test]
    fn done_belongs_to_the_last_place() {
        let merged = merge(&log(vec![file("a", false), file("b", false), file("c", true)]));
        let last: EventFrame = serde_json::from_slice(&begin_at(&merged[0], 3).unwrap().frame).unwrap();
        assert_eq!((last.event, last.seq_first), (file("c", true), None));
    }

    #[test]
    fn damage_is_said() {
        let merged = merge(&log(vec![text("aü"), text("b"), text("c")]));
        for cuts in ["", "\x01", "\x02", "\u{7f}"] {
            let mut damaged = merged[0].clone();
            damaged.span = Some(Span { first: 1, cuts: Bytes::from(cuts) });
            let result = begin_at(&damaged, if cuts == "\x01" { 3 } else { 2 });
            assert!(matches!(result, Err(StoreError::Corrupt(_))), "{cuts:?}: {result:?}");
        }
    }
}
