//! What may cross between a browser and a dev server, and under which names. Pure.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers about one connection, not about the message (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// What says who the user is or where they come from. A preview's own cookies stay out too: a cookie set for the
/// parent domain by another program would be among them.
const PRIVATE: [HeaderName; 6] = [
    header::COOKIE,
    header::AUTHORIZATION,
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("proxy-connection"),
];

/// What a sandbox must not do to the browser: set cookies that reach the app's host, or bind the host to HTTPS.
const REFUSED_IN_ANSWERS: [HeaderName; 3] = [header::SET_COOKIE, header::STRICT_TRANSPORT_SECURITY, header::ALT_SVC];

/// The host dev servers expect: they refuse names they don't know, and this one they know on every port.
const DEV_SERVER_HOST: &str = "localhost";
const DEV_SERVER_ORIGIN: &str = "http://localhost";

/// Makes a request's headers fit for the sandbox. `authority` is the host and port the browser named.
pub(super) fn to_sandbox(headers: &mut HeaderMap, authority: &str) {
    remove_hop_by_hop(headers);
    for name in &PRIVATE {
        headers.remove(name);
    }
    let forwarding: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-forwarded-")).cloned().collect();
    for name in forwarding {
        headers.remove(name);
    }
    if is_own_origin(headers, authority) {
        headers.insert(header::ORIGIN, HeaderValue::from_static(DEV_SERVER_ORIGIN));
    }
    headers.insert(header::HOST, HeaderValue::from_static(DEV_SERVER_HOST));
}

/// Makes an answer's headers fit for the browser.
pub(super) fn to_browser(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    for name in &REFUSED_IN_ANSWERS {
        headers.remove(name);
    }
    // A redirect to the name the dev server was called by would leave the preview.
    let local = headers
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok()?.strip_prefix(DEV_SERVER_ORIGIN))
        .filter(|path| path.starts_with('/'))
        .and_then(|path| HeaderValue::from_str(path).ok());
    if let Some(path) = local {
        headers.insert(header::LOCATION, path);
    }
}

/// Whether a request comes from the preview's own page, or from a program that sends no origin. A foreign page may not
/// open a WebSocket to the dev server: the browser would let it read everything.
pub(super) fn may_upgrade(headers: &HeaderMap, authority: &str) -> bool {
    !headers.contains_key(header::ORIGIN) || is_own_origin(headers, authority)
}

/// Whether the request asks for another protocol than HTTP.
pub(super) fn upgrade_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|_| asks).cloned()
}

/// Whether the preview's own page asks. A program may claim to be one.
pub(super) fn is_own_origin(headers: &HeaderMap, authority: &str) -> bool {
    let Some(origin) = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) else { return false };
    origin.split_once("://").is_some_and(|(_, host)| host.eq_ignore_ascii_case(authority))
}

/// Removes the headers about the connection and those that `Connection` names.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (name.parse::<HeaderName>().expect("name"), value.parse::<HeaderValue>().expect("value"))
            })
            .collect()
    }

    #[test]
    fn nothing_about_the_user_reaches_the_sandbox() {
        let mut headers = map(&[
            ("host", "abc.localhost:3100"),
            ("cookie", "session=1"),
            ("authorization", "Bearer x"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-anything", "1"),
            ("x-real-ip", "1.2.3.4"),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("accept", "text/html"),
            ("origin", "http://abc.localhost:3100"),
        ]);
        to_sandbox(&mut headers, "abc.localhost:3100");
        let expected = map(&[("host", "localhost"), ("accept", "text/html"), ("origin", "http://localhost")]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_foreign_origin_stays_foreign() {
        let mut headers = map(&[("origin", "http://evil.example")]);
        assert!(!may_upgrade(&headers, "abc.localhost"));
        to_sandbox(&mut headers, "abc.localhost");
        assert_eq!(headers["origin"], "http://evil.example");
        assert!(may_upgrade(&map(&[]), "abc.localhost"));
        assert!(may_upgrade(&map(&[("origin", "http://abc.localhost")]), "abc.localhost"));
        assert!(!may_upgrade(&map(&[("origin", "null")]), "abc.localhost"));
    }

    #[test]
    fn the_sandbox_cannot_reach_beyond_its_host() {
        let mut headers = map(&[
            ("set-cookie", "a=1; Domain=localhost"),
            ("strict-transport-security", "max-age=1"),
            ("transfer-encoding", "chunked"),
            ("location", "http://localhost/next"),
            ("etag", "\"1\""),
        ]);
        to_browser(&mut headers);
        assert_eq!(headers, map(&[("location", "/next"), ("etag", "\"1\"")]));
    }

    #[test]
    fn upgrades_are_recognised() {
        for (pairs, expected) in [
            (vec![("connection", "Upgrade"), ("upgrade", "websocket")], true),
            (vec![("connection", "keep-alive, upgrade"), ("upgrade", "websocket")], true),
            (vec![("connection", "keep-alive"), ("upgrade", "websocket")], false),
            (vec![("connection", "upgrade")], false),
        ] {
            assert_eq!(upgrade_protocol(&map(&pairs)).is_some(), expected, "{pairs:?}");
        }
    }
}
