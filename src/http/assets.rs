//! The web demo, built into the binary.
//!
//! Its build writes `.br` and `.gz` beside each file, so nothing is compressed here. Knows nothing of projects: every
//! `/p/{id}` is the same page, and the page asks the API.

use std::borrow::Cow;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use cobuild_protocol::ErrorCode;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::{HttpState, error::Problem, legacy};

/// In debug builds the files are read from the folder at each request.
#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/web-demo/dist"]
#[allow_missing = true]
struct WebDemo;

/// The page of the demo.
const INDEX: &str = "index.html";
/// Vite puts everything whose name contains its content's hash here.
const HASHED_FOLDER: &str = "assets/";
/// Shown in place of the demo when the binary was built without it.
const NOT_BUILT: &str = include_str!("assets/not_built.html");

/// Encodings there may be siblings of, best first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// Answers whatever no route of the API did.
pub(crate) async fn serve(State(state): State<HttpState>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") {
        let is_native = path.starts_with("api/v1");
        let problem = || Problem::new(ErrorCode::NotFound, "there is no such endpoint").into_response();
        return if is_native { problem() } else { legacy::no_such_path() };
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return Problem::new(ErrorCode::BadRequest, "only GET is allowed here")
            .with_status(StatusCode::METHOD_NOT_ALLOWED)
            .into_response();
    }
    let is_page = path.is_empty() || path == INDEX || path.starts_with("p/");
    let mut response = match file(if is_page { INDEX } else { path }, &headers) {
        Some(response) => response,
        None if is_page => html(NOT_BUILT),
        None => return Problem::new(ErrorCode::NotFound, "there is no such page").into_response(),
    };
    if is_page {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, state.page_policy.clone());
    }
    response
}

/// What the app's pages may load: their own scripts, and previews in frames. A preview's page is not among `self`, as
/// it has its own origin.
pub(crate) fn page_policy(preview_domain: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
         font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; \
         frame-src http://*.{preview_domain}:* https://*.{preview_domain}:*"
    );
    HeaderValue::try_from(policy).expect("invariant: a configured domain is ASCII letters, digits, '-' and '.'")
}

/// Says how to build the page.
pub(crate) fn not_built() -> Response {
    html(NOT_BUILT)
}

fn html(text: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (headers, text).into_response()
}

/// A file of the demo in the best encoding the client takes, or that the client has it already.
fn file(path: &str, request: &HeaderMap) -> Option<Response> {
    let plain = WebDemo::get(path)?;
    let (data, encoding) = encoded(path, request).unwrap_or((plain.data.clone(), None));
    let etag = etag(&plain, encoding);
    let unchanged = request.get(header::IF_NONE_MATCH).is_some_and(|known| matches(known, &etag));
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mime = mime_guess::from_path(path).first_or_octet_stream();
        let text = mime.type_() == "text" || mime.subtype() == "javascript";
        let mime = if text { format!("{mime}; charset=utf-8") } else { mime.to_string() };
        ([(header::CONTENT_TYPE, mime)], Body::from(bytes(data))).into_response()
    };
    let headers = response.headers_mut();
    let caching = if path.starts_with(HASHED_FOLDER) { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::ETAG, etag);
    if let (false, Some(encoding)) = (unchanged, encoding) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

type Content = Cow<'static, [u8]>;

fn encoded(path: &str, request: &HeaderMap) -> Option<(Content, Option<&'static str>)> {
    let accepted = request.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    ENCODINGS.iter().filter(|(encoding, _)| accepts(accepted, encoding)).find_map(|(encoding, suffix)| {
        WebDemo::get(&format!("{path}{suffix}")).map(|file| (file.data, Some(*encoding)))
    })
}

/// Whether a list such as `gzip, br;q=0` takes an encoding.
fn accepts(list: &str, encoding: &str) -> bool {
    list.split(',').any(|entry| {
        let (name, parameters) = entry.split_once(';').unwrap_or((entry, ""));
        let refused = parameters.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0_f32));
        name.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

fn etag(file: &EmbeddedFile, encoding: Option<&str>) -> HeaderValue {
    let hash = hex::encode(&file.metadata.sha256_hash()[..16]);
    let etag = format!("\"{hash}{}\"", encoding.map(|name| format!("-{name}")).unwrap_or_default());
    HeaderValue::try_from(etag).expect("invariant: hexadecimal digits and an encoding's name are ASCII")
}

/// Whether `If-None-Match` names this version.
pub(crate) fn matches(known: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(known), Ok(etag)) = (known.to_str(), etag.to_str()) else { return false };
    known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}

fn bytes(data: Content) -> Bytes {
    match data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => Bytes::from(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_negotiated() {
        for (list, encoding, expected) in [
            ("gzip, deflate, br", "br", true),
            ("gzip, br;q=0", "br", false),
            ("gzip;q=0.5", "gzip", true),
            ("BR", "br", true),
            ("", "gzip", false),
            ("x-gzip", "gzip", false),
        ] {
            assert_eq!(accepts(list, encoding), expected, "{list} {encoding}");
        }
    }

    #[test]
    fn known_versions_are_recognised() {
        let etag = HeaderValue::from_static("\"abc\"");
        for (known, expected) in
            [("\"abc\"", true), ("W/\"abc\"", true), ("\"x\", \"abc\"", true), ("*", true), ("\"abcd\"", false)]
        {
            assert_eq!(matches(&HeaderValue::from_static(known), &etag), expected, "{known}");
        }
    }

    #[test]
    fn pages_may_frame_previews_and_nothing_else() {
        let policy = page_policy("localhost");
        let policy = policy.to_str().expect("ASCII");
        assert!(policy.ends_with("frame-src http://*.localhost:* https://*.localhost:*"));
        assert!(policy.contains("script-src 'self';"));
    }
}
