//! Where an answer was cut off and goes on: what the second half repeats of the first is taken out, and nothing else.
//!
//! A model is asked to continue exactly after the last words of its partial answer. Most do. Some repeat those words,
//! begin the broken line or word anew, or open the file anew that is still open. Code is full of lines that look alike, so
//! what is trimmed must begin where a model would begin again, be long enough, and not be what stands there twice anyway.

/// How much of the first half is quoted to the model, in characters.
pub const QUOTE_CHARS: usize = 200;
/// A broken line that is repeated with its indentation, or begins like what is never said twice in one line, must have this
/// many characters that are not blank to be known again.
const BEGUN_CHARS_MIN: usize = 4;
/// Without that it may as well go on like that: `<b>` in `<b><b>`.
const LINE_CHARS_MIN: usize = 12;
/// A broken word must have this many letters to be known again, so many of them different: `haha`, `AAAA`.
const WORD_CHARS_MIN: usize = 4;
/// See [`WORD_CHARS_MIN`].
const WORD_LETTERS_MIN: usize = 3;
/// A first half that is shorter than the quote must have this many to be known again as a whole.
const WHOLE_CHARS_MIN: usize = 16;
/// Whole lines, and what follows them, must have this many characters to be known again: repeated lines are common.
const LINES_CHARS_MIN: usize = 60;
/// But lines that begin like this are not.
const ONCE: [&str; 8] =
    ["import ", "export ", "const ", "function ", "<file path=", "<edit path=", "<<<<<<< SEARCH", ">>>>>>> REPLACE"];
/// How far before the quote it is looked whether something stands there twice, in bytes.
const PERIOD_SIZE_BYTES_MAX: usize = 4096;
/// The tags that open a file.
const FILE_TAGS: [&str; 2] = ["<file path=", "<edit path="];
/// How much of a file tells whether it is begun anew, in bytes.
const BEGINNING_SIZE_BYTES: usize = 24;

/// The end of the first half, as it is quoted to the model.
#[must_use]
pub fn quote(first: &str) -> &str {
    let start = first.char_indices().rev().nth(QUOTE_CHARS - 1).map_or(0, |(at, _)| at);
    &first[start..]
}

/// Joins the second half to the first, piece by piece.
#[derive(Debug)]
pub struct Seam {
    quote: String,
    /// What stands before the quote, as far as it matters for what is repeated there anyway.
    before: String,
    /// The tag of the file that is open at the end of the first half, and how that file begins.
    open: Option<(String, String)>,
    /// What came so far and may still be a repetition; `None` once that is decided.
    held: Option<String>,
}

impl Seam {
    /// A seam behind this first half.
    #[must_use]
    pub fn new(first: &str) -> Self {
        let quote = quote(first);
        let before = &first[..first.len() - quote.len()];
        let before = &before[before.ceil_char_boundary(before.len().saturating_sub(PERIOD_SIZE_BYTES_MAX))..];
        Self { quote: quote.to_owned(), before: before.to_owned(), open: open_file(first), held: Some(String::new()) }
    }

    /// The next piece of the second half; returns what of it goes on after the first.
    pub fn push(&mut self, piece: &str) -> String {
        let Some(held) = &mut self.held else { return piece.to_owned() };
        held.push_str(piece);
        match self.opens_anew(false) {
            Some(Opened::Undecided) => return String::new(),
            Some(Opened::Continued(rest)) => self.go_on_with(rest),
            Some(Opened::Restarted) | None => {}
        }
        if self.may_repeat_more() { String::new() } else { self.finish() }
    }

    /// The second half is over, or decided: returns what was held back and is no repetition.
    pub fn finish(&mut self) -> String {
        if let Some(Opened::Continued(rest)) = self.opens_anew(true) {
            self.go_on_with(rest);
        }
        let Some(held) = self.held.take() else { return String::new() };
        let repeated = self.starts().filter(|start| held.starts_with(&self.quote[*start..])).min();
        match repeated {
            Some(start) => held[self.quote.len() - start..].to_owned(),
            None => held,
        }
    }

    fn go_on_with(&mut self, rest: String) {
        self.open = None;
        self.held = Some(rest);
    }

    /// Whether the second half opens the file anew that is still open, and what with.
    fn opens_anew(&self, is_over: bool) -> Option<Opened> {
        let (tag, beginning) = self.open.as_ref()?;
        let held = self.held.as_deref()?.trim_start();
        let Some(behind) = held.strip_prefix(tag.as_str()) else {
            let may_be = !is_over && tag.starts_with(held);
            return may_be.then_some(Opened::Undecided);
        };
        let text = behind.trim_start();
        let known = common(text, beginning);
        if known == beginning.len() && known > 0 {
            return Some(Opened::Restarted);
        }
        if known == text.len() && !is_over {
            return Some(Opened::Undecided);
        }
        // The end of the tag's line is part of the repetition, unless it had not come yet.
        let line_end = behind.strip_prefix("\r\n").or_else(|| behind.strip_prefix('\n'));
        let rest = line_end.filter(|_| !self.quote.ends_with(tag.as_str())).unwrap_or(behind);
        Some(Opened::Continued(rest.to_owned()))
    }

    /// Whether what is held is the beginning of a repetition, and not all of it.
    fn may_repeat_more(&self) -> bool {
        let held = self.held.as_deref().unwrap_or_default();
        self.starts().any(|start| {
            let repeated = &self.quote[start..];
            repeated.len() > held.len() && repeated.starts_with(held)
        })
    }

    /// The places of the quote from which a model may have begun again.
    fn starts(&self) -> impl Iterator<Item = usize> {
        let quote = self.quote.as_str();
        let line_starts = quote.match_indices('\n').map(|(at, _)| at + 1).filter(|at| *at < quote.len());
        // Models often leave out a line's indentation when they begin it anew.
        let line_starts = line_starts.flat_map(|at| [at, at + quote[at..].len() - quote[at..].trim_start().len()]);
        let line_starts = line_starts.filter(|at| is_telling(&quote[*at..]));
        let word = quote.len() - quote.trim_end_matches(|c: char| c.is_alphanumeric()).len();
        let word = is_telling_word(&quote[quote.len() - word..]).then_some(quote.len() - word);
        let whole = (solid_chars(quote) >= WHOLE_CHARS_MIN).then_some(0);
        // What stands there twice already may well stand there a third time.
        let is_twice = |at: &usize| {
            let (head, repeated) = quote.split_at(*at);
            head.ends_with(repeated)
                || repeated.strip_suffix(head).is_some_and(|rest| self.before.ends_with(rest))
                || (*at == 0 && is_periodic(quote))
        };
        line_starts.chain(word).chain(whole).filter(|at| !is_twice(at)).collect::<Vec<_>>().into_iter()
    }
}

/// What a second half that begins with the tag of an open file is.
#[derive(Debug)]
enum Opened {
    /// More must be seen.
    Undecided,
    /// The file from its beginning: the one before is given up.
    Restarted,
    /// The file from where it was cut; this is what goes on.
    Continued(String),
}

/// The tag of a file that is not closed, and the beginning of its text.
fn open_file(first: &str) -> Option<(String, String)> {
    let at = FILE_TAGS.iter().filter_map(|tag| first.rfind(tag)).max()?;
    let (tag, text) = first[at..].split_at(first[at..].find('>')? + 1);
    if tag.contains('\n') || text.contains("</file>") || text.contains("</edit>") {
        return None;
    }
    let text = text.trim_start();
    let beginning = &text[..text.floor_char_boundary(BEGINNING_SIZE_BYTES)];
    Some((tag.to_owned(), beginning.to_owned()))
}

/// How many bytes two texts share at their beginning.
fn common(one: &str, other: &str) -> usize {
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
}

/// Whether a text from a line's beginning, or from behind its indentation, to the end of the quote is long enough to be known.
fn is_telling(repeated: &str) -> bool {
    let solid = solid_chars(repeated);
    let begins_blank = repeated.starts_with([' ', '\t']);
    let line = repeated.trim_start();
    let is_once = ONCE.iter().any(|once| line.starts_with(once) || once.starts_with(line));
    // Indentation alone says nothing of the line to come.
    let is_lines = repeated.contains('\n') || solid == 0;
    match is_lines {
        true if is_once => solid >= LINE_CHARS_MIN,
        true => solid >= LINES_CHARS_MIN,
        false if begins_blank || is_once => solid >= BEGUN_CHARS_MIN,
        false => solid >= LINE_CHARS_MIN,
    }
}

/// Whether a text is one and the same again and again.
fn is_periodic(text: &str) -> bool {
    (1..=text.len() / 2).filter(|period| text.is_char_boundary(*period)).any(|period| text.starts_with(&text[period..]))
}

fn is_telling_word(word: &str) -> bool {
    let letters: std::collections::HashSet<char> = word.chars().filter(|c| c.is_alphabetic()).collect();
    word.chars().count() >= WORD_CHARS_MIN && letters.len() >= WORD_LETTERS_MIN
}

fn solid_chars(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const APP: &str = "Here it is.\n<file path=\"src/App.jsx\">\nimport { useState } from \"react\";\n\n\
        export default function App() {\n  const [count, setCount] = useState(0);\n  return (\n    <main>\n\
        \u{20}     <h1>naïve — 😀</h1>\n      <button onClick={() => setCount(count + 1)}>{count}</button>\n    </main>\n\
        \u{20} );\n}\n</file>\nThen the rest.\n<edit path=\"src/Card.jsx\">\n<<<<<<< SEARCH\n  <ul>\n    <li>one</li>\n\
        \u{20}   <li>one</li>\n    <li>one</li>\n=======\n  <ul>\n    <li><b><b>two</b></b></li>\n>>>>>>> REPLACE\n</edit>\n\
        <file path=\"src/icon.js\">\nexport const icon = \"data:image/png;base64,iVBORw0KGgoAAAAAAAAAAAAAAAAAAAAhaha\";\n\
        const rows = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]];\n  }\n  }\n\n\n</file>\nTry the button.";

    fn joined(first: &str, second: &str, size: usize) -> String {
        let mut seam = Seam::new(first);
        let mut text = first.to_owned();
        let chars: Vec<char> = second.chars().collect();
        for piece in chars.chunks(size.min(chars.len().max(1))) {
            text.push_str(&seam.push(&piece.iter().collect::<String>()));
        }
        text + &seam.finish()
    }

    #[track_caller]
    fn check(first: &str, second: &str, expected: &str) {
        for size in [1, 3, usize::MAX] {
            assert_eq!(joined(first, second, size), expected, "{first:?} + {second:?} in pieces of {size}");
        }
    }

    #[test]
    fn what_is_repeated_is_taken_out() {
        check("a\n  const total = su", "  const total = sum(1);\n", "a\n  const total = sum(1);\n");
        check("a\n  const total = su", "const total = sum(1);\n", "a\n  const total = sum(1);\n");
        check("export default functi", "function App() {", "export default function App() {");
        check("export default functi", "export default function App() {", "export default function App() {");
        let lines = "<li>the first entry of the list</li>\n<li>the second entry of the list</li>\n";
        check(&format!("<ul>\n{lines}"), &format!("{lines}</ul>"), &format!("<ul>\n{lines}</ul>"));
        check("a\nimport App from './App';\n", "import App from './App';\n\nx", "a\nimport App from './App';\n\nx");
        check("a\n<file path=\"src/Ap", "<file path=\"src/App.jsx\">\n1", "a\n<file path=\"src/App.jsx\">\n1");
        check("a\n<<<<<<< SEA", "<<<<<<< SEARCH\nx", "a\n<<<<<<< SEARCH\nx");
    }

    #[test]
    fn an_open_file_that_is_opened_anew_goes_on_or_begins_again() {
        let first = "Well.\n<file path=\"src/App.jsx\">\nimport { useState } from \"react\";\n\nexport default func";
        let tag = "<file path=\"src/App.jsx\">\n";
        check(first, &format!("{tag}tion App() {{"), &format!("{first}tion App() {{"));
        check(first, &format!("\n{tag}export default function App() {{"), &format!("{first}tion App() {{"));
        let anew = format!("{tag}import {{ useState }} from \"react\";\n// anew");
        check(first, &anew, &format!("{first}{anew}"));
        let other = "<file path=\"src/Other.jsx\">\n1";
        check(first, other, &format!("{first}{other}"));
        let closed = format!("{first}tion\n</file>\n");
        check(&closed, &anew, &format!("{closed}{anew}"));
        check("<file path=\"a.js\">\n", "<file path=\"a.js\">\n1", "<file path=\"a.js\">\n1");
    }

    #[test]
    fn what_only_looks_alike_stays() {
        check("<td>", "<td>", "<td><td>");
        check("  }\n", "  }\n}\n", "  }\n  }\n}\n");
        check("      <li>x</li>\n", "      <li>x</li>\n", "      <li>x</li>\n      <li>x</li>\n");
        check("a = ", " b", "a =  b");
        check("", "text", "text");
        check("let a", "a = 1", "let aa = 1");
        check("function", "", "function");
        check("  cons", "t x", "  const x");
        check("a\n<div>", "<div>x", "a\n<div><div>x");
        check("a\n  haha", "haha", "a\n  hahahaha");
        check("icon = \"AAAA", "AAAA\"", "icon = \"AAAAAAAA\"");
        let row = "    <Skeleton className=\"h-4 w-full rounded bg-slate-200 animate-pulse dark:bg-slate-700\" />\n";
        check(&row.repeat(2), &row.repeat(2), &row.repeat(4));
        // Twice it is longer than the quote.
        let cell = "        <td className=\"px-4 py-2 text-sm text-slate-600 dark:text-slate-300 whitespace-nowrap\">{value}</td>\n";
        assert!(cell.len() > QUOTE_CHARS / 2);
        check(&cell.repeat(3), &cell.repeat(2), &cell.repeat(5));
    }

    /// Wherever an answer is cut: what goes on exactly is joined as it is, and what a model repeats is taken out.
    #[test]
    fn every_cut_is_joined_without_a_byte_too_many_or_too_few() {
        #[track_caller]
        fn check(first: &str, second: &str) {
            assert_eq!(joined(first, second, usize::MAX), APP, "{first:?} + {second:?}");
        }
        for at in (1..APP.len()).filter(|at| APP.is_char_boundary(*at)) {
            let (first, second) = APP.split_at(at);
            check(first, second);
            if solid_chars(quote(first)) >= WHOLE_CHARS_MIN {
                check(first, &format!("{}{second}", quote(first)));
            }
            let line = &first[first.rfind('\n').map_or(0, |at| at + 1)..];
            if is_telling(line) && !first[..first.len() - line.len()].ends_with(line) && first.contains('\n') {
                check(first, &format!("{line}{second}"));
                if solid_chars(line) >= LINE_CHARS_MIN {
                    check(first, &format!("{}{second}", line.trim_start()));
                }
            }
            // Of a file that has hardly begun nobody can tell whether it goes on or begins again.
            if let Some((tag, _)) = open_file(first).filter(|(_, text)| text.is_empty() || text.len() > 4) {
                let line_end = if first.ends_with(&tag) { "" } else { "\n" };
                check(first, &format!("{tag}{line_end}{second}"));
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_change_nothing(at in 0..APP.len(), repeated in 0..120_usize, size in 1..9_usize) {
            let at = APP.floor_char_boundary(at);
            let again = &APP[APP.floor_char_boundary(at.saturating_sub(repeated))..at];
            let second = format!("{again}{}", &APP[at..]);
            let join = |size: usize| joined(&APP[..at], &second, size);
            prop_assert_eq!(join(size), join(usize::MAX));
        }
    }
}
