//! What the parser says: the pieces of a reply, in the order they were written.

/// What a piece of a reply turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyEvent {
    /// Prose, in Markdown, outside all tags.
    Text(String),
    /// A file begins. Its text follows as [`ReplyEvent::FileText`] until it is finished or cut.
    FileStarted {
        /// The path as written; [`crate::codegen::reply_path::place`] says where that is.
        path: String,
        /// What the text will be.
        kind: ReplyFileKind,
    },
    /// The file goes on. The text of all events together has no blanks at its edges.
    FileText(String),
    /// The file was closed properly.
    FileFinished,
    /// The file was not closed: it ended at the next one or with the reply. It must not be written.
    FileCut,
    /// A package to install, as written.
    Package(String),
    /// A shell command to run, as written.
    Command(String),
    /// A block that is passed through, whole.
    Block(ReplyBlock, String),
    /// The reply broke a limit; whatever follows is ignored. A file that was open has been cut.
    LimitReached(ReplyLimit),
}

/// What the text of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyFileKind {
    /// The whole file.
    Whole,
    /// Search/replace blocks.
    Edit,
}

/// A block that is passed through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyBlock {
    /// `<structure>`
    Structure,
    /// `<explanation>`
    Explanation,
    /// `<template>`
    Template,
}

/// The limit a reply broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyLimit {
    /// [`super::REPLY_SIZE_BYTES_MAX`]
    Size,
    /// [`super::REPLY_FILES_MAX`]
    Files,
    /// [`super::REPLY_STEPS_MAX`]
    Steps,
}
