//! Placeholder of the first commit: signatures.
use cobuild_protocol::{FilePath, PackageSpec, value::Refusal};

use super::{
    edit_match::SearchReplace,
    reply_parser::{ReplyEvent, ReplyLimit},
};

/// A whole reply, staged: nothing of it is in effect yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedReply {
    /// The prose, tags removed.
    pub text: String,
    /// The files, each path once, in the order of their first mention.
    pub files: Vec<ReplyFile>,
    /// Files that were refused, and why.
    pub refused_files: Vec<Refusal>,
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
    /// Whether something of the reply is missing: a file without its end, or a limit reached.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.limit.is_some() || self.files.iter().any(|file| !file.complete)
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

/// What a reply does to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyChange {
    /// The file has this text now.
    Whole(String),
    /// These blocks are put into the file, by [`super::edit_match::apply_edits`].
    Edit(Vec<SearchReplace>),
}

/// Folds the parser's events into a [`ParsedReply`].
#[derive(Debug, Default)]
pub struct ReplyBuilder {}

impl ReplyBuilder {
    /// An empty reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the parser's next event.
    pub fn push(&mut self, event: &ReplyEvent) {
        _ = event;
    }

    /// The reply is over.
    #[must_use]
    pub fn finish(self) -> ParsedReply {
        ParsedReply::default()
    }
}

/// Parses a whole reply.
#[must_use]
pub fn parse_reply(reply: &str) -> ParsedReply {
    _ = reply;
    ParsedReply::default()
}
