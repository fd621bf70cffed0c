//! Does a new version of a file throw work away? Models sometimes answer with a stub, or with a comment where the rest
//! of the file should be. Pure.

/// Shorter files are not judged by their lines: there is little to lose, and small rewrites look like losses.
const JUDGED_LINES_MIN: usize = 30;
/// The same for files with few but long lines, such as a picture in SVG or a table of data.
const JUDGED_SIZE_BYTES_MIN: usize = 4096;
/// A version that keeps less than one part in this many has lost most of its content.
const KEPT_SHARE_MIN: usize = 4;
/// A comment with more words is a sentence about something.
const PLACEHOLDER_WORDS_MAX: usize = 14;
/// Most of a placeholder that is shown to people, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// What begins a comment.
const COMMENT_MARKS: &[&str] = &["//", "/*", "{/*", "<!--", "{#", "--", "#", "*"];
/// Files in which `#`, `*` and `--` begin headings and lists.
const PROSE: &[&str] = &[".md", ".mdx", ".markdown", ".txt", ".rst"];

/// The words that placeholders are made of, besides those that say what is missing. A comment with any other word speaks
/// of something.
const FILLERS: &[&str] = &[
    "the",
    "of",
    "your",
    "this",
    "my",
    "our",
    "all",
    "and",
    "is",
    "are",
    "as",
    "in",
    "with",
    "for",
    "it",
    "was",
    "were",
    "be",
    "to",
    "here",
    "goes",
    "go",
    "comes",
    "remains",
    "remain",
    "remaining",
    "stays",
    "stay",
    "same",
    "before",
    "above",
    "below",
    "keep",
    "kept",
    "no",
    "not",
    "change",
    "changes",
    "changed",
    "from",
    "brevity",
    "clarity",
    "exactly",
    "everything",
];
/// What is missing where something is.
const PARTS: &[&str] = &[
    "code",
    "file",
    "files",
    "component",
    "components",
    "function",
    "functions",
    "module",
    "class",
    "method",
    "methods",
    "imports",
    "import",
    "styles",
    "style",
    "css",
    "jsx",
    "html",
    "markup",
    "template",
    "script",
    "content",
    "contents",
    "implementation",
    "logic",
    "section",
    "sections",
    "handlers",
    "app",
    "page",
    "body",
    "definitions",
    "rules",
    "lines",
    "else",
];
/// What says that something is left out.
const OMISSIONS: &[&str] = &[
    "rest",
    "remainder",
    "existing",
    "previous",
    "unchanged",
    "omitted",
    "original",
    "unmodified",
    "other",
    "truncated",
    "elided",
];
/// Phrases that say it by themselves, in any comment that has no other words.
const PHRASES: &[&str] = &[
    "rest of",
    "the rest",
    "unchanged",
    "unmodified",
    "omitted",
    "truncated",
    "same as before",
    "as before",
    "remains the same",
    "remain the same",
    "stays the same",
    "stay the same",
    "no changes",
    "not changed",
];
/// What a comment without dots must name besides these to be a placeholder: “existing code”, but not “existing handlers”.
const EXISTING: &[&str] = &["existing", "previous", "original", "remaining"];
const WHOLES: &[&str] =
    &["code", "file", "component", "implementation", "content", "contents", "markup", "jsx", "styles", "css"];

/// How a version throws work away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// It says that there should be more: this line.
    Placeholder(String),
    /// Most of it is gone. That may be meant.
    Most {
        /// How many lines, or bytes, there were.
        before: usize,
        /// How many there are.
        after: usize,
        /// What was counted.
        unit: &'static str,
    },
}

impl Loss {
    /// Why the version must not simply replace the one before, as part of a sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Placeholder(line) => format!("it has a placeholder instead of code: “{line}”"),
            Self::Most { before, after, unit } => {
                format!("it would lose most of its content ({before} {unit} become {after})")
            }
        }
    }
}

/// How much a text holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent {
    /// Lines that are not blank.
    pub lines: usize,
    /// Bytes.
    pub size_bytes: usize,
}

impl Extent {
    /// Of one text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        Self { lines, size_bytes: text.len() }
    }
}

impl std::iter::Sum for Extent {
    fn sum<I: Iterator<Item = Self>>(extents: I) -> Self {
        extents.fold(Self::default(), |all, one| Self {
            lines: all.lines + one.lines,
            size_bytes: all.size_bytes + one.size_bytes,
        })
    }
}

/// What the file at `path` would lose if `new` replaced `old` whole. `moved` is what the same reply puts into new files:
/// code that was moved there is not lost.
#[must_use]
pub fn of_replacement(path: &str, old: &str, new: &str, moved: Extent) -> Option<Loss> {
    let (before, after) = (Extent::of(old), Extent::of(new));
    let lost = |before: usize, after: usize, moved: usize, judged_min: usize, unit| {
        let most = before >= judged_min && after * KEPT_SHARE_MIN < before && after + moved < before / 2;
        most.then_some(Loss::Most { before, after, unit })
    };
    placeholder(path, old, new)
        .or_else(|| lost(before.lines, after.lines, moved.lines, JUDGED_LINES_MIN, "lines"))
        .or_else(|| lost(before.size_bytes, after.size_bytes, moved.size_bytes, JUDGED_SIZE_BYTES_MIN, "bytes"))
}

/// A placeholder that `new` has and `old` hasn't.
#[must_use]
pub fn placeholder(path: &str, old: &str, new: &str) -> Option<Loss> {
    let is_prose = PROSE.iter().any(|end| path.to_lowercase().ends_with(end));
    let line = new
        .lines()
        .map(str::trim)
        .find(|line| is_placeholder(line, is_prose, path) && !old.lines().any(|known| known.trim() == *line))?;
    Some(Loss::Placeholder(line.chars().take(SHOWN_CHARS_MAX).collect()))
}

/// Whether a line stands for code that should be there: a comment – nothing else on its line – that says so, or dots
/// without any comment where those are no code.
fn is_placeholder(line: &str, is_prose: bool, path: &str) -> bool {
    let mark = COMMENT_MARKS.iter().find(|mark| line.starts_with(**mark));
    let mark = mark.filter(|mark| !is_prose || matches!(**mark, "<!--" | "{/*"));
    // Of Python's dots and JavaScript's spread, neither names what is left out.
    let bare = mark.is_none() && !is_prose && begins_elided(line) && !line.ends_with(',') && !path.ends_with(".py");
    if mark.is_none() && !bare {
        return false;
    }
    let text = line.trim_matches(|c: char| c.is_whitespace() || "/*{}<>!-#".contains(c)).to_lowercase();
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|w| !w.is_empty()).collect();
    let (begins, ends) = (begins_elided(&text), text.ends_with("...") || text.ends_with('…'));
    if words.is_empty() {
        return begins && mark.is_some();
    }
    let known = |word: &&str| FILLERS.contains(word) || PARTS.contains(word) || OMISSIONS.contains(word);
    if words.len() > PLACEHOLDER_WORDS_MAX || !words.iter().all(known) {
        return false;
    }
    let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
    let spoken = format!(" {} ", words.join(" "));
    let phrased = PHRASES.iter().any(|phrase| spoken.contains(&format!(" {phrase} ")));
    let whole = has(EXISTING) && has(WHOLES);
    let elided = begins || ends;
    match mark {
        Some(_) => phrased || whole || elided && (has(OMISSIONS) || has(&["remaining", "same", "everything"])),
        None => words.len() > 1 && (phrased || whole),
    }
}

fn begins_elided(text: &str) -> bool {
    text.starts_with("...") || text.starts_with('…')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> String {
        (0..count).map(|number| format!("line {number}\n")).collect()
    }

    fn check(path: &str, line: &str, held_back: bool) {
        let new = format!("a\n  {line}\nb\n");
        let loss = of_replacement(path, "a\nb\n", &new, Extent::default());
        assert_eq!(loss.is_some(), held_back, "{path}: {line}");
        assert_eq!(placeholder(path, &new, &new), None, "what was there before: {line}");
    }

    #[test]
    fn placeholders_are_held_back() {
        for (path, line) in [
            ("src/App.jsx", "// ... existing code ..."),
            ("src/App.jsx", "// ...existing code..."),
            ("src/App.jsx", "// … rest of the component unchanged"),
            ("src/App.jsx", "// ... rest of the code"),
            ("src/App.jsx", "// Rest of your code here"),
            ("src/App.jsx", "// rest of the component remains the same"),
            ("src/App.jsx", "// (rest of the file stays exactly as it was before)"),
            ("src/App.jsx", "// The rest remains unchanged."),
            ("src/App.jsx", "// existing imports..."),
            ("src/App.jsx", "// ... other handlers ..."),
            ("src/App.jsx", "// unchanged"),
            ("src/App.jsx", "// [unchanged code omitted for brevity]"),
            ("src/App.jsx", "// keep the rest of the file as is"),
            ("src/App.jsx", "// no changes here"),
            ("src/App.jsx", "// ..."),
            ("src/App.jsx", "{/* unchanged */}"),
            ("src/App.jsx", "{/* ... existing code ... */}"),
            ("src/App.jsx", "{/* Rest of the JSX remains the same */}"),
            ("src/App.jsx", "{/* … */}"),
            ("src/App.jsx", "... rest of the code ..."),
            ("src/App.jsx", "…the rest of the file is unchanged"),
            ("src/index.css", "/* same as before */"),
            ("src/index.css", "/* ... */"),
            ("src/index.css", "/* existing styles */"),
            ("src/index.css", "* rest of the styles unchanged"),
            ("server.py", "# rest of file"),
            ("server.py", "# ... existing code ..."),
            ("query.sql", "-- rest of the file unchanged"),
            ("index.html", "<!-- existing code here -->"),
            ("index.html", "<!-- ... rest of the page ... -->"),
            ("README.md", "<!-- rest of the file unchanged -->"),
        ] {
            check(path, line, true);
        }
    }

    #[test]
    fn ordinary_comments_and_spreads_are_not() {
        for (path, line) in [
            ("src/App.jsx", "const all = [...old, ...rest];"),
            ("src/App.jsx", "...rest"),
            ("src/App.jsx", "...unchanged,"),
            ("src/App.jsx", "...existing,"),
            ("src/App.jsx", "{...rest}"),
            ("src/App.jsx", "// the rest is history"),
            ("src/App.jsx", "// the rest of the users are guests"),
            ("src/App.jsx", "// existing users keep their session"),
            ("src/App.jsx", "// Loading existing items..."),
            ("src/App.jsx", "// wait for the rest of the rows..."),
            ("src/App.jsx", "// ...and then the remaining seconds are shown"),
            ("src/App.jsx", "// other imports"),
            ("src/App.jsx", "// existing handlers"),
            ("src/App.jsx", "// remaining time"),
            ("src/App.jsx", "// previous page"),
            ("src/App.jsx", "// unchanged since 2019"),
            ("src/App.jsx", "// same as above"),
            ("src/App.jsx", "// keep the original order"),
            ("src/App.jsx", "// Rest parameters are collected here"),
            ("src/App.jsx", "call(...args) // unchanged"),
            ("src/App.jsx", "<p>... existing code ...</p>"),
            ("src/App.jsx", "/**"),
            ("src/App.jsx", "*/"),
            ("src/App.jsx", "// -----"),
            ("src/index.css", "/* Header */"),
            ("src/index.css", "* { margin: 0; }"),
            ("src/index.css", "#rest { color: red; }"),
            ("src/index.css", "--rest: 4px;"),
            ("server.py", "..."),
            ("index.html", "<!-- main content -->"),
            ("README.md", "# Existing code"),
            ("README.md", "* the rest of the code"),
            ("README.md", "... existing code ..."),
            ("notes.txt", "-- unchanged"),
        ] {
            check(path, line, false);
        }
    }

    #[test]
    fn a_file_that_lost_most_is_held_back_unless_it_was_moved() {
        let lost = |old: &str, new: &str, moved: usize| {
            of_replacement("src/App.jsx", old, new, Extent { lines: moved, size_bytes: moved * 8 })
                .map(|loss| loss.reason())
        };
        let expected = "it would lose most of its content (100 lines become 10)".to_owned();
        assert_eq!(lost(&lines(100), &lines(10), 0), Some(expected));
        assert!(lost(&lines(30), "export default App;", 0).is_some(), "a stub");
        for (old, new, moved) in [
            (lines(100), lines(10), 80),
            (lines(100), lines(60), 0),
            (lines(100), lines(26), 0),
            (lines(29), "x".into(), 0),
            ("short\n".repeat(10), String::new(), 0),
        ] {
            assert_eq!(lost(&old, &new, moved), None, "{} lines become {}", Extent::of(&old).lines, new.len());
        }
        let picture = format!("<svg>{}</svg>", "M0 0L9 9".repeat(1_000));
        assert!(lost(&picture, "<svg></svg>", 0).is_some(), "one long line");
        assert_eq!(lost(&picture, &picture[..3_000], 0), None);
    }
}
