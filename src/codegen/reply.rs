//! A reply, staged: the parser's events folded into what a finished reply changes. Nothing here is in effect yet; that
//! is the run's business, and it never writes an incomplete file.

use cobuild_protocol::{FilePath, PackageSpec, command::LeaveOut, value::Refusal};
use indexmap::{IndexMap, map::Entry};

use super::{
    edit_match::{self, BlockError, SearchReplace},
    edit_merge::MergeEdit,
    feedback::{self, HeldBack},
    reply_parser::{ReplyBlock, ReplyEvent, ReplyFileKind, ReplyLimit, ReplyParser},
    reply_path::{Layout, place, refusal},
};

/// A whole reply, staged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedReply {
    /// The prose, tags removed; paragraphs that stood around a file are kept apart.
    pub text: String,
    /// The files, each path once, in the order of their first mention.
    pub files: Vec<ReplyFile>,
    /// Files that were refused, and why.
    pub refused_files: Vec<Refusal>,
    /// Edits that say nothing, or cannot be put into what the same reply writes. Nothing of the reply may be applied.
    pub unmatched: Vec<HeldBack>,
    /// Edits for a model to merge into their files, in order; each of a file builds on the one before.
    pub merges: Vec<ReplyMerge>,
    /// Packages the reply names, each once, in order.
    pub packages: Vec<PackageSpec>,
    /// Packages that are not npm names.
    pub refused_packages: Vec<Refusal>,
    /// Shell commands, in order.
    pub commands: Vec<String>,
    /// The first `<structure>`.
    pub structure: Option<String>,
    /// The first `<explanation>`.
    pub explanation: Option<String>,
    /// The first `<template>`.
    pub template: Option<String>,
    /// The limit the reply broke.
    pub limit: Option<ReplyLimit>,
}

impl ParsedReply {
    /// Whether something of the reply is missing: the end of a file, or what lay beyond a limit.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.limit.is_some() || self.files.iter().any(|file| !file.complete)
    }

    /// Leaves out what is not to be put into effect.
    pub fn leave_out(&mut self, left_out: &LeaveOut) {
        let LeaveOut { files, unmatched, merges } = left_out;
        self.files.retain(|file| !files.contains(&file.path));
        self.merges.retain(|merge| !merges && !files.contains(&merge.path));
        self.unmatched.retain(|held| !unmatched && !files.contains(&held.path));
    }
}

/// A file of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyFile {
    /// Where.
    pub path: FilePath,
    /// What becomes of it.
    pub change: ReplyChange,
    /// Whether it was closed properly. An incomplete one must never be written.
    pub complete: bool,
}

/// An edit that says only what is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyMerge {
    /// Where.
    pub path: FilePath,
    /// What is to be merged into it.
    pub edit: MergeEdit,
}

/// What a reply does to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyChange {
    /// The file has this text now.
    Whole(String),
    /// These blocks are put into the file, by [`edit_match::apply_edits`].
    Edit(Vec<SearchReplace>),
}

/// Parses a whole reply about an app.
#[must_use]
pub fn parse_reply(reply: &str) -> ParsedReply {
    parse_reply_in(reply, Layout::App)
}

/// Parses a whole reply about a project whose files lie so.
#[must_use]
pub fn parse_reply_in(reply: &str, layout: Layout) -> ParsedReply {
    let mut parser = ReplyParser::new();
    let mut events = Vec::new();
    parser.push(reply, &mut events);
    parser.finish(&mut events);
    let mut builder = ReplyBuilder::new(layout);
    events.iter().for_each(|event| builder.push(event));
    builder.finish()
}

/// Folds the parser's events, as they come, into a [`ParsedReply`].
#[derive(Debug, Clone, Default)]
pub struct ReplyBuilder {
    reply: ParsedReply,
    files: IndexMap<FilePath, (ReplyChange, bool)>,
    open: Option<OpenFile>,
    layout: Layout,
    /// A file stood between the prose before and the prose to come.
    paragraph_ended: bool,
}

#[derive(Debug, Clone)]
struct OpenFile {
    written: String,
    kind: ReplyFileKind,
    text: String,
}

impl ReplyBuilder {
    /// An empty reply about a project whose files lie so.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout, ..Self::default() }
    }

    /// Takes the parser's next event.
    pub fn push(&mut self, event: &ReplyEvent) {
        match event {
            ReplyEvent::Text(text) => self.add_text(text),
            ReplyEvent::FileStarted { path, kind } => {
                self.paragraph_ended = true;
                self.open = Some(OpenFile { written: path.clone(), kind: *kind, text: String::new() });
            }
            ReplyEvent::FileText(text) => {
                if let Some(file) = &mut self.open {
                    file.text.push_str(text);
                }
            }
            ReplyEvent::FileFinished => self.end_file(true),
            ReplyEvent::FileCut => self.end_file(false),
            ReplyEvent::Package(name) => self.add_package(name),
            ReplyEvent::Command(command) => self.reply.commands.push(command.clone()),
            ReplyEvent::Block(block, text) => {
                let place = match block {
                    ReplyBlock::Structure => &mut self.reply.structure,
                    ReplyBlock::Explanation => &mut self.reply.explanation,
                    ReplyBlock::Template => &mut self.reply.template,
                };
                place.get_or_insert_with(|| text.clone());
            }
            ReplyEvent::LimitReached(limit) => self.reply.limit = Some(*limit),
        }
    }

    /// What the reply does to this file is to be written again.
    pub fn forget(&mut self, path: &FilePath) {
        self.files.shift_remove(path);
        self.reply.unmatched.retain(|held| held.path != *path);
        self.reply.merges.retain(|merge| merge.path != *path);
    }

    /// The reply is over.
    #[must_use]
    pub fn finish(mut self) -> ParsedReply {
        self.end_file(false);
        let file = |(path, (change, complete))| ReplyFile { path, change, complete };
        self.reply.files = self.files.into_iter().map(file).collect();
        self.reply
    }

    fn add_text(&mut self, text: &str) {
        if self.paragraph_ended && !self.reply.text.is_empty() {
            self.reply.text.push_str("\n\n");
        }
        self.paragraph_ended = false;
        self.reply.text.push_str(text);
    }

    fn add_package(&mut self, name: &str) {
        match name.parse::<PackageSpec>() {
            Ok(spec) if self.reply.packages.iter().any(|known| known.name() == spec.name()) => {}
            Ok(spec) => self.reply.packages.push(spec),
            Err(error) => add_once(&mut self.reply.refused_packages, refusal(name, error.to_string())),
        }
    }

    fn end_file(&mut self, complete: bool) {
        let Some(file) = self.open.take() else { return };
        let path = match place(&file.written, file.kind, self.layout) {
            Ok(path) => path,
            Err(refused) => return add_once(&mut self.reply.refused_files, refused),
        };
        let staged = match file.kind {
            ReplyFileKind::Whole => self.stage(path, ReplyChange::Whole(file.text), complete),
            ReplyFileKind::Edit => match edit_match::parse_blocks(&file.text) {
                Ok(blocks) => self.stage(path, ReplyChange::Edit(blocks), complete),
                Err(_) if !complete => self.stage(path, ReplyChange::Edit(Vec::new()), false),
                Err(BlockError::None) if let Some(edit) = MergeEdit::read(&file.text) => {
                    self.reply.merges.push(ReplyMerge { path, edit });
                    Ok(())
                }
                Err(error) => Err(HeldBack { path, reason: error.to_string(), hint: None }),
            },
        };
        if let Err(held) = staged {
            // What the reply did to the file before cannot stay without it either.
            self.files.shift_remove(&held.path);
            self.reply.unmatched.push(held);
        }
    }

    /// Decides between two versions of one path: the later one wins, unless it is incomplete and the earlier is not.
    /// An edit builds on what the reply did to the file before.
    fn stage(&mut self, path: FilePath, change: ReplyChange, complete: bool) -> Result<(), HeldBack> {
        let written = path.clone();
        let mut entry = match self.files.entry(path) {
            Entry::Vacant(entry) => {
                entry.insert((change, complete));
                return Ok(());
            }
            Entry::Occupied(entry) => entry,
        };
        let (present, present_complete) = entry.get_mut();
        match (&mut *present, change) {
            // Cut off, and begun anew from the top.
            (ReplyChange::Edit(present), ReplyChange::Edit(blocks))
                if complete && !*present_complete && blocks.starts_with(present) =>
            {
                *present = blocks;
                *present_complete = true;
            }
            (ReplyChange::Edit(present), ReplyChange::Edit(blocks)) => {
                present.extend(blocks);
                *present_complete &= complete;
            }
            (ReplyChange::Whole(text), ReplyChange::Edit(blocks)) if complete && *present_complete => {
                *text = edit_match::apply_edits(text, &blocks).map_err(|error| HeldBack {
                    path: written,
                    reason: error.to_string(),
                    hint: feedback::hint(&error),
                })?;
            }
            (ReplyChange::Whole(_), ReplyChange::Edit(_)) => *present_complete = false,
            (_, whole @ ReplyChange::Whole(_)) if complete || !*present_complete => {
                entry.insert((whole, complete));
            }
            (_, ReplyChange::Whole(_)) => {}
        }
        Ok(())
    }
}

fn add_once(list: &mut Vec<Refusal>, refused: Refusal) {
    if !list.contains(&refused) {
        list.push(refused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The staged files, one line each; an incomplete one has a `?`.
    fn files(reply: &str) -> Vec<String> {
        let line = |file: ReplyFile| {
            let mark = if file.complete { "" } else { "?" };
            match file.change {
                ReplyChange::Whole(text) => format!("{}{mark} = {text}", file.path),
                ReplyChange::Edit(blocks) => {
                    let blocks: Vec<_> = blocks.iter().map(|b| format!("{}→{}", b.search, b.replace)).collect();
                    format!("{}{mark} ~ {}", file.path, blocks.join(", "))
                }
            }
        };
        parse_reply(reply).files.into_iter().map(line).collect()
    }

    fn edit(path: &str, search: &str, replace: &str) -> String {
        format!("<edit path=\"{path}\">\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n</edit>")
    }

    #[track_caller]
    fn check(reply: &str, expected: &[&str]) {
        assert_eq!(files(reply), expected, "{reply}");
    }

    #[test]
    fn an_edit_that_was_cut_off_and_begun_anew_counts_once() {
        let whole = edit("src/a", "x", "y");
        for at in [20, 45, whole.len() - 8] {
            check(&format!("{}\n{whole}", &whole[..at]), &["src/a ~ x→y"]);
        }
        let other = edit("src/a", "p", "q");
        check(&format!("{other}{}{whole}", &whole[..45]), &["src/a? ~ p→q, x→y"]);
    }

    #[test]
    fn stages_files_in_the_order_of_their_first_mention() {
        check(
            "<file path=\"b\">1</file><file path=\"/a\">2</file><file path=\"./b\">3</file>",
            &["src/b = 3", "src/a = 2"],
        );
    }

    #[test]
    fn complete_beats_incomplete_and_the_last_complete_one_wins() {
        check("<file path=\"a\">1</file><file path=\"a\">2", &["src/a = 1"]);
        check("<file path=\"a\">1<file path=\"a\">2</file>", &["src/a = 2"]);
        check("<file path=\"a\">long long</file><file path=\"a\">2</file>", &["src/a = 2"]);
        check("<file path=\"a\">1<file path=\"b\">2</file>", &["src/a? = 1", "src/b = 2"]);
        check("<file path=\"a\">1<file path=\"a\">2", &["src/a? = 2"]);
    }

    #[test]
    fn refuses_bad_paths_and_writes_the_rest() {
        let parsed = parse_reply(
            "<file path=\"../x\">1</file><file path=\"/../x\">1</file><file path=\"src/../../x\">1</file>\
             <file path=\"../x\">1</file><file path=\"/App.jsx\">2</file><file path=\"public/x\">3</file>",
        );
        let paths: Vec<_> = parsed.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["src/App.jsx", "public/x"]);
        let refused: Vec<_> = parsed.refused_files.iter().map(|refused| refused.name.as_str()).collect();
        assert_eq!(refused, ["../x", "/../x", "src/../../x"]);
        assert!(!parsed.is_cut());
    }

    #[test]
    fn edits_add_up() {
        check(&(edit("a", "1", "2") + &edit("a", "3", "4")), &["a ~ 1→2, 3→4"]);
        check(&(edit("a", "1", "2") + "<edit path=\"a\">x"), &["a? ~ 1→2"]);
        check(&("<file path=\"src/a\">1\n2</file>".to_owned() + &edit("src/a", "2", "3")), &["src/a = 1\n3"]);
        check(&(edit("src/a", "2", "3") + "<file path=\"src/a\">1</file>"), &["src/a = 1"]);
    }

    #[test]
    fn refuses_edits_that_say_nothing() {
        let parsed = parse_reply("<edit path=\"a\">just words</edit>");
        assert_eq!((parsed.files.len(), parsed.unmatched.len()), (0, 1));
        let parsed = parse_reply(&("<file path=\"src/a\">1</file>".to_owned() + &edit("src/a", "2", "3")));
        assert_eq!((parsed.files.len(), parsed.unmatched.len()), (0, 1), "nothing of the file without its edit");
    }

    #[test]
    fn what_is_left_out_takes_nothing_else_with_it() {
        let reply = "<file path=\"package.json\">{}</file><file path=\"src/a\">'</file>'</file>\
                     <edit path=\"b\">just words</edit>\
                     <edit target_file=\"src/a\"><instructions>i</instructions><update>u</update></edit>\
                     <package>zod</package><command>echo hi</command>";
        let whole = parse_reply(reply);
        assert_eq!((whole.files.len(), whole.merges.len(), whole.unmatched.len()), (2, 1, 1));
        let left = |left_out: LeaveOut| {
            let mut parsed = whole.clone();
            parsed.leave_out(&left_out);
            assert_eq!((parsed.packages.len(), parsed.commands.len()), (1, 1));
            (parsed.files.len(), parsed.merges.len(), parsed.unmatched.len())
        };
        let nothing = LeaveOut::default();
        assert_eq!(left(nothing.clone()), (2, 1, 1));
        let files = |name: &str| LeaveOut { files: vec![name.parse().expect("valid")], ..LeaveOut::default() };
        assert_eq!(left(files("package.json")), (1, 1, 1));
        assert_eq!(left(files("src/a")), (1, 0, 1), "the edit goes with its file");
        assert_eq!(left(LeaveOut { unmatched: true, ..nothing.clone() }), (2, 1, 0));
        assert_eq!(left(LeaveOut { merges: true, ..nothing }), (2, 0, 1), "the file stays without its edit");
    }

    #[test]
    fn collects_the_rest_once() {
        let parsed = parse_reply(
            "One.\n<package>a</package><packages>b@1, a@2\n; rm -rf /</packages><file path=\"x\"></file>\nTwo.\
             <command>npm test</command><explanation>E</explanation><explanation>F</explanation>",
        );
        assert_eq!(parsed.packages.iter().map(PackageSpec::as_str).collect::<Vec<_>>(), ["a", "b@1"]);
        assert_eq!(parsed.refused_packages.len(), 1);
        assert_eq!(parsed.commands, ["npm test"]);
        assert_eq!((parsed.text.as_str(), parsed.explanation.as_deref()), ("One.\n\nTwo.", Some("E")));
    }

    #[test]
    fn the_same_reply_cut_at_every_byte_gives_the_same_files() {
        let reply = "Hi ✓\n<file path=\"/App.jsx\">\n<b>ü</b>\n</file>\n```css:a.css\nx\n```\n<edit path=\"b\">\n<<<<<<< SEARCH\n1\n=======\n>>>>>>> REPLACE\n</edit><file path=\"c\">cut";
        let whole = parse_reply(reply);
        assert_eq!(whole.files.len(), 4);
        for (at, _) in reply.char_indices() {
            let (mut parser, mut builder) = (ReplyParser::new(), ReplyBuilder::default());
            let mut events = Vec::new();
            parser.push(&reply[..at], &mut events);
            parser.push(&reply[at..], &mut events);
            parser.finish(&mut events);
            events.iter().for_each(|event| builder.push(event));
            assert_eq!(builder.finish(), whole, "cut at {at}");
        }
    }
}
