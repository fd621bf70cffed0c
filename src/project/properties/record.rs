//! The log, read along as it grows, and what must be true of it whatever happens.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use cobuild_protocol::{
    Event, EventFrame, RequestId, RunId, Seq,
    value::{Outcome, Role},
};

use super::happened::{What, note};
use crate::project::{
    event_store::{StoredEvent, StoredSnapshot},
    state::State,
};

#[derive(Debug, Default)]
pub(super) struct Record {
    /// Event `seq` is at `seq - 1`.
    pub(super) frames: Vec<Bytes>,
    pub(super) fold: State,
    /// The runs there have been, and whether they have ended.
    pub(super) runs: HashMap<RunId, bool>,
    /// Those that have begun.
    begun: HashSet<RunId>,
    /// The events that commands have led to.
    pub(super) effects: HashMap<RequestId, (Option<RunId>, Seq)>,
}

impl Record {
    pub(super) fn head(&self) -> Seq {
        self.frames.len() as Seq
    }

    pub(super) fn take(&mut self, stored: &StoredEvent) {
        assert_eq!(stored.seq, self.head() + 1, "the log has no gaps");
        let event: EventFrame = serde_json::from_slice(&stored.frame).unwrap();
        assert_eq!(event.seq, stored.seq);
        self.commands_count_once(&event);
        self.runs_end_once(&event);
        match &event.event {
            Event::RoleChanged(changed) => {
                note(if changed.role.is_some() { What::RoleChanged } else { What::Removed });
            }
            Event::QueueChanged(_) => note(What::Moved),
            Event::FileWritten(_) => note(What::FileWritten),
            Event::FileLocked(_) => note(What::Locked),
            Event::Restored(_) => note(What::Restored),
            Event::MessageAdded(added) if added.steers => note(What::Joined),
            _ => {}
        }
        self.fold.apply(&event);
        self.frames.push(stored.frame.clone());
    }

    /// That this frame, which stands for the places `first` to `last`, says what the events at these places said.
    pub(super) fn check(&self, first: Seq, last: Seq, json: &Bytes) {
        assert!(1 <= first && first <= last && last <= self.head(), "{first}-{last} of {}", self.head());
        let at = |seq: Seq| &self.frames[usize::try_from(seq).unwrap() - 1];
        if first == last {
            return assert_eq!(at(last), json, "what was seen is what is in the log");
        }
        let parse = |json: &Bytes| serde_json::from_slice::<EventFrame>(json).unwrap();
        let merged = parse(json);
        assert_eq!((merged.seq_first, merged.seq), (Some(first), last));
        let events: Vec<EventFrame> = (first..=last).map(|seq| parse(at(seq))).collect();
        let texts: String = events.iter().map(|event| split(event.event.clone()).0).collect();
        assert_eq!(split(merged.event.clone()).0, texts, "{first}-{last}");
        for event in &events {
            assert_eq!((event.run, event.by, &event.command), (merged.run, merged.by, &None));
            let (about, expected) = (split(event.event.clone()).1, split(merged.event.clone()).1);
            let done = event.seq == last || !matches!(event.event, Event::FileDelta(ref delta) if delta.done);
            assert!(about == expected && done, "{event:?} in {merged:?}");
        }
        assert_eq!(events.last().map(|event| &event.at), Some(&merged.at));
    }

    /// That this is the fold of the log's beginning.
    pub(super) fn check_base(&self, base: &StoredSnapshot) {
        let mut state = State::default();
        for frame in &self.frames[..usize::try_from(base.seq).unwrap()] {
            state.apply(&serde_json::from_slice(frame).unwrap());
        }
        let stored: serde_json::Value = serde_json::from_slice(&base.state).unwrap();
        assert_eq!(stored, serde_json::to_value(&state).unwrap());
    }

    fn commands_count_once(&mut self, event: &EventFrame) {
        let Some(command) = &event.command else { return };
        let earlier = self.effects.insert(command.clone(), (event.run, event.seq));
        assert_eq!(earlier, None, "{command} counts twice: {event:?}");
        let by = event.by.and_then(|by| self.fold.view.participants.get(&by)).expect("somebody known");
        assert!(by.role >= Role::Editor && !by.removed, "{by:?} changed something: {event:?}");
    }

    fn runs_end_once(&mut self, event: &EventFrame) {
        let Some(run) = event.run else { return };
        let ended = self.runs.entry(run).or_default();
        assert!(!*ended, "after the end of {run}: {event:?}");
        match &event.event {
            Event::RunStarted(_) => drop(self.begun.insert(run)),
            Event::RunFinished(finished) => {
                *ended = true;
                let cut_off = finished.outcome == Outcome::Interrupted;
                assert!(!cut_off || self.begun.contains(&run), "{run} was lost while it waited");
                note(match finished.outcome {
                    Outcome::Completed => What::Completed,
                    Outcome::Failed => What::Failed,
                    Outcome::Cancelled => What::Cancelled,
                    Outcome::Interrupted => What::Interrupted,
                });
            }
            _ => {}
        }
    }
}

/// A delta's text, and what it is about.
fn split(event: Event) -> (String, Event) {
    let (mut event, mut text) = (event, String::new());
    match &mut event {
        Event::TextDelta(delta) => std::mem::swap(&mut text, &mut delta.text),
        Event::ReasoningDelta(delta) => std::mem::swap(&mut text, &mut delta.text),
        Event::ReplyDelta(delta) => std::mem::swap(&mut text, &mut delta.text),
        Event::FileDelta(delta) => {
            delta.done = false;
            std::mem::swap(&mut text, &mut delta.text);
        }
        Event::InstallOutput(said) | Event::ExecOutput(said) => std::mem::swap(&mut text, &mut said.text),
        other => panic!("no delta: {other:?}"),
    }
    (text, event)
}
