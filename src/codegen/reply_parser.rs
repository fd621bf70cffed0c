//! Placeholder of the first commit: signatures.

/// What a piece of a reply turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyEvent {
    /// Prose, outside all tags.
    Text(String),
    /// A file begins. Its text follows as [`ReplyEvent::FileText`] until finished or cut.
    FileStarted {
        /// The path as written; [`super::reply_path::place`] says where that is.
        path: String,
        /// What the text will be.
        kind: ReplyFileKind,
    },
    /// The file goes on.
    FileText(String),
    /// The file was closed properly.
    FileFinished,
    /// The file was not closed: it ended at the next one or at the end of the reply. It must not be written.
    FileCut,
    /// A package to install, as written.
    Package(String),
    /// A shell command to run, as written.
    Command(String),
    /// One of the pass-through blocks, whole.
    Block(ReplyBlock, String),
    /// The reply broke a limit; whatever follows is ignored.
    LimitReached(ReplyLimit),
}

/// What the text between a file's tags is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyFileKind {
    /// The whole file.
    Whole,
    /// Search/replace blocks.
    Edit,
}

/// A block that legacy clients are passed as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyBlock {
    /// `<structure>`
    Structure,
    /// `<explanation>`
    Explanation,
    /// `<template>`
    Template,
}

/// Which limit a reply broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyLimit {
    /// Too long.
    Size,
    /// Too many files.
    Files,
    /// Too many packages or commands.
    Steps,
}

/// Turns a reply into events while it is written.
#[derive(Debug)]
pub struct ReplyParser {}

impl ReplyParser {
    /// A parser at the beginning of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// The reply goes on.
    pub fn push(&mut self, delta: &str, out: &mut Vec<ReplyEvent>) {
        _ = (delta, out);
    }

    /// The reply ends.
    pub fn finish(self, out: &mut Vec<ReplyEvent>) {
        _ = out;
    }
}
