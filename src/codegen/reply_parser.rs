//! The one parser of model replies: deltas in, prose, files, packages and commands out, while the model still writes.
//!
//! The result does not depend on how the reply was cut into deltas: text is passed on as soon as it cannot be part of
//! a tag, a fence or the blank edge of a file any more, and never before. What the events *mean* for a project (which
//! of two versions wins, where a path lies) is [`super::reply`]'s business.

mod event;
mod markup;
#[cfg(test)]
mod tests;
mod text;

use std::mem;

pub use self::event::{ReplyBlock, ReplyEvent, ReplyFileKind, ReplyLimit};
use self::{
    markup::{Fence, Mark, Tag, TagName},
    text::{AddText, EdgeTrimmer, add_file_text, add_prose, backticks, is_line_start},
};

/// Longest reply. The longest outputs of models (128,000 tokens) are about 512 KiB; eight times that is a loop.
pub const REPLY_SIZE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most files in one reply, counting every beginning: more than any app written in one go, few enough to list.
pub const REPLY_FILES_MAX: usize = 256;
/// Most packages and commands in one reply, together; each costs a process in the sandbox.
pub const REPLY_STEPS_MAX: usize = 128;
/// Longest text of a tag that is held back whole (package, command, explanation …). What is longer becomes prose.
const BLOCK_SIZE_BYTES_MAX: usize = 32 * 1024;

/// Turns a reply into events while it is being written.
#[derive(Debug)]
pub struct ReplyParser {
    /// What could not be decided yet; at most a tag's or a fence's window.
    buffer: String,
    mode: Mode,
    text: EdgeTrimmer,
    /// Whether only blanks stand between the last line's end and the present place.
    line_start: bool,
    /// The fence in the prose that is open, if any.
    fence: Option<ProseFence>,
    size_bytes: usize,
    files: usize,
    steps: usize,
    stopped: bool,
}

#[derive(Debug)]
enum Mode {
    Prose,
    File(FileEnd),
    Block(TagName, String),
}

/// What closes a file.
#[derive(Debug, Clone, Copy)]
enum FileEnd {
    Tag(TagName),
    Fence { ticks: usize },
}

#[derive(Debug, Clone, Copy)]
struct ProseFence {
    ticks: usize,
    /// It held the reply itself and was taken away; so is its end.
    is_wrapper: bool,
}

/// What one step did.
enum Step {
    /// It took this many bytes.
    Took(usize),
    /// It changed the mode and took nothing.
    Again,
    /// It needs more text.
    Wait,
}

impl Default for ReplyParser {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplyParser {
    /// A parser at the beginning of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: String::new(),
            mode: Mode::Prose,
            text: EdgeTrimmer::default(),
            line_start: true,
            fence: None,
            size_bytes: 0,
            files: 0,
            steps: 0,
            stopped: false,
        }
    }

    /// The reply goes on. Events are added to `out`.
    pub fn push(&mut self, delta: &str, out: &mut Vec<ReplyEvent>) {
        if self.stopped {
            return;
        }
        let room = REPLY_SIZE_BYTES_MAX - self.size_bytes;
        let taken = &delta[..delta.floor_char_boundary(room)];
        self.size_bytes += taken.len();
        self.buffer.push_str(taken);
        self.run(false, out);
        if taken.len() < delta.len() {
            self.run(true, out);
            self.stop(ReplyLimit::Size, out);
        }
    }

    /// The reply ends, properly or not.
    pub fn finish(mut self, out: &mut Vec<ReplyEvent>) {
        self.run(true, out);
        self.cut(out);
    }

    fn run(&mut self, end: bool, out: &mut Vec<ReplyEvent>) {
        let mut buffer = mem::take(&mut self.buffer);
        let mut at = 0;
        while at < buffer.len() && !self.stopped {
            match self.step(&buffer[at..], end, out) {
                Step::Took(len) => at += len,
                Step::Again => {}
                Step::Wait => break,
            }
        }
        buffer.drain(..at);
        self.buffer = buffer;
    }

    fn step(&mut self, rest: &str, end: bool, out: &mut Vec<ReplyEvent>) -> Step {
        match self.mode {
            Mode::Prose => self.prose_step(rest, end, out),
            Mode::File(FileEnd::Tag(name)) => self.tagged_file_step(name, rest, end, out),
            Mode::File(FileEnd::Fence { ticks }) => self.fenced_file_step(ticks, rest, end, out),
            Mode::Block(name, _) => self.block_step(name, rest, end, out),
        }
    }

    // ---- prose -------------------------------------------------------------------------------------------------

    fn prose_step(&mut self, rest: &str, end: bool, out: &mut Vec<ReplyEvent>) -> Step {
        let ordinary = self.before_mark(rest);
        if ordinary > 0 {
            return self.take_prose(rest, ordinary, out);
        }
        if rest.starts_with('`') {
            return self.prose_fence_step(rest, end, out);
        }
        match markup::tag(rest, end) {
            Mark::None => self.take_prose(rest, 1, out),
            Mark::Undecided => Step::Wait,
            Mark::Found(Tag::Open(name) | Tag::Close(name), _) if self.is_code(name) => self.take_prose(rest, 1, out),
            Mark::Found(tag, len) => {
                self.line_start = false;
                match tag {
                    Tag::OpenFile { name, path } => self.start_file(path, FileEnd::Tag(name), out),
                    Tag::Open(name) => self.mode = Mode::Block(name, String::new()),
                    Tag::Close(_) => {}
                }
                Step::Took(len)
            }
        }
    }

    fn prose_fence_step(&mut self, rest: &str, end: bool, out: &mut Vec<ReplyEvent>) -> Step {
        match markup::fence(rest, end, self.fence.map(|fence| fence.ticks)) {
            Mark::None => self.take_prose(rest, backticks(rest), out),
            Mark::Undecided => Step::Wait,
            Mark::Found(Fence::File { path, ticks }, len) => {
                self.start_file(&path, FileEnd::Fence { ticks }, out);
                Step::Took(len)
            }
            Mark::Found(Fence::Wrapper { ticks }, len) => {
                self.fence = Some(ProseFence { ticks, is_wrapper: true });
                self.line_start = true;
                Step::Took(len)
            }
            Mark::Found(Fence::Plain { ticks }, len) => {
                self.fence = Some(ProseFence { ticks, is_wrapper: false });
                self.take_prose(rest, len, out)
            }
            Mark::Found(Fence::Bare, len) => match self.fence.take() {
                Some(fence) if fence.is_wrapper => {
                    self.line_start = true;
                    Step::Took(len)
                }
                _ => self.take_prose(rest, len, out),
            },
        }
    }

    /// Whether a tag is a piece of somebody's code rather than of the reply: `<template>` in a fence is Vue.
    fn is_code(&self, name: TagName) -> bool {
        let is_block = matches!(name, TagName::Structure | TagName::Explanation | TagName::Template);
        is_block && self.fence.is_some_and(|fence| !fence.is_wrapper)
    }

    fn take_prose(&mut self, rest: &str, len: usize, out: &mut Vec<ReplyEvent>) -> Step {
        self.take_text(rest, len, out, add_prose)
    }

    // ---- files -------------------------------------------------------------------------------------------------

    fn start_file(&mut self, path: &str, close: FileEnd, out: &mut Vec<ReplyEvent>) {
        if self.files == REPLY_FILES_MAX {
            return self.stop(ReplyLimit::Files, out);
        }
        self.files += 1;
        let kind = match close {
            FileEnd::Tag(TagName::Edit) => ReplyFileKind::Edit,
            FileEnd::Tag(_) | FileEnd::Fence { .. } => ReplyFileKind::Whole,
        };
        out.push(ReplyEvent::FileStarted { path: path.to_owned(), kind });
        self.text = EdgeTrimmer::default();
        self.line_start = true;
        self.mode = Mode::File(close);
    }

    fn end_file(&mut self, event: ReplyEvent, out: &mut Vec<ReplyEvent>) {
        out.push(event);
        self.text = EdgeTrimmer::default();
        self.mode = Mode::Prose;
    }

    fn tagged_file_step(&mut self, name: TagName, rest: &str, end: bool, out: &mut Vec<ReplyEvent>) -> Step {
        let ordinary = memchr::memchr(b'<', rest.as_bytes()).unwrap_or(rest.len());
        if ordinary > 0 {
            return self.take_file_text(rest, ordinary, out);
        }
        match markup::tag(rest, end) {
            Mark::Undecided => Step::Wait,
            Mark::Found(Tag::Close(closed), len) if closed == name && rest.as_bytes()[1] == b'/' => {
                self.line_start = false;
                self.end_file(ReplyEvent::FileFinished, out);
                Step::Took(len)
            }
            Mark::Found(Tag::OpenFile { .. }, _) => {
                self.end_file(ReplyEvent::FileCut, out);
                Step::Again
            }
            Mark::None | Mark::Found(..) => self.take_file_text(rest, 1, out),
        }
    }

    fn fenced_file_step(&mut self, ticks: usize, rest: &str, end: bool, out: &mut Vec<ReplyEvent>) -> Step {
        let ordinary = self.before_mark(rest);
        if ordinary > 0 {
            return self.take_file_text(rest, ordinary, out);
        }
        if rest.starts_with('`') {
            return match markup::fence_end(rest, end, ticks) {
                Mark::Undecided => Step::Wait,
                Mark::None => self.take_file_text(rest, backticks(rest), out),
                Mark::Found((), len) => {
                    self.line_start = true;
                    self.end_file(ReplyEvent::FileFinished, out);
                    Step::Took(len)
                }
            };
        }
        match markup::tag(rest, end) {
            Mark::Undecided => Step::Wait,
            Mark::Found(Tag::OpenFile { .. }, _) => {
                self.end_file(ReplyEvent::FileCut, out);
                Step::Again
            }
            Mark::None | Mark::Found(..) => self.take_file_text(rest, 1, out),
        }
    }

    fn take_file_text(&mut self, rest: &str, len: usize, out: &mut Vec<ReplyEvent>) -> Step {
        self.take_text(rest, len, out, add_file_text)
    }

    // ---- packages, commands, blocks ----------------------------------------------------------------------------

    fn block_step(&mut self, name: TagName, rest: &str, end: bool, out: &mut Vec<ReplyEvent>) -> Step {
        let Mode::Block(_, text) = &mut self.mode else { return Step::Again };
        let room = BLOCK_SIZE_BYTES_MAX - text.len();
        let ordinary = memchr::memchr(b'<', rest.as_bytes()).unwrap_or(rest.len());
        let taken = rest.floor_char_boundary(ordinary.min(room));
        if ordinary > taken {
            text.push_str(&rest[..taken]);
            return self.abandon_block(taken, out);
        }
        if ordinary > 0 {
            text.push_str(&rest[..ordinary]);
            return Step::Took(ordinary);
        }
        match markup::tag(rest, end) {
            Mark::Undecided => Step::Wait,
            Mark::None if room == 0 => self.abandon_block(0, out),
            Mark::None => {
                text.push('<');
                Step::Took(1)
            }
            Mark::Found(Tag::Close(closed), len) if closed == name => {
                let text = mem::take(text);
                self.mode = Mode::Prose;
                self.add_block(name, text.trim(), out);
                Step::Took(len)
            }
            Mark::Found(..) => self.abandon_block(0, out),
        }
    }

    /// The block was never closed: what it held is prose, and nothing of it is run or installed.
    fn abandon_block(&mut self, taken: usize, out: &mut Vec<ReplyEvent>) -> Step {
        if let Mode::Block(_, text) = mem::replace(&mut self.mode, Mode::Prose) {
            self.take_prose(&text, text.len(), out);
        }
        if taken > 0 { Step::Took(taken) } else { Step::Again }
    }

    fn add_block(&mut self, name: TagName, text: &str, out: &mut Vec<ReplyEvent>) {
        let block = |block| ReplyEvent::Block(block, text.to_owned());
        match name {
            TagName::Package => self.add_step(ReplyEvent::Package(text.to_owned()), text, out),
            TagName::Packages => {
                for name in text.split(['\n', ',']).map(str::trim) {
                    self.add_step(ReplyEvent::Package(name.to_owned()), name, out);
                }
            }
            TagName::Command => self.add_step(ReplyEvent::Command(text.to_owned()), text, out),
            TagName::Structure => out.push(block(ReplyBlock::Structure)),
            TagName::Explanation => out.push(block(ReplyBlock::Explanation)),
            TagName::Template => out.push(block(ReplyBlock::Template)),
            TagName::File | TagName::Edit => {}
        }
    }

    fn add_step(&mut self, event: ReplyEvent, text: &str, out: &mut Vec<ReplyEvent>) {
        if text.is_empty() || self.stopped {
            return;
        }
        if self.steps == REPLY_STEPS_MAX {
            return self.stop(ReplyLimit::Steps, out);
        }
        self.steps += 1;
        out.push(event);
    }

    // ---- shared ------------------------------------------------------------------------------------------------

    /// How many bytes come before the next `<`, or the next backtick at the beginning of a line.
    fn before_mark(&self, rest: &str) -> usize {
        let mut line_start = self.line_start;
        let mut from = 0;
        while let Some(found) = memchr::memchr2(b'<', b'`', &rest.as_bytes()[from..]) {
            let at = from + found;
            line_start = is_line_start(line_start, &rest[from..at]);
            if rest.as_bytes()[at] == b'<' || line_start {
                return at;
            }
            from = at + backticks(&rest[at..]);
        }
        rest.len()
    }

    fn take_text(&mut self, rest: &str, len: usize, out: &mut Vec<ReplyEvent>, add: AddText) -> Step {
        let text = &rest[..len];
        self.line_start = is_line_start(self.line_start, text);
        self.text.push(text, |solid| add(out, solid));
        Step::Took(len)
    }

    fn stop(&mut self, limit: ReplyLimit, out: &mut Vec<ReplyEvent>) {
        if self.stopped {
            return;
        }
        self.cut(out);
        self.stopped = true;
        out.push(ReplyEvent::LimitReached(limit));
    }

    /// Ends what is open.
    fn cut(&mut self, out: &mut Vec<ReplyEvent>) {
        match self.mode {
            Mode::Prose => {}
            Mode::File(_) => self.end_file(ReplyEvent::FileCut, out),
            Mode::Block(..) => {
                self.abandon_block(0, out);
            }
        }
    }
}
