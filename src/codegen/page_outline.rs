//! A web page as a model needs it to imitate it: its text, structure and looks, without scripts, data and tracking.
//!
//! The page is a stranger's: whatever it says is shown to the model as data. Nothing here runs or follows anything.

/// Most bytes of an outline: enough for a long landing page, a few thousand tokens.
pub const OUTLINE_SIZE_BYTES_MAX: usize = 24 * 1024;
/// Most bytes of the page's own styles in it.
const STYLE_SIZE_BYTES_MAX: usize = 6 * 1024;
/// Longest attribute that is kept.
const ATTRIBUTE_CHARS_MAX: usize = 160;

/// Elements that are left out with everything in them.
const LEFT_OUT: [&str; 7] = ["script", "svg", "noscript", "template", "iframe", "object", "canvas"];
/// Attributes that say something about structure or looks.
const ATTRIBUTES: [&str; 8] = ["class", "id", "alt", "href", "placeholder", "type", "role", "style"];

/// The outline of an HTML document.
#[must_use]
pub fn outline(html: &str) -> String {
    let mut text = String::new();
    let mut styles = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        push_text(&mut text, &rest[..at]);
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let Some(end) = tag_end(rest) else { break };
        let (tag, behind) = rest.split_at(end + 1);
        rest = behind;
        let name = tag_name(tag);
        if tag.starts_with("</") {
            text.push_str(&format!("</{name}>"));
        } else if name == "style" {
            let inside = until_close(rest, "style");
            let room = STYLE_SIZE_BYTES_MAX.saturating_sub(styles.len());
            styles.push_str(&inside[..inside.floor_char_boundary(room.min(inside.len()))]);
            rest = behind_close(&rest[inside.len()..]);
        } else if LEFT_OUT.contains(&name.as_str()) {
            let inside = until_close(rest, &name);
            rest = behind_close(&rest[inside.len()..]);
        } else if !name.is_empty() {
            text.push_str(&format!("<{name}{}>", attributes(tag)));
        }
        if text.len() > OUTLINE_SIZE_BYTES_MAX {
            break;
        }
    }
    push_text(&mut text, rest.split('<').next().unwrap_or_default());
    let styles = styles.trim();
    let room = OUTLINE_SIZE_BYTES_MAX.saturating_sub(styles.len());
    text.truncate(text.floor_char_boundary(room.min(text.len())));
    if styles.is_empty() { text } else { format!("<style>\n{styles}\n</style>\n{text}") }
}

/// Blanks are worth one each.
fn push_text(text: &mut String, piece: &str) {
    for word in piece.split_whitespace() {
        if !text.is_empty() && !text.ends_with([' ', '>']) {
            text.push(' ');
        }
        text.push_str(word);
    }
}

/// Where a tag ends, quotes respected.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn tag_name(tag: &str) -> String {
    let name = tag.trim_start_matches(['<', '/']);
    name.chars().take_while(char::is_ascii_alphanumeric).take(20).collect::<String>().to_ascii_lowercase()
}

/// Everything up to the tag that closes this element.
fn until_close<'a>(rest: &'a str, name: &str) -> &'a str {
    let close = rest
        .match_indices("</")
        .find(|(at, _)| rest.get(at + 2..at + 2 + name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)));
    &rest[..close.map_or(rest.len(), |(at, _)| at)]
}

fn behind_close(rest: &str) -> &str {
    rest.find('>').map_or("", |end| &rest[end + 1..])
}

/// The attributes worth keeping, as ` name="value"`.
fn attributes(tag: &str) -> String {
    let mut kept = String::new();
    let mut rest = tag.trim_start_matches('<').trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    while let Some(at) = rest.find('=') {
        let name = rest[..at].rsplit(char::is_whitespace).next().unwrap_or_default().to_ascii_lowercase();
        let value = &rest[at + 1..];
        let (value, behind) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let end = value[1..].find(quote).map_or(value.len(), |end| end + 1);
                (&value[1..end], value.get(end + 1..).unwrap_or_default())
            }
            _ => value.split_at(value.find([' ', '>', '\n', '\t']).unwrap_or(value.len())),
        };
        rest = behind;
        let is_data = value.trim_start().starts_with("data:");
        if ATTRIBUTES.contains(&name.as_str()) && !value.is_empty() && !is_data {
            let value: String =
                value.chars().filter(|c| !matches!(c, '"' | '<' | '>')).take(ATTRIBUTE_CHARS_MAX).collect();
            kept.push_str(&format!(" {name}=\"{value}\""));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_text_and_looks_stay() {
        let html = "<!DOCTYPE html><html><head><title>Shop</title><style>body { color: teal }</style>\
                    <script>track('<p>')</script></head><body data-x=\"1\">\n<!-- a <b> comment -->\
                    <a class='big  red' href=\"/buy\" onclick=\"evil()\">Buy\n   now</a><svg><path d='M0'/></svg>\
                    <img alt=\"A > B\" src=\"data:image/png;base64,AAAA\"></body></html>";
        assert_eq!(
            outline(html),
            "<style>\nbody { color: teal }\n</style>\n<html><head><title>Shop</title></head><body>\
             <a class=\"big  red\" href=\"/buy\">Buy now</a><img alt=\"A  B\"></body></html>"
        );
    }

    #[test]
    fn nothing_makes_it_fail_or_grow() {
        for html in
            ["", "<", "<a", "<a b='", "</", "<style>", "<script>x", "text < 3 > 2", "<é>", "<a b=>", "<!--", "=<x ="]
        {
            let _ = outline(html);
        }
        let long = format!("<style>{}</style>{}", "a{}".repeat(100_000), "<p>ü</p>".repeat(100_000));
        assert!(outline(&long).len() <= OUTLINE_SIZE_BYTES_MAX + 64);
    }
}
