//! What a client was told, whatever the size of the pieces: deltas may come one by one, merged on the way, or merged in
//! the store, and say the same.

use cobuild::project::content_hash;
use cobuild_protocol::{Seq, value::ContentHash};
use serde_json::Value;

/// Events whose adjacent ones may stand in one frame.
const DELTAS: [&str; 6] =
    ["text_delta", "reasoning_delta", "reply_delta", "file_delta", "install_output", "exec_output"];
/// What each frame of a row of deltas has for itself.
const OWN: [&str; 5] = ["seq", "seq_first", "at", "text", "done"];

/// Contiguous events, each row of adjacent deltas put together.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct History {
    told: Vec<Told>,
    before: Seq,
    pub(crate) last: Seq,
}

#[derive(Debug, Clone, PartialEq)]
struct Told {
    last: Seq,
    /// What it is about; of what is no delta, everything.
    about: Value,
    text: String,
    /// Nothing is added to it any more.
    closed: bool,
}

impl History {
    /// Of somebody who has seen everything up to `before`, or nothing (0).
    pub(crate) fn after(before: Seq) -> Self {
        Self { told: Vec::new(), before, last: before }
    }

    /// Of these frames, the first of which follows `before`.
    pub(crate) fn of(before: Seq, lines: &[String]) -> Self {
        let mut history = Self::after(before);
        lines.iter().for_each(|line| history.push(line));
        history
    }

    /// Adds a frame, which must follow the one before.
    pub(crate) fn push(&mut self, line: &str) {
        let mut about: Value = serde_json::from_str(line).expect("an event");
        let number = |name: &str| about[name].as_u64();
        let seq = number("seq").expect("a place in the log");
        let first = number("seq_first").unwrap_or(seq);
        assert_eq!(first, self.last + 1, "a gap or a repetition: {line}");
        self.last = seq;
        let is_delta = DELTAS.contains(&about["type"].as_str().expect("a type")) && about["command"].is_null();
        if !is_delta {
            assert_eq!(first, seq, "only deltas are merged: {line}");
            return self.told.push(Told { last: seq, about, text: String::new(), closed: true });
        }
        let text = about["text"].as_str().expect("a text").to_owned();
        let closed = about["done"] == true;
        let fields = about.as_object_mut().expect("an object");
        OWN.iter().for_each(|name| drop(fields.remove(*name)));
        match self.told.last_mut().filter(|open| !open.closed && open.about == about) {
            Some(open) => {
                open.text.push_str(&text);
                (open.last, open.closed) = (seq, closed);
            }
            None => self.told.push(Told { last: seq, about, text, closed }),
        }
    }

    /// The last event from before.
    pub(crate) fn beginning(&self) -> Seq {
        self.before
    }

    /// Whether nothing has been added.
    pub(crate) fn told_nothing(&self) -> bool {
        self.told.is_empty()
    }

    /// Whether this is the other one's beginning.
    pub(crate) fn is_beginning_of(&self, other: &Self) -> bool {
        let Some((newest, whole)) = self.told.split_last() else { return self.before <= other.last };
        let Some(same) = other.told.get(whole.len()) else { return false };
        let begins = if newest.last == same.last {
            newest == same
        } else {
            !newest.closed
                && newest.about == same.about
                && newest.last < same.last
                && same.text.starts_with(&newest.text)
        };
        self.before == other.before && begins && whole == &other.told[..whole.len()]
    }

    /// Everything models have said, in order, as one hash.
    pub(crate) fn text_hash(&self) -> ContentHash {
        let deltas = self.told.iter().filter(|told| told.about["type"] == "text_delta");
        content_hash(deltas.map(|told| told.text.as_str()).collect::<String>().as_bytes())
    }
}

#[test]
fn the_size_of_the_pieces_does_not_matter() {
    let delta = |first: Seq, seq: Seq, text: &str| {
        format!(
            r#"{{"type":"text_delta","message":"m1","text":"{text}","seq":{seq},"seq_first":{first},"at":"{seq}"}}"#
        )
    };
    let end = r#"{"type":"run_finished","seq":5,"at":"5"}"#.to_owned();
    let single = History::of(1, &[delta(2, 2, "a"), delta(3, 3, "b"), delta(4, 4, "c"), end.clone()]);
    let merged = History::of(1, &[delta(2, 4, "abc"), end.clone()]);
    assert_eq!(single, merged);
    assert!(History::of(1, &[delta(2, 3, "ab")]).is_beginning_of(&merged));
    assert!(History::after(1).is_beginning_of(&merged));
    for other in [vec![delta(2, 3, "ax")], vec![delta(2, 4, "ab")], vec![delta(2, 4, "abc"), delta(5, 5, "d")]] {
        assert!(!History::of(1, &other).is_beginning_of(&merged), "{other:?}");
    }
    assert!(!merged.is_beginning_of(&History::of(1, &[delta(2, 3, "ab")])));
}
