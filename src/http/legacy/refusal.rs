//! Refusals, in the shape that the clients of the older systems know.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use cobuild_protocol::{ErrorBody, ErrorCode};

use super::{
    browser::wire::BrowserError,
    dialect::Dialect,
    events::value,
    wire::{ErrorDetail, HttpValidationError, UnexpectedError, ValidationError},
};
use crate::{http::error, project::ProjectError};

/// Why a request is not answered as it wishes.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// A status and a sentence.
    Detail(StatusCode, String),
    /// The body is not what it must be: one entry per complaint, as the first engine's validation writes them.
    Invalid(Vec<ValidationError>),
    /// A fault of ours; the sentence gives nothing away.
    Unexpected(String),
    /// A limit: when to try again, in milliseconds.
    Later(String, u64),
}

impl Refusal {
    pub(crate) fn bad_request(sentence: impl Into<String>) -> Self {
        Self::Detail(StatusCode::BAD_REQUEST, sentence.into())
    }

    pub(crate) fn not_found(sentence: impl Into<String>) -> Self {
        Self::Detail(StatusCode::NOT_FOUND, sentence.into())
    }

    pub(crate) fn failed(sentence: impl Into<String>) -> Self {
        Self::Detail(StatusCode::INTERNAL_SERVER_ERROR, sentence.into())
    }
}

impl Refusal {
    /// As the answer to a request of this dialect.
    pub(crate) fn in_dialect(self, dialect: Dialect) -> Response {
        let wait_ms = if let Self::Later(_, wait_ms) = &self { Some(*wait_ms) } else { None };
        let browser =
            matches!(dialect, Dialect::Browser).then(|| value(BrowserError { success: false, error: self.sentence() }));
        let (status, body) = match self {
            Self::Detail(status, detail) => (status, value(ErrorDetail { detail })),
            Self::Later(detail, _) => (StatusCode::TOO_MANY_REQUESTS, value(ErrorDetail { detail })),
            Self::Invalid(detail) => (StatusCode::UNPROCESSABLE_ENTITY, value(HttpValidationError { detail })),
            Self::Unexpected(error) => {
                let message = "Internal server error".into();
                (StatusCode::INTERNAL_SERVER_ERROR, value(UnexpectedError { success: false, error, message }))
            }
        };
        let mut response = (status, Json(browser.unwrap_or(body))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait_ms) = wait_ms {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1000)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl Refusal {
    /// The reason as one sentence.
    fn sentence(&self) -> String {
        match self {
            Self::Detail(_, sentence) | Self::Unexpected(sentence) | Self::Later(sentence, _) => sentence.clone(),
            Self::Invalid(complaints) => complaints.first().map(complaint_sentence).unwrap_or_default(),
        }
    }
}

/// A complaint of the validation as one sentence.
fn complaint_sentence(complaint: &ValidationError) -> String {
    let place = complaint.loc.iter();
    let place: Vec<String> = place.map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
    format!("{}: {}", place.join("."), complaint.msg)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.in_dialect(Dialect::Engine)
    }
}

impl From<ErrorBody> for Refusal {
    fn from(body: ErrorBody) -> Self {
        if body.code == ErrorCode::Internal {
            return Self::Unexpected(body.message);
        }
        if let Some(wait_ms) = body.retry_after_ms {
            return Self::Later(body.message, wait_ms);
        }
        Self::Detail(error::status(body.code), body.message)
    }
}

impl From<ProjectError> for Refusal {
    fn from(error: ProjectError) -> Self {
        error.body().into()
    }
}

/// For a path below `/api` that is none of ours.
pub(crate) fn no_such_path() -> Response {
    Refusal::not_found("Not Found").into_response()
}

/// For a path that exists with another method; the router adds `allow`.
pub(super) async fn method_not_allowed() -> Response {
    Refusal::Detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed".into()).into_response()
}

/// For a path with a slash too many: where it is without.
pub(super) fn without_slash(scheme: &str, authority: &str, uri: &Uri) -> Response {
    let path = uri.path().trim_end_matches('/');
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("{scheme}://{authority}{path}{query}");
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response()
}
