//! Calls to vendors: connections, time limits, status and content type, and what to make of a refusal.
//!
//! It knows no wire. Nothing here follows redirects, so a key goes to the address it was meant for and nowhere else.

use std::{error::Error as _, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
    redirect,
};
use serde_json::Value;
use sseer::event::Event;

use super::{
    endpoint::{self, Endpoint},
    retry::{self, Failure},
    sse::{self, EVENT_SIZE_BYTES_MAX, SseError},
    vendor_error::VendorError,
    wire::Call,
};
use crate::{project::model_provider::ModelError, tls};

/// Largest error body that is read; vendors' have a kilobyte.
const ERROR_BODY_SIZE_BYTES_MAX: usize = 64 * 1024;
/// Longest wait for a body that is not a stream, once its head is there.
const BODY_WITHIN: Duration = Duration::from_secs(20);
/// Largest list of models; OpenRouter's has about a megabyte.
const LIST_BODY_SIZE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The time and size limits of calls. Tests make them shorter.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// To open a connection, TLS included.
    pub connect: Duration,
    /// Longest silence while waiting for an answer or inside one. Reasoning can be silent for long; `ping`s and
    /// comments reset it. There is no limit on the whole.
    pub idle: Duration,
    /// Unused connections are closed after this, before the vendors' front ends close theirs.
    pub pool_idle: Duration,
    /// A server on this machine answers within this or is not there: looking must not delay the start.
    pub local: Duration,
    /// Largest event.
    pub event_size_bytes_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            pool_idle: Duration::from_secs(50),
            local: Duration::from_millis(300),
            event_size_bytes_max: EVENT_SIZE_BYTES_MAX,
        }
    }
}

/// The connections to all vendors.
#[derive(Debug, Clone)]
pub struct Connections {
    outside: Client,
    /// Servers on this machine are never reached through a proxy.
    loopback: Client,
    limits: HttpLimits,
}

/// Events of one answer.
pub type Events = BoxStream<'static, Result<Event, SseError<reqwest::Error>>>;

impl Connections {
    /// Opens nothing yet.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up on this machine.
    pub fn new(limits: &HttpLimits) -> Result<Self, reqwest::Error> {
        let builder = || {
            tls::client_builder()
                .user_agent(concat!("cobuild/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .connect_timeout(limits.connect)
                .read_timeout(limits.idle)
                .pool_idle_timeout(limits.pool_idle)
        };
        Ok(Self { outside: builder().build()?, loopback: builder().no_proxy().build()?, limits: limits.clone() })
    }

    pub(super) fn limits(&self) -> &HttpLimits {
        &self.limits
    }

    fn client(&self, endpoint: &Endpoint) -> &Client {
        if endpoint.is_loopback() { &self.loopback } else { &self.outside }
    }

    /// Makes a call and returns its events. Dropping them closes the connection.
    ///
    /// # Errors
    ///
    /// The vendor cannot be reached, refuses, or answers with something else than a stream of events.
    pub async fn stream(&self, endpoint: &Endpoint, call: &Call) -> Result<Events, Refusal> {
        let request = self.client(endpoint).post(call.url.clone()).headers(call.headers.clone()).json(&call.body);
        let response = request.send().await.map_err(|error| {
            let (provider, fault) = (endpoint.provider.name(), TransportFault::of(&error));
            tracing::warn!(provider, %fault, error = %causes(&error), "a model call failed");
            unreachable(endpoint, &error)
        })?;
        if !response.status().is_success() {
            let refusal = refusal(endpoint, response).await;
            if let Some(said) = &refusal.said {
                said.log(endpoint);
            }
            return Err(refusal);
        }
        if !is_event_stream(response.headers()) {
            return Err(not_a_stream(endpoint, response).await);
        }
        let bytes = response.bytes_stream().boxed();
        Ok(sse::events(bytes, self.limits.event_size_bytes_max).boxed())
    }

    /// Gets a document that is no vendor's: no key goes along. From elsewhere than this machine only over TLS, for what
    /// anybody on the way could have written is no document.
    ///
    /// # Errors
    ///
    /// It is not there, or too large.
    pub async fn document(
        &self,
        url: reqwest::Url,
        within: Duration,
        size_bytes_max: usize,
    ) -> Result<Vec<u8>, DocumentFault> {
        let is_loopback = endpoint::is_loopback(&url);
        if !is_loopback && url.scheme() != "https" {
            return Err(DocumentFault::NotSecure);
        }
        let client = if is_loopback { &self.loopback } else { &self.outside };
        let fault = |error: reqwest::Error| DocumentFault::Transport(TransportFault::of(&error));
        let mut response = client.get(url).timeout(within).send().await.map_err(fault)?;
        if !response.status().is_success() {
            return Err(DocumentFault::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(fault)? {
            if body.len() + chunk.len() > size_bytes_max {
                return Err(DocumentFault::TooLarge(size_bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Gets a JSON document, such as a list of models. Says nothing in the log: whoever looks for what may not be there
    /// tells what came of it.
    ///
    /// # Errors
    ///
    /// The vendor cannot be reached, refuses, or answers with something else.
    pub async fn json(
        &self,
        endpoint: &Endpoint,
        url: reqwest::Url,
        headers: HeaderMap,
        within: Duration,
    ) -> Result<Value, Refusal> {
        let request = self.client(endpoint).get(url).headers(headers).timeout(within);
        let response = request.send().await.map_err(|error| unreachable(endpoint, &error))?;
        if !response.status().is_success() {
            return Err(refusal(endpoint, response).await);
        }
        let body = read_body(response, LIST_BODY_SIZE_BYTES_MAX).await;
        serde_json::from_slice(&body).map_err(|_| {
            let title = endpoint.provider.title();
            ModelError::Unavailable(format!("{title} did not answer with JSON; is this its address?")).into()
        })
    }
}

/// A call that brought no answer.
#[derive(Debug)]
pub struct Refusal {
    /// What went wrong, and the vendor's wishes.
    pub failure: Failure,
    /// What the vendor said, if it said something: it may blame a parameter.
    pub said: Option<VendorError>,
    /// Where the connection failed, if it did.
    pub fault: Option<TransportFault>,
}

impl From<ModelError> for Refusal {
    fn from(error: ModelError) -> Self {
        Self { failure: error.into(), said: None, fault: None }
    }
}

/// No connection, or one that broke before an answer; a pooled one that the vendor closed is among them.
fn unreachable(endpoint: &Endpoint, error: &reqwest::Error) -> Refusal {
    let title = endpoint.provider.title();
    let fault = TransportFault::of(error);
    let failure = ModelError::Unavailable(format!("{title} cannot be reached: {fault}")).into();
    Refusal { failure, said: None, fault: Some(fault) }
}

/// Why there is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentFault {
    /// Anybody on the way could change it.
    #[error("its address must begin with https://")]
    NotSecure,
    /// It cannot be reached.
    #[error("it cannot be reached: {0}")]
    Transport(TransportFault),
    /// It is not there.
    #[error("it was answered with the HTTP status {0}")]
    Status(u16),
    /// It is larger than it can be.
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
}

/// The layer at which a connection failed, as people call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransportFault {
    /// The name has no address.
    #[error("its name cannot be found (DNS)")]
    Dns,
    /// Nobody is there.
    #[error("nothing listens there (connection refused)")]
    Refused,
    /// Not the other side we expect, or not encrypted.
    #[error("no secure connection (TLS)")]
    Tls,
    /// Silence.
    #[error("it does not answer in time")]
    TimedOut,
    /// Something else while connecting.
    #[error("no connection")]
    NoConnection,
    /// It was there and went away.
    #[error("the connection broke")]
    Broken,
}

impl TransportFault {
    fn of(error: &reqwest::Error) -> Self {
        // The causes are private types of several crates; their words are all there is to go by.
        let causes = causes(error).to_ascii_lowercase();
        let any = |words: &[&str]| words.iter().any(|word| causes.contains(word));
        if any(&["dns error", "failed to lookup address"]) {
            Self::Dns
        } else if any(&["certificate", "tls", "handshake", "corrupt message", "invalidcontenttype"]) {
            Self::Tls
        } else if any(&["connection refused"]) {
            Self::Refused
        } else if error.is_timeout() {
            Self::TimedOut
        } else if error.is_connect() {
            Self::NoConnection
        } else {
            Self::Broken
        }
    }
}

/// An error and its causes, without the address: that may hold what nobody should log.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

async fn refusal(endpoint: &Endpoint, response: Response) -> Refusal {
    let status = response.status();
    let should_retry = retry::should_retry(response.headers());
    let asked = retry::asked_wait(response.headers(), Timestamp::now());
    let body = read_body(response, ERROR_BODY_SIZE_BYTES_MAX).await;
    let mut said = read_error(status, &body);
    said.retry_after = asked.or(said.retry_after);
    let wait = said.retry_after;
    let error = said.model_error(endpoint);
    Refusal { failure: Failure { error, should_retry, wait }, said: Some(said), fault: None }
}

fn read_error(status: StatusCode, body: &[u8]) -> VendorError {
    match serde_json::from_slice::<Value>(body) {
        // Gemini wraps a streamed error into a list.
        Ok(Value::Array(list)) => VendorError::read(Some(status.as_u16()), list.first().unwrap_or(&Value::Null)),
        Ok(value) => VendorError::read(Some(status.as_u16()), &value),
        Err(_) => VendorError::read(Some(status.as_u16()), &Value::Null),
    }
}

/// A success that is no stream: a portal's page, or a server that does not stream.
async fn not_a_stream(endpoint: &Endpoint, response: Response) -> Refusal {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
    let body = read_body(response, ERROR_BODY_SIZE_BYTES_MAX).await;
    if let Ok(value) = serde_json::from_slice::<Value>(&body)
        && value.get("error").is_some_and(|error| !error.is_null())
    {
        return VendorError::read(None, &value).into_model_error(endpoint).into();
    }
    let title = endpoint.provider.title();
    // `text/html`: two codes.
    let is_type = kind.split_once('/').is_some_and(|parts| {
        let known = |part| endpoint.code(part).is_some();
        known(parts.0) && known(parts.1)
    });
    let shown = if is_type { kind.as_str() } else { "something" };
    let provider = endpoint.provider.name();
    tracing::warn!(provider, status = status.as_u16(), kind = shown, "the answer is no stream");
    let error = ModelError::Unavailable(format!(
        "{title} answered with {shown} instead of a stream of events; is something in between?"
    ));
    // It would answer the same again.
    Refusal { failure: Failure { error, should_retry: Some(false), wait: None }, said: None, fault: None }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// A body that comes in time and is not too large; else nothing.
async fn read_body(mut response: Response, size_bytes_max: usize) -> Vec<u8> {
    let whole = async {
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            if body.len() + chunk.len() > size_bytes_max {
                return Vec::new();
            }
            body.extend_from_slice(&chunk);
        }
        body
    };
    tokio::time::timeout(BODY_WITHIN, whole).await.unwrap_or_default()
}
