//! `say`, `update_conversation`, `clear_conversation`: what the people in the room say, and what the conversation is.

use cobuild_protocol::{
    Event,
    command::{ClearConversation, Say, UpdateConversation},
    event::{ConversationCleared, ConversationUpdated, MessageAdded},
    value::MessageRole,
};

use super::{Acceptance, Desk, PROMPT_SIZE_BYTES_MAX};
use crate::project::error::ProjectError;

/// Longest topic, in characters: a sentence or two.
const TOPIC_CHARS_MAX: usize = 500;
/// Most patterns, and the longest one in characters. They go into every prompt of clients that use them.
const PATTERNS_MAX: usize = 50;
const PATTERN_CHARS_MAX: usize = 200;

pub(super) fn say(desk: &mut Desk<'_>, command: Say) -> Result<Acceptance, ProjectError> {
    if command.text.trim().is_empty() {
        return Err(ProjectError::BadRequest("text must not be blank".into()));
    }
    if command.text.len() > PROMPT_SIZE_BYTES_MAX {
        return Err(ProjectError::TooLarge(format!("text has at most {PROMPT_SIZE_BYTES_MAX} bytes")));
    }
    let message = desk.state.next_message(0);
    let said = MessageAdded {
        message,
        role: MessageRole::User,
        text: command.text,
        model: None,
        notice: None,
        images: Vec::new(),
        url: None,
        steers: false,
    };
    let seq = desk.batch.push(Event::MessageAdded(said), desk.stamp(None));
    Ok(Acceptance { run: None, seq: Some(seq) })
}

pub(super) fn update(desk: &mut Desk<'_>, command: UpdateConversation) -> Result<Acceptance, ProjectError> {
    let UpdateConversation { topic, edit_style, common_patterns } = command;
    let is_long = |text: &str, chars_max: usize| text.chars().nth(chars_max).is_some();
    if topic.as_ref().is_some_and(|topic| is_long(topic, TOPIC_CHARS_MAX)) {
        return Err(ProjectError::TooLarge(format!("topic has at most {TOPIC_CHARS_MAX} characters")));
    }
    if let Some(patterns) = &common_patterns
        && (patterns.len() > PATTERNS_MAX || patterns.iter().any(|pattern| is_long(pattern, PATTERN_CHARS_MAX)))
    {
        return Err(ProjectError::TooLarge(format!(
            "common_patterns has at most {PATTERNS_MAX} entries of {PATTERN_CHARS_MAX} characters each"
        )));
    }
    let updated = ConversationUpdated { topic, edit_style, common_patterns };
    let seq = desk.batch.push(Event::ConversationUpdated(updated), desk.stamp(None));
    Ok(Acceptance { run: None, seq: Some(seq) })
}

pub(super) fn clear(desk: &mut Desk<'_>, command: &ClearConversation) -> Result<Acceptance, ProjectError> {
    let cleared = ConversationCleared { clear: command.clear };
    let seq = desk.batch.push(Event::ConversationCleared(cleared), desk.stamp(None));
    Ok(Acceptance { run: None, seq: Some(seq) })
}
