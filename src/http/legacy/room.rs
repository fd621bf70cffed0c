//! One command and what comes of it: how a request and a run of the project meet.

use std::{collections::VecDeque, time::Duration};

use cobuild_protocol::{
    Command, CommandFrame, ErrorBody, ErrorCode, Event, EventFrame, ParticipantId, RequestId, RunId,
    event::ModelRetried,
    frame::{Accepted, ControlFrame},
    value::{Outcome, SandboxInfo, SandboxState},
};
use tokio::time::timeout;

use crate::project::{
    Member, ProjectError, ProjectHandle, Subscription,
    event_log::{Feed, FeedError},
};

/// Most events and bytes taken from the log at once.
const BATCH_EVENTS_MAX: usize = 64;
const BATCH_SIZE_BYTES_MAX: usize = 64 * 1024;

/// A place in a room for as long as a request lasts, with everything that happens from its beginning on.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) handle: ProjectHandle,
    member: Member,
    feed: Feed,
    taken: VecDeque<EventFrame>,
}

impl Visit {
    pub(crate) fn new(handle: ProjectHandle, subscription: Subscription) -> Self {
        let Subscription { member, feed, .. } = subscription;
        Self { handle, member, feed, taken: VecDeque::new() }
    }

    /// Who it is that is there.
    pub(crate) fn participant(&self) -> ParticipantId {
        self.member.participant()
    }

    /// Gives a command; the error says why it was refused.
    pub(crate) async fn submit(&self, command: Command) -> Result<Accepted, ErrorBody> {
        let id: RequestId = format!("legacy-{}", hex::encode(rand::random::<[u8; 12]>()))
            .try_into()
            .expect("invariant: letters, digits and '-' are a command id");
        match self.handle.submit(&self.member, CommandFrame { id, command }).await {
            ControlFrame::Accepted(accepted) => Ok(accepted),
            ControlFrame::Rejected(rejected) => Err(rejected.error),
            other => {
                tracing::error!(?other, "a command that changes something got another reply than it should");
                Err(ProjectError::Internal.body())
            }
        }
    }

    /// Gives a command that begins a run.
    pub(crate) async fn begin(&self, command: Command) -> Result<RunId, ErrorBody> {
        self.submit(command).await?.run.ok_or_else(|| ProjectError::Internal.body())
    }

    /// The next event of the room.
    pub(crate) async fn next(&mut self) -> Result<EventFrame, ErrorBody> {
        loop {
            if let Some(frame) = self.taken.pop_front() {
                return Ok(frame);
            }
            let mut frames = Vec::new();
            self.feed.next(BATCH_EVENTS_MAX, BATCH_SIZE_BYTES_MAX, &mut frames).await.map_err(|error| {
                if !matches!(error, FeedError::Closed(_)) {
                    tracing::warn!(project = %self.handle.project(), %error, "a request lost the events of its run");
                }
                ProjectError::Closing.body()
            })?;
            for frame in frames {
                let frame = serde_json::from_slice(frame.json()).map_err(|error| {
                    tracing::error!(%error, "an event of the log could not be read");
                    ProjectError::Internal.body()
                })?;
                self.taken.push_back(frame);
            }
        }
    }

    /// The next event of a run.
    pub(crate) async fn next_of(&mut self, run: RunId) -> Result<Event, ErrorBody> {
        loop {
            let frame = self.next().await?;
            if frame.run == Some(run) {
                return Ok(frame.event);
            }
        }
    }

    /// Waits until a run has ended.
    pub(crate) async fn end_of(&mut self, run: RunId) -> Result<(), ErrorBody> {
        loop {
            if let Event::RunFinished(finished) = self.next_of(run).await? {
                return ended(finished.outcome, finished.error);
            }
        }
    }

    /// Waits for the sandbox to take commands; asks for it unless it does already.
    pub(crate) async fn start_sandbox(&mut self, within: Duration) -> Result<(), ErrorBody> {
        let is_ready = |sandbox: &SandboxInfo| sandbox.state == SandboxState::Ready && !sandbox.parked;
        let (_, view) = self.handle.state().await.map_err(|error| error.body())?;
        if is_ready(&view.sandbox) {
            return Ok(());
        }
        // What was said before this was accepted may be of an earlier one.
        let accepted = self.submit(Command::StartSandbox(Default::default())).await?;
        // One that was made meanwhile says nothing more.
        let (_, view) = self.handle.state().await.map_err(|error| error.body())?;
        if is_ready(&view.sandbox) {
            return Ok(());
        }
        let ready = async {
            loop {
                let frame = self.next().await?;
                let Event::SandboxChanged(changed) = frame.event else { continue };
                if frame.seq <= accepted.seq {
                    continue;
                }
                match changed.state {
                    _ if changed.parked => return Err(stopped(changed.error)),
                    SandboxState::Ready => return Ok(()),
                    SandboxState::Stopped => return Err(stopped(changed.error)),
                    SandboxState::Creating | SandboxState::Restoring | SandboxState::Lost => {}
                }
            }
        };
        timeout(within, ready).await.unwrap_or_else(|_| {
            let sentence = "the sandbox is still being made; try again in a moment";
            Err(ErrorBody::new(ErrorCode::SandboxTimeout, sentence))
        })
    }
}

/// Why a sandbox that was asked for does not come.
fn stopped(reason: Option<String>) -> ErrorBody {
    let reason = reason.unwrap_or_else(|| "the sandbox was stopped while it was being made".into());
    ErrorBody::new(ErrorCode::SandboxLost, reason)
}

/// That a model which did not answer is asked again.
pub(crate) fn asked_again(retried: &ModelRetried) -> String {
    let seconds = retried.after_ms.div_ceil(1000);
    format!("The model did not answer ({}); it is asked again in {seconds} s", retried.error.message)
}

/// What the end of a run says.
pub(crate) fn ended(outcome: Outcome, error: Option<ErrorBody>) -> Result<(), ErrorBody> {
    match outcome {
        Outcome::Completed => Ok(()),
        Outcome::Failed | Outcome::Interrupted => Err(error.unwrap_or_else(|| ProjectError::Internal.body())),
        Outcome::Cancelled => Err(ErrorBody::new(ErrorCode::Cancelled, "The run was cancelled")),
    }
}
