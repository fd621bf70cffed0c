//! Search/replace blocks put into a file: the matching ladder of a code-writing loop.
//!
//! Rungs: exact → ignoring blanks at line ends → relative to indentation → like nothing else in the file. The first
//! rung with a match decides; two places on one rung are refused as ambiguous rather than guessed. Blocks are put in
//! one after the other, and either all of them or none.

mod blocks;
mod similar;
#[cfg(test)]
mod tests;

use std::fmt;

pub use self::blocks::{BlockError, parse_blocks};

/// Most blocks for one file. A model that needs more should write the file anew.
pub const EDIT_BLOCKS_MAX: usize = 200;
/// Most lines shown as the nearest ones: enough to correct a block, few enough to send for each.
const NEAREST_LINES_MAX: usize = 20;
/// Lines shown before and after the nearest ones.
const NEAREST_CONTEXT_LINES: usize = 2;

/// One search/replace block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchReplace {
    /// Whole lines to find, without the last one's line end. Empty: the file is empty, and this fills it.
    pub search: String,
    /// Lines to put in their place; empty removes them.
    pub replace: String,
}

/// Blocks that could not be matched. Nothing of the edit was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct EditError {
    /// Each block that failed, in order.
    pub failures: Vec<EditFailure>,
}

/// A block that could not be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditFailure {
    /// Which, from 1.
    pub block: usize,
    /// Why.
    pub reason: EditFailureReason,
}

/// Why a block could not be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditFailureReason {
    /// Nothing in the file is close enough.
    NotFound {
        /// What comes nearest, for the model to look at.
        nearest: Option<NearestLines>,
    },
    /// Several places match equally well.
    Ambiguous {
        /// The places' first lines, from 1.
        lines: Vec<usize>,
    },
    /// The search is empty, but the file is not.
    EmptySearch,
    /// More than [`EDIT_BLOCKS_MAX`] blocks.
    TooManyBlocks,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearestLines {
    /// The first line's number, from 1.
    pub line: usize,
    /// The lines.
    pub text: String,
}

impl fmt::Display for EditFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let block = self.block;
        match &self.reason {
            EditFailureReason::NotFound { nearest: None } => write!(f, "block {block} matches nothing in the file"),
            EditFailureReason::NotFound { nearest: Some(nearest) } => {
                write!(f, "block {block} matches nothing in the file; line {} comes nearest", nearest.line)
            }
            EditFailureReason::Ambiguous { lines } => {
                let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
                write!(f, "block {block} matches several places: lines {}", lines.join(", "))
            }
            EditFailureReason::EmptySearch => write!(f, "block {block} has an empty search, but the file is not empty"),
            EditFailureReason::TooManyBlocks => write!(f, "the edit has more than {EDIT_BLOCKS_MAX} blocks"),
        }
    }
}

/// Puts all blocks into the file, in order, each into the result of those before; or none of them. Line ends of the
/// original are kept, and new lines get those of their surroundings.
pub fn apply_edits(original: &str, blocks: &[SearchReplace]) -> Result<String, EditError> {
    if blocks.len() > EDIT_BLOCKS_MAX {
        let failure = EditFailure { block: EDIT_BLOCKS_MAX + 1, reason: EditFailureReason::TooManyBlocks };
        return Err(EditError { failures: vec![failure] });
    }
    let mut document = Document::new(original);
    let mut failures = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        if let Err(reason) = document.apply(block) {
            failures.push(EditFailure { block: at + 1, reason });
        }
    }
    if failures.is_empty() { Ok(document.text()) } else { Err(EditError { failures }) }
}

/// A file as lines that remember their ends.
struct Document {
    lines: Vec<Line>,
    /// What ends a line where no neighbour says.
    line_end: &'static str,
}

struct Line {
    text: String,
    end: &'static str,
}

/// A place that matches, and what to put there.
struct Match {
    at: usize,
    len: usize,
    replace: Vec<String>,
}

impl Document {
    fn new(text: &str) -> Self {
        let line = |line: &str| match (line.strip_suffix("\r\n"), line.strip_suffix('\n')) {
            (Some(text), _) => Line { text: text.to_owned(), end: "\r\n" },
            (None, Some(text)) => Line { text: text.to_owned(), end: "\n" },
            (None, None) => Line { text: line.to_owned(), end: "" },
        };
        let lines: Vec<Line> = text.split_inclusive('\n').map(line).collect();
        let line_end = lines.first().map_or("\n", |line| if line.end.is_empty() { "\n" } else { line.end });
        Self { lines, line_end }
    }

    fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.text.as_str(), line.end]).collect()
    }

    fn apply(&mut self, block: &SearchReplace) -> Result<(), EditFailureReason> {
        let search: Vec<&str> = block.search.split('\n').map(|line| line.trim_end_matches('\r')).collect();
        let replace: Vec<&str> = match block.replace.as_str() {
            "" => Vec::new(),
            text => text.split('\n').map(|line| line.trim_end_matches('\r')).collect(),
        };
        let found = self.find(&search, &replace)?;
        self.put(found);
        Ok(())
    }

    fn find(&self, search: &[&str], replace: &[&str]) -> Result<Match, EditFailureReason> {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.text.as_str()).collect();
        if search.iter().all(|line| line.trim().is_empty()) {
            return match lines.iter().all(|line| line.trim().is_empty()) {
                true => Ok(Match { at: 0, len: lines.len(), replace: owned(replace) }),
                false => Err(EditFailureReason::EmptySearch),
            };
        }
        if let Some(at) = the_one(&windows_where(&lines, search, |window| window == search))? {
            return Ok(Match { at, len: search.len(), replace: owned(replace) });
        }
        if let Some(found) = find_within_a_line(&lines, search, replace)? {
            return Ok(found);
        }
        let same_but_ends = |search: &[&str]| {
            windows_where(&lines, search, |window| same_by(window, search, |a, b| a.trim_end() == b.trim_end()))
        };
        if let Some(at) = the_one(&same_but_ends(search))? {
            return Ok(Match { at, len: search.len(), replace: owned(replace) });
        }
        let (search, replace) = without_blank_edges(search, replace);
        let rungs: [&dyn Fn() -> Vec<usize>; 4] = [
            &|| same_but_ends(search),
            &|| windows_where(&lines, search, |window| same_but_shifted(window, search)),
            &|| windows_where(&lines, search, |window| same_by(window, search, |a, b| a.trim() == b.trim())),
            &|| similar::similar_windows(&lines, search),
        ];
        for rung in rungs {
            if let Some(at) = the_one(&rung())? {
                let window = &lines[at..at + search.len()];
                return Ok(Match { at, len: search.len(), replace: indented(replace, search, window) });
            }
        }
        Err(EditFailureReason::NotFound { nearest: nearest(&lines, search) })
    }

    fn put(&mut self, found: Match) {
        let last_end = self.lines[found.at..found.at + found.len].last().map_or(self.line_end, |line| line.end);
        let inner_end = self.lines[found.at..].first().map_or(self.line_end, |line| line.end);
        let inner_end = if inner_end.is_empty() { self.line_end } else { inner_end };
        let count = found.replace.len();
        let line = |(at, text)| Line { text, end: if at + 1 == count { last_end } else { inner_end } };
        self.lines.splice(found.at..found.at + found.len, found.replace.into_iter().enumerate().map(line));
    }
}

/// The only place there is, `None` when there is none, an error when there are several.
fn the_one(found: &[usize]) -> Result<Option<usize>, EditFailureReason> {
    match found {
        [] => Ok(None),
        [at] => Ok(Some(*at)),
        several => Err(EditFailureReason::Ambiguous { lines: several.iter().map(|at| at + 1).collect() }),
    }
}

fn windows_where(lines: &[&str], search: &[&str], matches: impl Fn(&[&str]) -> bool) -> Vec<usize> {
    lines.windows(search.len()).enumerate().filter(|(_, window)| matches(window)).map(|(at, _)| at).collect()
}

fn same_by(window: &[&str], search: &[&str], same: impl Fn(&str, &str) -> bool) -> bool {
    window.iter().zip(search).all(|(line, wanted)| same(line, wanted))
}

/// Whether all lines are the same once the indentation they share is taken away on each side.
fn same_but_shifted(window: &[&str], search: &[&str]) -> bool {
    let (window_indent, search_indent) = (shared_indent(window), shared_indent(search));
    same_by(window, search, |line, wanted| {
        let line = line.strip_prefix(window_indent).unwrap_or(line.trim_start());
        let wanted = wanted.strip_prefix(search_indent).unwrap_or(wanted.trim_start());
        line.trim_end() == wanted.trim_end()
    })
}

/// A search of one line may also be a part of one line. If it is the whole of one but for the blanks around it, the
/// rungs that know about indentation decide.
fn find_within_a_line(lines: &[&str], search: &[&str], replace: &[&str]) -> Result<Option<Match>, EditFailureReason> {
    let [wanted] = search else { return Ok(None) };
    if lines.iter().any(|line| line.trim() == wanted.trim()) {
        return Ok(None);
    }
    let found: Vec<usize> =
        lines.iter().enumerate().flat_map(|(at, line)| line.matches(wanted).map(move |_| at)).collect();
    let Some(at) = the_one(&found)? else { return Ok(None) };
    let text = lines[at].replacen(wanted, &replace.join("\n"), 1);
    Ok(Some(Match { at, len: 1, replace: text.split('\n').map(str::to_owned).collect() }))
}

/// Models pad blocks with blank lines; the replacement is padded alike.
fn without_blank_edges<'a, 'b>(search: &'a [&'b str], replace: &'a [&'b str]) -> (&'a [&'b str], &'a [&'b str]) {
    let is_blank = |line: &&&str| line.trim().is_empty();
    let head = search.iter().take_while(is_blank).count();
    let tail = search.iter().rev().take_while(is_blank).count();
    let replace_head = replace.iter().take_while(is_blank).count().min(head);
    let replace = &replace[replace_head..];
    let replace_tail = replace.iter().rev().take_while(is_blank).count().min(tail);
    (&search[head..search.len() - tail], &replace[..replace.len() - replace_tail])
}

/// The replacement, indented like the place it goes to: each line as the file indents the search's lines of the same
/// indentation.
fn indented(replace: &[&str], search: &[&str], window: &[&str]) -> Vec<String> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for (wanted, line) in search.iter().zip(window).filter(|(wanted, _)| !wanted.trim().is_empty()) {
        if !pairs.iter().any(|(from, _)| *from == indent(wanted)) {
            pairs.push((indent(wanted), indent(line)));
        }
    }
    let shift = |own: &str| {
        let deepest = pairs.iter().filter(|(from, _)| own.starts_with(from)).max_by_key(|(from, _)| from.len());
        if let Some((from, to)) = deepest {
            return format!("{to}{}", &own[from.len()..]);
        }
        match pairs.iter().min_by_key(|(from, _)| from.len()) {
            Some((from, to)) => match (to.strip_suffix(from), from.strip_suffix(to)) {
                (Some(added), _) => format!("{added}{own}"),
                (None, Some(removed)) => own.strip_prefix(removed).unwrap_or_default().to_owned(),
                (None, None) => own.to_owned(),
            },
            None => own.to_owned(),
        }
    };
    let line = |line: &&str| match line.trim_start() {
        "" => String::new(),
        text => format!("{}{text}", shift(indent(line))),
    };
    replace.iter().map(line).collect()
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// The indentation that all lines share, blank ones aside.
fn shared_indent<'a>(lines: &[&'a str]) -> &'a str {
    let mut indents = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| indent(line));
    let Some(first) = indents.next() else { return "" };
    indents.fold(first, |shared, next| {
        let same = shared.char_indices().zip(next.chars()).take_while(|((_, a), b)| a == b);
        let len = same.map(|((at, c), _)| at + c.len_utf8()).last().unwrap_or(0);
        &shared[..len]
    })
}

/// The part of the file that shares most lines with the search, else the line most like the search's first.
fn nearest(lines: &[&str], search: &[&str]) -> Option<NearestLines> {
    let wanted: std::collections::HashSet<&str> =
        search.iter().map(|line| line.trim()).filter(|line| line.len() > 1).collect();
    let shared: Vec<usize> = lines.iter().map(|line| usize::from(wanted.contains(line.trim()))).collect();
    let size = search.len().clamp(1, lines.len().max(1));
    let mut best = (0, 0);
    let mut count: usize = shared.iter().take(size).sum();
    for at in 0..=lines.len().saturating_sub(size) {
        if count > best.0 {
            best = (count, at);
        }
        count -= shared.get(at).copied().unwrap_or(0);
        count += shared.get(at + size).copied().unwrap_or(0);
    }
    let at = if best.0 > 0 { best.1 } else { similar::nearest_line(lines, search.first()?)? };
    let from = at.saturating_sub(NEAREST_CONTEXT_LINES);
    let to = (at + size + NEAREST_CONTEXT_LINES).min(lines.len()).min(from + NEAREST_LINES_MAX);
    Some(NearestLines { line: from + 1, text: lines[from..to].join("\n") })
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}
