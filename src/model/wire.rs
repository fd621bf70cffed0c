//! What the four wires have in common: a request builder, and a state machine from events to chunks.
//!
//! Both are pure. Nothing here opens a connection, so streams can be replayed, cut and fuzzed.

use std::sync::Arc;

use reqwest::{
    Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use super::{
    anthropic, ask::Ask, endpoint::Endpoint, gemini, openai_chat, openai_responses, provider::WireKind,
    vendor_error::VendorError,
};
use crate::project::model_provider::{ModelChunk, ModelError, StopReason};

/// A request to a vendor.
#[derive(Debug, Clone)]
pub struct Call {
    /// Where; never holds a key.
    pub url: Url,
    /// Key, version and content type. The key's value is marked sensitive.
    pub headers: HeaderMap,
    /// What is asked.
    pub body: Value,
}

/// Reads one answer. Made anew for each answer.
pub trait Wire: Send {
    /// Takes the next event and appends what it means. After [`ModelChunk::Stop`] nothing follows.
    ///
    /// # Errors
    ///
    /// The vendor reports an error inside the stream, or what came is not this wire.
    fn on_event(&mut self, event: &str, data: &str, out: &mut Vec<ModelChunk>) -> Result<(), ModelError>;

    /// The bytes ended.
    ///
    /// # Errors
    ///
    /// [`ModelError::Incomplete`] unless the answer was complete before: a clean end of the bytes is not success.
    fn on_end(&mut self, out: &mut Vec<ModelChunk>) -> Result<(), ModelError> {
        let _ = out;
        Err(ModelError::Incomplete)
    }

    /// A token with which the same request goes on where this answer was truncated.
    fn continuation(&self) -> Option<String> {
        None
    }
}

/// The request for a question.
///
/// # Errors
///
/// The key or a header cannot be sent.
pub fn call(endpoint: &Endpoint, ask: &Ask) -> Result<Call, ModelError> {
    match endpoint.provider.wire() {
        WireKind::Anthropic => anthropic::call(endpoint, ask),
        WireKind::OpenaiResponses => openai_responses::call(endpoint, ask),
        WireKind::OpenaiChat => openai_chat::call(endpoint, ask),
        WireKind::Gemini => gemini::call(endpoint, ask),
    }
}

/// The reader for an endpoint's answer. `model` is who was asked, as the vendor calls it: servers do not always say.
#[must_use]
pub fn reader(endpoint: &Arc<Endpoint>, model: &str) -> Box<dyn Wire> {
    let endpoint = Arc::clone(endpoint);
    match endpoint.provider.wire() {
        WireKind::Anthropic => Box::new(anthropic::State::new(endpoint)),
        WireKind::OpenaiResponses => Box::new(openai_responses::State::new(endpoint)),
        WireKind::OpenaiChat => Box::new(openai_chat::State::new(endpoint, model)),
        WireKind::Gemini => Box::new(gemini::State::new(endpoint)),
    }
}

/// The headers of a streamed call, with the key as this provider wants it.
///
/// # Errors
///
/// The key holds characters that no header can.
pub(super) fn headers(endpoint: &Endpoint) -> Result<HeaderMap, ModelError> {
    let mut headers = key_headers(endpoint)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    Ok(headers)
}

/// What every call to this provider carries, lists of models included.
///
/// # Errors
///
/// The key holds characters that no header can.
pub(super) fn key_headers(endpoint: &Endpoint) -> Result<HeaderMap, ModelError> {
    let mut headers = HeaderMap::new();
    let wire = endpoint.provider.wire();
    if let Some(key) = &endpoint.key {
        let (name, value) = match wire {
            WireKind::Anthropic => (HeaderName::from_static("x-api-key"), key.expose().to_owned()),
            WireKind::Gemini => (HeaderName::from_static("x-goog-api-key"), key.expose().to_owned()),
            WireKind::OpenaiResponses | WireKind::OpenaiChat => (AUTHORIZATION, format!("Bearer {}", key.expose())),
        };
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| {
            let variable = endpoint.provider.key_variable().unwrap_or("the key");
            ModelError::Unauthorized(format!("{variable} holds characters that no key has"))
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if wire == WireKind::Anthropic {
        let version = HeaderValue::from_str(&endpoint.anthropic_version)
            .map_err(|_| ModelError::InvalidRequest("the version of Anthropic's API is not a date".into()))?;
        headers.insert("anthropic-version", version);
    }
    Ok(headers)
}

/// Reads an event's JSON.
///
/// # Errors
///
/// It is none: the stream is broken, and what follows cannot be trusted.
pub(super) fn parse(data: &str, endpoint: &Endpoint) -> Result<Value, ModelError> {
    serde_json::from_str(data).map_err(|error| {
        tracing::warn!(provider = endpoint.provider.name(), %error, size_bytes = data.len(), "an event is not JSON");
        ModelError::Unavailable(format!("{} sent something that is not JSON", endpoint.provider.title()))
    })
}

/// The error an event reports, if it has an `error` member.
pub(super) fn reported_error(value: &Value, endpoint: &Endpoint) -> Option<ModelError> {
    value.get("error").filter(|error| !error.is_null())?;
    Some(VendorError::read(None, value).into_model_error(endpoint))
}

/// A text member, unless it is empty or missing.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Why a vendor would not answer, in its own code; one that is no code is not repeated.
pub(super) fn refused(reason: Option<&str>, endpoint: &Endpoint) -> StopReason {
    StopReason::Refused(reason.and_then(|reason| endpoint.code(reason)).map(str::to_owned))
}
