//! What browser clients send and get. These types are what is read and written, and what the API's description is made
//! from. What such clients send is read as leniently as they are used to: a field of another type is as good as none.

mod conversation;
mod events;
mod manifest;
mod requests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

pub(crate) use self::{conversation::*, events::*, manifest::*, requests::*};

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct RunCommandResponse {
    /// Whether the exit code is 0.
    pub(crate) success: bool,
    /// Both streams.
    pub(crate) output: String,
    /// What was written to the error stream.
    pub(crate) error: String,
    /// Null if it could not be run.
    #[serde(rename = "exitCode")]
    pub(crate) exit_code: Option<i32>,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct InstallInOnePieceResponse {
    /// Whether every one of them is there now.
    pub(crate) success: bool,
    /// What the package manager said.
    pub(crate) output: String,
    /// What went wrong, line by line.
    pub(crate) error: String,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Done {
    pub(crate) success: bool,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateBrowserSandboxResponse {
    pub(crate) success: bool,
    pub(crate) sandbox_id: String,
    /// For an iframe.
    pub(crate) url: Option<String>,
    pub(crate) provider: String,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserSandboxStatus {
    pub(crate) success: bool,
    pub(crate) active: bool,
    pub(crate) healthy: bool,
    pub(crate) sandbox_data: Option<BrowserSandbox>,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserSandbox {
    pub(crate) sandbox_id: String,
    pub(crate) url: Option<String>,
    pub(crate) files_tracked: Vec<String>,
    pub(crate) last_health_check: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ViteErrors {
    pub(crate) success: bool,
    pub(crate) has_errors: bool,
    pub(crate) errors: Vec<ReportedError>,
    /// `check-vite-errors` says it in words, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SandboxLogs {
    pub(crate) success: bool,
    pub(crate) has_errors: bool,
    /// The dev server's last lines.
    pub(crate) logs: Vec<String>,
    pub(crate) status: DevServerStatus,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ReportErrorResponse {
    pub(crate) success: bool,
    pub(crate) message: String,
    pub(crate) error: ReportedError,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ReportedError {
    /// `build-error` for those of the dev server itself.
    pub(crate) r#type: String,
    pub(crate) message: String,
    pub(crate) file: Option<String>,
    /// Of those that were reported.
    pub(crate) timestamp: Option<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnalyzeEditResponse {
    pub(crate) success: bool,
    pub(crate) search_plan: SearchPlan,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SearchPlan {
    /// `UPDATE_COMPONENT`, `ADD_FEATURE`, `FIX_ISSUE`, `UPDATE_STYLE`, `REFACTOR`, `ADD_DEPENDENCY`, `REMOVE_ELEMENT` or
    /// `FULL_REBUILD`.
    pub(crate) edit_type: &'static str,
    pub(crate) reasoning: String,
    pub(crate) search_terms: Vec<String>,
    pub(crate) file_types_to_search: Vec<&'static str>,
    pub(crate) expected_matches: usize,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ScrapeUrlResponse {
    pub(crate) success: bool,
    /// Where the page was found, redirects followed.
    pub(crate) url: String,
    /// Title, description, address and text, to be put into a prompt.
    pub(crate) content: String,
    /// Where a picture is; null without a scraping service.
    pub(crate) screenshot: Option<String>,
    pub(crate) structured: StructuredPage,
    pub(crate) metadata: PageMetadata,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct StructuredPage {
    pub(crate) title: String,
    pub(crate) description: String,
    /// Markdown.
    pub(crate) content: String,
    pub(crate) url: String,
    pub(crate) screenshot: Option<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageMetadata {
    /// `cobuild` for this server itself.
    pub(crate) scraper: String,
    pub(crate) timestamp: String,
    /// In characters.
    pub(crate) content_length: usize,
    pub(crate) cached: bool,
    /// Whether something was too long and is not here whole.
    pub(crate) truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(rename = "sourceURL", skip_serializing_if = "Option::is_none")]
    pub(crate) source_url: Option<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ScrapeWebsiteResponse {
    pub(crate) success: bool,
    pub(crate) data: ScrapedPage,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ScrapedPage {
    pub(crate) title: String,
    pub(crate) description: String,
    /// Markdown if it was wanted, else HTML.
    pub(crate) content: String,
    pub(crate) markdown: String,
    /// The page's own: not to be shown on an origin that matters.
    pub(crate) html: String,
    pub(crate) metadata: PageMetadata,
    pub(crate) screenshot: Option<String>,
    pub(crate) links: Vec<String>,
    pub(crate) raw: RawPage,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct RawPage {
    pub(crate) markdown: String,
    pub(crate) html: String,
    pub(crate) metadata: PageMetadata,
    pub(crate) screenshot: Option<String>,
    pub(crate) links: Vec<String>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ScrapeScreenshotResponse {
    pub(crate) success: bool,
    /// Where the picture is.
    pub(crate) screenshot: String,
    pub(crate) metadata: PageMetadata,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct SearchResponse {
    pub(crate) results: Vec<SearchResult>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct SearchResult {
    pub(crate) url: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) screenshot: Option<String>,
    pub(crate) markdown: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExtractBrandStylesResponse {
    pub(crate) success: bool,
    pub(crate) url: String,
    pub(crate) style_name: String,
    /// `colors`, `palette`, `customProperties`, `fonts`, `typography`, `components`, `images`: what the page states.
    pub(crate) guidelines: Map<String, Value>,
}

/// A refusal as browser clients read it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct BrowserError {
    pub(crate) success: bool,
    pub(crate) error: String,
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DevServerStatus {
    Running,
    Stopped,
}

/// What `kill-sandbox` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KillBrowserSandboxResponse {
    pub(crate) success: bool,
    /// Whether there was one.
    pub(crate) sandbox_killed: bool,
    pub(crate) message: String,
}

/// What `detect-and-install-packages` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DetectBrowserPackagesResponse {
    /// Whether every one of them is there now.
    pub(crate) success: bool,
    pub(crate) packages_installed: Vec<String>,
    pub(crate) packages_failed: Vec<String>,
    pub(crate) packages_already_installed: Vec<String>,
    pub(crate) message: String,
    /// What went wrong, line by line.
    pub(crate) logs: String,
}

/// What `get-sandbox-files` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserFilesResponse {
    pub(crate) success: bool,
    /// Text by path, of small files of an app's own.
    pub(crate) files: BTreeMap<String, String>,
    /// The directories, one a line.
    pub(crate) structure: String,
    pub(crate) file_count: usize,
    /// What the files are to one another.
    pub(crate) manifest: Manifest,
}

/// What `create-zip` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserArchiveResponse {
    pub(crate) success: bool,
    /// `data:application/zip;base64,…`
    pub(crate) data_url: String,
    pub(crate) file_name: String,
    pub(crate) message: String,
}

/// What `sandbox-status` answers where the server failed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct BrowserStatusFailure {
    pub(crate) success: bool,
    pub(crate) active: bool,
    pub(crate) error: String,
}

/// What `apply-ai-code-stream` answers where there is nowhere to apply anything.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotAppliedResponse {
    pub(crate) success: bool,
    pub(crate) error: String,
    pub(crate) results: ApplyResults,
    pub(crate) explanation: Option<String>,
    pub(crate) structure: Option<String>,
    /// The files of the reply.
    pub(crate) parsed_files: Vec<String>,
    pub(crate) message: String,
}
