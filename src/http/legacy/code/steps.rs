//! The events of `POST /code` as its clients know them: seven steps in their order, progress that never falls, one last
//! event.

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Events of one job that may wait for its client. More than a job has, so that the job waits for nobody.
const EVENTS_MAX: usize = 1024;

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Init,
    Validation,
    Clone,
    Analysis,
    Planning,
    Implementation,
    Complete,
}

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Info,
    Success,
    Warning,
}

/// Where a job is, and the way to whoever is told.
#[derive(Debug)]
pub(super) struct Steps {
    step: Step,
    progress: u8,
    /// The last event has been said.
    over: bool,
    sender: mpsc::Sender<Value>,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Validation => "validation",
            Self::Clone => "clone",
            Self::Analysis => "analysis",
            Self::Planning => "planning",
            Self::Implementation => "implementation",
            Self::Complete => "complete",
        }
    }
}

impl Steps {
    pub(super) fn new() -> (Self, mpsc::Receiver<Value>) {
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
        let kind = match kind {
            Kind::Info => "info",
            Kind::Success => "success",
            Kind::Warning => "warning",
        };
        let mut event = json!({ "type": kind, "message": message, "step": self.step.name(), "timestamp": now() });
        if let Some(progress) = progress {
            self.progress = self.progress.max(progress);
            event["progress"] = self.progress.into();
        }
        self.tell(event);
    }

    /// Says something at its place on the way; nothing once that is behind.
    pub(super) fn say_once(&mut self, progress: u8, message: &str) {
        if progress > self.progress {
            self.say(Kind::Info, Some(progress), message);
        }
    }

    /// The last event of a job that did its work.
    pub(super) fn summary(&mut self, summary: Value) {
        let event = json!({
            "type": "summary", "message": "Processing completed", "timestamp": now(), "summary": summary,
        });
        self.tell(event);
        self.over = true;
    }

    /// The last event of any other.
    pub(super) fn fail(&mut self, step: Step, reason: &str) {
        self.tell(failure(step, reason));
        self.over = true;
    }

    fn tell(&self, event: Value) {
        if !self.over {
            // Nobody listens any more, or somebody who took none of a thousand: the project's own log has it all.
            let _ = self.sender.try_send(event);
        }
    }
}

/// One last event.
pub(super) fn failure(step: Step, reason: &str) -> Value {
    json!({
        "type": "error", "message": format!("Processing failed: {reason}"), "step": step.name(), "timestamp": now(),
    })
}

/// Milliseconds since 1970.
fn now() -> i64 {
    Timestamp::now().as_millisecond()
}
