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
use serde_json::Value;

use super::{
    caller::Browser,
    wire::{
        BrowserAuthor, BrowserChange, BrowserConversation, BrowserConversationContext, BrowserConversationResponse,
        BrowserEdit, BrowserEditOutcome, BrowserEditType, BrowserEvolution, BrowserMessage, BrowserMessageMetadata,
        BrowserPreferences, BrowserStateRequest, BrowserStateUpdate, Done,
    },
};
use crate::{
    http::legacy::{
        body::Fields,
        conversation::{clear, messages, text_of},
        refusal::Refusal,
        room::Visit,
        wire::{ConversationAction, PreferredStyle},
    },
    project::ProjectHandle,
};

pub(crate) async fn get(browser: Browser, _: Request) -> Result<Response, Refusal> {
    let (_, view) = browser.handle().await?.state().await?;
    let state = body(&view);
    let message = state.is_none().then(|| "No active conversation".to_owned());
    Ok(Json(BrowserConversationResponse { success: true, state, message }).into_response())
}

pub(crate) async fn delete(browser: Browser, _: Request) -> Result<Response, Refusal> {
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    clear(&browser.call, &handle, Clearing::Delete).await?;
    Ok(Json(Done { success: true, message: "Conversation state cleared".into() }).into_response())
}

pub(crate) async fn post(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let BrowserStateRequest { action, data } = Fields::read_or_empty(request).await?.read_leniently();
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    let message = match action.0 {
        Some(ConversationAction::Reset) => {
            clear(&browser.call, &handle, Clearing::All).await?;
            "Conversation state reset"
        }
        Some(ConversationAction::ClearOld) => {
            clear(&browser.call, &handle, Clearing::Old).await?;
            "Old conversation data cleared"
        }
        Some(ConversationAction::Update) => {
            if !handle.state().await?.1.conversation.active {
                return Err(Refusal::bad_request("No active conversation to update"));
            }
            update(&browser, &handle, data.unwrap_or_default()).await?;
            "Conversation state updated"
        }
        None => return Err(Refusal::bad_request("Invalid action. Use \"reset\" or \"update\"")),
    };
    let (_, view) = handle.state().await?;
    let (state, message) = (body(&view), Some(message.to_owned()));
    Ok(Json(BrowserConversationResponse { success: true, state, message }).into_response())
}

async fn update(browser: &Browser, handle: &ProjectHandle, wanted: BrowserStateUpdate) -> Result<(), Refusal> {
    let preferences = wanted.user_preferences.unwrap_or_default();
    let patterns = preferences.common_requests.or(preferences.common_patterns);
    let update = UpdateConversation {
        topic: wanted.current_topic,
        edit_style: preferences.edit_style.map(|style| match style {
            PreferredStyle::Targeted => EditStyle::Targeted,
            PreferredStyle::Comprehensive => EditStyle::Comprehensive,
        }),
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

fn body(view: &ProjectState) -> Option<BrowserConversation> {
    let conversation = &view.conversation;
    if !conversation.active {
        return None;
    }
    let (started, updated) = (milliseconds(&conversation.created_at), milliseconds(&conversation.updated_at));
    // Of the two sides these clients keep one: what was asked.
    let asked: Vec<&Message> = messages(view).filter(|message| message.role == MessageRole::User).collect();
    let messages = last(&asked, MESSAGES).iter().map(|message| {
        let at = milliseconds(&message.at);
        BrowserMessage {
            id: format!("msg-{at}"),
            role: BrowserAuthor::User,
            content: text_of(message),
            timestamp: at,
            metadata: metadata(view, &asked, message),
        }
    });
    let changes = conversation.evolution.iter().map(|step| BrowserChange {
        timestamp: milliseconds(&step.at),
        description: format!("Applied {} files", step.files.len()),
        files_affected: step.files.iter().map(ToString::to_string).collect(),
    });
    Some(BrowserConversation {
        conversation_id: format!("conv-{started}"),
        started_at: started,
        last_updated: updated,
        context: BrowserConversationContext {
            messages: messages.collect(),
            edits: last(&conversation.edits, EDITS).iter().map(edit).collect(),
            project_evolution: BrowserEvolution { major_changes: changes.collect() },
            user_preferences: BrowserPreferences {
                edit_style: match conversation.edit_style {
                    EditStyle::Targeted => PreferredStyle::Targeted,
                    EditStyle::Comprehensive => PreferredStyle::Comprehensive,
                },
                common_requests: conversation.common_patterns.clone(),
            },
            current_topic: conversation.topic.clone(),
        },
    })
}

pub(in crate::http::legacy) fn edit(edit: &EditRecord) -> BrowserEdit {
    BrowserEdit {
        timestamp: milliseconds(&edit.at),
        user_request: edit.prompt.clone().unwrap_or_else(|| "Applied AI-generated code".to_owned()),
        edit_type: edit_type(edit.edit),
        target_files: edit.files.iter().map(ToString::to_string).collect(),
        confidence: 1.0,
        outcome: if edit.error.is_none() { BrowserEditOutcome::Success } else { BrowserEditOutcome::Partial },
        error_message: edit.error.clone(),
    }
}

/// The end of a list.
fn last<T>(list: &[T], (most, kept): (usize, usize)) -> &[T] {
    if list.len() > most { &list[list.len() - kept..] } else { list }
}

/// What came of a message: the files that were written after it and before the next.
fn metadata(view: &ProjectState, asked: &[&Message], message: &Message) -> BrowserMessageMetadata {
    let at = |at: &str| at.parse::<Timestamp>().unwrap_or_default();
    let from = at(&message.at);
    let until = asked.iter().map(|other| at(&other.at)).find(|other| *other > from).unwrap_or(Timestamp::MAX);
    let mut edits = view.conversation.edits.iter().filter(|edit| (from..until).contains(&at(&edit.at)));
    let written = edits.rfind(|edit| edit.error.is_none() && !edit.files.is_empty());
    written.map_or_else(BrowserMessageMetadata::default, |edit| BrowserMessageMetadata {
        edited_files: Some(edit.files.iter().map(ToString::to_string).collect()),
        edit_type: Some(edit_type(edit.edit)),
    })
}

const fn edit_type(edit: bool) -> BrowserEditType {
    if edit { BrowserEditType::UpdateComponent } else { BrowserEditType::AddFeature }
}

/// A time in milliseconds since 1970.
pub(in crate::http::legacy) fn milliseconds(at: &str) -> i64 {
    at.parse::<Timestamp>().map_or(0, |at| at.as_millisecond())
}
