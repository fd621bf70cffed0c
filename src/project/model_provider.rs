//! What the core asks of a model. Adapters live in `model/`.

use std::{fmt, time::Duration};

use bytes::Bytes;
use cobuild_protocol::{
    FilePath,
    model::{ModelPrice, ProviderReport},
    value::{MessageRole, Usage},
};
use futures_util::{
    future::{self, BoxFuture, FutureExt as _},
    stream::BoxStream,
};
use serde::{Deserialize, Serialize};

/// Resolves a model's name and streams its answers.
///
/// A provider is shared by all projects. Dropping the stream is cancellation: the connection to the vendor is closed
/// at once.
pub trait ModelProvider: Send + Sync + fmt::Debug + 'static {
    /// The model used when a command names none.
    fn default_model(&self) -> ModelInfo;

    /// The model of this provider that answers when nobody names one and no provider before it has one; `None` where
    /// it is not set up.
    fn ready_default(&self) -> Option<ModelInfo> {
        Some(self.default_model())
    }

    /// Every model this server offers, for people to choose from.
    fn models(&self) -> Vec<ModelInfo>;

    /// What a name stands for. [`ModelError::UnknownModel`] says what exists instead. Nothing is sent anywhere for it.
    fn resolve(&self, name: &str) -> Result<ModelInfo, ModelError>;

    /// Asks those who have models for what they have now, where the last answer is old, and says how each of them is.
    /// One that fails hides nothing of the others.
    fn refresh(&self) -> BoxFuture<'_, Vec<ProviderReport>> {
        future::ready(Vec::new()).boxed()
    }

    /// What this much of a model costs today, with everything that its price depends on: the size of the prompt, what came
    /// from the cache and what went into it. `None`: nobody knows.
    fn cost(&self, _model: &str, _usage: &Usage) -> Option<Cost> {
        None
    }

    /// Asks the model, and where it fails before its first byte, those named after it. The stream yields chunks and ends after [`ModelChunk::Stop`] or the first error; a stream
    /// that ends otherwise was cut off, and the caller must treat it as [`ModelError::Incomplete`].
    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>>;
}

/// A model as people see it, and what the core must know to ask it. `None` means that nobody knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelInfo {
    /// `provider/model`.
    pub name: String,
    /// Something its users must know, such as "Demo – canned answers, no AI".
    pub notice: Option<String>,
    /// Most tokens of a request.
    pub context_tokens_max: Option<u64>,
    /// Most tokens of an answer.
    pub output_tokens_max: Option<u64>,
    /// Whether it sees pictures.
    pub vision: Option<bool>,
    /// Its answers come from a list: it cannot mend what it wrote, nor sum anything up.
    pub canned: bool,
    /// It writes whole files better than edits of them.
    pub whole_files: bool,
    /// What it costs at a prompt of usual size, for people; what a call costs is for [`ModelProvider::cost`] to say.
    pub price: Option<ModelPrice>,
    /// The first day on which it no longer works, `YYYY-MM-DD`.
    pub retires_on: Option<String>,
}

impl ModelInfo {
    /// A model of which nothing but the name is known.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// What was consumed, in money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// In nano-dollars, rounded once.
    pub nano_usd: u64,
    /// The day of the table that says so, `YYYY-MM-DD`; `None`: it takes no table to know.
    pub prices_as_of: Option<String>,
}

/// One call of a model.
#[derive(Debug, Clone, Default)]
pub struct ModelRequest {
    /// `provider/model`.
    pub model: String,
    /// Those to ask when it fails before its first byte, in order.
    pub fallbacks: Vec<String>,
    /// The instructions that come before everything else.
    pub system: String,
    /// The project's files, path and text, that the model gets to see; in stable order.
    pub files: Vec<ContextFile>,
    /// The conversation, oldest first; the last turn is the prompt to answer.
    pub turns: Vec<Turn>,
    /// Pictures that belong to the prompt.
    pub images: Vec<Image>,
    /// What the user set.
    pub parameters: ModelParameters,
}

/// A picture for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Such as `image/png`.
    pub media_type: String,
    /// The file's bytes.
    pub data: Bytes,
}

/// What a user may set for one call. `None` leaves it to the model; a default never counts as set, because flagship
/// models refuse sampling parameters outright.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelParameters {
    /// Sent only where the model takes it.
    pub temperature: Option<f64>,
    /// Sent only where the model takes it.
    pub top_p: Option<f64>,
    /// Sent only where the model and the wire take it.
    pub top_k: Option<u32>,
    /// How hard to think; sent only where the model knows this level.
    pub effort: Option<ReasoningEffort>,
    /// Most tokens of the answer, reasoning included; never more than the model can. `None`: 32,000.
    pub output_tokens_max: Option<u64>,
}

/// How hard a model thinks before it answers. A model knows some of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReasoningEffort {
    /// Not at all.
    None,
    /// Hardly.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// Very much.
    Xhigh,
    /// As much as it can.
    Max,
}

/// A file in a model's context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFile {
    /// Where.
    pub path: FilePath,
    /// Its text; `None` when only its existence is told.
    pub text: Option<String>,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Whose.
    pub role: MessageRole,
    /// What was said.
    pub text: String,
}

/// A piece of a model's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelChunk {
    /// The answer goes on.
    Text(String),
    /// The reasoning goes on.
    Reasoning(String),
    /// What has been consumed so far, every attempt included; a later one replaces it.
    Usage(Usage),
    /// The model failed before its first byte, and is asked again after a while.
    Retried(Box<Retry>),
    /// A model failed before its first byte; this one of the fallbacks is asked now.
    Switched(Box<Switch>),
    /// The model's own terminal marker. Nothing follows.
    Stop(StopReason),
}

/// Another attempt with the same model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Which one after the first; from 1.
    pub attempt: u32,
    /// How long it is waited before it.
    pub wait: Duration,
    /// What went wrong.
    pub error: ModelError,
}

/// From a model that failed to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// The one that failed, by name.
    pub from: String,
    /// The one that is asked now.
    pub to: ModelInfo,
    /// What went wrong.
    pub error: ModelError,
}

/// Why a model stopped, by its own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It was done.
    Complete,
    /// It reached its output limit.
    Truncated,
    /// It refused, or a filter did; with the vendor's category, if any.
    Refused(Option<String>),
}

/// What a caller can do about a failed model call. The vendor's text is in the log, never in these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No such model, or none any more.
    #[error("{sentence}")]
    UnknownModel {
        /// What became of it and what there is.
        sentence: String,
        /// Names that can be used instead.
        instead: Vec<String>,
    },
    /// A model that no longer works. It is never replaced silently: another one has another price and behaviour.
    #[error("{sentence}")]
    RetiredModel {
        /// Since when, and what there is.
        sentence: String,
        /// Names that can be used instead.
        instead: Vec<String>,
    },
    /// A name's first part is nobody's.
    #[error("there is no model provider `{name}`{}", list("; there is", instead))]
    UnknownProvider {
        /// That part, shortened and without control characters.
        name: String,
        /// Names that can be used instead.
        instead: Vec<String>,
    },
    /// The provider is known, but not set up. Nothing was sent to anybody.
    #[error("{sentence}")]
    NotConfigured {
        /// The variable to set.
        variable: &'static str,
        /// What to do.
        sentence: String,
    },
    /// The vendor wants a key or refuses ours; the sentence names the setting.
    #[error("{0}")]
    Unauthorized(String),
    /// The vendor will not take this request; changing it may help.
    #[error("{0}")]
    InvalidRequest(String),
    /// The request is longer than the model's context window; a shorter one may do.
    #[error("the conversation and the files are longer than the model's context window")]
    ContextTooLong,
    /// Too many requests; wait.
    #[error("the model's rate limit is reached")]
    RateLimited {
        /// How long, if the vendor said.
        retry_after: Option<Duration>,
    },
    /// The vendor is overloaded or cannot be reached.
    #[error("the model is not available: {0}")]
    Unavailable(String),
    /// Somebody has to pay first.
    #[error("{0}")]
    QuotaExceeded(String),
    /// The answer ended without the model's terminal marker.
    #[error("the model's answer was cut off")]
    Incomplete,
}

/// `; there is a, b`, or nothing.
fn list(before: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("{before} {}", names.join(", ")) }
}
