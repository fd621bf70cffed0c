//! What a model is sent: instructions, files and conversation within a budget, ordered from what rarely changes to
//! what changes with every prompt, so that vendors' caches can reuse the beginning.
//!
//! It does not know the core's types or any vendor's format.

use std::collections::HashSet;

use cobuild_protocol::{FilePath, value::MessageRole};

use super::reply_path::Layout;

/// The instructions every real model gets: the project's stack, the reply format, what good work is.
pub const SYSTEM: &str = include_str!("prompts/system.md");
/// The same for a project whose files came from a git repository.
pub const SYSTEM_REPOSITORY: &str = include_str!("prompts/repository.md");

/// What is added for models that write whole files better than edits of them.
const WHOLE_FILES: &str = include_str!("prompts/whole_files.md");

/// The conversation before the prompt gets at most this part of the budget; files tell a model more.
const HISTORY_SHARE: usize = 4;
/// Longest turn of the history that is kept whole; of longer ones (a pasted log) beginning and end are kept.
const TURN_SIZE_BYTES_MAX: usize = 8 * 1024;
/// What a file costs beside its text: its path and the marks around it.
const FILE_OVERHEAD_BYTES: usize = 64;

/// What a model call is built from.
#[derive(Debug, Clone, Default)]
pub struct PromptContext {
    /// What kind of project it is.
    pub layout: Layout,
    /// Whether the model is to write no edits, only whole files.
    pub whole_files: bool,
    /// The project's files, in any order.
    pub files: Vec<PromptFile>,
    /// Files to show first when the budget is short, most important first: mentioned ones, last edited ones.
    pub important: Vec<FilePath>,
    /// What stands for the conversation before that, if it was summed up. Always sent.
    pub summary: Option<PromptTurn>,
    /// The conversation before the prompt, oldest first.
    pub history: Vec<PromptTurn>,
    /// How long the prompt is that will follow.
    pub prompt_bytes: usize,
}

/// A file of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptFile {
    /// Where.
    pub path: FilePath,
    /// Its text; `None` for what is not text, and for what did not fit.
    pub text: Option<String>,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTurn {
    /// Whose.
    pub role: MessageRole,
    /// What was said.
    pub text: String,
}

/// The parts of a model call, most stable first. The prompt follows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptParts {
    /// The instructions.
    pub system: String,
    /// Every file of the project in path order, those that fit with their text.
    pub files: Vec<PromptFile>,
    /// The conversation before the prompt, oldest first, beginning with a user's turn.
    pub turns: Vec<PromptTurn>,
    /// How many turns at the beginning of the history did not fit.
    pub turns_dropped: usize,
    /// How many files are named without the text they have.
    pub files_without_text: usize,
}

impl PromptParts {
    /// How much text it is.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let files = self.files.iter().map(|file| file.path.as_str().len() + file.text.as_ref().map_or(0, String::len));
        let turns = self.turns.iter().map(|turn| turn.text.len());
        self.system.len() + files.sum::<usize>() + turns.sum::<usize>()
    }

    /// Whether nothing is left that could be taken away.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.turns.is_empty() && self.files.iter().all(|file| file.text.is_none())
    }
}

/// Chooses what fits into `budget_bytes` of text. Instructions, paths and prompt are always part of it, whatever
/// they cost.
#[must_use]
pub fn build(context: PromptContext, budget_bytes: usize) -> PromptParts {
    let paths: usize = context.files.iter().map(|file| file.path.as_str().len() + FILE_OVERHEAD_BYTES).sum();
    let system = match context.layout {
        Layout::App => SYSTEM,
        Layout::Repository => SYSTEM_REPOSITORY,
    };
    let system = format!("{system}{}", if context.whole_files { WHOLE_FILES } else { "" });
    let summary = context.summary.as_ref().map_or(0, |summary| summary.text.len());
    let room = budget_bytes.saturating_sub(system.len() + context.prompt_bytes + paths + summary);
    let turns_before = context.history.len();
    let mut turns = newest_turns(context.history, room / HISTORY_SHARE);
    let turns_dropped = turns_before - turns.len();
    let spoken: usize = turns.iter().map(|turn| turn.text.len()).sum();
    let (files, files_without_text) = fitting_files(context.files, &context.important, room - spoken);
    turns.splice(0..0, context.summary);
    PromptParts { system, files, turns, turns_dropped, files_without_text }
}

/// Whether instructions are those for a repository.
#[must_use]
pub fn is_for_repository(system: &str) -> bool {
    system.starts_with(SYSTEM_REPOSITORY)
}

/// The end of the conversation that fits. It begins with a user's turn, as every vendor wants it.
fn newest_turns(mut history: Vec<PromptTurn>, room: usize) -> Vec<PromptTurn> {
    for turn in &mut history {
        shorten(&mut turn.text, TURN_SIZE_BYTES_MAX);
    }
    let mut left = room;
    let kept = history.iter().rev().take_while(|turn| match left.checked_sub(turn.text.len()) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    let kept = kept.count();
    let mut turns = history.split_off(history.len() - kept);
    let first_user = turns.iter().position(|turn| turn.role == MessageRole::User).unwrap_or(turns.len());
    turns.drain(..first_user);
    turns
}

/// Leaves beginning and end of a text that is longer than this.
pub fn shorten(text: &mut String, size_bytes_max: usize) {
    if text.len() > size_bytes_max {
        let head = &text[..text.floor_char_boundary(size_bytes_max / 2)];
        let tail = &text[text.ceil_char_boundary(text.len() - size_bytes_max / 2)..];
        *text = format!("{head}\n[…]\n{tail}");
    }
}

/// All files in path order. Those named important get their text first, then the shorter ones: many small files say
/// more about an app than one long one.
fn fitting_files(mut files: Vec<PromptFile>, important: &[FilePath], room: usize) -> (Vec<PromptFile>, usize) {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let rank = |file: &PromptFile| important.iter().position(|path| *path == file.path).unwrap_or(important.len());
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|&at| (rank(&files[at]), files[at].text.as_ref().map_or(0, String::len)));
    let mut left = room;
    let mut shown: HashSet<usize> = HashSet::new();
    for at in order {
        if let Some(rest) = left.checked_sub(files[at].text.as_ref().map_or(0, String::len)) {
            left = rest;
            shown.insert(at);
        }
    }
    for (at, file) in files.iter_mut().enumerate() {
        if !shown.contains(&at) {
            file.text = None;
        }
    }
    let without_text = files.len() - shown.len();
    (files, without_text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::reply::{parse_reply, parse_reply_in};

    fn file(path: &str, size_bytes: usize) -> PromptFile {
        PromptFile { path: path.parse().expect("valid"), text: Some("x".repeat(size_bytes)) }
    }

    fn turn(role: MessageRole, text: &str) -> PromptTurn {
        PromptTurn { role, text: text.to_owned() }
    }

    fn with_text(parts: &PromptParts) -> Vec<&str> {
        parts.files.iter().filter(|file| file.text.is_some()).map(|file| file.path.as_str()).collect()
    }

    /// A budget that leaves this much for files' texts and history.
    fn budget(context: &PromptContext, room: usize) -> usize {
        let paths: usize = context.files.iter().map(|file| file.path.as_str().len() + FILE_OVERHEAD_BYTES).sum();
        let summary = context.summary.as_ref().map_or(0, |summary| summary.text.len());
        SYSTEM.len() + context.prompt_bytes + paths + summary + room
    }

    #[test]
    fn everything_fits_in_a_stable_order() {
        let context = PromptContext {
            files: vec![file("src/b.js", 10), file("index.html", 10), file("src/a.js", 10)],
            history: vec![turn(MessageRole::User, "one"), turn(MessageRole::Assistant, "two")],
            ..PromptContext::default()
        };
        let parts = build(context, 1_000_000);
        assert_eq!(with_text(&parts), ["index.html", "src/a.js", "src/b.js"]);
        let turns: Vec<_> = parts.turns.iter().map(|turn| turn.text.as_str()).collect();
        assert_eq!((turns, parts.turns_dropped, parts.files_without_text), (vec!["one", "two"], 0, 0));
    }

    #[test]
    fn important_and_short_files_come_first() {
        let context = PromptContext {
            files: vec![file("a.js", 60), file("b.js", 50), file("c.js", 30), file("d.js", 10)],
            important: vec!["a.js".parse().expect("valid")],
            ..PromptContext::default()
        };
        let budget = budget(&context, 100);
        let parts = build(context, budget);
        assert_eq!((with_text(&parts), parts.files_without_text), (vec!["a.js", "c.js", "d.js"], 1));
        assert_eq!(parts.files.len(), 4, "the others are still named");
    }

    #[test]
    fn old_turns_are_dropped_and_a_user_begins() {
        let context = PromptContext {
            history: vec![
                turn(MessageRole::User, "aaaaaaaaaa"),
                turn(MessageRole::Assistant, "bb"),
                turn(MessageRole::User, "cc"),
                turn(MessageRole::Assistant, "dd"),
            ],
            summary: Some(turn(MessageRole::User, "summary")),
            ..PromptContext::default()
        };
        let budget = budget(&context, 8 * HISTORY_SHARE);
        let parts = build(context, budget);
        let turns: Vec<_> = parts.turns.iter().map(|turn| turn.text.as_str()).collect();
        assert_eq!((turns, parts.turns_dropped), (vec!["summary", "cc", "dd"], 2));
    }

    #[test]
    fn long_turns_keep_both_ends() {
        let long = format!("begin{}end", "ü".repeat(TURN_SIZE_BYTES_MAX));
        let context = PromptContext { history: vec![turn(MessageRole::User, &long)], ..PromptContext::default() };
        let parts = build(context, 1_000_000);
        let text = &parts.turns[0].text;
        assert!(text.starts_with("begin") && text.ends_with("end") && text.len() <= TURN_SIZE_BYTES_MAX + 16);
    }

    #[test]
    fn no_budget_still_asks() {
        let context = PromptContext { files: vec![file("a.js", 1)], prompt_bytes: 5, ..PromptContext::default() };
        let parts = build(context, 0);
        assert_eq!((parts.turns.len(), parts.files.len(), parts.files_without_text), (0, 1, 1));
        assert!(parts.is_bare());
    }

    #[test]
    fn models_that_are_weak_at_edits_are_told_to_write_none() {
        for layout in [Layout::App, Layout::Repository] {
            let system =
                |whole_files| build(PromptContext { layout, whole_files, ..PromptContext::default() }, 0).system;
            assert_eq!(system(true), format!("{}{WHOLE_FILES}", system(false)));
            assert_eq!(is_for_repository(&system(true)), layout == Layout::Repository);
        }
        assert!(WHOLE_FILES.contains("Do not use `<edit>` blocks"));
    }

    #[test]
    fn the_format_it_teaches_is_the_one_we_read() {
        let parsed = parse_reply(SYSTEM);
        let paths: Vec<_> = parsed.files.iter().map(|file| (file.path.as_str(), file.complete)).collect();
        assert_eq!(paths, [("src/components/Button.jsx", true), ("src/App.jsx", true)]);
        assert!(parsed.refused_files.is_empty());

        let parsed = parse_reply_in(SYSTEM_REPOSITORY, Layout::Repository);
        let paths: Vec<_> = parsed.files.iter().map(|file| (file.path.as_str(), file.complete)).collect();
        assert_eq!(paths, [("docs/errors.md", true), ("app/main.py", true)]);
    }

    #[test]
    fn a_repository_has_instructions_of_its_own() {
        let context = PromptContext { layout: Layout::Repository, ..PromptContext::default() };
        let parts = build(context, 1_000_000);
        assert!(is_for_repository(&parts.system) && !is_for_repository(SYSTEM));
    }
}
