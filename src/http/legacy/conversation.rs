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
use serde_json::{Map, Value, json};

use super::{body::Fields, caller::Call, refusal::Refusal, room::Visit};
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
    Ok(Json(json!({ "success": true, "message": "Conversation state cleared" })).into_response())
}

pub(super) async fn post(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let call = Call::of_header(&state, &request).await?;
    let mut fields = Fields::read(request).await?;
    let action = fields.literal("action", &["reset", "clear-old", "update"]);
    let data = fields.optional_object("data");
    let update = changes(&mut fields, data.as_ref());
    fields.finish()?;
    call.may_change()?;
    let handle = call.handle().await?;
    match action {
        "reset" => clear(&call, &handle, Clearing::All).await?,
        "clear-old" => clear(&call, &handle, Clearing::Old).await?,
        _ => drop(visit(&call, &handle).await?.submit(Command::UpdateConversation(update)).await?),
    }
    shown(&call, &handle).await
}

/// What an update asks for. Its fields are camelCase, in this dialect too.
fn changes(fields: &mut Fields, data: Option<&Map<String, Value>>) -> UpdateConversation {
    let mut update = UpdateConversation::default();
    let Some(data) = data else { return update };
    let given = |object: &Map<String, Value>, name: &str| object.get(name).filter(|value| !value.is_null()).cloned();
    match given(data, "currentTopic") {
        Some(Value::String(topic)) => update.topic = Some(topic),
        Some(other) => {
            let place = json!(["body", "data", "currentTopic"]);
            () = fields.complain("string_type", place, "Input should be a valid string", &other);
        }
        None => {}
    }
    let preferences = match given(data, "userPreferences") {
        Some(Value::Object(preferences)) => preferences,
        Some(other) => {
            let place = json!(["body", "data", "userPreferences"]);
            return fields.complain("dict_type", place, "Input should be a valid dictionary", &other);
        }
        None => return update,
    };
    if let Some(style) = given(&preferences, "editStyle") {
        update.edit_style = match style.as_str() {
            Some("targeted") => Some(EditStyle::Targeted),
            Some("comprehensive") => Some(EditStyle::Comprehensive),
            _ => {
                let place = json!(["body", "data", "userPreferences", "editStyle"]);
                fields.complain_literal(place, &["targeted", "comprehensive"], &style);
                None
            }
        };
    }
    if let Some(patterns) = given(&preferences, "commonPatterns") {
        let texts = patterns.as_array().map(|list| list.iter().map(|text| text.as_str().map(str::to_owned)));
        match texts.and_then(|texts| texts.collect::<Option<Vec<String>>>()) {
            Some(texts) => update.common_patterns = Some(texts),
            None => {
                let place = json!(["body", "data", "userPreferences", "commonPatterns"]);
                () = fields.complain("list_type", place, "Input should be a valid list", &patterns);
            }
        }
    }
    update
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
    Ok(Json(body(call.project.as_str(), &view)).into_response())
}

fn body(project: &str, view: &ProjectState) -> Value {
    let ConversationInfo { topic, edit_style, common_patterns, edits, evolution, created_at, updated_at, .. } =
        &*view.conversation;
    let evolution = evolution.iter().map(|step| {
        json!({
            "timestamp": microseconds(&step.at),
            "change_type": edit_type(step.edit),
            "description": format!("{APPLIED}: {} files", step.files.len()),
            "files_affected": step.files,
        })
    });
    json!({
        "project_id": project,
        "current_topic": topic.as_deref().unwrap_or(TOPIC_DEFAULT),
        "messages": messages(view).map(|message| message_body(view, message)).collect::<Vec<_>>(),
        "edit_history": edits.iter().map(edit_body).collect::<Vec<_>>(),
        "project_evolution": evolution.collect::<Vec<_>>(),
        "user_preferences": {
            "edit_style": match edit_style {
                EditStyle::Targeted => "targeted",
                EditStyle::Comprehensive => "comprehensive",
            },
            "common_patterns": common_patterns,
        },
        "created_at": microseconds(created_at),
        "updated_at": microseconds(updated_at),
    })
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

fn message_body(view: &ProjectState, message: &Message) -> Value {
    let run = view.runs.iter().rev().find(|run| Some(run.run) == message.run);
    let files = run.map(|run| &run.files).filter(|files| !files.is_empty() && message.role == MessageRole::Assistant);
    json!({
        "role": match message.role {
            MessageRole::User => "user",
            MessageRole::Assistant => "assistant",
        },
        "content": text_of(message),
        "timestamp": microseconds(&message.at),
        "metadata": null,
        "edited_files": files,
        "packages_installed": null,
        "edit_type": null,
    })
}

fn edit_body(edit: &EditRecord) -> Value {
    json!({
        "timestamp": microseconds(&edit.at),
        "files_modified": edit.files,
        "edit_type": edit_type(edit.edit),
        "prompt": edit.prompt.as_deref().unwrap_or(APPLIED),
        "outcome": if edit.error.is_none() { "success" } else { "partial" },
        "error": edit.error,
    })
}

const fn edit_type(edit: bool) -> &'static str {
    if edit { "apply" } else { "create" }
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
        assert_eq!(body("my-project", &view), expected);
    }
}
