//! What browser clients send. A [`Lenient`] field is one without which there is nothing to do; the handlers say so in their
//! own words.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::http::legacy::{
    body::{Lenient, lenient},
    wire::{ConversationAction, PreferredStyle},
};

/// `POST /api/generate-ai-code-stream`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserGenerateRequest {
    /// What to write.
    pub(crate) prompt: Lenient<String>,
    /// `provider/name`; null for the server's default.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) model: Option<String>,
    /// What the page knows besides.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) context: Option<BrowserContext>,
    /// A hint that an app that is there is to be changed.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) is_edit: Option<bool>,
}

/// What a page sends along with a prompt. Copies of the project's files are left out: the server shows a model its own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserContext {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) conversation_context: Option<BrowserPromptContext>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserPromptContext {
    /// Pages that were read for it.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) scraped_websites: Option<Vec<Lenient<ScrapedWebsite>>>,
    /// What the page calls its work.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) current_project: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct ScrapedWebsite {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) url: Option<String>,
    /// A text, or whatever a scraper answered.
    #[serde(default)]
    pub(crate) content: Option<Value>,
}

/// `POST /api/apply-ai-code-stream`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserApplyRequest {
    /// A model's answer, with `<file path="…">` blocks.
    pub(crate) response: Lenient<String>,
    /// Whether an app that is there is changed.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) is_edit: Option<bool>,
    /// Installed first.
    #[serde(default, deserialize_with = "lenient")]
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) packages: Option<Vec<Value>>,
}

/// `POST /api/install-packages` and `POST /api/install-packages-v2`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct BrowserInstallRequest {
    /// npm names, with a version or without.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub(crate) packages: Lenient<Vec<Value>>,
}

/// `POST /api/detect-and-install-packages`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct BrowserDetectRequest {
    /// Text by path.
    #[schemars(with = "BTreeMap<String, String>")]
    pub(crate) files: Lenient<Map<String, Value>>,
}

/// `POST /api/conversation-state`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct BrowserStateRequest {
    pub(crate) action: Lenient<ConversationAction>,
    /// For `update`.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) data: Option<BrowserStateUpdate>,
}

/// What an update changes; what it does not name stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserStateUpdate {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) current_topic: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) user_preferences: Option<BrowserPreferencesUpdate>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserPreferencesUpdate {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) edit_style: Option<PreferredStyle>,
    #[serde(default, deserialize_with = "lenient")]
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) common_requests: Option<Vec<Value>>,
    /// The same by its other name.
    #[serde(default, deserialize_with = "lenient")]
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) common_patterns: Option<Vec<Value>>,
}

/// `POST /api/run-command` and `POST /api/run-command-v2`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct RunCommandRequest {
    pub(crate) command: Lenient<String>,
}

/// `POST /api/report-vite-error`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct ReportErrorRequest {
    pub(crate) error: Lenient<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) file: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) r#type: Option<String>,
}

/// `POST /api/analyze-edit-intent`. No model is asked, so none need be named.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct AnalyzeEditRequest {
    pub(crate) prompt: Lenient<String>,
    /// As `get-sandbox-files` gives it; the names of `componentTree` are looked for.
    pub(crate) manifest: Lenient<Map<String, Value>>,
}

/// `POST /api/search`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct SearchRequest {
    #[schemars(length(min = 1, max = 500))]
    pub(crate) query: Lenient<String>,
}

/// `POST /api/scrape-url-enhanced` and `POST /api/scrape-screenshot`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct ScrapeUrlRequest {
    /// The page; without a scheme, `https`. Public addresses only.
    pub(crate) url: Lenient<String>,
}

/// `POST /api/scrape-website`. Here a field of another type is refused.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct ScrapeWebsiteRequest {
    /// The page; without a scheme, `https`. Public addresses only.
    pub(crate) url: Lenient<String>,
    /// Of `markdown`, `html`, `links`, `screenshot`; the first two if absent.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) formats: Option<Value>,
    /// `onlyMainContent`: false for the whole page.
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) options: Option<Value>,
}

/// `POST /api/extract-brand-styles`. What they are wanted for need not be said.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct ExtractBrandStylesRequest {
    /// The page; without a scheme, `https`. Public addresses only.
    pub(crate) url: Lenient<String>,
}
