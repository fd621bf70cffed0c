//! A problem as a small page, for whoever comes to an address of ours with a browser. Programs get it as JSON.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};

use super::{error::Shown, preview::escape};

const PAGE: &str = include_str!("problem.html");
/// Nothing but its own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
/// Leads back to what there is.
const WAY_BACK: &str = r#"<p><a href="/">All projects</a></p>"#;

/// Whether somebody looks at this address, rather than a program asking. The API answers in one way only.
pub(super) fn is_wanted<B>(request: &Request<B>) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    matches!(*request.method(), Method::GET | Method::HEAD)
        && accept.contains("text/html")
        && !request.uri().path().starts_with("/api/")
}

/// Makes a page of a problem; any other answer stays what it is.
pub(super) fn show(response: &mut Response) {
    let Some(Shown { title, detail }) = response.extensions_mut().remove::<Shown>() else { return };
    // Under a name that this server does not answer to, every address leads to the same problem.
    let way_back = if response.status() == StatusCode::MISDIRECTED_REQUEST { "" } else { WAY_BACK };
    // The detail goes in last: it may hold anything, also what looks like another placeholder.
    let page = PAGE.replace("{title}", title).replace("{way_back}", way_back).replace("{detail}", &escape(&detail));
    *response.body_mut() = Body::from(page);
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
}
