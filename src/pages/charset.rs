//! From the bytes of a page to its text, as browsers find out its encoding.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// How far into a page its own word about its encoding is looked for, as HTML wants it.
const DECLARED_WITHIN_BYTES: usize = 1024;

/// Decodes a page. A byte order mark wins, then the header, then the page's own word, then UTF-8 if it is that.
pub(super) fn decode(bytes: &[u8], content_type: &str) -> String {
    let declared = || declared(&bytes[..bytes.len().min(DECLARED_WITHIN_BYTES)]);
    let named = label(content_type).and_then(|label| Encoding::for_label(label.as_bytes())).or_else(declared);
    let encoding = named.unwrap_or_else(|| if is_utf8(bytes) { UTF_8 } else { WINDOWS_1252 });
    encoding.decode(bytes).0.into_owned()
}

/// What a `meta` element, or the head of XHTML, says of the page's encoding.
fn declared(head: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let found = label(&head).and_then(|label| Encoding::for_label(label.as_bytes()))?;
    // A page that can say so in ASCII is not written in UTF-16.
    Some(if found.name().starts_with("UTF-16") { UTF_8 } else { found })
}

/// What stands behind `charset=`.
fn label(text: &str) -> Option<&str> {
    let at = text.to_ascii_lowercase().find("charset=")? + "charset=".len();
    let label = text[at..].trim_start_matches(['"', '\'', ' ']);
    label.split(['"', '\'', ' ', ';', '>', '/']).next().filter(|label| !label.is_empty())
}

/// Whether these bytes are UTF-8, the last character possibly cut off.
fn is_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], content_type: &str, expected: &str) {
        assert_eq!(decode(bytes, content_type), expected, "{content_type}");
    }

    #[test]
    fn encodings() {
        check("Grüße".as_bytes(), "text/html", "Grüße");
        check(&"Grüße".as_bytes()[..3], "text/html", "Gr\u{fffd}");
        check(b"Gr\xfc\xdfe", "text/html", "Grüße");
        check(b"Gr\xfc\xdfe", "text/html; charset=ISO-8859-1", "Grüße");
        check(b"\x82\xa0", "text/html; charset=\"Shift_JIS\"", "あ");
        check(b"<meta charset='shift_jis'>\x82\xa0", "text/html", "<meta charset='shift_jis'>あ");
        check(b"\xef\xbb\xbfGr\xc3\xbc", "text/html; charset=latin1", "Grü");
        check("<meta charset=utf-16>ü".as_bytes(), "text/html", "<meta charset=utf-16>ü");
        check("ü".as_bytes(), "text/html; charset=nonsense", "ü");
    }
}
