//! Commands that have no reply yet.
//!
//! They outlive a connection: after the next one is in step they are sent again with the same id, and the server sees to
//! it that each takes effect once.

use std::collections::VecDeque;

use cobuild_protocol::{
    CommandFrame, ErrorBody, RequestId,
    frame::{Accepted, ControlFrame},
};
use tokio::sync::oneshot;

use super::CommandError;

/// How many commands may wait for their replies. More than a person can cause; a program in a loop is told to stop.
const COMMANDS_WAITING_MAX: usize = 200;

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
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Waiting>,
    /// `None` before the server has said it.
    size_bytes_max: Option<u64>,
}

impl Outbox {
    /// Keeps a command until its reply comes. Returns what to send; `None`: it has been answered already, with no.
    pub(super) fn add(&mut self, Ask { frame, reply }: Ask) -> Option<&str> {
        let text = serde_json::to_string(&frame).expect("invariant: commands are JSON");
        let refusal = if self.waiting.len() >= COMMANDS_WAITING_MAX {
            Some(CommandError::TooMany)
        } else {
            too_large(&text, self.size_bytes_max)
        };
        if let Some(refusal) = refusal {
            // Whoever asked may have gone.
            let _ = reply.send(Err(refusal));
            return None;
        }
        self.waiting.push_back(Waiting { id: frame.id, text, reply });
        self.waiting.back().map(|waiting| waiting.text.as_str())
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

    /// Everything without a reply, in the order it was given.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.waiting.iter().map(|waiting| waiting.text.as_str())
    }

    /// Gives a reply to whoever waits for it. Others are of a command that nobody here has sent, or answered before.
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
        if let Some(place) = self.waiting.iter().position(|waiting| waiting.id == id)
            && let Some(waiting) = self.waiting.remove(place)
        {
            let _ = waiting.reply.send(reply.map_err(|error: ErrorBody| CommandError::Rejected(error)));
        }
    }
}

fn too_large(text: &str, size_bytes_max: Option<u64>) -> Option<CommandError> {
    let (size_bytes, size_bytes_max) = (text.len() as u64, size_bytes_max?);
    (size_bytes > size_bytes_max).then_some(CommandError::TooLarge { size_bytes, size_bytes_max })
}

#[cfg(test)]
mod tests {
    use cobuild_protocol::{Command, command::Status, frame::ResultFrame};
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
        assert_eq!(outbox.add(first), Some(r#"{"type":"status","id":"a"}"#));
        outbox.add(second);
        let result = ControlFrame::Result(ResultFrame { id: "b".parse().expect("an id"), data: json!(1) });
        outbox.settle(result.clone());
        outbox.settle(result);
        assert_eq!(second_answer.try_recv().expect("answered").expect("well"), Reply::Data(json!(1)));
        assert!(first_answer.try_recv().is_err(), "still waits");
        assert_eq!(outbox.texts().count(), 1);
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
        assert_eq!((refused, outbox.texts().count()), (1, COMMANDS_WAITING_MAX));
    }
}
