//! The conversation as a model gets to see it. Pure.

use cobuild_protocol::{
    FilePath, MessageId, ProjectState, RunId,
    value::{FileAction, FilePartState, Message, MessagePart, MessageRole},
};

use crate::codegen::prompt::PromptTurn;

/// How many of the files changed last are remembered as such.
const EDITED_MAX: usize = 20;

/// What was said so far, oldest first. The prompt's budget decides how much of it is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conversation {
    /// What stands for everything before the turns.
    pub(crate) summary: Option<String>,
    /// The turns before the prompt, and which message each is.
    pub(crate) turns: Vec<(MessageId, PromptTurn)>,
    /// The files that models changed last, newest first.
    pub(crate) edited: Vec<FilePath>,
}

impl Conversation {
    /// What was said before this run.
    pub(crate) fn before(state: &ProjectState, run: RunId) -> Self {
        let summary = state.summary.as_ref();
        let turns = state
            .messages
            .iter()
            .filter(|message| message.run != Some(run) && Some(message.message) >= state.conversation.first_message)
            .filter(|message| summary.is_none_or(|summary| message.message > summary.through))
            .map(|message| (message.message, turn(message)))
            .filter(|(_, turn)| !turn.text.is_empty())
            .collect();
        Self { summary: summary.map(|summary| summary.text.clone()), turns, edited: edited(state) }
    }
}

fn edited(state: &ProjectState) -> Vec<FilePath> {
    let mut edited: Vec<FilePath> = Vec::new();
    let parts = state.messages.iter().rev().flat_map(|message| message.parts.iter().rev());
    for part in parts {
        if let MessagePart::File { path, state: FilePartState::Written, .. } = part
            && edited.len() < EDITED_MAX
            && !edited.contains(path)
        {
            edited.push(path.clone());
        }
    }
    edited
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
    if message.role == MessageRole::User && !message.images.is_empty() {
        text.push_str(&format!("\n[with {} pictures]", message.images.len()));
    }
    if let Some(url) = &message.url {
        text.push_str(&format!("\n[like the page {url}]"));
    }
    let text = text.trim().to_owned();
    PromptTurn { role: message.role, text }
}
