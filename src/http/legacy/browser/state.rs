//! The conversation as these clients keep it.

use axum::{
    Json,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use cobuild_protocol::{
    Command, ProjectState,
    command::{Clearing, UpdateConversation},
    value::{EditRecord, EditStyle, Message, MessageRole},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    caller::Browser,
    wire::{BrowserConversationResponse, Done},
};
use crate::{
    http::legacy::{
        body::Fields,
        conversation::{clear, messages, text_of},
        refusal::Refusal,
        room::Visit,
    },
    project::ProjectHandle,
};

pub(crate) async fn get(browser: Browser, _: Request) -> Result<Response, Refusal> {
    let (_, view) = browser.handle().await?.state().await?;
    let state = body(&view);
    let message = state.is_null().then(|| "No active conversation".to_owned());
    Ok(Json(BrowserConversationResponse { success: true, state, message }).into_response())
}

pub(crate) async fn delete(browser: Browser, _: Request) -> Result<Response, Refusal> {
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    clear(&browser.call, &handle, Clearing::Delete).await?;
    Ok(Json(Done { success: true, message: "Conversation state cleared".into() }).into_response())
}

pub(crate) async fn post(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let fields = Fields::read_or_empty(request).await?;
    let action = fields.text("action").unwrap_or_default();
    let data = fields.value("data").cloned().unwrap_or_default();
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    let message = match action.as_str() {
        "reset" => {
            clear(&browser.call, &handle, Clearing::All).await?;
            "Conversation state reset"
        }
        "clear-old" => {
            clear(&browser.call, &handle, Clearing::Old).await?;
            "Old conversation data cleared"
        }
        "update" => {
            if !handle.state().await?.1.conversation.active {
                return Err(Refusal::bad_request("No active conversation to update"));
            }
            update(&browser, &handle, &data).await?;
            "Conversation state updated"
        }
        _ => return Err(Refusal::bad_request("Invalid action. Use \"reset\" or \"update\"")),
    };
    let (_, view) = handle.state().await?;
    let (state, message) = (body(&view), Some(message.to_owned()));
    Ok(Json(BrowserConversationResponse { success: true, state, message }).into_response())
}

async fn update(browser: &Browser, handle: &ProjectHandle, data: &Value) -> Result<(), Refusal> {
    let preferences = &data["userPreferences"];
    let patterns = ["commonRequests", "commonPatterns"].iter().find_map(|key| preferences[*key].as_array());
    let update = UpdateConversation {
        topic: data["currentTopic"].as_str().map(str::to_owned),
        edit_style: match preferences["editStyle"].as_str() {
            Some("targeted") => Some(EditStyle::Targeted),
            Some("comprehensive") => Some(EditStyle::Comprehensive),
            _ => None,
        },
        common_patterns: patterns
            .map(|patterns| patterns.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
    };
    let visit = Visit::new(handle.clone(), browser.call.enter(handle).await?);
    visit.submit(Command::UpdateConversation(update)).await?;
    Ok(())
}

/// Whose list is longer than the first keeps the second, from its end: these clients keep a conversation small.
const MESSAGES: (usize, usize) = (20, 15);
const EDITS: (usize, usize) = (10, 8);

fn body(view: &ProjectState) -> Value {
    let conversation = &view.conversation;
    if !conversation.active {
        return Value::Null;
    }
    let (started, updated) = (milliseconds(&conversation.created_at), milliseconds(&conversation.updated_at));
    // Of the two sides these clients keep one: what was asked.
    let asked: Vec<&Message> = messages(view).filter(|message| message.role == MessageRole::User).collect();
    let asked = last(&asked, MESSAGES).iter().map(|message| {
        let at = milliseconds(&message.at);
        json!({
            "id": format!("msg-{at}"),
            "role": "user",
            "content": text_of(message),
            "timestamp": at,
            "metadata": metadata(view, &asked, message),
        })
    });
    let edits = last(&conversation.edits, EDITS).iter().map(edit);
    let changes = conversation.evolution.iter().map(|step| {
        json!({
            "timestamp": milliseconds(&step.at),
            "description": format!("Applied {} files", step.files.len()),
            "filesAffected": step.files,
        })
    });
    let mut context = json!({
        "messages": asked.collect::<Vec<_>>(),
        "edits": edits.collect::<Vec<_>>(),
        "projectEvolution": { "majorChanges": changes.collect::<Vec<_>>() },
        "userPreferences": {
            "editStyle": match conversation.edit_style {
                EditStyle::Targeted => "targeted",
                EditStyle::Comprehensive => "comprehensive",
            },
            "commonRequests": conversation.common_patterns,
        },
    });
    if let Some(topic) = &conversation.topic {
        context["currentTopic"] = topic.as_str().into();
    }
    json!({ "conversationId": format!("conv-{started}"), "startedAt": started, "lastUpdated": updated, "context": context })
}

pub(in crate::http::legacy) fn edit(edit: &EditRecord) -> Value {
    let mut body = json!({
        "timestamp": milliseconds(&edit.at),
        "userRequest": edit.prompt.as_deref().unwrap_or("Applied AI-generated code"),
        "editType": edit_type(edit.edit),
        "targetFiles": edit.files,
        "confidence": 1.0,
        "outcome": if edit.error.is_none() { "success" } else { "partial" },
    });
    if let Some(error) = &edit.error {
        body["errorMessage"] = error.as_str().into();
    }
    body
}

/// The end of a list.
fn last<T>(list: &[T], (most, kept): (usize, usize)) -> &[T] {
    if list.len() > most { &list[list.len() - kept..] } else { list }
}

/// What came of a message: the files that were written after it and before the next.
fn metadata(view: &ProjectState, asked: &[&Message], message: &Message) -> Value {
    let at = |at: &str| at.parse::<Timestamp>().unwrap_or_default();
    let from = at(&message.at);
    let until = asked.iter().map(|other| at(&other.at)).find(|other| *other > from).unwrap_or(Timestamp::MAX);
    let mut edits = view.conversation.edits.iter().filter(|edit| (from..until).contains(&at(&edit.at)));
    let written = edits.rfind(|edit| edit.error.is_none() && !edit.files.is_empty());
    written.map_or_else(|| json!({}), |edit| json!({ "editedFiles": edit.files, "editType": edit_type(edit.edit) }))
}

const fn edit_type(edit: bool) -> &'static str {
    if edit { "UPDATE_COMPONENT" } else { "ADD_FEATURE" }
}

/// A time in milliseconds since 1970.
pub(in crate::http::legacy) fn milliseconds(at: &str) -> i64 {
    at.parse::<Timestamp>().map_or(0, |at| at.as_millisecond())
}
