//! Which `Host` and `Origin` a request may name, and what other origins are told (CORS).
//!
//! On loopback without a token these checks are the only wall between a page of the open internet in the same browser
//! and this server: a rebound DNS name shows in `Host`, a foreign page in `Origin`. A preview's page counts as foreign.

use std::net::IpAddr;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header, uri::Authority},
    response::Response,
};
use cobuild_protocol::ErrorCode;

use super::{auth::Access, error::Problem};
use crate::config::AllowedOrigin;

/// Length of a preview's host label: 128 random bits in hexadecimal.
const PREVIEW_ID_LENGTH: usize = 32;
/// How long a browser may remember the answer to a preflight request, in seconds.
const PREFLIGHT_AGE_MAX: &str = "600";

/// The names this server answers to.
#[derive(Debug, Clone)]
pub(crate) struct OriginPolicy {
    /// Loopback names only: the server is open, so a foreign name in `Host` means DNS rebinding.
    loopback_only: bool,
    /// Pages of this machine may use the API: only they and a proxy can reach it.
    loopback_origins: bool,
    preview_domain: String,
    allowed: Vec<AllowedOrigin>,
}

/// What a request is for, by its `Host`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The app and its API.
    App,
    /// The preview with this id.
    Preview(String),
}

/// The answer to an `Origin` header that may use the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdmittedOrigin(Option<HeaderValue>);

impl OriginPolicy {
    pub(crate) fn new(access: &Access, preview_domain: String, allowed: Vec<AllowedOrigin>) -> Self {
        Self { loopback_only: access.is_open(), loopback_origins: access.is_on_loopback(), preview_domain, allowed }
    }

    /// Decides by `Host` what a request is for.
    pub(crate) fn target<B>(&self, request: &Request<B>) -> Result<Target, Problem> {
        let host = request_host(request)
            .ok_or_else(|| Problem::new(ErrorCode::BadRequest, "the request names no host"))?
            .to_ascii_lowercase();
        if let Some(id) = self.preview_id(&host) {
            return Ok(Target::Preview(id.to_owned()));
        }
        if self.loopback_only && !self.is_local_name(&host) {
            let message = "this server answers to localhost only; set HOST to serve other names";
            return Err(Problem::new(ErrorCode::Forbidden, message).with_status(StatusCode::MISDIRECTED_REQUEST));
        }
        Ok(Target::App)
    }

    /// Decides by `Origin` whether a page may use the API. Programs that are no browsers send none.
    pub(crate) fn admit<B>(&self, request: &Request<B>) -> Result<AdmittedOrigin, Problem> {
        let Some(origin) = request.headers().get(header::ORIGIN) else { return Ok(AdmittedOrigin(None)) };
        let admitted = origin.to_str().is_ok_and(|text| self.admits(&text.to_ascii_lowercase(), request));
        if admitted {
            Ok(AdmittedOrigin(Some(origin.clone())))
        } else {
            let message = "pages of this origin may not use the API; CORS_ORIGINS lists those that may";
            Err(Problem::new(ErrorCode::Forbidden, message))
        }
    }

    fn admits<B>(&self, origin: &str, request: &Request<B>) -> bool {
        let Some(host) = origin_host(origin) else { return false };
        // Before anything else: no setting makes a preview's page, which a model wrote, a page of the app.
        if self.preview_id(host).is_some() {
            return false;
        }
        let listed = self.allowed.iter().any(|allowed| match allowed {
            AllowedOrigin::Any => true,
            AllowedOrigin::Exactly(exact) => exact == origin,
        });
        let own = || {
            // The app's own page: its origin is the host and port of the request itself.
            request_authority(request)
                .is_some_and(|own| origin.split_once("://").is_some_and(|(_, rest)| own.eq_ignore_ascii_case(rest)))
        };
        listed || (self.loopback_origins && self.is_local_name(host)) || (!self.loopback_only && own())
    }

    /// The preview id of a host name, if it is a preview's.
    fn preview_id<'a>(&self, host: &'a str) -> Option<&'a str> {
        let (label, domain) = host.split_once('.')?;
        let is_id = label.len() == PREVIEW_ID_LENGTH && label.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_ours = domain == self.preview_domain || self.loopback_only && domain == "localhost";
        (is_id && is_ours).then_some(label)
    }

    /// Whether a name always leads to this machine.
    fn is_local_name(&self, host: &str) -> bool {
        is_loopback(host) || self.is_local_site(host)
    }

    /// Whether a name is the one below which previews are, where that is a part of `localhost`.
    fn is_local_site(&self, host: &str) -> bool {
        host == self.preview_domain && host.ends_with(".localhost")
    }

    /// Where a browser should open this page instead.
    ///
    /// To a browser, `localhost` and `<id>.localhost` are different sites, and Chromium denies a frame of another site
    /// its storage: apps that use `localStorage` would fail in the preview. `cobuild.localhost` and
    /// `<id>.cobuild.localhost` are one site. Only Chromium and its relatives – known by `Sec-CH-UA` – are led there, and
    /// only where they navigate to: others keep a framed page's storage apart instead of denying it, and Safari may not
    /// resolve the name.
    pub(crate) fn better_address<B>(&self, request: &Request<B>) -> Option<String> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let navigates = header("sec-fetch-mode") == Some("navigate") && header("sec-fetch-dest") == Some("document");
        let is_chromium = header("sec-ch-ua").is_some_and(|brands| brands.contains("Chrom"));
        if !self.loopback_only || !navigates || !is_chromium || request.method() != Method::GET {
            return None;
        }
        let authority = request_authority(request)?;
        let host = without_port(authority);
        if !self.is_local_site(&self.preview_domain) || !is_loopback(&host.to_ascii_lowercase()) {
            return None;
        }
        let port = &authority[host.len()..];
        let path = request.uri().path_and_query().map_or("/", |target| target.as_str());
        Some(format!("http://{}{port}{path}", self.preview_domain))
    }
}

impl AdmittedOrigin {
    /// The header, for an answer that says it otherwise.
    pub(crate) fn into_header(self) -> Option<HeaderValue> {
        self.0
    }

    /// Lets the page read the answer.
    pub(crate) fn apply(self, response: &mut Response) {
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = self.0 else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("etag, location, retry-after, content-disposition"),
        );
    }
}

/// Whether a request asks what another origin's page may do.
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight request of an admitted origin.
pub(crate) fn preflight_answer() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allow: [(HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, if-none-match, last-event-id"),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE_MAX),
    ];
    for (name, value) in allow {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Host and port a request names: in its target if that is absolute, else in `Host`.
pub(crate) fn request_authority<B>(request: &Request<B>) -> Option<&str> {
    request.uri().authority().map(|authority| authority.as_str()).or_else(|| host_header(request.headers()))
}

fn request_host<B>(request: &Request<B>) -> Option<&str> {
    request_authority(request).map(without_port)
}

fn host_header(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty())
}

/// Host and port by which the sender of a request reaches us, if they mean the same on other machines.
pub(crate) fn name_for_others(headers: &HeaderMap) -> Option<Authority> {
    let authority: Authority = host_header(headers)?.parse().ok()?;
    let host = authority.host().to_ascii_lowercase();
    (!authority.as_str().contains('@') && !is_loopback(&host) && !host.ends_with(".localhost")).then_some(authority)
}

/// The host of `scheme://host[:port]`; `None` for `null` and anything else.
fn origin_host(origin: &str) -> Option<&str> {
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))?;
    (!rest.contains(['/', '@'])).then(|| without_port(rest))
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        // The colons of `[::1]` are not a port's.
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

fn is_loopback(host: &str) -> bool {
    if host == "localhost" {
        return true;
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::auth::testing;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn open(allowed: &[AllowedOrigin]) -> OriginPolicy {
        OriginPolicy::new(&testing::open(), "cobuild.localhost".into(), allowed.to_vec())
    }

    fn request(host: &str, origin: Option<&str>) -> Request<()> {
        let mut request = Request::builder().uri("/").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.body(()).expect("valid")
    }

    #[test]
    fn hosts_of_an_open_server() {
        let policy = open(&[]);
        let good =
            ["localhost", "localhost:3100", "LOCALHOST:1", "cobuild.localhost:3100", "127.0.0.1:3100", "[::1]:3100"];
        for host in good {
            assert_eq!(policy.target(&request(host, None)).ok(), Some(Target::App), "{host}");
        }
        for preview in [format!("{ID}.localhost:3100"), format!("{ID}.cobuild.localhost:3100")] {
            assert_eq!(policy.target(&request(&preview, None)).ok(), Some(Target::Preview(ID.into())));
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.", "foo.localhost", "10.0.0.1", ""] {
            assert!(policy.target(&request(host, None)).is_err(), "{host}");
        }
    }

    #[test]
    fn an_address_is_passed_on_if_it_means_the_same_elsewhere() {
        let of = |host: &str| name_for_others(request(host, None).headers()).map(|name| name.to_string());
        for host in ["build.example:3100", "10.0.0.7:3100", "[2001:db8::7]:80"] {
            assert_eq!(of(host).as_deref(), Some(host));
        }
        for host in
            ["localhost:3100", "LOCALHOST", "cobuild.localhost:3100", "127.0.0.1:3100", "[::1]:3100", "a@b", "a b"]
        {
            assert_eq!(of(host), None, "{host}");
        }
    }

    #[test]
    fn origins_of_an_open_server() {
        let policy = open(&[AllowedOrigin::Exactly("https://app.example".into())]);
        let admits = |origin: &str| policy.admit(&request("localhost:3100", Some(origin))).is_ok();
        for good in [
            "http://localhost:3100",
            "http://cobuild.localhost:3100",
            "http://localhost:5173",
            "http://127.0.0.1",
            "http://[::1]:9",
            "https://app.example",
        ] {
            assert!(admits(good), "{good}");
        }
        let (preview, short) = (format!("http://{ID}.cobuild.localhost:3100"), format!("http://{ID}.localhost:3100"));
        for bad in [
            "null",
            "",
            "https://evil.example",
            "http://foo.localhost",
            "http://app.example",
            "https://app.example.evil",
            "http://localhost@evil.example",
            "file://",
            &preview,
            &short,
        ] {
            assert!(!admits(bad), "{bad}");
        }
        assert!(policy.admit(&request("localhost:3100", None)).is_ok(), "programs send no origin");
    }

    #[test]
    fn browsers_are_led_to_the_site_of_the_previews() {
        const CHROMIUM: &str = r#""Chromium";v="156", "Not A Brand";v="24""#;
        let open_with = |policy: &OriginPolicy, host: &str, mode: &str, brands: &str| {
            let mut request = request(host, None);
            *request.uri_mut() = "/p/x?y=1".parse().expect("valid");
            request.headers_mut().insert("sec-fetch-mode", mode.parse().expect("valid"));
            request.headers_mut().insert("sec-fetch-dest", "document".parse().expect("valid"));
            request.headers_mut().insert("sec-ch-ua", brands.parse().expect("valid"));
            policy.better_address(&request)
        };
        let navigate = |policy: &OriginPolicy, host: &str, mode: &str| open_with(policy, host, mode, CHROMIUM);
        let policy = open(&[]);
        assert_eq!(open_with(&policy, "localhost:3100", "navigate", r#""Other";v="1""#), None);
        for host in ["localhost:3100", "127.0.0.1:3100", "[::1]:3100"] {
            let better = navigate(&policy, host, "navigate");
            assert_eq!(better.as_deref(), Some("http://cobuild.localhost:3100/p/x?y=1"), "{host}");
        }
        assert_eq!(navigate(&policy, "cobuild.localhost:3100", "navigate"), None);
        assert_eq!(navigate(&policy, "localhost:3100", "cors"), None);
        let elsewhere = OriginPolicy::new(&testing::open(), "localhost".into(), vec![]);
        assert_eq!(navigate(&elsewhere, "localhost:3100", "navigate"), None);
    }

    #[test]
    fn no_setting_admits_a_preview() {
        let preview = format!("http://{ID}.localhost:3100");
        let policy = open(&[AllowedOrigin::Any, AllowedOrigin::Exactly(preview.clone())]);
        assert!(policy.admit(&request("localhost:3100", Some("https://any.example"))).is_ok());
        assert!(policy.admit(&request("localhost:3100", Some(&preview))).is_err());
    }

    #[test]
    fn a_server_with_tokens_behind_a_proxy_of_this_machine_takes_both_kinds_of_pages() {
        let policy = OriginPolicy::new(&testing::with_tokens_on_loopback(), "previews.example".into(), vec![]);
        for good in ["https://build.example", "http://localhost:5173"] {
            assert!(policy.admit(&request("build.example", Some(good))).is_ok(), "{good}");
        }
        for bad in ["https://other.example", "null", &format!("https://{ID}.previews.example")] {
            assert!(policy.admit(&request("build.example", Some(bad))).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_with_tokens_answers_to_any_name_but_keeps_foreign_pages_out() {
        let access = testing::with_owner_token("x");
        let policy = OriginPolicy::new(&access, "previews.example".into(), vec![]);
        assert_eq!(policy.target(&request("build.example", None)).ok(), Some(Target::App));
        let preview = format!("{ID}.previews.example");
        assert_eq!(policy.target(&request(&preview, None)).ok(), Some(Target::Preview(ID.into())));
        assert!(policy.admit(&request("build.example", Some("https://build.example"))).is_ok());
        for bad in ["https://other.example", "http://localhost", &format!("https://{preview}")] {
            assert!(policy.admit(&request("build.example", Some(bad))).is_err(), "{bad}");
        }
    }
}
