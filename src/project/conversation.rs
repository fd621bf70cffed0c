//! The conversation as a model gets to see it. Pure.

use cobuild_protocol::{
    ProjectState,
    value::{FileAction, FilePartState, Message, MessagePart, MessageRole},
};

use super::model_provider::Turn;

/// Most bytes of earlier turns that go into a request. The files matter more than what was said about them; 64 KiB are
/// some fifty exchanges.
const HISTORY_SIZE_BYTES_MAX: usize = 64 * 1024;

/// What was said so far, oldest first, within the budget.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conversation {
    /// The turns before the prompt.
    pub(crate) turns: Vec<Turn>,
}

impl Conversation {
    /// The newest turns that fit, whole.
    pub(crate) fn of(state: &ProjectState) -> Self {
        let mut size = 0;
        let mut turns: Vec<Turn> = state
            .messages
            .iter()
            .rev()
            .map(turn)
            .filter(|turn| !turn.text.is_empty())
            .take_while(|turn| {
                size += turn.text.len();
                size <= HISTORY_SIZE_BYTES_MAX
            })
            .collect();
        turns.reverse();
        Self { turns }
    }
}

/// A message as text. Files stand as one line each: their present content is in the request anyway.
fn turn(message: &Message) -> Turn {
    let mut text = String::new();
    for part in &message.parts {
        match part {
            MessagePart::Text { text: prose } => text.push_str(prose),
            MessagePart::Reasoning { .. } => {}
            MessagePart::File { path, action, state, .. } => {
                let what = match (state, action) {
                    (FilePartState::Written, FileAction::Create) => "created",
                    (FilePartState::Written, FileAction::Replace) => "rewrote",
                    (FilePartState::Written, FileAction::Edit) => "edited",
                    (FilePartState::Typing | FilePartState::Typed | FilePartState::Refused, _) => "did not write",
                };
                text.push_str(&format!("\n[{what} {path}]\n"));
            }
        }
    }
    let text = text.trim().to_owned();
    match message.role {
        MessageRole::User => Turn { role: MessageRole::User, text },
        MessageRole::Assistant => Turn { role: MessageRole::Assistant, text },
    }
}
