//! The one type for a file's place in a project. Whatever names a file – a command, a model's reply, a URL, an entry
//! of an archive – becomes a [`FilePath`] first.

use crate::id::{Invalid, string_newtype};

/// Longest path in bytes: leaves room for the host's own directory below `PATH_MAX` (4,096).
pub const PATH_LENGTH_MAX: usize = 512;
/// Longest single name in bytes: the limit of every common file system.
pub const NAME_LENGTH_MAX: usize = 255;
/// Deepest nesting: more is a mistake or an attack on recursive code.
pub const PATH_DEPTH_MAX: usize = 32;

/// Directory names that belong to tools, not to the project's files.
const RESERVED_DIRECTORIES: [&str; 2] = ["node_modules", ".git"];

string_newtype! {
    /// A file's path relative to the project's root, with `/` between names: `src/App.jsx`.
    ///
    /// Refused: empty, absolute, over-long or too deep paths; empty, `.` and `..` segments; backslashes, NUL and
    /// control characters; anything in `node_modules` or `.git`. Two spellings of one file cannot both be valid.
    FilePath, pattern: r"^[^/\\\x00-\x1f\x7f][^\\\x00-\x1f\x7f]*$", max: 512, check: check
}

impl FilePath {
    /// The last segment: `App.jsx`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }

    /// The part of the name behind its last dot, or "".
    #[must_use]
    pub fn extension(&self) -> &str {
        self.name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The directories above the file, outermost first: `src`, `src/components`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.as_str().match_indices('/').map(|(at, _)| &self.as_str()[..at])
    }
}

fn check(text: &str) -> Result<(), Invalid> {
    let refuse = |reason: &'static str| Err(Invalid(reason.into()));
    if text.is_empty() {
        return refuse("a file path must not be empty");
    }
    if text.len() > PATH_LENGTH_MAX {
        return refuse("a file path has at most 512 bytes");
    }
    if text.starts_with('/') {
        return refuse("a file path is relative to the project's root");
    }
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return refuse("a file path has no backslashes or control characters");
    }
    let mut depth = 0;
    for name in text.split('/') {
        depth += 1;
        if depth > PATH_DEPTH_MAX {
            return refuse("a file path has at most 32 segments");
        }
        match name {
            "" => return refuse("a file path has no empty segments"),
            "." | ".." => return refuse("a file path has no '.' or '..' segments"),
            _ if name.len() > NAME_LENGTH_MAX => return refuse("a file name has at most 255 bytes"),
            _ if RESERVED_DIRECTORIES.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) => {
                return refuse("node_modules and .git do not belong to the project's files");
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_ordinary_paths() {
        for good in ["a", "src/App.jsx", ".env.example", "public/grüße ✓.txt", "a.b/c..d/e"] {
            assert!(good.parse::<FilePath>().is_ok(), "{good}");
        }
    }

    #[test]
    fn refuses_everything_that_could_leave_the_project() {
        let long = "a/".repeat(300);
        let deep = "a/".repeat(33) + "a";
        let name = "x".repeat(256);
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/..",
            "./a",
            "a/./b",
            "a//b",
            "a/",
            "a\\b",
            "..\\x",
            "a\0b",
            "a\nb",
            "node_modules/x",
            "src/node_modules/x",
            "NODE_MODULES/x",
            ".git/config",
            "C:\\x",
            long.as_str(),
            deep.as_str(),
            name.as_str(),
        ] {
            assert!(bad.parse::<FilePath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn takes_itself_apart() {
        let path: FilePath = "src/ui/App.test.jsx".parse().expect("valid");
        assert_eq!((path.name(), path.extension()), ("App.test.jsx", "jsx"));
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["src", "src/ui"]);
    }
}
