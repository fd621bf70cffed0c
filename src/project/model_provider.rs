//! What the core asks of a model. Adapters live in `model/`.

use std::{fmt, time::Duration};

use cobuild_protocol::{FilePath, value::MessageRole, value::Usage};
use futures_util::stream::BoxStream;

/// Resolves a model's name and streams its answers.
///
/// A provider is shared by all projects. Dropping the stream is cancellation: the connection to the vendor is closed
/// at once.
pub trait ModelProvider: Send + Sync + fmt::Debug + 'static {
    /// The model used when a command names none.
    fn default_model(&self) -> ModelInfo;

    /// Every model this server offers, for people to choose from.
    fn models(&self) -> Vec<ModelInfo>;

    /// What a name stands for. [`ModelError::UnknownModel`] says what exists instead.
    fn resolve(&self, name: &str) -> Result<ModelInfo, ModelError>;

    /// Asks the model. The stream yields chunks and ends after [`ModelChunk::Stop`] or the first error; a stream
    /// that ends otherwise was cut off, and the caller must treat it as [`ModelError::Incomplete`].
    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>>;
}

/// A model as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// `provider/model`.
    pub name: String,
    /// Something its users must know, such as "Demo: canned answers, no AI".
    pub notice: Option<String>,
}

/// One call of a model.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// `provider/model`, resolved.
    pub model: String,
    /// The instructions that come before everything else.
    pub system: String,
    /// The project's files, path and text, that the model gets to see; in stable order.
    pub files: Vec<ContextFile>,
    /// The conversation, oldest first; the last turn is the prompt to answer.
    pub turns: Vec<Turn>,
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
    /// What has been consumed so far; a later one replaces it.
    Usage(Usage),
    /// The model's own terminal marker. Nothing follows.
    Stop(StopReason),
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
#[derive(Debug, Clone, thiserror::Error)]
pub enum ModelError {
    /// No such model; the sentence names those there are.
    #[error("{0}")]
    UnknownModel(String),
    /// The vendor wants a key or refuses ours; the sentence names the setting.
    #[error("{0}")]
    Unauthorized(String),
    /// The vendor will not take this request; changing it may help.
    #[error("{0}")]
    InvalidRequest(String),
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
