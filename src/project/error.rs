//! Why the core refused a command or ended a run, and the stable code a client sees for it.

use std::time::Duration;

use cobuild_protocol::{ErrorBody, ErrorCode};

use super::{event_store::StoreError, model_provider::ModelError, sandbox_provider::SandboxError};

/// When to try again what a closing project did not take: the next server is there by then.
const CLOSING_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why a command was refused or a run failed. The sentences are for the people in the room.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProjectError {
    /// A value is not acceptable.
    #[error("{0}")]
    BadRequest(String),
    /// The participant's role does not allow it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// No such thing.
    #[error("{0}")]
    NotFound(String),
    /// It contradicts the present state.
    #[error("{0}")]
    Conflict(String),
    /// The file is not what the write was based on.
    #[error("{0}")]
    StaleBase(String),
    /// Larger than a limit.
    #[error("{0}")]
    TooLarge(String),
    /// The queue is full.
    #[error("{0}")]
    QueueFull(String),
    /// Too much at once; when to try again.
    #[error("{0}")]
    RateLimited(&'static str, Duration),
    /// A budget is used up.
    #[error("{0}")]
    QuotaExceeded(String),
    /// The model could not make the app work.
    #[error("{0}")]
    Unrepaired(String),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The model's answer ended before it was whole.
    #[error("{0}")]
    CutOff(String),
    /// A process in the sandbox failed, in its own words.
    #[error("{0}")]
    ProcessFailed(String),
    /// The store does not take the event.
    #[error("the server cannot store this now; try again")]
    Store(#[from] StoreError),
    /// Somebody cancelled it.
    #[error("cancelled")]
    Cancelled,
    /// The server stopped in the middle of it.
    #[error("the server stopped before this was done; send it again")]
    Interrupted,
    /// The project is being closed.
    #[error("the project is closing; try again")]
    Closing,
    /// A fault of ours; the cause is in the log.
    #[error("something went wrong in the server; its log says what")]
    Internal,
}

impl ProjectError {
    /// To whoever an owner has removed.
    pub(crate) const fn removed() -> Self {
        Self::Forbidden("an owner has removed you from this project")
    }

    /// The stable code for it.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::BadRequest(_) => ErrorCode::BadRequest,
            Self::Forbidden(_) => ErrorCode::Forbidden,
            Self::NotFound(_) => ErrorCode::NotFound,
            Self::Conflict(_) => ErrorCode::Conflict,
            Self::StaleBase(_) => ErrorCode::StaleBase,
            Self::TooLarge(_) => ErrorCode::TooLarge,
            Self::QueueFull(_) => ErrorCode::QueueFull,
            Self::RateLimited(..) => ErrorCode::RateLimited,
            Self::QuotaExceeded(_) => ErrorCode::QuotaExceeded,
            Self::Unrepaired(_) => ErrorCode::ModelFailed,
            Self::Model(error) => match error {
                ModelError::UnknownModel { .. }
                | ModelError::RetiredModel { .. }
                | ModelError::UnknownProvider { .. }
                | ModelError::InvalidRequest(_) => ErrorCode::BadRequest,
                ModelError::ContextTooLong => ErrorCode::TooLarge,
                ModelError::NotConfigured { .. } | ModelError::Unauthorized(_) => ErrorCode::ModelUnauthorized,
                ModelError::RateLimited { .. } | ModelError::Unavailable(_) => ErrorCode::ModelOverloaded,
                ModelError::QuotaExceeded(_) => ErrorCode::QuotaExceeded,
                ModelError::Incomplete => ErrorCode::ModelFailed,
            },
            Self::Sandbox(error) => match error {
                SandboxError::Unavailable(_) | SandboxError::Lost(_) => ErrorCode::SandboxLost,
                SandboxError::TimedOut(_) => ErrorCode::SandboxTimeout,
                SandboxError::NotFound => ErrorCode::NotFound,
                SandboxError::Refused(_) => ErrorCode::BadRequest,
                SandboxError::Failed(_) => ErrorCode::Internal,
            },
            Self::CutOff(_) => ErrorCode::ModelFailed,
            Self::ProcessFailed(_) => ErrorCode::Unsupported,
            Self::Cancelled => ErrorCode::Cancelled,
            Self::Store(_) | Self::Interrupted | Self::Closing | Self::Internal => ErrorCode::Internal,
        }
    }

    /// The error as a client sees it.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        let mut body = ErrorBody::new(self.code(), self.to_string());
        let milliseconds = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        match self {
            Self::Model(ModelError::RateLimited { retry_after }) => {
                body.retry_after_ms = retry_after.map(milliseconds);
            }
            Self::RateLimited(_, retry_after) => body.retry_after_ms = Some(milliseconds(*retry_after).max(1)),
            Self::Closing => body.retry_after_ms = Some(milliseconds(CLOSING_RETRY_AFTER)),
            Self::Model(
                ModelError::UnknownModel { instead, .. }
                | ModelError::RetiredModel { instead, .. }
                | ModelError::UnknownProvider { instead, .. },
            ) => body.models.clone_from(instead),
            Self::CutOff(_) => body.output_limit = true,
            _ => {}
        }
        body
    }
}
