//! Recognises the marks of the reply format at the beginning of a text: tags and code fences.
//!
//! Every function decides from a bounded window and says [`Mark::Undecided`] until the window is full, the text has
//! ended or more text cannot change the answer. That is what makes the parser's result independent of how a reply is
//! cut into deltas.

/// Longest tag, from `<` to `>`: four times the longest path. What is longer is no tag of ours.
const TAG_SIZE_BYTES_MAX: usize = 2048;
/// Longest fence line together with what must be seen behind it, the comment that names a file.
const FENCE_SIZE_BYTES_MAX: usize = 2048;

/// What stands at the beginning of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mark<T> {
    /// Nothing of ours.
    None,
    /// More text is needed to tell.
    Undecided,
    /// This, and how many bytes it takes.
    Found(T, usize),
}

/// The tags of the reply format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagName {
    File,
    Edit,
    Package,
    Packages,
    Command,
    Structure,
    Explanation,
    Template,
}

const TAG_NAMES: [(&str, TagName); 8] = [
    ("file", TagName::File),
    ("edit", TagName::Edit),
    ("package", TagName::Package),
    ("packages", TagName::Packages),
    ("command", TagName::Command),
    ("structure", TagName::Structure),
    ("explanation", TagName::Explanation),
    ("template", TagName::Template),
];

/// A tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tag<'a> {
    /// `<file path="…">` or `<edit path="…">`; the path is as written.
    OpenFile { name: TagName, path: &'a str },
    /// Any other opening tag.
    Open(TagName),
    /// `</…>`, or a tag that closes itself and so holds nothing.
    Close(TagName),
}

/// Reads the tag at the beginning of `text`, which starts with `<`.
pub(super) fn tag(text: &str, end: bool) -> Mark<Tag<'_>> {
    let (window, full) = window(text, end, TAG_SIZE_BYTES_MAX);
    match read_tag(window) {
        Read::Incomplete if full && window.len() < text.len() => Mark::None,
        Read::Incomplete => Mark::Undecided,
        Read::No => Mark::None,
        Read::Yes(tag, len) => Mark::Found(tag, len),
    }
}

enum Read<T> {
    No,
    Incomplete,
    Yes(T, usize),
}

fn read_tag(text: &str) -> Read<Tag<'_>> {
    let after_bracket = &text[1..];
    let (closing, after_slash) = match after_bracket.strip_prefix('/') {
        Some(rest) => (true, rest),
        None => (false, after_bracket),
    };
    let name_len = after_slash.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).count();
    let (name, attributes) = after_slash.split_at(name_len);
    if attributes.is_empty() {
        return if TAG_NAMES.iter().any(|(known, _)| known.starts_with(name)) { Read::Incomplete } else { Read::No };
    }
    let Some(&(_, name)) = TAG_NAMES.iter().find(|(known, _)| *known == name) else { return Read::No };
    if !attributes.starts_with(|c: char| c.is_whitespace() || c == '>' || c == '/') {
        return Read::No;
    }
    let Some(size) = attributes_len(attributes) else { return Read::Incomplete };
    let len = text.len() - attributes.len() + size + 1;
    let attributes = &attributes[..size];
    if closing || attributes.ends_with('/') {
        return Read::Yes(Tag::Close(name), len);
    }
    if !matches!(name, TagName::File | TagName::Edit) {
        return Read::Yes(Tag::Open(name), len);
    }
    match attribute(attributes, "path").or_else(|| attribute(attributes, "target_file")) {
        Some(path) => Read::Yes(Tag::OpenFile { name, path }, len),
        None => Read::No,
    }
}

/// Bytes up to the `>` that is not inside a quoted value.
fn attributes_len(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// The value of an attribute, in either quote or in none.
fn attribute<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let name_len = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len());
        let (name, after) = rest.split_at(name_len);
        let (value, after) = match after.trim_start().strip_prefix('=') {
            Some(after) => value(after.trim_start()),
            None => ("", after),
        };
        if name == wanted {
            return Some(value.trim());
        }
        if name.is_empty() && after.len() == rest.len() || after.is_empty() {
            return None;
        }
        rest = after;
    }
}

fn value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).unwrap_or((inner, ""));
        }
    }
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// A code fence's first line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fence {
    /// It names a file, in the line itself or in a comment below it; the text begins behind the line.
    File { path: String, ticks: usize },
    /// It holds a tag of ours: models wrap whole replies in one. The length includes the blanks up to the tag.
    Wrapper { ticks: usize },
    /// A piece of code in the prose.
    Plain { ticks: usize },
    /// A line that can close a fence: backticks and nothing else.
    Bare,
}

/// Reads the fence at the beginning of `text`, which starts with a backtick at the beginning of a line. `inside` says
/// how many backticks the fence around it has, if there is one.
pub(super) fn fence(text: &str, end: bool, inside: Option<usize>) -> Mark<Fence> {
    let (window, full) = window(text, end, FENCE_SIZE_BYTES_MAX);
    let undecided = if full && window.len() < text.len() { Mark::None } else { Mark::Undecided };
    let ticks = window.bytes().take_while(|b| *b == b'`').count();
    let line_end = window.find('\n');
    if ticks < 3 {
        return if ticks == window.len() && !full { Mark::Undecided } else { Mark::None };
    }
    let (line, below) = match line_end {
        Some(at) => (&window[..at], &window[at + 1..]),
        None if end && full => (window, ""),
        None => return undecided,
    };
    let len = line.len() + usize::from(line_end.is_some());
    let info = line[ticks..].trim();
    if info.contains('`') {
        return Mark::None;
    }
    if let Some(path) = path_of_info(info) {
        return Mark::Found(Fence::File { path: path.to_owned(), ticks }, len);
    }
    if let Some(outer) = inside {
        let closes = info.is_empty() && ticks >= outer;
        return if closes { Mark::Found(Fence::Bare, len) } else { Mark::None };
    }
    let plain = Mark::Found(Fence::Plain { ticks }, len);
    let first = below.trim_start();
    let blank = below.len() - first.len();
    match first.as_bytes().first() {
        None if !full => Mark::Undecided,
        Some(b'<') => match read_tag(first) {
            Read::Yes(Tag::Open(TagName::Template), _) => plain, // Vue, not a reply
            Read::Yes(Tag::OpenFile { .. } | Tag::Open(_), _) => Mark::Found(Fence::Wrapper { ticks }, len + blank),
            Read::Incomplete if !full => Mark::Undecided,
            _ => plain,
        },
        Some(b'/') => match first.split_once('\n') {
            Some((line, _)) => {
                file_of_comment(line).map_or(plain, |path| Mark::Found(Fence::File { path, ticks }, len))
            }
            None if !full => Mark::Undecided,
            None => plain,
        },
        _ => plain,
    }
}

/// How many bytes the closing line of a fence with `ticks` backticks takes at the beginning of `text`.
pub(super) fn fence_end(text: &str, end: bool, ticks: usize) -> Mark<()> {
    let (window, full) = window(text, end, FENCE_SIZE_BYTES_MAX);
    let found = window.bytes().take_while(|b| *b == b'`').count();
    let behind = &window[found..];
    let blank = behind.len() - behind.trim_start_matches([' ', '\t', '\r']).len();
    match behind.as_bytes().get(blank) {
        None if !full => Mark::Undecided,
        None if found >= ticks => Mark::Found((), window.len()),
        Some(b'\n') if found >= ticks => Mark::Found((), found + blank + 1),
        _ => Mark::None,
    }
}

/// The path in a fence's info string: `jsx:src/App.jsx`, `:src/App.jsx`, `path="…"`, `file path="…"`.
fn path_of_info(info: &str) -> Option<&str> {
    if let Some(path) = attribute(info, "path") {
        return Some(path).filter(|path| !path.is_empty());
    }
    let (language, path) = info.split_once(':')?;
    let is_language = language.bytes().all(|b| b.is_ascii_alphanumeric() || b"+#-._".contains(&b));
    let is_path = path.contains(['/', '.']) && !path.starts_with("//") && !path.contains(char::is_whitespace);
    (is_language && is_path).then_some(path)
}

/// The path in `// File: src/x.jsx` or `// Component: Button.jsx`. A bare name is a component's.
fn file_of_comment(line: &str) -> Option<String> {
    let text = line.strip_prefix("//")?.trim_start();
    let name = text.strip_prefix("File:").or_else(|| text.strip_prefix("Component:"))?.trim();
    match name {
        "" => None,
        _ if name.contains('/') => Some(name.to_owned()),
        _ => Some(format!("src/components/{name}")),
    }
}

/// The part of `text` a decision may rest on, and whether nothing can be added to it.
fn window(text: &str, end: bool, size_bytes_max: usize) -> (&str, bool) {
    let window = &text[..text.floor_char_boundary(size_bytes_max)];
    (window, end || text.len() >= size_bytes_max)
}
