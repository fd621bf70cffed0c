//! What a page says, made into what the room may hear of it. Pure. The page's code may be hostile: whatever comes is cut to
//! size, freed of control characters, and a path counts only when it is one.

use cobuild_protocol::FilePath;
use serde::Deserialize;

use crate::project::preview_pages::PageError;

/// How much of a page's words is kept, in bytes.
const MESSAGE_SIZE_BYTES_MAX: usize = 2 * 1024;
/// Lines of a stack that are looked at, and those that are kept: the first lead to the cause.
const STACK_LINES_MAX: usize = 60;
/// See [`STACK_LINES_MAX`].
const FRAMES_MAX: usize = 5;
/// Longest name of a function that is kept, in characters.
const FUNCTION_LENGTH_MAX: usize = 60;

/// One message of a page.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Claim {
    /// Something was thrown, or an overlay is shown.
    Threw(Thrown),
    /// It shows another version of the app from here on.
    Renewed,
    /// It has come to rest after this question.
    Settled { question: u64 },
    /// Whether somebody sees it.
    Hidden { hidden: bool },
}

/// An error as the page tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Thrown {
    message: String,
    #[serde(default)]
    stack: Option<String>,
    #[serde(default)]
    file: Option<String>,
}

/// `None`: it is nothing that is known.
pub(super) fn parse(text: &str) -> Option<Claim> {
    serde_json::from_str(text).ok()
}

impl From<Thrown> for PageError {
    fn from(Thrown { message, stack, file }: Thrown) -> Self {
        let frames: Vec<(String, FilePath)> = stack
            .iter()
            .flat_map(|stack| stack.lines())
            .take(STACK_LINES_MAX)
            .filter_map(frame)
            .take(FRAMES_MAX)
            .collect();
        let file = file.as_deref().and_then(named).or_else(|| frames.first().map(|(_, file)| file.clone()));
        let mut message = plain(message.trim());
        if message.is_empty() {
            "an error without a word".clone_into(&mut message);
        }
        for (function, file) in frames {
            message.push_str(&match function.as_str() {
                "" => format!("\n    at {file}"),
                function => format!("\n    at {function} ({file})"),
            });
        }
        message.truncate(message.floor_char_boundary(MESSAGE_SIZE_BYTES_MAX.min(message.len())));
        Self { message, file: file.map(|file| file.to_string()) }
    }
}

/// Function and file of a line of a stack, in the words of Chrome (`at f (http://…/src/a.js?t=1:2:3)`) or of Firefox and
/// Safari (`f@http://…`). Only files of the project; without line and column, which are those of the compiled module.
fn frame(line: &str) -> Option<(String, FilePath)> {
    let at = line.find("http://").or_else(|| line.find("https://"))?;
    let (before, url) = line.split_at(at);
    let path = url.splitn(4, '/').nth(3)?;
    let path = path.split(['?', '#', ':', ')']).next()?;
    if ["node_modules/", "@", "__cobuild/"].iter().any(|prefix| path.starts_with(prefix)) {
        return None;
    }
    let function = before.trim_start();
    let function = function.strip_prefix("at ").unwrap_or(function).trim_end_matches(['(', '@', ' ']);
    let function = plain(function).chars().take(FUNCTION_LENGTH_MAX).collect();
    Some((function, path.parse().ok()?))
}

/// The project's file that a path of the dev server, or of its sandbox, means.
fn named(file: &str) -> Option<FilePath> {
    let file = file.split(['?', '#']).next()?;
    let inside = file.find("/src/").map_or(file.trim_start_matches('/'), |at| &file[at + 1..]);
    inside.parse().ok()
}

/// Without colours and control characters other than the ends of lines.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len().min(MESSAGE_SIZE_BYTES_MAX));
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c == '\u{1b}' {
            if characters.clone().next() == Some('[') {
                let _ = characters.by_ref().find(char::is_ascii_alphabetic);
            }
        } else if c == '\n' || c == '\t' || !c.is_control() {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, message: &str, file: Option<&str>) {
        let Some(Claim::Threw(thrown)) = parse(json) else { panic!("{json}") };
        let error = PageError::from(thrown);
        assert_eq!((error.message.as_str(), error.file.as_deref()), (message, file));
    }

    #[test]
    fn errors_name_the_projects_files() {
        check(
            r#"{"type":"threw","message":"TypeError: x is not a function","stack":"TypeError: x is not a function\n    at Card (http://a.cobuild.localhost:3100/src/Card.jsx?t=17:24:5)\n    at react_stack_bottom_frame (http://a.cobuild.localhost:3100/node_modules/.vite/deps/react-dom_client.js?v=1:1:1)\n    at http://a.cobuild.localhost:3100/src/main.jsx:3:1"}"#,
            "TypeError: x is not a function\n    at Card (src/Card.jsx)\n    at src/main.jsx",
            Some("src/Card.jsx"),
        );
        check(
            r#"{"type":"threw","message":"Error: no","stack":"App@https://p.example/src/App.jsx:1:2\n@https://p.example/@vite/client:1:1"}"#,
            "Error: no\n    at App (src/App.jsx)",
            Some("src/App.jsx"),
        );
        check(
            r#"{"type":"threw","message":"\u001b[31mUnexpected token\u001b[39m","file":"/project/src/a/B.jsx?t=2"}"#,
            "Unexpected token",
            Some("src/a/B.jsx"),
        );
        check(
            r#"{"type":"threw","message":"The page could not load /x.js","file":"/x.js"}"#,
            "The page could not load /x.js",
            Some("x.js"),
        );
    }

    #[test]
    fn whatever_comes_is_harmless() {
        check(
            r#"{"type":"threw","message":" \u0000\u0007 ","file":"../../etc/passwd"}"#,
            "an error without a word",
            None,
        );
        check(
            r#"{"type":"threw","message":"a\u001b]0;title\u0007b","stack":"at http://\nhttp:///\nhttp://h\nat f (http://h/../x)"}"#,
            "a]0;titleb",
            None,
        );
        let long = serde_json::json!({ "type": "threw", "message": "ü".repeat(5000), "stack": "at f (http://h/src/a.js)\n".repeat(500) });
        let Some(Claim::Threw(thrown)) = parse(&long.to_string()) else { panic!("{long}") };
        let error = PageError::from(thrown);
        assert!(
            error.message.len() <= MESSAGE_SIZE_BYTES_MAX && error.file.as_deref() == Some("src/a.js"),
            "{error:?}"
        );
        for nothing in
            ["", "{}", "[]", r#"{"type":"threw"}"#, r#"{"type":"other"}"#, r#"{"type":"settled","question":-1}"#]
        {
            assert!(parse(nothing).is_none(), "{nothing}");
        }
    }
}
