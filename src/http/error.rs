//! Errors over HTTP: `ErrorCode` → status, and the body of RFC 9457 (`application/problem+json`).

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cobuild_protocol::{ErrorBody, ErrorCode, id::Invalid};
use schemars::JsonSchema;
use serde::Serialize;

use crate::project::ProjectError;

/// An answer that says what went wrong. Any handler may fail with it.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    body: ErrorBody,
    status: StatusCode,
}

/// The members of RFC 9457 with those of [`ErrorBody`] as extensions.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct ProblemDetails<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: ErrorCode,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    models: &'a [String],
}

/// What of a problem a person reads; goes with the answer to where it may become a page.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) title: &'static str,
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::from(ErrorBody::new(code, message))
    }

    /// What is wrong, for an answer in another shape.
    pub(crate) fn into_body(self) -> ErrorBody {
        self.body
    }

    /// What all problems of this kind have in common: of its code, or of the more exact status.
    fn title(&self) -> &'static str {
        let exact = Some(self.status).filter(|exact| *exact != status(self.body.code));
        exact.and_then(|status| status.canonical_reason()).unwrap_or(title(self.body.code))
    }

    /// The same problem under another status than its code's, where HTTP has a more exact one.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

impl From<ErrorBody> for Problem {
    fn from(body: ErrorBody) -> Self {
        Self { status: status(body.code), body }
    }
}

impl From<ProjectError> for Problem {
    fn from(error: ProjectError) -> Self {
        Self::from(error.body())
    }
}

impl From<Invalid> for Problem {
    fn from(error: Invalid) -> Self {
        Self::new(ErrorCode::BadRequest, error.to_string())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(ErrorCode::BadRequest, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(ErrorCode::BadRequest, rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let problem = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(ErrorCode::TooLarge, "the body is larger than this server takes")
            }
            _ => Self::new(ErrorCode::BadRequest, rejection.body_text()),
        };
        problem.with_status(rejection.status())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let shown = Shown { title: self.title(), detail: self.body.message.clone() };
        let details = ProblemDetails {
            r#type: format!("urn:cobuild:error:{}", name(self.body.code)),
            title: self.title(),
            status: self.status.as_u16(),
            detail: &self.body.message,
            code: self.body.code,
            retryable: self.body.retryable,
            retry_after_ms: self.body.retry_after_ms,
            models: &self.body.models,
        };
        let mut response = (self.status, Json(details)).into_response();
        response.extensions_mut().insert(shown);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait_ms) = self.body.retry_after_ms {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1000)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The status of a code, as DESIGN fixes it.
pub(crate) fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::StaleBase => StatusCode::PRECONDITION_FAILED,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::RateLimited | ErrorCode::QueueFull | ErrorCode::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Cancelled => StatusCode::from_u16(499).expect("invariant: 499 is a status number"),
        ErrorCode::ModelUnauthorized | ErrorCode::ModelFailed => StatusCode::BAD_GATEWAY,
        ErrorCode::ModelOverloaded | ErrorCode::SandboxLost => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::SandboxTimeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The code's name on the wire.
fn name(code: ErrorCode) -> String {
    serde_json::to_value(code).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What all problems of a code have in common, for people.
const fn title(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadRequest => "Bad request",
        ErrorCode::Unauthenticated => "Not authenticated",
        ErrorCode::Forbidden => "Forbidden",
        ErrorCode::NotFound => "Not found",
        ErrorCode::Conflict => "Conflict",
        ErrorCode::StaleBase => "Stale base",
        ErrorCode::TooLarge => "Too large",
        ErrorCode::Unsupported => "Unsupported",
        ErrorCode::RateLimited => "Rate limited",
        ErrorCode::QueueFull => "Queue full",
        ErrorCode::QuotaExceeded => "Quota exceeded",
        ErrorCode::Cancelled => "Cancelled",
        ErrorCode::ModelUnauthorized => "Model unauthorized",
        ErrorCode::ModelFailed => "Model failed",
        ErrorCode::ModelOverloaded => "Model overloaded",
        ErrorCode::SandboxLost => "Sandbox lost",
        ErrorCode::SandboxTimeout => "Sandbox timeout",
        ErrorCode::Internal => "Internal error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_status_of_the_design() {
        let statuses: Vec<u16> = ErrorCode::ALL.iter().map(|code| status(*code).as_u16()).collect();
        assert_eq!(
            statuses,
            [400, 401, 403, 404, 409, 412, 413, 422, 429, 429, 429, 499, 502, 502, 503, 503, 504, 500]
        );
    }

    #[test]
    fn a_problem_carries_code_type_and_retry() {
        let mut body = ErrorBody::new(ErrorCode::RateLimited, "slow down");
        body.retry_after_ms = Some(1200);
        let response = Problem::from(body).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(name(ErrorCode::StaleBase), "stale_base");
    }

    #[test]
    fn a_more_exact_status_has_its_own_title() {
        let problem = Problem::new(ErrorCode::Forbidden, "x");
        assert_eq!(problem.title(), "Forbidden");
        assert_eq!(problem.with_status(StatusCode::MISDIRECTED_REQUEST).title(), "Misdirected Request");
    }
}
