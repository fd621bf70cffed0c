//! Where an answer was cut off and goes on: what the second half repeats of the first is taken out, and nothing else.
//!
//! A model is asked to continue exactly after the last words of its partial answer. Most do. Some repeat those words,
//! or begin the broken line or word anew. Code is full of lines that look alike, so what is trimmed must begin where a
//! model would begin again – at the quoted words, at the broken line, at the broken word – and be long enough.

/// How much of the first half is quoted to the model, in characters.
pub const QUOTE_CHARS: usize = 200;
/// A broken line must have this many characters that are not blank to be known again.
const LINE_CHARS_MIN: usize = 4;
/// A broken word must have this many letters to be known again.
const WORD_CHARS_MIN: usize = 4;
/// A first half that is shorter than the quote must have this many to be known again as a whole.
const WHOLE_CHARS_MIN: usize = 16;
/// Whole lines that end in a line end must have this many characters to be known again: repeated lines are common.
const LINES_CHARS_MIN: usize = 60;

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
    /// What came so far and may still be a repetition; `None` once that is decided.
    held: Option<String>,
}

impl Seam {
    /// A seam behind this first half.
    #[must_use]
    pub fn new(first: &str) -> Self {
        Self { quote: quote(first).to_owned(), held: Some(String::new()) }
    }

    /// The next piece of the second half; returns what of it goes on after the first.
    pub fn push(&mut self, piece: &str) -> String {
        let Some(held) = &mut self.held else { return piece.to_owned() };
        held.push_str(piece);
        if self.may_repeat_more() { String::new() } else { self.finish() }
    }

    /// The second half is over, or decided: returns what was held back and is no repetition.
    pub fn finish(&mut self) -> String {
        let Some(held) = self.held.take() else { return String::new() };
        let repeated = self.starts().filter(|start| held.starts_with(&self.quote[*start..])).min();
        match repeated {
            Some(start) => held[self.quote.len() - start..].to_owned(),
            None => held,
        }
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
        let ends_in_line = !quote.ends_with('\n');
        let line_starts = quote.match_indices('\n').map(|(at, _)| at + 1).filter(|at| *at < quote.len());
        // Models often leave out a line's indentation when they begin it anew.
        let line_starts = line_starts.flat_map(|at| [at, at + quote[at..].len() - quote[at..].trim_start().len()]);
        let line_starts = line_starts.filter(move |at| {
            let solid = quote[*at..].chars().filter(|c| !c.is_whitespace()).count();
            if ends_in_line { solid >= LINE_CHARS_MIN } else { solid >= LINES_CHARS_MIN }
        });
        let word = quote.len() - quote.trim_end_matches(|c: char| c.is_alphanumeric()).len();
        let word = (quote[quote.len() - word..].chars().count() >= WORD_CHARS_MIN).then_some(quote.len() - word);
        let whole = (quote.chars().filter(|c| !c.is_whitespace()).count() >= WHOLE_CHARS_MIN).then_some(0);
        line_starts.chain(word).chain(whole).collect::<Vec<_>>().into_iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const APP: &str = "Here it is.\n<file path=\"src/App.jsx\">\nimport { useState } from \"react\";\n\n\
        export default function App() {\n  const [count, setCount] = useState(0);\n  return (\n    <main>\n\
        \u{20}     <h1>naïve — 😀</h1>\n      <button onClick={() => setCount(count + 1)}>{count}</button>\n    </main>\n\
        \u{20} );\n}\n</file>\nTry the button.";

    #[track_caller]
    fn check(first: &str, second: &str, joined: &str) {
        for size in [1, 3, usize::MAX] {
            let mut seam = Seam::new(first);
            let mut text = first.to_owned();
            let chars: Vec<char> = second.chars().collect();
            for piece in chars.chunks(size.min(chars.len().max(1))) {
                text.push_str(&seam.push(&piece.iter().collect::<String>()));
            }
            text.push_str(&seam.finish());
            assert_eq!(text, joined, "{first:?} + {second:?} in pieces of {size}");
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
    }

    proptest! {
        #[test]
        fn any_cut_is_joined_without_a_byte_too_many_or_too_few(at in 0..APP.len(), repeats in any::<bool>()) {
            let at = APP.floor_char_boundary(at);
            let (first, second) = APP.split_at(at);
            let again = if repeats && first.len() > 20 { quote(first) } else { "" };
            check(first, &format!("{again}{second}"), APP);
        }
    }
}
