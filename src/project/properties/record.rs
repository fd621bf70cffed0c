//! The log, read along as it grows, and what must be true of it whatever happens.

use std::collections::HashMap;

use bytes::Bytes;
use cobuild_protocol::{Event, EventFrame, RequestId, RunId, Seq, value::Role};

use crate::project::{event_store::StoredEvent, state::State};

#[derive(Debug, Default)]
pub(super) struct Record {
    /// Event `seq` is at `seq - 1`.
    pub(super) frames: Vec<Bytes>,
    pub(super) fold: State,
    /// The runs there have been, and whether they have ended.
    pub(super) runs: HashMap<RunId, bool>,
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
        self.fold.apply(&event);
        self.frames.push(stored.frame.clone());
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
        *ended = matches!(event.event, Event::RunFinished(_));
    }
}
