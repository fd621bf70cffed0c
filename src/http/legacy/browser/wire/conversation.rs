//! The conversation as browser clients keep it. Times are milliseconds since 1970.

use schemars::JsonSchema;
use serde::Serialize;

use crate::http::legacy::wire::PreferredStyle;

/// What `conversation-state` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct BrowserConversationResponse {
    pub(crate) success: bool,
    /// Null where there is no conversation.
    pub(crate) state: Option<BrowserConversation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserConversation {
    pub(crate) conversation_id: String,
    pub(crate) started_at: i64,
    pub(crate) last_updated: i64,
    pub(crate) context: BrowserConversationContext,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserConversationContext {
    /// What was asked; such clients keep no answers.
    pub(crate) messages: Vec<BrowserMessage>,
    pub(crate) edits: Vec<BrowserEdit>,
    pub(crate) project_evolution: BrowserEvolution,
    pub(crate) user_preferences: BrowserPreferences,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current_topic: Option<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct BrowserMessage {
    pub(crate) id: String,
    pub(crate) role: BrowserAuthor,
    pub(crate) content: String,
    pub(crate) timestamp: i64,
    pub(crate) metadata: BrowserMessageMetadata,
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BrowserAuthor {
    User,
}

/// What came of a message; empty while nothing has.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserMessageMetadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) edited_files: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) edit_type: Option<BrowserEditType>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum BrowserEditType {
    UpdateComponent,
    AddFeature,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserEdit {
    pub(crate) timestamp: i64,
    pub(crate) user_request: String,
    pub(crate) edit_type: BrowserEditType,
    pub(crate) target_files: Vec<String>,
    pub(crate) confidence: f64,
    pub(crate) outcome: BrowserEditOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_message: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BrowserEditOutcome {
    Success,
    Partial,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserEvolution {
    pub(crate) major_changes: Vec<BrowserChange>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserChange {
    pub(crate) timestamp: i64,
    pub(crate) description: String,
    pub(crate) files_affected: Vec<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserPreferences {
    pub(crate) edit_style: PreferredStyle,
    pub(crate) common_requests: Vec<String>,
}
