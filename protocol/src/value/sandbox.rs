//! The sandbox and the live preview.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The sandbox as everybody in the room sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct SandboxInfo {
    /// Where it is in its life.
    pub state: SandboxState,
    /// Which provider makes it: `local`, `e2b` …; empty before the first.
    pub provider: String,
    /// Which it is, or was when somebody stopped it: the same while it is made again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// When the making of that one began: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// True from the moment somebody stops it on purpose, also while it is still there: it goes, and stays away until
    /// somebody starts it or a run needs it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub parked: bool,
    /// What is being done, for a person: "Installing the template's packages (one-time)".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why there is none, and what to do about it; while it is `ready`: what is not as it should be, such as packages
    /// that could not be installed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Where the sandbox is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    /// There is none; the next run or `start_sandbox` makes one.
    #[default]
    Stopped,
    /// It is being made.
    Creating,
    /// It takes commands.
    Ready,
    /// It died by itself.
    Lost,
    /// It is being made again from the project's files.
    Restoring,
}

/// The live preview as everybody in the room sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct PreviewInfo {
    /// Where it is in its life.
    pub state: PreviewState,
    /// Its address, stable for the life of the project. Absent before the first sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Why it failed, or – while its dev server runs – what it shows instead of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why nobody knows whether the app works after the last change: it could not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<String>,
}

/// Where the live preview is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum PreviewState {
    /// No dev server.
    #[default]
    Stopped,
    /// The dev server has been started but does not answer yet.
    Starting,
    /// The dev server answers.
    Ready,
    /// The dev server ended or could not be started.
    Failed,
}

/// Who found an error in the preview.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum PreviewErrorSource {
    /// The dev server, or a look at the files.
    #[default]
    Build,
    /// The page itself, in somebody's browser.
    Page,
}

impl PreviewErrorSource {
    /// Whether it is the ordinary one, which is not written out.
    #[must_use]
    pub const fn is_build(&self) -> bool {
        matches!(self, Self::Build)
    }
}
