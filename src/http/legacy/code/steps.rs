//! The events of `POST /code` as its clients know them: seven steps in their order, progress that never falls, one last
//! event.

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::http::legacy::wire::{ProcessEvent, ProcessSummary};
pub(super) use crate::http::legacy::wire::{ProcessKind as Kind, ProcessStep as Step};

/// Events of one job that may wait for its client. More than a job has, so that the job waits for nobody.
const EVENTS_MAX: usize = 1024;

/// Where a job is, and the way to whoever is told.
#[derive(Debug)]
pub(super) struct Steps {
    step: Step,
    progress: u8,
    /// The last event has been said.
    over: bool,
    sender: mpsc::Sender<ProcessEvent>,
}

impl Steps {
    pub(super) fn new() -> (Self, mpsc::Receiver<ProcessEvent>) {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        (Self { step: Step::Init, progress: 0, over: false, sender }, receiver)
    }

    pub(super) fn step(&self) -> Step {
        self.step
    }

    pub(super) fn begin(&mut self, step: Step) {
        self.step = step;
    }

    pub(super) fn say(&mut self, kind: Kind, progress: Option<u8>, message: &str) {
        let progress = progress.map(|progress| {
            self.progress = self.progress.max(progress);
            self.progress
        });
        self.tell(ProcessEvent { step: Some(self.step), progress, ..event(kind, message) });
    }

    /// Says something at its place on the way; nothing once that is behind.
    pub(super) fn say_once(&mut self, progress: u8, message: &str) {
        if progress > self.progress {
            self.say(Kind::Info, Some(progress), message);
        }
    }

    /// The last event of a job that did its work.
    pub(super) fn summary(&mut self, summary: ProcessSummary) {
        self.tell(ProcessEvent { summary: Some(summary), ..event(Kind::Summary, "Processing completed") });
        self.over = true;
    }

    /// The last event of any other.
    pub(super) fn fail(&mut self, step: Step, reason: &str) {
        self.tell(failure(step, reason));
        self.over = true;
    }

    fn tell(&self, event: ProcessEvent) {
        if !self.over {
            // Nobody listens any more, or somebody who took none of a thousand: the project's own log has it all.
            let _ = self.sender.try_send(event);
        }
    }
}

/// One last event.
pub(super) fn failure(step: Step, reason: &str) -> ProcessEvent {
    ProcessEvent { step: Some(step), ..event(Kind::Error, &format!("Processing failed: {reason}")) }
}

fn event(kind: Kind, message: &str) -> ProcessEvent {
    let timestamp = Timestamp::now().as_millisecond();
    ProcessEvent { r#type: kind, message: message.to_owned(), timestamp, step: None, progress: None, summary: None }
}
