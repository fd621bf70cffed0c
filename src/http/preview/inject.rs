//! Puts our script into the documents of a preview: first of all, so that it hears what the app's own throw.
//!
//! Only into documents that a browser is about to show, never into what the app fetches itself; and not into answers that
//! are compressed or in parts, which are not asked for.

use std::pin::Pin;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use memchr::memmem;

use super::pages::{PREFIX, SCRIPT};

/// How much of a document is held back while its head is looked for. What comes before a head is a few bytes.
const HELD_SIZE_BYTES_MAX: usize = 64 * 1024;

/// How long what ends a head is, in bytes: `</head`, `<body`.
const HEAD_END_SIZE_BYTES: usize = 6;

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>;

/// Whether a browser asks for a document to show.
pub(super) fn asks_for_document(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    method == Method::GET
        && match text("sec-fetch-dest") {
            Some(destination) => matches!(destination, "document" | "iframe" | "frame"),
            None => text("accept").is_some_and(|accept| accept.contains("text/html")),
        }
}

/// Asks for a document whole and as it is.
pub(super) fn ask_for_identity(headers: &mut HeaderMap) {
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(header::RANGE);
    headers.remove(header::IF_RANGE);
}

/// Puts the script into an answer if it is a document. `authority`: the preview's host and port.
pub(super) fn inject(response: Response<Body>, authority: &str) -> Response<Body> {
    if !is_readable_document(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let nonce = admit(&mut parts.headers, authority);
    let nonce = nonce.map(|nonce| format!(" nonce=\"{nonce}\"")).unwrap_or_default();
    let tag = Bytes::from(format!("<script src=\"{SCRIPT}\"{nonce}></script>"));
    let chunks: Chunks = Box::pin(body.into_data_stream());
    // The answer's head goes on at once; only the document's is waited for.
    let begun = stream::once(begin(chunks, tag, authority.to_owned())).flatten();
    Response::from_parts(parts, Body::from_stream(begun))
}

fn is_readable_document(response: &Response<Body>) -> bool {
    let text = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let kind = text(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let is_plain = text(header::CONTENT_ENCODING).is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
    let has_body = !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    kind.starts_with("text/html")
        && !kind.contains("utf-16")
        && is_plain
        && has_body
        && response.status() != StatusCode::PARTIAL_CONTENT
}

/// The document's beginning with the tag in it, then the rest as it comes.
async fn begin(mut chunks: Chunks, tag: Bytes, authority: String) -> Chunks {
    let mut held = BytesMut::new();
    let (at, mut failed) = loop {
        match place(&held) {
            Place::At(at) => break (at, None),
            Place::Unknown(best) if held.len() >= HELD_SIZE_BYTES_MAX => break (best, None),
            Place::Unknown(best) => match chunks.next().await {
                Some(Ok(chunk)) => held.extend_from_slice(&chunk),
                Some(Err(error)) => break (best, Some(error)),
                None => break (best, None),
            },
        }
    };
    // What a head says of a policy is said to the end of it.
    let has_head = place(&held) == Place::At(at) && memmem::rfind(&held[..at].to_ascii_lowercase(), b"<head").is_some();
    let mut from = at;
    while has_head && failed.is_none() && held.len() < HELD_SIZE_BYTES_MAX && !is_past_head(&held[from..]) {
        // The end may be cut in two.
        from = held.len().saturating_sub(HEAD_END_SIZE_BYTES).max(at);
        match chunks.next().await {
            Some(Ok(chunk)) => held.extend_from_slice(&chunk),
            Some(Err(error)) => failed = Some(error),
            None => break,
        }
    }
    let rest = held.split_off(at).freeze();
    let rest = policies_in_head(&rest, &authority).map_or(rest, Bytes::from);
    // A document in another alphabet than ours has no place for the tag.
    let tag = if rest.starts_with(b"\xFF\xFE") || rest.starts_with(b"\xFE\xFF") { Bytes::new() } else { tag };
    let begun = [Ok(held.freeze()), Ok(tag), Ok(rest)].into_iter().chain(failed.map(Err));
    Box::pin(stream::iter(begun).chain(chunks))
}

/// Where the tag goes.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    At(usize),
    /// The document has not come so far; this is where it goes if nothing more comes.
    Unknown(usize),
}

/// Behind the head's tag; where it has none, behind what may stand before it.
fn place(html: &[u8]) -> Place {
    let mut at = if html.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    loop {
        let blank = html[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let rest = &html[at + blank..];
        let length = if starts(rest, b"<!--") {
            memmem::find(rest, b"-->").map(|end| end + 3)
        } else if starts(rest, b"<!doctype") || is_tag(rest, b"<html") || is_tag(rest, b"<head") {
            tag_end(rest)
        } else if is_beginning_of_one(rest) {
            None
        } else {
            return Place::At(at);
        };
        let Some(length) = length else { return Place::Unknown(at) };
        at += blank + length;
        if is_tag(rest, b"<head") {
            return Place::At(at);
        }
    }
}

fn starts(text: &[u8], with: &[u8]) -> bool {
    text.len() >= with.len() && text[..with.len()].eq_ignore_ascii_case(with)
}

/// Not `<header>`.
fn is_tag(text: &[u8], tag: &[u8]) -> bool {
    starts(text, tag)
        && text.get(tag.len()).is_none_or(|next| next.is_ascii_whitespace() || matches!(next, b'>' | b'/'))
}

/// Whether so little has come that it may become any of them.
fn is_beginning_of_one(text: &[u8]) -> bool {
    let may_be = |whole: &[u8]| text.len() < whole.len() && whole[..text.len()].eq_ignore_ascii_case(text);
    [&b"<!--"[..], b"<!doctype", b"<html", b"<head"].into_iter().any(may_be)
}

/// The length of a tag, whose quoted values may hold anything.
fn tag_end(tag: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in tag.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Whether a head is over.
fn is_past_head(html: &[u8]) -> bool {
    let html = html.to_ascii_lowercase();
    [&b"</head"[..], b"<body"].iter().any(|end| memmem::find(&html, end).is_some())
}

/// The policies that a document sets by `<meta>`, each letting our socket pass besides. The script itself comes before them,
/// but a connection that broke would never be made again. `None`: there is none.
fn policies_in_head(html: &[u8], authority: &str) -> Option<Vec<u8>> {
    let lower = html.to_ascii_lowercase();
    memmem::find(&lower, b"content-security-policy")?;
    let mut changed = Vec::with_capacity(html.len() + 256);
    let mut done = 0;
    for at in memmem::find_iter(&lower, b"<meta") {
        let Some(length) = tag_end(&html[at..]) else { break };
        let tag = at..at + length;
        let is_policy = attribute(&lower[tag.clone()], b"http-equiv")
            .is_some_and(|value| lower[at + value.start..at + value.end] == *b"content-security-policy");
        let Some(value) = attribute(&lower[tag], b"content").filter(|_| is_policy && at >= done) else { continue };
        let value = at + value.start..at + value.end;
        // Written with entities it would have to be read as a browser does.
        let Some(policy) = std::str::from_utf8(&html[value.clone()]).ok().filter(|policy| !policy.contains('&')) else {
            continue;
        };
        let admitted = admitted(policy, authority, &hex::encode(rand::random::<[u8; 16]>()), &mut false);
        let quote = html[value.start - 1];
        if admitted.as_bytes().contains(&quote) {
            continue;
        }
        changed.extend_from_slice(&html[done..value.start]);
        changed.extend_from_slice(admitted.as_bytes());
        done = value.end;
    }
    changed.extend_from_slice(&html[done..]);
    Some(changed)
}

/// Where the quoted value of an attribute is in a tag.
fn attribute(tag: &[u8], wanted: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut at = tag.iter().position(u8::is_ascii_whitespace)?;
    loop {
        at += tag[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let name = tag[at..].iter().take_while(|byte| !byte.is_ascii_whitespace() && !b"=>".contains(byte)).count();
        let is_wanted = tag[at..at + name] == *wanted;
        let mut next = at + name;
        next += tag[next..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if tag.get(next) != Some(&b'=') {
            if next == at || next >= tag.len() {
                return None;
            }
            at = next;
            continue;
        }
        next += 1;
        next += tag[next..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let quote = *tag.get(next)?;
        let value = if matches!(quote, b'"' | b'\'') {
            let end = tag[next + 1..].iter().position(|byte| *byte == quote)?;
            next + 1..next + 1 + end
        } else {
            let length = tag[next..].iter().take_while(|byte| !byte.is_ascii_whitespace() && **byte != b'>').count();
            next..next + length
        };
        if is_wanted {
            return Some(value).filter(|_| matches!(quote, b'"' | b'\''));
        }
        at = value.end + usize::from(matches!(quote, b'"' | b'\''));
        if at >= tag.len() {
            return None;
        }
    }
}

/// Lets the script and its socket pass where the app has a policy of its own, and nothing else. Returns a nonce where the
/// policy goes by those alone.
fn admit(headers: &mut HeaderMap, authority: &str) -> Option<String> {
    let policies: Vec<HeaderValue> = headers.get_all(header::CONTENT_SECURITY_POLICY).iter().cloned().collect();
    if policies.is_empty() {
        return None;
    }
    let nonce = hex::encode(rand::random::<[u8; 16]>());
    let mut uses_nonce = false;
    headers.remove(header::CONTENT_SECURITY_POLICY);
    for policy in policies {
        let admitted = policy.to_str().ok().and_then(|text| {
            let each = text.split(',').map(|policy| admitted(policy, authority, &nonce, &mut uses_nonce));
            HeaderValue::from_str(&each.collect::<Vec<_>>().join(", ")).ok()
        });
        headers.append(header::CONTENT_SECURITY_POLICY, admitted.unwrap_or(policy));
    }
    uses_nonce.then_some(nonce)
}

/// One policy (CSP Level 3): the directives that decide about our script and our socket name them besides.
fn admitted(policy: &str, authority: &str, nonce: &str, uses_nonce: &mut bool) -> String {
    let directives: Vec<&str> = policy.split(';').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    let name = |directive: &str| directive.split_ascii_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    let deciding = |names: &[&str]| {
        names.iter().find_map(|wanted| directives.iter().position(|directive| name(directive) == *wanted))
    };
    let script = deciding(&["script-src-elem", "script-src", "default-src"]);
    let socket = deciding(&["connect-src", "default-src"]);
    let each = directives.iter().enumerate().map(|(at, directive)| {
        let mut sources: Vec<String> = Vec::new();
        if script == Some(at) {
            sources.push(format!("{authority}{PREFIX}"));
            // Then addresses mean nothing.
            if directive.contains("'strict-dynamic'") {
                *uses_nonce = true;
                sources.push(format!("'nonce-{nonce}'"));
            }
        }
        if socket == Some(at) {
            sources.push(format!("ws://{authority}{PREFIX} wss://{authority}{PREFIX}"));
        }
        if sources.is_empty() {
            return (*directive).to_owned();
        }
        let own = directive.split_ascii_whitespace().filter(|word| !word.eq_ignore_ascii_case("'none'"));
        own.map(str::to_owned).chain(sources).collect::<Vec<_>>().join(" ")
    });
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "<script src=\"/__cobuild/page.js\"></script>";

    fn document(pieces: Vec<&'static str>) -> Response<Body> {
        let chunks = pieces.into_iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        let body = Body::from_stream(stream::iter(chunks.collect::<Vec<_>>()));
        Response::builder().header("content-type", "text/html; charset=utf-8").body(body).unwrap()
    }

    async fn text(response: Response<Body>) -> String {
        String::from_utf8(axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_script_is_the_first_thing_in_the_head() {
        for (html, before) in [
            (
                "<!doctype html>\n<html lang=\"en\">\n<head>\n<title>x</title>",
                "<!doctype html>\n<html lang=\"en\">\n<head>",
            ),
            (
                "\u{feff}<!-- <head> --><!DOCTYPE html><HTML data-x='a>b'><HEAD class=x><base href=/>",
                "\u{feff}<!-- <head> --><!DOCTYPE html><HTML data-x='a>b'><HEAD class=x>",
            ),
            ("<!doctype html><title>x</title>", "<!doctype html>"),
            ("<!doctype html><header>x</header>", "<!doctype html>"),
            ("just words", ""),
            ("<h", ""),
            ("<!doctype html><html><!-- never ends", "<!doctype html><html>"),
            ("", ""),
        ] {
            let expected = format!("{before}{TAG}{}", &html[before.len()..]);
            assert_eq!(text(inject(document(vec![html]), "a:1")).await, expected, "{html}");
            let bytes = (0..html.len()).filter_map(|at| html.get(at..)).map(|rest| {
                let end = rest.chars().next().map_or(0, char::len_utf8);
                &rest[..end]
            });
            assert_eq!(text(inject(document(bytes.collect()), "a:1")).await, expected, "{html}, piece by piece");
        }
    }

    #[tokio::test]
    async fn what_is_no_readable_document_stays_as_it_is() {
        let with = |name: &'static str, value: &'static str| {
            let mut response = document(vec!["<head>"]);
            response.headers_mut().insert(name, HeaderValue::from_static(value));
            response
        };
        for response in [
            with("content-type", "application/json"),
            with("content-type", "text/html; charset=utf-16le"),
            with("content-encoding", "br"),
        ] {
            assert_eq!(text(inject(response, "a:1")).await, "<head>");
        }
        let mut part = with("content-length", "6");
        *part.status_mut() = StatusCode::PARTIAL_CONTENT;
        assert_eq!(inject(part, "a:1").headers()["content-length"], "6");
        assert!(!inject(with("content-length", "6"), "a:1").headers().contains_key("content-length"));
        let wide = inject(document(vec!["\u{0}"]), "a:1");
        assert!(text(wide).await.ends_with('\u{0}'));
    }

    #[test]
    fn a_document_is_what_a_browser_shows() {
        for (pairs, expected) in [
            (vec![("sec-fetch-dest", "iframe"), ("accept", "*/*")], true),
            (vec![("sec-fetch-dest", "document")], true),
            (vec![("sec-fetch-dest", "empty"), ("accept", "text/html")], false),
            (vec![("accept", "text/html,*/*")], true),
            (vec![("accept", "*/*")], false),
            (vec![], false),
        ] {
            let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            assert_eq!(asks_for_document(&Method::GET, &headers), expected, "{pairs:?}");
            assert!(!asks_for_document(&Method::POST, &headers));
        }
    }

    #[tokio::test]
    async fn a_policy_in_the_document_lets_the_socket_pass() {
        let socket = "ws://a:1/__cobuild/ wss://a:1/__cobuild/";
        for (meta, expected) in [
            (
                "<meta http-equiv=\"Content-Security-Policy\" content=\"connect-src 'none'\">".to_owned(),
                format!("<meta http-equiv=\"Content-Security-Policy\" content=\"connect-src {socket}\">"),
            ),
            (
                "<META charset=utf-8><meta content=\"img-src x; connect-src 'self'\" HTTP-EQUIV='content-security-policy'/>"
                    .to_owned(),
                format!(
                    "<META charset=utf-8><meta content=\"img-src x; connect-src 'self' {socket}\" \
                     HTTP-EQUIV='content-security-policy'/>"
                ),
            ),
            ("<meta name=x content=\"connect-src 'none'\">".to_owned(), "<meta name=x content=\"connect-src 'none'\">".to_owned()),
            (
                "<meta http-equiv=\"Content-Security-Policy\" content=\"connect-src &#39;none&#39;\">".to_owned(),
                "<meta http-equiv=\"Content-Security-Policy\" content=\"connect-src &#39;none&#39;\">".to_owned(),
            ),
            (
                "<meta http-equiv=Content-Security-Policy content".to_owned(),
                "<meta http-equiv=Content-Security-Policy content".to_owned(),
            ),
        ] {
            for size in [1, 7, 1000] {
                let html = format!("<!doctype html><html><head>{meta}</head><body>connect-src 'none'</body>");
                let chunks: Vec<Result<Bytes, std::io::Error>> =
                    html.as_bytes().chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
                let body = Body::from_stream(stream::iter(chunks));
                let document = Response::builder().header("content-type", "text/html").body(body).unwrap();
                let shown = text(inject(document, "a:1")).await;
                let expected = format!("<!doctype html><html><head>{TAG}{expected}</head><body>connect-src 'none'</body>");
                assert_eq!(shown, expected);
            }
        }
    }

    #[test]
    fn a_policy_lets_the_script_pass_and_nothing_else() {
        for (policy, expected, nonced) in [
            ("img-src 'self'", "img-src 'self'", false),
            ("default-src 'self'", "default-src 'self' a:1/__cobuild/ ws://a:1/__cobuild/ wss://a:1/__cobuild/", false),
            (
                "default-src 'none'; Script-Src 'unsafe-inline'; connect-src 'none'",
                "default-src 'none'; Script-Src 'unsafe-inline' a:1/__cobuild/; connect-src ws://a:1/__cobuild/ wss://a:1/__cobuild/",
                false,
            ),
            (
                "script-src 'strict-dynamic' 'nonce-x'",
                "script-src 'strict-dynamic' 'nonce-x' a:1/__cobuild/ 'nonce-n'",
                true,
            ),
        ] {
            let mut uses_nonce = false;
            assert_eq!(admitted(policy, "a:1", "n", &mut uses_nonce), expected);
            assert_eq!(uses_nonce, nonced);
        }
        let mut headers = HeaderMap::new();
        assert_eq!(admit(&mut headers, "a:1"), None);
        headers.append(
            "content-security-policy",
            HeaderValue::from_static("script-src 'self', script-src x 'strict-dynamic'"),
        );
        headers.append("content-security-policy", HeaderValue::from_static("script-src y"));
        let nonce = admit(&mut headers, "a:1").unwrap();
        let policies: Vec<_> =
            headers.get_all("content-security-policy").iter().map(|value| value.to_str().unwrap()).collect();
        let first =
            format!("script-src 'self' a:1/__cobuild/, script-src x 'strict-dynamic' a:1/__cobuild/ 'nonce-{nonce}'");
        assert_eq!(policies, [first.as_str(), "script-src y a:1/__cobuild/"]);
    }
}
