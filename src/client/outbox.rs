//! Commands that have no reply yet.
//!
//! They outlive a connection: after the next one is in step they are sent again with the same id, and the server sees to
//! it that each takes effect once. Only a few are under way at a time, so that all that was given offline does not arrive
//! as a flood; what the server is too busy for waits and goes again.

use std::{collections::VecDeque, time::Duration};

use cobuild_protocol::{
    CommandFrame, ErrorBody, ErrorCode, RequestId,
    frame::{Accepted, ControlFrame},
};
use tokio::{sync::oneshot, time::Instant};

use super::CommandError;

/// How many commands may wait for their replies. More than a person can cause; a program in a loop is told to stop.
const COMMANDS_WAITING_MAX: usize = 200;
/// How many may be under way. Fewer than a server takes at once.
const COMMANDS_UNDER_WAY_MAX: usize = 16;
/// How long a command waits that was rejected "for now" without a word about for how long.
const RETRY: Duration = Duration::from_secs(1);
/// How often a command is sent at which the server has a fault it says nothing more about.
const FAULTS_MAX: u32 = 5;

/// What a command was answered with.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It will be or has been carried out.
    Accepted(Accepted),
    /// What a command that only reads has read.
    Data(serde_json::Value),
}

/// A command on its way, and who waits for its reply.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) frame: CommandFrame,
    pub(super) reply: oneshot::Sender<Result<Reply, CommandError>>,
}

#[derive(Debug)]
struct Waiting {
    id: RequestId,
    text: String,
    reply: oneshot::Sender<Result<Reply, CommandError>>,
    under_way: bool,
    faults: u32,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Waiting>,
    /// Nothing is sent before, because the server asked for it.
    held_until: Option<Instant>,
    /// `None` before the server has said it.
    size_bytes_max: Option<u64>,
}

impl Outbox {
    /// Keeps a command until its reply comes; one that cannot be sent is answered at once.
    pub(super) fn add(&mut self, Ask { frame, reply }: Ask) {
        let text = serde_json::to_string(&frame).expect("invariant: commands are JSON");
        let refusal = if self.waiting.len() >= COMMANDS_WAITING_MAX {
            Some(CommandError::TooMany)
        } else {
            too_large(&text, self.size_bytes_max)
        };
        if let Some(refusal) = refusal {
            // Whoever asked may have gone.
            let _ = reply.send(Err(refusal));
            return;
        }
        self.waiting.push_back(Waiting { id: frame.id, text, reply, under_way: false, faults: 0 });
    }

    /// The server's limit: sending more would end the connection for good. What is too large already is given up.
    pub(super) fn limit(&mut self, size_bytes_max: u64) {
        self.size_bytes_max = Some(size_bytes_max);
        for waiting in std::mem::take(&mut self.waiting) {
            match too_large(&waiting.text, self.size_bytes_max) {
                Some(refusal) => drop(waiting.reply.send(Err(refusal))),
                None => self.waiting.push_back(waiting),
            }
        }
    }

    /// What may be sent now, in the order it was given. From here on it counts as under way.
    pub(super) fn take(&mut self, now: Instant) -> Vec<String> {
        if self.held_until.take_if(|until| *until <= now).is_none() && self.held_until.is_some() {
            return Vec::new();
        }
        let under_way = self.waiting.iter().filter(|waiting| waiting.under_way).count();
        let room = COMMANDS_UNDER_WAY_MAX.saturating_sub(under_way);
        let next = self.waiting.iter_mut().filter(|waiting| !waiting.under_way).take(room);
        next.map(|waiting| {
            waiting.under_way = true;
            waiting.text.clone()
        })
        .collect()
    }

    /// When to go on sending, if that waits.
    pub(super) const fn held_until(&self) -> Option<Instant> {
        self.held_until
    }

    /// The connection is lost: nothing is under way any more.
    pub(super) fn recall(&mut self) {
        self.held_until = None;
        for waiting in &mut self.waiting {
            waiting.under_way = false;
        }
    }

    /// Gives a reply to whoever waits for it, unless it says that the command should come again. Others are of a command
    /// that nobody here has sent, or answered before.
    pub(super) fn settle(&mut self, frame: ControlFrame) {
        let (id, reply) = match frame {
            ControlFrame::Accepted(accepted) => (accepted.id.clone(), Ok(Reply::Accepted(accepted))),
            ControlFrame::Result(result) => (result.id, Ok(Reply::Data(result.data))),
            ControlFrame::Rejected(rejected) => match rejected.id {
                Some(id) => (id, Err(rejected.error)),
                None => return,
            },
            _ => return,
        };
        let Some(place) = self.waiting.iter().position(|waiting| waiting.id == id) else { return };
        if let Err(error) = &reply
            && self.waiting[place].keeps_after(error)
        {
            self.held_until = Some(Instant::now() + error.retry_after_ms.map_or(RETRY, Duration::from_millis));
            return;
        }
        if let Some(waiting) = self.waiting.remove(place) {
            let _ = waiting.reply.send(reply.map_err(|error: ErrorBody| CommandError::Rejected(error)));
        }
    }
}

impl Waiting {
    /// Whether the command was rejected only for now.
    fn keeps_after(&mut self, error: &ErrorBody) -> bool {
        let passing = match error.code {
            ErrorCode::RateLimited => true,
            // With a time to come back it only stops for a while.
            ErrorCode::Internal => {
                self.faults += u32::from(error.retry_after_ms.is_none());
                self.faults < FAULTS_MAX
            }
            _ => false,
        };
        self.under_way = !(passing && error.retryable);
        !self.under_way
    }
}

fn too_large(text: &str, size_bytes_max: Option<u64>) -> Option<CommandError> {
    let (size_bytes, size_bytes_max) = (text.len() as u64, size_bytes_max?);
    (size_bytes > size_bytes_max).then_some(CommandError::TooLarge { size_bytes, size_bytes_max })
}

#[cfg(test)]
mod tests {
    use cobuild_protocol::{
        Command,
        command::Status,
        frame::{Rejected, ResultFrame},
    };
    use serde_json::json;

    use super::*;

    type Answer = oneshot::Receiver<Result<Reply, CommandError>>;

    fn ask(id: &str) -> (Ask, Answer) {
        let (reply, answer) = oneshot::channel();
        let frame = CommandFrame { command: Command::Status(Status {}), id: id.parse().expect("an id") };
        (Ask { frame, reply }, answer)
    }

    #[test]
    fn each_command_gets_its_own_reply_once() {
        let mut outbox = Outbox::default();
        let (first, mut first_answer) = ask("a");
        let (second, mut second_answer) = ask("b");
        outbox.add(first);
        outbox.add(second);
        assert_eq!(outbox.take(Instant::now()), [r#"{"type":"status","id":"a"}"#, r#"{"type":"status","id":"b"}"#]);
        let result = ControlFrame::Result(ResultFrame { id: "b".parse().expect("an id"), data: json!(1) });
        outbox.settle(result.clone());
        outbox.settle(result);
        assert_eq!(second_answer.try_recv().expect("answered").expect("well"), Reply::Data(json!(1)));
        assert!(first_answer.try_recv().is_err(), "still waits");
        assert_eq!(outbox.waiting.len(), 1);
    }

    #[test]
    fn few_are_under_way_and_what_was_rejected_for_now_goes_again() {
        let mut outbox = Outbox::default();
        let mut answers: Vec<Answer> = (0..40)
            .map(|number| {
                let (ask, answer) = ask(&number.to_string());
                outbox.add(ask);
                answer
            })
            .collect();
        let now = Instant::now();
        assert_eq!(outbox.take(now).len(), COMMANDS_UNDER_WAY_MAX);
        assert!(outbox.take(now).is_empty(), "no more until something is answered");
        let rejected = |code, retry_after_ms| {
            let error = ErrorBody { retry_after_ms, ..ErrorBody::new(code, "not now") };
            ControlFrame::Rejected(Rejected { id: Some("0".parse().expect("an id")), error })
        };
        outbox.settle(rejected(ErrorCode::RateLimited, Some(5_000)));
        assert!(answers[0].try_recv().is_err(), "it is kept");
        let until = outbox.held_until().expect("for a while nothing is sent");
        assert!(until > now + Duration::from_secs(4) && outbox.take(until - Duration::from_millis(1)).is_empty());
        assert_eq!(outbox.take(until), [r#"{"type":"status","id":"0"}"#]);
        outbox.recall();
        assert_eq!(outbox.take(now).len(), COMMANDS_UNDER_WAY_MAX, "all again over another connection");
        for _ in 0..FAULTS_MAX {
            outbox.settle(rejected(ErrorCode::Internal, None));
        }
        assert!(matches!(answers[0].try_recv(), Ok(Err(CommandError::Rejected(_)))), "not for ever");
    }

    #[test]
    fn it_is_bounded_in_number_and_size() {
        let mut outbox = Outbox::default();
        let (early, mut early_answer) = ask(&"x".repeat(100));
        outbox.add(early);
        outbox.limit(50);
        assert!(matches!(early_answer.try_recv(), Ok(Err(CommandError::TooLarge { size_bytes_max: 50, .. }))));
        let answers: Vec<Answer> = (0..=COMMANDS_WAITING_MAX)
            .map(|number| {
                let (ask, answer) = ask(&number.to_string());
                outbox.add(ask);
                answer
            })
            .collect();
        let refused = answers.into_iter().filter_map(|mut answer| answer.try_recv().ok()).count();
        assert_eq!((refused, outbox.waiting.len()), (1, COMMANDS_WAITING_MAX));
    }
}
