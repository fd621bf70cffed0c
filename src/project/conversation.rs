//! The conversation as a model gets to see it. Pure.

use cobuild_protocol::{
    ProjectState, RunId,
    value::{FileAction, FilePartState, Message, MessagePart},
};

use crate::codegen::prompt::PromptTurn;

/// What was said so far, oldest first. The prompt's budget decides how much of it is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conversation {
    /// The turns before the prompt.
    pub(crate) turns: Vec<PromptTurn>,
}

impl Conversation {
    /// What was said before this run.
    pub(crate) fn before(state: &ProjectState, run: RunId) -> Self {
        let turns = state
            .messages
            .iter()
            .filter(|message| message.run != Some(run) && Some(message.message) >= state.conversation.first_message)
            .map(turn)
            .filter(|turn| !turn.text.is_empty())
            .collect();
        Self { turns }
    }
}

/// A message as text. Files stand as one line each: their present content is in the request anyway.
fn turn(message: &Message) -> PromptTurn {
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
    PromptTurn { role: message.role, text }
}
