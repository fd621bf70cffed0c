//! Packages, commands, the sandbox and its preview.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::value::{OutputStream, PreviewErrorSource, PreviewState, Refusal, SandboxState};

/// The packages a run needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PackagesDetected {
    /// To be installed, in the order they were first seen.
    pub packages: Vec<String>,
    /// Names that are not valid npm names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Refusal>>", optional)]
    pub refused: Vec<Refusal>,
}

/// The package manager was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct InstallStarted {
    /// What it installs.
    pub packages: Vec<String>,
}

/// The package manager ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct InstallFinished {
    /// What was installed; empty on failure.
    pub installed: Vec<String>,
    /// Why it failed, in the package manager's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A command was started in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ExecStarted {
    /// The shell command. Not `command` on the wire: there that is the id of the command that caused the event.
    #[serde(rename = "command_line")]
    pub command: String,
}

/// A command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ExecFinished {
    /// Its exit code; absent when a signal ended it or it could not be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why it could not be run or was ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
}

/// A process said something. Its stream may be cut; then the text says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ProcessOutput {
    /// On which stream.
    pub stream: OutputStream,
    /// What, as UTF-8 with replacement characters for anything else.
    pub text: String,
}

/// The sandbox is in another state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct SandboxChanged {
    /// Which.
    pub state: SandboxState,
    /// Who makes it: `local`, `e2b` …
    pub provider: String,
    /// Which: the same while it is made again by itself, another after somebody stopped it. Absent when none is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// True from the moment somebody stops it on purpose, also while it is still there: it goes, and stays away until
    /// somebody starts it or a run needs it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub parked: bool,
    /// What is being done, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why there is none, and what to do about it; while it is `ready`: what is not as it should be, such as packages
    /// that could not be installed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The live preview is in another state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct PreviewChanged {
    /// Which.
    pub state: PreviewState,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The preview shows an error instead of the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct PreviewError {
    /// What the dev server or the page says.
    pub message: String,
    /// The file it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "PreviewErrorSource::is_build")]
    #[ts(as = "Option<PreviewErrorSource>")]
    pub source: PreviewErrorSource,
}

/// The preview could not be looked at after a change: whether the app works, nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PreviewUnchecked {
    /// Why.
    pub reason: String,
}
