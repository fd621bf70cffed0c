//! Error codes and close codes: stable strings and numbers a client may act on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What went wrong, as a stable string. Each has one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 400: the frame, field or value is not what the protocol asks for.
    BadRequest,
    /// 401: no token, or one that is not valid.
    Unauthenticated,
    /// 403: the participant's role does not allow it.
    Forbidden,
    /// 404: no such project, run or file.
    NotFound,
    /// 409: it contradicts the project's present state.
    Conflict,
    /// 412: the file has changed since the hash the write was based on.
    StaleBase,
    /// 413: larger than a limit announced in `welcome`.
    TooLarge,
    /// 422: understood, but this server cannot do it.
    Unsupported,
    /// 429: too many commands; wait `retry_after_ms`.
    RateLimited,
    /// 429: the project's queue of prompts is full.
    QueueFull,
    /// 429: a budget is used up.
    QuotaExceeded,
    /// 499: somebody cancelled it.
    Cancelled,
    /// 502: the model's vendor refused our key.
    ModelUnauthorized,
    /// 502: the model failed or its answer was cut off.
    ModelFailed,
    /// 503: the model is overloaded.
    ModelOverloaded,
    /// 503: the sandbox is gone or cannot be made.
    SandboxLost,
    /// 504: something in the sandbox took longer than its limit.
    SandboxTimeout,
    /// 500: a fault of the server; the cause is in its log.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 18] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::StaleBase,
        Self::TooLarge,
        Self::Unsupported,
        Self::RateLimited,
        Self::QueueFull,
        Self::QuotaExceeded,
        Self::Cancelled,
        Self::ModelUnauthorized,
        Self::ModelFailed,
        Self::ModelOverloaded,
        Self::SandboxLost,
        Self::SandboxTimeout,
        Self::Internal,
    ];

    /// Whether the same command may succeed later without being changed. A retryable rejection is not remembered:
    /// the client may send the same command id again.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::QueueFull
                | Self::ModelOverloaded
                | Self::SandboxLost
                | Self::SandboxTimeout
                | Self::Internal
        )
    }
}

/// An error as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ErrorBody {
    /// The stable code to act on.
    pub code: ErrorCode,
    /// One sentence for a person.
    pub message: String,
    /// Whether the same command may succeed later unchanged.
    pub retryable: bool,
    /// How long to wait before trying again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub retry_after_ms: Option<u64>,
    /// Models that can be named instead of one that cannot be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<String>>")]
    pub models: Vec<String>,
    /// Whether the model's answer reached its output limit, so that what there is of it is good as far as it goes. An
    /// answer whose stream broke off ends with the same code and without this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub output_limit: bool,
}

impl ErrorBody {
    /// An error with the code's own idea of whether it can be retried.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retryable: code.is_retryable(),
            retry_after_ms: None,
            models: Vec::new(),
            output_limit: false,
        }
    }
}

/// Why the server closed a WebSocket. 4000–4499: reconnect and resume. 4500–4999: final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The server is going away or the project was unloaded; come back.
    GoingAway = 4000,
    /// The connection read too slowly.
    Slow = 4008,
    /// No sign of life from the client within two heartbeats.
    NoPong = 4012,
    /// Too many frames.
    Rate = 4029,
    /// The token is not valid or has expired.
    Token = 4501,
    /// The role does not allow it, or the project is not the participant's.
    Forbidden = 4503,
    /// No such project.
    NotFound = 4504,
    /// The first frame was not a `hello` of a version this server speaks, or a frame was not text or too large.
    Protocol = 4505,
}

impl CloseCode {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::GoingAway,
        Self::Slow,
        Self::NoPong,
        Self::Rate,
        Self::Token,
        Self::Forbidden,
        Self::NotFound,
        Self::Protocol,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }
}
