//! What a client asks over HTTP, and how it opens a WebSocket.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use cobuild_protocol::{Epoch, ErrorBody, ErrorCode, ProjectId, ProjectState, Seq};
use futures_util::{Stream, TryStreamExt as _};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{ClientError, Room, RoomOptions};
use crate::{secret::Secret, tls};

/// How long a connection may take to come about.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a server may be silent in the middle of an answer.
const READ_WAIT_MAX: Duration = Duration::from_secs(60);
/// How much of an answer that makes no sense is repeated to a person, in characters.
const QUOTED_MAX: usize = 120;

/// A server's address, and what lets us in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Server {
    url: Url,
    token: Option<Secret>,
    renewal: Option<Renewal>,
    http: reqwest::Client,
}

/// Where another token comes from.
#[derive(Clone)]
struct Renewal(Arc<dyn Fn() -> Option<Secret> + Send + Sync>);

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewal")
    }
}

/// A line of the list of projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectLine {
    /// Which.
    pub project: ProjectId,
    /// Its name for people.
    pub name: String,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// When something happened last: RFC 3339, UTC.
    pub updated_at: String,
    /// The last event there is.
    pub head: Seq,
}

/// A project as of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectStatus {
    /// Which.
    pub project: ProjectId,
    /// The life of the log that `seq` counts in.
    pub epoch: Epoch,
    /// The last event that is part of `state`.
    pub seq: Seq,
    /// The fold of all events up to `seq`.
    pub state: ProjectState,
}

#[derive(Deserialize)]
struct ProjectList {
    projects: Vec<ProjectLine>,
}

/// RFC 9457 with the protocol's error as extension members.
#[derive(Deserialize)]
struct Problem {
    code: ErrorCode,
    detail: String,
    retryable: bool,
    retry_after_ms: Option<u64>,
    #[serde(default)]
    models: Vec<String>,
}

impl Server {
    /// A server's address is `http://host:port`, or a link with a token: the owner's, which the server printed, or a
    /// share link. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::Address`].
    pub fn new(address: &str, token: Option<Secret>) -> Result<Self, ClientError> {
        let refuse = || ClientError::Address(without_fragment(address).to_owned());
        let mut url = Url::parse(address).map_err(|_| refuse())?;
        let linked = url.fragment().and_then(|fragment| fragment.strip_prefix("token=")).map(Secret::new);
        // A share link leads to a project's page.
        let is_page = linked.is_some() && url.path().starts_with("/p/");
        if !matches!(url.scheme(), "http" | "https") || !(url.path() == "/" || is_page) || url.query().is_some() {
            return Err(refuse());
        }
        url.set_fragment(None);
        url.set_path("");
        let mut http = tls::client_builder().connect_timeout(CONNECT_WAIT_MAX).read_timeout(READ_WAIT_MAX);
        // No proxy leads to this machine, whatever the environment says about proxies.
        if url.host_str().is_some_and(is_this_machine) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| ClientError::unreachable(url.as_str(), &error))?;
        Ok(Self { url, token: token.or(linked), renewal: None, http })
    }

    /// Has a room ask for another token when the server refuses the one there is, because it has expired for instance. The
    /// room comes back with it to where it was, and what it has not been answered is sent again. None, or the same token:
    /// then it is refused for good. Must not block for long.
    #[must_use]
    pub fn with_renewal(mut self, another: impl Fn() -> Option<Secret> + Send + Sync + 'static) -> Self {
        self.renewal = Some(Renewal(Arc::new(another)));
        self
    }

    /// Takes another token, if there is one.
    pub(super) fn renew(&mut self) -> bool {
        let another = self.renewal.as_ref().and_then(|Renewal(another)| another());
        let is_another = another.is_some() && another != self.token;
        if is_another {
            self.token = another;
        }
        is_another
    }

    /// The server's address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    pub(super) const fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// Enters a project's room. Must be called within a tokio runtime.
    #[must_use]
    pub fn room(&self, project: &ProjectId, options: RoomOptions) -> Room {
        Room::enter(self.clone(), project.clone(), options)
    }

    /// The projects, newest activity first.
    ///
    /// # Errors
    ///
    /// [`ClientError`], as for all that follow.
    pub async fn projects(&self) -> Result<Vec<ProjectLine>, ClientError> {
        let list: ProjectList = self.json(self.request(Method::GET, "/api/v1/projects")).await?;
        Ok(list.projects)
    }

    /// A project's state.
    ///
    /// # Errors
    ///
    /// [`ClientError::is_not_found`] when there is no such project.
    pub async fn status(&self, project: &ProjectId) -> Result<ProjectStatus, ClientError> {
        self.json(self.request(Method::GET, &format!("/api/v1/projects/{project}"))).await
    }

    /// Makes a project. Returns whether there was none of this id before.
    ///
    /// # Errors
    ///
    /// [`ClientError::Rejected`] when the token does not allow it.
    pub async fn create(&self, project: &ProjectId) -> Result<bool, ClientError> {
        let request = self.request(Method::POST, "/api/v1/projects").json(&json!({ "project": project }));
        match self.answer(request).await {
            Ok(_) => Ok(true),
            Err(ClientError::Rejected(error)) if error.code == ErrorCode::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All files as a zip archive, in pieces.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; each piece may fail, too.
    pub async fn export(
        &self,
        project: &ProjectId,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + Send + use<>, ClientError> {
        let request = self.request(Method::GET, &format!("/api/v1/projects/{project}/export.zip"));
        let url = self.url().to_owned();
        let pieces = self.answer(request).await?.bytes_stream();
        Ok(pieces.map_err(move |error| ClientError::unreachable(&url, &error)))
    }

    /// A request for a path that begins with `/`, with the token.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url()));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    /// The answer to a request; anything but success is an error.
    pub(super) async fn answer(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let answer = request.send().await.map_err(|error| ClientError::unreachable(self.url(), &error))?;
        if answer.status().is_success() || answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        let (status, wait) = (answer.status(), retry_after(&answer));
        let body = answer.bytes().await.unwrap_or_default();
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(Problem { code, detail: message, retryable, retry_after_ms, models }) => {
                let retry_after_ms = retry_after_ms.or(wait);
                ClientError::Rejected(ErrorBody { retryable, retry_after_ms, models, ..ErrorBody::new(code, message) })
            }
            // What stands before the server may be overloaded, too.
            Err(_) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                ClientError::Unreachable { url: self.url().into(), reason: format!("its answer is {status}") }
            }
            Err(_) => self.unexpected(format!("{status} {}", quote(&body))),
        })
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let answer = self.answer(request).await?;
        let body = answer.bytes().await.map_err(|error| ClientError::unreachable(self.url(), &error))?;
        serde_json::from_slice(&body).map_err(|error| self.unexpected(format!("{error} in {}", quote(&body))))
    }

    pub(super) fn unexpected(&self, reason: String) -> ClientError {
        ClientError::Unexpected { url: self.url().to_owned(), reason }
    }
}

/// `Retry-After` in milliseconds.
fn retry_after(answer: &Response) -> Option<u64> {
    let seconds: u64 = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(seconds.saturating_mul(1000))
}

/// The beginning of a text of unknown kind, on one line.
fn quote(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(QUOTED_MAX).collect()
}

/// Without the part that may be a token.
fn without_fragment(address: &str) -> &str {
    address.split('#').next().unwrap_or_default()
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, url) in [
            ("http://localhost:3100", "http://localhost:3100"),
            ("http://[::1]:3100/", "http://[::1]:3100"),
            ("https://Build.example.com/", "https://build.example.com"),
        ] {
            let server = Server::new(text, None).expect("valid");
            assert_eq!((server.url(), server.token()), (url, None), "{text}");
        }
        for bad in ["", "localhost:3100", "ftp://a", "http://a/b", "http://a/?b"] {
            assert!(matches!(Server::new(bad, None), Err(ClientError::Address(_))), "{bad}");
        }
    }

    #[test]
    fn a_link_brings_its_token_and_never_shows_it() {
        let link = "http://10.0.0.1:3100/#token=abc";
        for link in [link, "http://10.0.0.1:3100/p/todo#token=abc"] {
            let server = Server::new(link, None).expect("valid");
            assert_eq!((server.url(), server.token().map(Secret::expose)), ("http://10.0.0.1:3100", Some("abc")));
            assert!(!format!("{server:?}").contains("abc"));
        }
        let given = Server::new(link, Some(Secret::new("other"))).expect("valid");
        assert_eq!(given.token().map(Secret::expose), Some("other"));
        let refused = Server::new("ftp://a/#token=abc", None).expect_err("no scheme of ours");
        assert!(!refused.to_string().contains("abc"));
    }
}
