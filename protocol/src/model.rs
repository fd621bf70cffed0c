//! The models a server offers: the answer to `GET /api/v1/models`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::frame::ModelNotice;

/// Every model there is, and how its providers are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ModelList {
    /// The model used when `generate` names none, and what to say about it.
    pub default: ModelNotice,
    /// The models that can be named, each provider's best first.
    pub models: Vec<ModelEntry>,
    /// Those who have models, or would have them if they were set up.
    pub providers: Vec<ProviderReport>,
}

/// A model that can be named. What is absent is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ModelEntry {
    /// `provider/model`.
    pub model: String,
    /// Something its users must know, such as "Demo – canned answers, no AI" or "Retires on 2026-12-11".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// Whether it is used when `generate` names none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub default: bool,
    /// Most tokens of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens_max: Option<u64>,
    /// Most tokens of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_max: Option<u64>,
    /// Whether it sees pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision: Option<bool>,
    /// What it costs, by the table or its vendor's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<ModelPrice>,
    /// The first day on which it no longer works, `YYYY-MM-DD`, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires_on: Option<String>,
}

/// What a model costs now, for prompts of usual size, in micro-dollars per million tokens: 2000000 is 2 US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ModelPrice {
    /// Fresh input.
    pub input: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// Input read from the cache; absent: as fresh input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// Input written to the cache; absent: as fresh input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
}

/// How somebody who has models is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ProviderReport {
    /// The first part of its models' names.
    pub provider: String,
    /// Its name for people.
    pub title: String,
    /// Whether it can be used.
    pub state: ProviderState,
    /// How many models it offers.
    pub models: u64,
    /// What is wrong and how to mend it, or where a server was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The variable to set before it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
}

/// Whether a provider of models can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ProviderState {
    /// It answers, or needs no asking.
    Ready,
    /// It is set up, but its list of models cannot be had; `detail` says why. What is listed is from before, or from the
    /// table.
    Failing,
    /// `variable` must be set first.
    NotConfigured,
    /// A server that would be on this machine, but is not.
    NotFound,
}
