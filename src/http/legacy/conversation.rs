//! `GET`, `POST`, `DELETE /api/conversation-state`: the project's conversation as clients of the first engine know it.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use cobuild_protocol::{
    Command, ProjectState,
    command::{ClearConversation, Clearing, UpdateConversation},
    value::{ConversationInfo, EditRecord, EditStyle, Message, MessagePart, MessageRole, Outcome},
};

use super::{
    body,
    caller::Call,
    refusal::Refusal,
    room::Visit,
    wire::{
        self, ConversationAction, ConversationState, ConversationStateAction, ConversationUpdate, EditHistory,
        EditOutcome, EditType, MessageAuthor, PreferencesUpdate, PreferredStyle, ProjectEvolution, Success,
        UserPreferences,
    },
};
use crate::{http::HttpState, project::ProjectHandle};

/// What a conversation is about when nobody has said so.
pub(super) const TOPIC_DEFAULT: &str = "general development";
/// Most messages of an answer; the room's history has all.
const MESSAGES_SHOWN_MAX: usize = 100;
/// What an applied reply is called in the history of edits.
const APPLIED: &str = "Applied AI-generated code";

pub(super) async fn get(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let call = Call::of_header(&state, &request).await?;
    let handle = call.handle().await?;
    shown(&call, &handle).await
}

pub(super) async fn delete(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let call = Call::of_header(&state, &request).await?;
    call.may_change()?;
    let handle = call.handle().await?;
    clear(&call, &handle, Clearing::Delete).await?;
    Ok(Json(Success { success: true, message: "Conversation state cleared".into() }).into_response())
}

pub(super) async fn post(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let call = Call::of_header(&state, &request).await?;
    let ConversationStateAction { action, data } = body::read(request).await?;
    call.may_change()?;
    let handle = call.handle().await?;
    match action {
        ConversationAction::Reset => clear(&call, &handle, Clearing::All).await?,
        ConversationAction::ClearOld => clear(&call, &handle, Clearing::Old).await?,
        ConversationAction::Update => {
            let update = Command::UpdateConversation(changes(data.unwrap_or_default()));
            visit(&call, &handle).await?.submit(update).await?;
        }
    }
    shown(&call, &handle).await
}

/// What an update asks for.
fn changes(wanted: ConversationUpdate) -> UpdateConversation {
    let ConversationUpdate { current_topic, user_preferences } = wanted;
    let PreferencesUpdate { edit_style, common_patterns } = user_preferences.unwrap_or_default();
    let edit_style = edit_style.map(|style| match style {
        PreferredStyle::Targeted => EditStyle::Targeted,
        PreferredStyle::Comprehensive => EditStyle::Comprehensive,
    });
    UpdateConversation { topic: current_topic, edit_style, common_patterns }
}

async fn visit(call: &Call, handle: &ProjectHandle) -> Result<Visit, Refusal> {
    Ok(Visit::new(handle.clone(), call.enter(handle).await?))
}

pub(crate) async fn clear(call: &Call, handle: &ProjectHandle, clear: Clearing) -> Result<(), Refusal> {
    visit(call, handle).await?.submit(Command::ClearConversation(ClearConversation { clear })).await?;
    Ok(())
}

async fn shown(call: &Call, handle: &ProjectHandle) -> Result<Response, Refusal> {
    let (_, view) = handle.state().await?;
    Ok(Json(shown_as(call.project.as_str(), &view)).into_response())
}

fn shown_as(project: &str, view: &ProjectState) -> ConversationState {
    let ConversationInfo { topic, edit_style, common_patterns, edits, evolution, created_at, updated_at, .. } =
        &*view.conversation;
    let evolution = evolution.iter().map(|step| ProjectEvolution {
        timestamp: microseconds(&step.at),
        change_type: edit_type(step.edit),
        description: format!("{APPLIED}: {} files", step.files.len()),
        files_affected: step.files.iter().map(ToString::to_string).collect(),
    });
    ConversationState {
        project_id: project.to_owned(),
        current_topic: topic.clone().unwrap_or_else(|| TOPIC_DEFAULT.to_owned()),
        messages: messages(view).map(|message| message_body(view, message)).collect(),
        edit_history: edits.iter().map(edit_body).collect(),
        project_evolution: evolution.collect(),
        user_preferences: UserPreferences {
            edit_style: match edit_style {
                EditStyle::Targeted => PreferredStyle::Targeted,
                EditStyle::Comprehensive => PreferredStyle::Comprehensive,
            },
            common_patterns: common_patterns.clone(),
        },
        created_at: microseconds(created_at),
        updated_at: microseconds(updated_at),
    }
}

/// The messages that count: an answer only when it was given to its end, or to that of what the model may write.
pub(crate) fn messages(view: &ProjectState) -> impl Iterator<Item = &Message> {
    let counts = |message: &&Message| {
        let run = view.runs.iter().rev().find(|run| Some(run.run) == message.run);
        let is_answered = run.is_none_or(|run| {
            let is_cut = run.error.as_ref().is_some_and(|error| error.output_limit);
            run.outcome == Some(Outcome::Completed) || is_cut
        });
        Some(message.message) >= view.conversation.first_message
            && (message.role == MessageRole::User || is_answered && !text_of(message).is_empty())
    };
    let count = view.messages.iter().filter(counts).count();
    view.messages.iter().filter(counts).skip(count.saturating_sub(MESSAGES_SHOWN_MAX))
}

/// What a message says: the reply as it was written, or its parts put together again.
pub(crate) fn text_of(message: &Message) -> String {
    if let Some(reply) = &message.reply {
        return reply.clone();
    }
    let mut text = String::new();
    for part in &message.parts {
        match part {
            MessagePart::Text { text: prose } => text.push_str(prose),
            MessagePart::Reasoning { .. } => {}
            MessagePart::File { path, text: content, .. } => {
                text.push_str(&format!("\n<file path=\"{path}\">\n{}\n</file>\n", content.as_deref().unwrap_or("...")));
            }
        }
    }
    text
}

fn message_body(view: &ProjectState, message: &Message) -> wire::Message {
    let run = view.runs.iter().rev().find(|run| Some(run.run) == message.run);
    let files = run.map(|run| &run.files).filter(|files| !files.is_empty() && message.role == MessageRole::Assistant);
    wire::Message {
        role: match message.role {
            MessageRole::User => MessageAuthor::User,
            MessageRole::Assistant => MessageAuthor::Assistant,
        },
        content: text_of(message),
        timestamp: microseconds(&message.at),
        metadata: None,
        edited_files: files.map(|files| files.iter().map(ToString::to_string).collect()),
        packages_installed: None,
        edit_type: None,
    }
}

fn edit_body(edit: &EditRecord) -> EditHistory {
    EditHistory {
        timestamp: microseconds(&edit.at),
        files_modified: edit.files.iter().map(ToString::to_string).collect(),
        edit_type: edit_type(edit.edit),
        prompt: edit.prompt.clone().unwrap_or_else(|| APPLIED.to_owned()),
        outcome: if edit.error.is_none() { EditOutcome::Success } else { EditOutcome::Partial },
        error: edit.error.clone(),
    }
}

const fn edit_type(edit: bool) -> EditType {
    if edit { EditType::Apply } else { EditType::Create }
}

/// A time with microseconds, which these clients expect; ours count milliseconds.
fn microseconds(at: &str) -> String {
    match at.strip_suffix('Z') {
        Some(rest) if rest.rsplit_once('.').is_some_and(|(_, digits)| digits.len() == 3) => format!("{rest}000Z"),
        _ => at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_have_microseconds() {
        assert_eq!(microseconds("2026-11-22T05:25:31.676Z"), "2026-11-22T05:25:31.676000Z");
        assert_eq!(microseconds("2026-11-22T05:25:31Z"), "2026-11-22T05:25:31Z");
    }

    #[test]
    fn an_empty_state_has_every_key() {
        let view = ProjectState {
            conversation: Box::new(ConversationInfo {
                created_at: "2026-11-22T05:25:31.676Z".into(),
                updated_at: "2026-11-22T05:25:31.676Z".into(),
                ..ConversationInfo::default()
            }),
            ..ProjectState::default()
        };
        let at = "2026-11-22T05:25:31.676000Z";
        let expected = json!({
            "project_id": "my-project", "current_topic": "general development", "messages": [], "edit_history": [],
            "project_evolution": [], "user_preferences": { "edit_style": "targeted", "common_patterns": [] },
            "created_at": at, "updated_at": at,
        });
        assert_eq!(serde_json::to_value(shown_as("my-project", &view)).expect("JSON"), expected);
    }
}
