//! What vendors say when something went wrong, in one shape for all wires, and what a caller can do about it.
//!
//! Vendors put the same few facts into differing fields: an `error` object with `type`, `code`, `status`, `message`,
//! `param` or `details`. Their words go to the log, scrubbed; people get our sentence with the vendor's code.

use std::time::Duration;

use serde_json::Value;

use super::{endpoint::Endpoint, provider::Provider};
use crate::project::model_provider::ModelError;

/// Codes that mean somebody must pay or raise a limit: never retried, whatever else the answer says.
const MONEY_CODES: [&str; 9] = [
    "billing_error",
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "enforced_spend_limit_reached",
    "contract_spend_limit_reached",
    "ramp_limit_exceeded",
];
const CONTEXT_CODES: [&str; 2] = ["exceed_context_size_error", "context_length_exceeded"];
/// What those say, in lower case, who have no code for a request that is longer than the window: Anthropic (twice), OpenAI
/// and those like it, Gemini, vLLM (twice), LM Studio.
const CONTEXT_WORDS: [&str; 7] = [
    "prompt is too long",
    "exceed context limit",
    "reduce the length of the messages",
    "exceeds the maximum number of tokens",
    "maximum context length",
    "longer than the maximum model length",
    "loaded with context length of only",
];
const KEY_CODES: [&str; 7] = [
    "authentication_error",
    "permission_error",
    "invalid_api_key",
    "API_KEY_INVALID",
    "API_KEY_SERVICE_BLOCKED",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
];
const UNKNOWN_MODEL_CODES: [&str; 3] = ["model_not_found", "not_found_error", "NOT_FOUND"];
const RATE_CODES: [&str; 5] =
    ["rate_limit_error", "rate_limit_exceeded", "slow_down", "capacity_exceeded", "RESOURCE_EXHAUSTED"];
const OVERLOAD_CODES: [&str; 10] = [
    "overloaded_error",
    "api_error",
    "timeout_error",
    "server_is_overloaded",
    "server_error",
    "internal_server_error",
    "UNAVAILABLE",
    "INTERNAL",
    "DEADLINE_EXCEEDED",
    "ABORTED",
];
const INVALID_CODES: [&str; 4] =
    ["invalid_request_error", "request_too_large", "INVALID_ARGUMENT", "FAILED_PRECONDITION"];

/// What can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Wait, then try again.
    RateLimited,
    /// Try again.
    Unavailable,
    /// Somebody must pay.
    Money,
    /// Correct the key.
    Unauthorized,
    /// Name another model.
    UnknownModel,
    /// Send less.
    ContextTooLong,
    /// The vendor will not answer this prompt.
    Moderated,
    /// Change the request.
    Invalid,
}

/// A vendor's error, as far as it said.
#[derive(Debug, Clone, Default)]
pub struct VendorError {
    /// HTTP status, or the number the vendor puts in its place inside a stream.
    pub status: Option<u16>,
    /// Every code-like field: `type`, `code`, `status`, reasons of details.
    pub codes: Vec<String>,
    /// The vendor's words. For the log only.
    pub message: String,
    /// The parameter that is to blame, if the vendor named it in a field.
    pub parameter: Option<String>,
    /// How long to wait, where the body says so (Gemini's `RetryInfo`).
    pub retry_after: Option<Duration>,
    daily_quota: bool,
    moderated: bool,
}

impl VendorError {
    /// Reads an error object: `{"error": {…}}` in any vendor's shape, or a bare `{"code": …, "message": …}`.
    #[must_use]
    pub fn read(status: Option<u16>, value: &Value) -> Self {
        let error = match value.get("error") {
            Some(error) if !error.is_null() => error,
            _ => value,
        };
        let mut read = Self { status, ..Self::default() };
        if let Some(text) = error.as_str() {
            text.clone_into(&mut read.message);
            return read;
        }
        for holder in [error, value] {
            for field in ["type", "code", "status", "error_code"] {
                match holder.get(field) {
                    Some(Value::String(code)) if code != "error" => read.codes.push(code.clone()),
                    Some(Value::Number(number)) if read.status.is_none() => {
                        read.status = number.as_u64().and_then(|code| u16::try_from(code).ok());
                    }
                    _ => {}
                }
            }
        }
        let text = |field: &str| error.get(field).and_then(Value::as_str).map(str::to_owned);
        read.message = text("message").unwrap_or_default();
        read.parameter = text("param");
        read.moderated = error.pointer("/metadata/reasons").is_some();
        read.read_details(error);
        read
    }

    fn read_details(&mut self, error: &Value) {
        if let Some(code) = error.pointer("/details/error_code").and_then(Value::as_str) {
            self.codes.push(code.to_owned());
        }
        for detail in error.get("details").and_then(Value::as_array).into_iter().flatten() {
            if let Some(reason) = detail.get("reason").and_then(Value::as_str) {
                self.codes.push(reason.to_owned());
            }
            if let Some(delay) = detail.get("retryDelay").and_then(Value::as_str) {
                self.retry_after = seconds(delay.trim_end_matches('s'));
            }
            for violation in detail.get("violations").and_then(Value::as_array).into_iter().flatten() {
                let quota = violation.get("quotaId").and_then(Value::as_str).unwrap_or_default();
                self.daily_quota |= quota.contains("PerDay");
            }
        }
    }

    /// What can be done about it. Codes say more than the status: a spent budget and a busy minute are both 429.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        let any = |codes: &[&str]| self.codes.iter().any(|code| codes.contains(&code.as_str()));
        let status = self.status.unwrap_or_default();
        let words = self.message.to_ascii_lowercase();
        if status == 402 || any(&MONEY_CODES) || self.daily_quota {
            ErrorClass::Money
        } else if any(&CONTEXT_CODES) || self.is_too_long(&words) {
            ErrorClass::ContextTooLong
        } else if self.moderated {
            ErrorClass::Moderated
        } else if matches!(status, 401 | 403) || any(&KEY_CODES) {
            ErrorClass::Unauthorized
        } else if any(&UNKNOWN_MODEL_CODES)
            // OpenRouter has no endpoints for a model nobody serves.
            || (status == 404 && ["model", "no endpoints found"].iter().any(|known| words.contains(known)))
        {
            ErrorClass::UnknownModel
        } else if matches!(status, 429 | 498) || any(&RATE_CODES) {
            ErrorClass::RateLimited
        } else if any(&OVERLOAD_CODES) || matches!(status, 408 | 409) || status >= 500 {
            ErrorClass::Unavailable
        } else if any(&INVALID_CODES) || status >= 300 {
            // A redirect is not followed, and would be there again.
            ErrorClass::Invalid
        } else {
            // An error inside a stream without anything we know: the vendor's trouble, not the request's.
            ErrorClass::Unavailable
        }
    }

    /// Whether less would do, as far as words and status say.
    fn is_too_long(&self, words: &str) -> bool {
        match self.status {
            // A single request beyond what Groq takes in a minute: no wait makes it smaller.
            Some(413) if self.codes.iter().any(|code| RATE_CODES.contains(&code.as_str())) => true,
            Some(401 | 403 | 408 | 429) => false,
            _ => CONTEXT_WORDS.iter().any(|known| words.contains(known)),
        }
    }

    /// The error for the caller; the vendor's words go to the log.
    #[must_use]
    pub fn into_model_error(self, endpoint: &Endpoint) -> ModelError {
        self.log(endpoint);
        self.model_error(endpoint)
    }

    /// Puts the vendor's words into the log, without keys.
    pub(super) fn log(&self, endpoint: &Endpoint) {
        tracing::warn!(
            provider = endpoint.provider.name(),
            status = self.status,
            codes = endpoint.scrub(&self.codes.join(" ")),
            message = endpoint.scrub(&self.message),
            "the model vendor reported an error"
        );
    }

    /// The error for the caller, and nothing in the log.
    pub(super) fn model_error(&self, endpoint: &Endpoint) -> ModelError {
        let title = endpoint.provider.title();
        let label = self.label(endpoint);
        match self.class() {
            ErrorClass::RateLimited => ModelError::RateLimited { retry_after: self.retry_after },
            ErrorClass::Unavailable => ModelError::Unavailable(format!("{title} answered {label}")),
            ErrorClass::Money => ModelError::QuotaExceeded(format!(
                "{title} says a credit or spending limit is used up ({label}); whoever owns {} must raise it",
                owner(endpoint.provider)
            )),
            ErrorClass::Unauthorized => ModelError::Unauthorized(refused_key(endpoint, &label)),
            ErrorClass::UnknownModel => ModelError::UnknownModel {
                sentence: format!("{title} has no such model ({label})"),
                instead: Vec::new(),
            },
            ErrorClass::ContextTooLong => ModelError::ContextTooLong,
            ErrorClass::Moderated => {
                ModelError::InvalidRequest(format!("{title} does not answer this prompt: moderation ({label})"))
            }
            ErrorClass::Invalid => ModelError::InvalidRequest(self.invalid(endpoint, &label)),
        }
    }

    fn invalid(&self, endpoint: &Endpoint, label: &str) -> String {
        let title = endpoint.provider.title();
        match (self.status, endpoint.provider.base_url_variable()) {
            (Some(300..=399 | 404 | 405), Some(variable)) => {
                format!("{title} has no such address ({label}); check {variable}")
            }
            _ => format!("{title} does not take this request ({label})"),
        }
    }

    /// Status and codes, as far as they look like codes: `529 overloaded_error`.
    fn label(&self, endpoint: &Endpoint) -> String {
        let mut parts: Vec<&str> = Vec::new();
        for code in self.codes.iter().filter_map(|code| endpoint.code(code)) {
            if !parts.contains(&code) {
                parts.push(code);
            }
        }
        parts.truncate(3);
        let status = self.status.map(|status| status.to_string());
        if let Some(status) = &status {
            parts.insert(0, status);
        }
        if parts.is_empty() { "an error".to_owned() } else { parts.join(" ") }
    }

    /// Whether it blames this parameter, in a field or in words.
    #[must_use]
    pub fn blames(&self, parameter: &str) -> bool {
        self.class() == ErrorClass::Invalid
            && (self.parameter.as_deref().is_some_and(|named| named.ends_with(parameter))
                || self.message.contains(parameter))
    }
}

fn owner(provider: Provider) -> &'static str {
    provider.key_variable().unwrap_or("the server")
}

fn refused_key(endpoint: &Endpoint, label: &str) -> String {
    let title = endpoint.provider.title();
    match (&endpoint.key, endpoint.provider.key_variable()) {
        (Some(_), Some(variable)) => format!("{title} refuses the key in {variable} ({label})"),
        (None, Some(variable)) => format!("{title} wants a key ({label}): set {variable}"),
        (_, None) => format!(
            "{title} wants a key ({label}): use it as `compatible/…` with COMPATIBLE_BASE_URL and COMPATIBLE_API_KEY"
        ),
    }
}

/// A number of seconds, possibly broken.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(status: u16, body: &Value, expected: ErrorClass) {
        let status = (status > 0).then_some(status);
        assert_eq!(VendorError::read(status, body).class(), expected, "{body}");
    }

    #[test]
    fn errors_are_told_apart_by_code_then_status() {
        use ErrorClass::{
            ContextTooLong, Invalid, Moderated, Money, RateLimited, Unauthorized, Unavailable, UnknownModel,
        };
        let typed = |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "m"}});
        check(529, &typed("overloaded_error"), Unavailable);
        check(0, &typed("overloaded_error"), Unavailable);
        check(429, &typed("rate_limit_error"), RateLimited);
        check(402, &typed("billing_error"), Money);
        let spent = json!({"error": {"type": "rate_limit_error", "error_code": "enforced_spend_limit_reached"}});
        check(429, &spent, Money);
        check(
            400,
            &json!({"error": {"type": "invalid_request_error", "message": "prompt is too long: 9"}}),
            ContextTooLong,
        );
        check(401, &typed("authentication_error"), Unauthorized);
        check(404, &typed("not_found_error"), UnknownModel);
        check(413, &typed("request_too_large"), Invalid);
        // OpenAI and those like it
        let coded = |kind: &str, code: &str| json!({"error": {"type": kind, "code": code, "message": "m"}});
        check(429, &coded("insufficient_quota", "credit_balance_exhausted"), Money);
        check(429, &coded("requests", "rate_limit_exceeded"), RateLimited);
        check(503, &coded("server_error", "server_is_overloaded"), Unavailable);
        check(400, &coded("invalid_request_error", "model_not_found"), UnknownModel);
        check(400, &json!({"error": {"code": 400, "type": "exceed_context_size_error", "n_ctx": 512}}), ContextTooLong);
        check(498, &coded("x", "capacity_exceeded"), RateLimited);
        check(0, &json!({"type": "error", "code": "server_error", "message": "m", "param": null}), Unavailable);
        check(0, &json!({"error": {"code": 502, "message": "upstream"}}), Unavailable);
        check(403, &json!({"error": {"code": 403, "metadata": {"reasons": ["x"]}}}), Moderated);
        check(404, &json!({"error": "model 'x' not found"}), UnknownModel);
        check(404, &json!({"detail": "Not Found"}), Invalid);
        check(404, &json!({"error": {"code": 404, "message": "No endpoints found for a/b."}}), UnknownModel);
        check(308, &json!(null), Invalid);
        // Gemini
        let google = |code: u16, status: &str| json!({"error": {"code": code, "status": status, "message": "m"}});
        check(0, &google(503, "UNAVAILABLE"), Unavailable);
        check(429, &google(429, "RESOURCE_EXHAUSTED"), RateLimited);
        let daily = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [
            {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}]}});
        check(429, &daily, Money);
        let key =
            json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}});
        check(400, &key, Unauthorized);
        // Too long, in words alone
        let worded = |words: &str| json!({"error": {"message": words, "type": "BadRequestError", "code": 400}});
        for words in [
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens",
            "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
            "Trying to keep the first 6402 tokens when context the overflows. However, the model is loaded with context \
             length of only 4096 tokens",
        ] {
            check(400, &worded(words), ContextTooLong);
        }
        let count = "The input token count (1196265) exceeds the maximum number of tokens allowed (1048576).";
        check(400, &json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": count}}), ContextTooLong);
        let minute = "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000";
        let large = json!({"error": {"message": minute, "type": "tokens", "code": "rate_limit_exceeded"}});
        check(413, &large, ContextTooLong);
        check(429, &large, RateLimited);
        check(429, &worded("maximum context length"), RateLimited);
        // Nothing known
        check(0, &json!({"error": {"message": "m"}}), Unavailable);
        check(418, &json!("?"), Invalid);
    }

    #[test]
    fn gemini_says_in_the_body_how_long_to_wait() {
        let body = json!({"error": {"code": 429, "details": [{"retryDelay": "1.5s"}]}});
        assert_eq!(VendorError::read(None, &body).retry_after, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn sentences_hold_codes_but_not_the_vendors_words() {
        let endpoint = crate::model::testing::endpoint(Provider::Openai);
        let body = json!({"error": {"type": "server_error", "code": "bad words in here", "message": "secret stuff"}});
        let error = VendorError::read(Some(500), &body).into_model_error(&endpoint);
        assert_eq!(error.to_string(), "the model is not available: OpenAI answered 500 server_error");
        let error = VendorError::read(Some(401), &json!({})).into_model_error(&endpoint);
        assert_eq!(error.to_string(), "OpenAI refuses the key in OPENAI_API_KEY (401)");
    }
}
