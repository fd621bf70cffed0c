//! Does a new version of a file throw work away? Models sometimes answer with a stub, or with a comment where the rest
//! of the file should be.

/// Shorter files are not judged: there is little to lose, and small rewrites look like losses.
const JUDGED_LINES_MIN: usize = 40;
/// A version that keeps fewer lines than one in this many has lost most of its content.
const KEPT_SHARE_MIN: usize = 4;

/// What a comment says that stands for code which is not there. Compared in lower case.
const PLACEHOLDERS: [&str; 14] = [
    "rest of the code",
    "rest of the file",
    "rest of the component",
    "rest of your code",
    "rest of code",
    "rest remains",
    "remains unchanged",
    "remain unchanged",
    "unchanged code",
    "code unchanged",
    "existing code",
    "previous code",
    "same as before",
    "keep the rest",
];

/// Why `new` must not simply replace `old`. `moved_lines` is how many lines the same reply puts into new files: code
/// that was moved there is not lost.
#[must_use]
pub fn reason(old: &str, new: &str, moved_lines: usize) -> Option<String> {
    if let Some(line) = new.lines().find(|line| is_placeholder(line) && !old.contains(line.trim())) {
        let shown: String = line.trim().chars().take(80).collect();
        return Some(format!("it has a placeholder instead of code: “{shown}”"));
    }
    let (before, after) = (line_count(old), line_count(new));
    let lost_most = before >= JUDGED_LINES_MIN && after * KEPT_SHARE_MIN < before;
    (lost_most && after + moved_lines < before / 2)
        .then(|| format!("it would lose most of its content ({before} lines become {after})"))
}

/// Lines that are not blank.
#[must_use]
pub fn line_count(text: &str) -> usize {
    text.lines().filter(|line| !line.trim().is_empty()).count()
}

/// A comment – nothing else on its line – that speaks of code which should be there.
fn is_placeholder(line: &str) -> bool {
    let line = line.trim();
    let comment = ["//", "/*", "{/*", "#", "<!--", "*"].iter().any(|mark| line.starts_with(mark));
    let line = line.to_lowercase();
    let elided = line.contains("...") || line.contains('…') || line.ends_with("unchanged") || line.contains("here");
    comment && (PLACEHOLDERS.iter().any(|words| line.contains(words)) && elided || is_bare_unchanged(&line))
}

/// `// ... unchanged ...` and its relatives.
fn is_bare_unchanged(line: &str) -> bool {
    let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    (line.contains("...") || line.contains('…')) && (words.contains(&"unchanged") || words == ["existing"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> String {
        (0..count).map(|number| format!("line {number}\n")).collect()
    }

    fn check(old: &str, new: &str, moved: usize, held_back: bool) {
        assert_eq!(reason(old, new, moved).is_some(), held_back, "{new:?}");
    }

    #[test]
    fn placeholders_are_held_back() {
        for placeholder in [
            "// ... rest of the code",
            "// …rest of the component unchanged",
            "{/* ... existing code ... */}",
            "/* ... unchanged ... */",
            "# rest of the file remains unchanged",
            "<!-- existing code here -->",
            "// Rest of your code here",
        ] {
            check("a\nb\n", &format!("a\n{placeholder}\n"), 0, true);
        }
    }

    #[test]
    fn ordinary_comments_and_spreads_are_not() {
        for ordinary in [
            "const all = [...old, ...rest];",
            "// the rest is history",
            "// existing users keep their session",
            "call(...args) // unchanged",
            "// unchanged since 2019",
        ] {
            check("a\n", &format!("a\n{ordinary}\n"), 0, false);
        }
        let kept = "a\n// ... existing code ...\n";
        check(kept, kept, 0, false);
    }

    #[test]
    fn a_file_that_lost_most_is_held_back_unless_it_was_moved() {
        check(&lines(100), &lines(10), 0, true);
        check(&lines(100), &lines(10), 80, false);
        check(&lines(100), &lines(60), 0, false);
        check(&lines(20), "x", 0, false);
    }
}
