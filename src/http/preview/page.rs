//! What a preview shows while there is no dev server to ask: a small page of ours that tries again by itself.

use std::fmt::Display;

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Marks an answer as ours; its absence tells the page that the app answers, and that it should reload.
const STATE_HEADER: HeaderName = HeaderName::from_static("x-cobuild-preview");
const PAGE: &str = include_str!("waiting.html");
/// What a program that is no browser should wait before it asks again, in seconds.
const RETRY_AFTER: &str = "1";

/// Why there is no app to show.
#[derive(Debug)]
pub(super) enum Waiting {
    /// It is being started; with what is being done, for a person.
    Starting(Option<String>),
    /// It could not be started.
    Failed(String),
}

impl Waiting {
    const fn state(&self) -> &'static str {
        match self {
            Self::Starting(_) => "starting",
            Self::Failed(_) => "failed",
        }
    }

    const fn title(&self) -> &'static str {
        match self {
            Self::Starting(_) => "Starting the preview",
            Self::Failed(_) => "The preview could not be started",
        }
    }

    fn detail(&self) -> &str {
        match self {
            Self::Starting(detail) => detail.as_deref().unwrap_or("The dev server is on its way"),
            Self::Failed(reason) => reason,
        }
    }
}

/// The page for a browser, JSON for the page's own question, a line of text for the rest (a script that is not there
/// yet must not be answered with HTML).
pub(super) fn waiting(waiting: &Waiting, request: &HeaderMap) -> Response {
    let accept = request.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let mut response = if accept.contains("text/html") {
        html(waiting)
    } else if accept.contains("application/json") {
        Json(json!({ "state": waiting.state(), "title": waiting.title(), "detail": waiting.detail() })).into_response()
    } else {
        format!("{}: {}\n", waiting.title(), waiting.detail()).into_response()
    };
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    mark(&mut response, waiting.state());
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    response
}

/// For an id that no project has.
pub(super) fn unknown() -> Response {
    let mut response = (StatusCode::NOT_FOUND, "There is no such preview.\n").into_response();
    mark(&mut response, "unknown");
    response
}

/// For a dev server that took the request and then broke off.
pub(super) fn bad_gateway(error: &dyn Display) -> Response {
    tracing::debug!(%error, "a dev server broke off");
    let mut response = (StatusCode::BAD_GATEWAY, "The dev server broke off; try again.\n").into_response();
    mark(&mut response, "broken");
    response
}

/// For a dev server that does not answer.
pub(super) fn gateway_timeout() -> Response {
    let mut response = (StatusCode::GATEWAY_TIMEOUT, "The dev server does not answer.\n").into_response();
    mark(&mut response, "silent");
    response
}

fn mark(response: &mut Response, state: &'static str) {
    let headers = response.headers_mut();
    headers.insert(STATE_HEADER, HeaderValue::from_static(state));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

fn html(waiting: &Waiting) -> Response {
    let nonce = hex::encode(rand::random::<[u8; 16]>());
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'"
    );
    // The detail goes in last: it may hold anything, also what looks like another placeholder.
    let body = PAGE
        .replace("{nonce}", &nonce)
        .replace("{state}", waiting.state())
        .replace("{title}", waiting.title())
        .replace("{detail}", &escape(waiting.detail()));
    let headers =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), (header::CONTENT_SECURITY_POLICY, policy)];
    (headers, body).into_response()
}

/// A text as HTML shows it.
pub(in crate::http) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_repeats_no_markup_of_the_reason() {
        let response = html(&Waiting::Failed("<script>alert(1)</script>".into()));
        assert!(response.headers().contains_key("content-security-policy"));
        assert_eq!(escape("<a b='\"'>&"), "&lt;a b=&#39;&quot;&#39;&gt;&amp;");
    }

    #[test]
    fn each_asker_gets_what_it_understands() {
        for (accept, kind) in [
            ("text/html,*/*", "text/html; charset=utf-8"),
            ("application/json", "application/json"),
            ("*/*", "text/plain; charset=utf-8"),
        ] {
            let request = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            let response = waiting(&Waiting::Starting(None), &request);
            assert_eq!(
                (response.status().as_u16(), &response.headers()["content-type"]),
                (503, &HeaderValue::from_static(kind))
            );
            assert_eq!(response.headers()["x-cobuild-preview"], "starting");
        }
    }
}
