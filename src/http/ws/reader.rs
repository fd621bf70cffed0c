//! The half of a connection that listens: frames become commands, commands become replies.

use std::time::{Duration, Instant};

use cobuild_protocol::{
    CloseCode, CommandFrame, ErrorBody, ErrorCode, ProjectId, RequestId,
    frame::{ControlFrame, RefreshTokenFrame, Rejected, ResultFrame},
};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::{
    CLOSE_WAIT_MAX, Closing, Counted, Outgoing, broken,
    pulse::Heard,
    rate::{RateLimit, Verdict},
    wire::{Arrival, Incoming as Stream},
};
use crate::{
    http::{
        HttpState,
        auth::{Pass, Renewed},
        command_frame::{self, Incoming},
    },
    project::{Member, ProjectHandle},
};

/// Commands of one connection under way at once. A page has a handful; whoever sends more without waiting for replies
/// is read on when there are some.
pub(in crate::http) const COMMANDS_UNDER_WAY_MAX: usize = 32;
/// Wait suggested to a client that shows a second token while the first is checked.
const REFRESH_RETRY: Duration = Duration::from_millis(200);
/// What is said to frames of a connection that sends too many.
const TOO_MANY_FRAMES: &str = "too many frames";

pub(super) struct Reader {
    pub(super) stream: Stream,
    pub(super) outbox: mpsc::Sender<Outgoing>,
    pub(super) handle: ProjectHandle,
    /// The place in the room; left when the reader is dropped.
    pub(super) member: Member,
    pub(super) heard: Heard,
    /// The writer is about to say its last word: from then on nothing is listened to.
    pub(super) farewell: CancellationToken,
    pub(super) pass: Pass,
    pub(super) state: HttpState,
}

/// What becomes of a frame.
enum Step {
    Submit(CommandFrame),
    Refresh(RefreshTokenFrame),
    Reply(Rejected),
    /// It comes too fast; but if it was answered before, that is the answer.
    Refuse(RequestId, Duration),
    Nothing,
    /// The client says that it is done, and wants to hear the same.
    Farewell,
    /// With what the client is told, if it still listens.
    End(Option<Closing>),
}

impl Reader {
    /// Listens until the client or the writer ends; `counted` until the connection does.
    pub(super) async fn run(mut self, counted: Counted) {
        self.listen().await;
        // On the heap, because it is rarely there: a connection's memory is that of the listening one.
        Box::pin(self.finish()).await;
        drop(counted);
    }

    async fn listen(&mut self) {
        let mut rate = RateLimit::new(Instant::now());
        // Replies come when they come. The order in which commands reach the project is that of their frames: futures
        // are first polled in the order in which they were pushed, and the project's mailbox is fair.
        // Boxed: each of these keeps room for one of its futures, and most of the time there is none.
        let mut under_way: FuturesUnordered<BoxFuture<'_, ControlFrame>> = FuturesUnordered::new();
        // At most one. It may wait for an identity provider, which is no reason to let commands wait.
        let mut refresh: FuturesUnordered<BoxFuture<'_, _>> = FuturesUnordered::new();
        loop {
            let step = tokio::select! {
                () = self.farewell.cancelled() => return,
                Some((reply, closing)) = refresh.next(), if !refresh.is_empty() => {
                    if self.outbox.send(Outgoing::Frame(Box::new(reply))).await.is_err() {
                        return;
                    }
                    match closing {
                        Some(closing) => Step::End(Some(closing)),
                        None => continue,
                    }
                }
                Some(reply) = under_way.next(), if !under_way.is_empty() => {
                    // What it says may be waiting to be read, and is as good as said.
                    self.heard.mark();
                    if self.outbox.send(Outgoing::Frame(Box::new(reply))).await.is_err() {
                        return;
                    }
                    continue;
                }
                arrival = self.stream.next(), if under_way.len() < COMMANDS_UNDER_WAY_MAX => match arrival {
                    Some(Ok(Arrival::Message(message))) => {
                        self.heard.mark();
                        tracing::trace!(size_bytes = message.len(), "a message came in");
                        step(&message, &mut rate)
                    }
                    Some(Ok(Arrival::Answer(frame))) => {
                        if self.outbox.send(Outgoing::Answer(Box::new(frame))).await.is_err() {
                            return;
                        }
                        continue;
                    }
                    Some(Err(error)) => Step::End(broken(&error)),
                    None => Step::End(None),
                },
            };
            match step {
                Step::Refresh(frame) if refresh.is_empty() => {
                    refresh.push(refreshed(&self.state, self.handle.project(), &self.pass, frame).boxed());
                }
                Step::Refresh(RefreshTokenFrame { id, .. }) => {
                    let rejected = too_fast(Some(id), REFRESH_RETRY, "another token is being checked");
                    if self.outbox.send(Outgoing::Frame(Box::new(ControlFrame::Rejected(rejected)))).await.is_err() {
                        return;
                    }
                }
                Step::Submit(frame) => under_way.push(self.handle.submit(&self.member, frame).boxed()),
                Step::Refuse(id, retry_after) => {
                    under_way.push(self.handle.refuse_for_now(id, TOO_MANY_FRAMES, retry_after).boxed());
                }
                Step::Reply(rejected) => {
                    if self.outbox.send(Outgoing::Frame(Box::new(ControlFrame::Rejected(rejected)))).await.is_err() {
                        return;
                    }
                }
                Step::Nothing => {}
                Step::Farewell => {
                    if let Some(Ok(Arrival::Answer(frame))) = self.stream.next().await {
                        // A writer that is gone has said farewell itself.
                        let _ = self.outbox.send(Outgoing::Answer(Box::new(frame))).await;
                    }
                    return;
                }
                Step::End(Some(closing)) => {
                    // A writer that is gone has said why itself.
                    let _ = self.outbox.send(Outgoing::Close(Box::new(closing))).await;
                    return;
                }
                Step::End(None) => return,
            }
        }
    }

    /// Lets the writer say its last word and the client answer it, so that a close code is not lost in a reset.
    async fn finish(self) {
        let Self { mut stream, outbox, member, farewell, .. } = self;
        drop((outbox, member));
        farewell.cancelled().await;
        let answered = async { while let Some(Ok(_)) = stream.next().await {} };
        // A client that does not answer is dropped.
        let _ = timeout(CLOSE_WAIT_MAX, answered).await;
    }
}

/// What becomes of a connection that shows a new token, and the reply to it.
async fn refreshed(
    state: &HttpState,
    project: &ProjectId,
    pass: &Pass,
    frame: RefreshTokenFrame,
) -> (ControlFrame, Option<Closing>) {
    let RefreshTokenFrame { id, token, .. } = frame;
    let admitted = state.access.admit(Some(&token)).await;
    let renewed = admitted.and_then(|grant| pass.renew(&grant, grant.enter(project)?));
    let result = |id, expires_at: Option<jiff::Timestamp>| {
        let data = serde_json::json!({ "expires_at": expires_at.map(|moment| moment.to_string()) });
        ControlFrame::Result(ResultFrame { id, data })
    };
    match renewed {
        Ok(Renewed::Until(expires_at)) => (result(id, expires_at), None),
        Ok(Renewed::AnotherRole(expires_at)) => {
            let closing = Closing::new(CloseCode::GoingAway, "the new token gives another role; come back with it");
            (result(id, expires_at), Some(closing))
        }
        Err(error) => (ControlFrame::Rejected(Rejected { id: Some(id), error }), None),
    }
}

fn step(message: &Message, rate: &mut RateLimit) -> Step {
    let verdict = rate.take(Instant::now());
    if verdict == Verdict::Close {
        return Step::End(Some(Closing::new(CloseCode::Rate, "too many frames; come back slower")));
    }
    match (message, verdict) {
        (Message::Text(text), Verdict::Refuse { retry_after }) => match command_frame::readable_id(text.as_bytes()) {
            Some(id) => Step::Refuse(id, retry_after),
            None => Step::Reply(too_fast(None, retry_after, TOO_MANY_FRAMES)),
        },
        (Message::Text(text), _) => match command_frame::parse(text.as_bytes()) {
            Ok(Incoming::Command(frame)) => Step::Submit(frame),
            Ok(Incoming::RefreshToken(frame)) => Step::Refresh(frame),
            Ok(Incoming::Pong) => Step::Nothing,
            Err(rejected) => Step::Reply(rejected),
        },
        (Message::Binary(_), Verdict::Refuse { retry_after }) => {
            Step::Reply(too_fast(None, retry_after, TOO_MANY_FRAMES))
        }
        (Message::Binary(_), _) => Step::Reply(command_frame::not_text()),
        (Message::Ping(_) | Message::Pong(_) | Message::Frame(_), _) => Step::Nothing,
        (Message::Close(_), _) => Step::Farewell,
    }
}

fn too_fast(id: Option<RequestId>, retry_after: Duration, message: &str) -> Rejected {
    let mut error = ErrorBody::new(ErrorCode::RateLimited, message);
    error.retry_after_ms = Some(u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX).max(1));
    Rejected { id, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(frame: &str) -> Message {
        Message::Text(frame.to_owned().into())
    }

    #[test]
    fn a_flood_is_refused_and_then_ends() {
        let mut rate = RateLimit::new(Instant::now());
        let frame = text(r#"{"type":"status","id":"c1"}"#);
        let mut refused = 0;
        for _ in 0..10_000 {
            match step(&frame, &mut rate) {
                Step::Refuse(id, _) => {
                    assert_eq!(id.as_str(), "c1");
                    refused += 1;
                }
                Step::End(Some(closing)) => {
                    assert_eq!(closing.code, CloseCode::Rate);
                    assert!(refused > 0, "first a refusal, then the end");
                    return;
                }
                _ => {}
            }
        }
        panic!("a flood must end");
    }
}
