//! From what waits to the next batch: whose turn it is, and what may share a batch with what. What a request or an update
//! becomes is in the files beside this one: `joining` people, `decisions` on commands, `updates` of jobs.

use std::sync::Arc;

use cobuild_protocol::{
    Event, Seq,
    event::{ParticipantLeft, PreviewChanged},
    value::PreviewState,
};
use tokio::time::Instant;

use super::{Appending, ProjectActor, decisions::Sender};
use crate::project::{
    batch::{Batch, Stamp},
    command,
    event_store::StoredSnapshot,
    handle::Request,
    preview_pages::PageNews,
    run::UpdateBody,
};

/// Events between two stored snapshots. Folding this many takes a few tens of milliseconds at most, and that is what
/// opening a project costs.
const SNAPSHOT_EVERY: Seq = 4096;

impl ProjectActor {
    /// Makes one batch of what waits and sends it to the store, unless one is under way.
    pub(super) fn pump(&mut self) {
        if self.appending.is_some() || self.retry_refused() {
            return;
        }
        loop {
            let mut batch = Batch::new(self.state.seq);
            self.fill(&mut batch);
            if batch.is_untouched() {
                return;
            }
            if batch.is_empty() {
                // Nothing to store: a duplicate's reply, or a participant who is here already.
                self.finish(batch);
                continue;
            }
            return self.append(batch);
        }
    }

    /// Tries a refused batch again when it is time. True while there is one.
    fn retry_refused(&mut self) -> bool {
        match self.refused.take() {
            Some((batch, at)) if at <= Instant::now() => {
                self.append(batch);
                true
            }
            Some(refused) => {
                self.refused = Some(refused);
                self.answer_without_the_store();
                true
            }
            None => false,
        }
    }

    pub(super) fn append(&mut self, batch: Batch) {
        let head = batch.events.last().map_or(self.state.seq, |event| event.seq);
        let snapshot = (head >= self.snapshot_stored + SNAPSHOT_EVERY).then(|| self.snapshot_to_store()).flatten();
        let snapshot_seq = snapshot.as_ref().map(|snapshot| snapshot.seq);
        let transaction = batch.transaction(&self.project, snapshot);
        let store = Arc::clone(&self.parts.store);
        let result = Box::pin(async move { store.append(transaction).await });
        self.appending = Some(Appending { batch, began: Instant::now(), snapshot: snapshot_seq, result });
    }

    pub(super) fn snapshot_to_store(&self) -> Option<StoredSnapshot> {
        match serde_json::to_vec(&self.state) {
            Ok(state) => Some(StoredSnapshot { seq: self.state.seq, state: state.into() }),
            Err(error) => {
                tracing::error!(project = %self.project, %error, "the state could not be written as a snapshot");
                None
            }
        }
    }

    /// Puts into the batch what may go next: departures and the next run, then updates and requests in turn.
    fn fill(&mut self, batch: &mut Batch) {
        for participant in self.room.take_departed(Instant::now()) {
            batch.push(Event::ParticipantLeft(ParticipantLeft { participant }), Stamp::default());
        }
        self.take_next_run(batch);
        self.requests_first = !self.requests_first;
        if self.requests_first {
            self.fill_from_requests(batch);
        }
        // What jobs said never shares a batch with a request: a cancellation is the last word of its run, and a batch
        // the store refuses is told to whoever asked, but kept for jobs.
        if batch.is_untouched() {
            self.fill_from_updates(batch);
        }
        // Once more: the updates may have been the end of the run before.
        self.take_next_run(batch);
        if batch.is_untouched() {
            self.fill_from_requests(batch);
        }
    }

    fn take_next_run(&mut self, batch: &mut Batch) {
        if batch.is_untouched()
            && !self.drain.is_cancelled()
            && self.runs.may_take_next()
            && let Some(next) = self.runs.queue.pop()
        {
            let stamp = Stamp { run: Some(next.run), by: Some(next.by), command: None };
            command::begin(batch, &self.state, next.run, next.by, stamp, next.work);
        }
    }

    /// A request decides on the committed state, so it has a batch to itself. Only people come in together: a crowd that
    /// comes back costs the store and everybody who is there a few appends, not one for each.
    fn fill_from_requests(&mut self, batch: &mut Batch) {
        while let Some(request) = self.waiting.pop_front_if(|request| {
            batch.is_untouched() || matches!(request, Request::Join { .. }) && batch.only_lets_in()
        }) {
            match request {
                Request::Join { identity, since, reply } => self.join(identity, since, reply, batch),
                Request::Command { by, role, party, frame, reply } => {
                    self.decide(Sender { by, role, party }, frame, reply, batch);
                }
                Request::Page { news } => self.note_page(news, batch),
                Request::Leave { .. }
                | Request::State { .. }
                | Request::IsRemoved { .. }
                | Request::Preview { .. }
                | Request::Recall { .. }
                | Request::Delete => {
                    unreachable!("answered when they came in")
                }
            }
        }
    }

    /// What a page of the preview says. Without a dev server there is no page to say anything.
    fn note_page(&self, news: PageNews, batch: &mut Batch) {
        let preview = &self.state.view.preview;
        if preview.state != PreviewState::Ready {
            return;
        }
        let event = match news {
            PageNews::Threw(error) if preview.error.as_ref() != Some(&error.message) => {
                Event::PreviewError(error.into())
            }
            // Not where the dev server has found another since.
            PageNews::Outdated(message) if preview.error.as_ref() == Some(&message) => {
                let (state, url) = (PreviewState::Ready, preview.url.clone());
                Event::PreviewChanged(PreviewChanged { state, url, error: None })
            }
            PageNews::Threw(_) | PageNews::Outdated(_) => return,
        };
        batch.push(event, Stamp::default());
    }

    /// Updates pile up into one batch, until one of them decides on the state that the others change.
    fn fill_from_updates(&mut self, batch: &mut Batch) {
        while let Some(update) = self.backlog.front() {
            let decides = !matches!(update.body, UpdateBody::Events(_));
            if decides && !batch.is_untouched() {
                return;
            }
            let update = self.backlog.pop_front().expect("there is a front");
            self.take_update(update, batch);
            if decides && !batch.is_untouched() {
                return;
            }
        }
    }
}
