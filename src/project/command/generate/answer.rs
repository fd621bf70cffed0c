//! An answer as it comes in: to events for the room, and staged for later.

use cobuild_protocol::{
    Event, FilePath, MessageId,
    event::{FileDelta, FileRefused, FileStarted, ReasoningDelta, ReplyDelta, TextDelta},
    value::FileAction,
};

use crate::{
    codegen::{
        reply::{ParsedReply, ReplyBuilder},
        reply_parser::{ReplyEvent, ReplyFileKind, ReplyParser},
        reply_path,
    },
    project::{
        error::ProjectError,
        file_tree,
        run::{JobContext, UpdateBody},
    },
};

/// One answer: everything that takes effect together. It may come in several turns, when it is continued or corrected.
pub(super) struct Answer<'a> {
    context: &'a JobContext,
    message: MessageId,
    parser: ReplyParser,
    builder: ReplyBuilder,
    /// The file being typed, if its path is acceptable.
    file: Option<FilePath>,
    /// Whether a file is being typed, acceptable or not.
    is_in_file: bool,
    pieces: Vec<ReplyEvent>,
    verbatim: bool,
}

impl<'a> Answer<'a> {
    /// What comes is part of `message`; `verbatim`: it is wanted as it is written, too.
    pub(super) fn new(context: &'a JobContext, message: MessageId, verbatim: bool) -> Self {
        Self {
            context,
            message,
            parser: ReplyParser::new(),
            builder: ReplyBuilder::new(context.layout),
            file: None,
            is_in_file: false,
            pieces: Vec::new(),
            verbatim,
        }
    }

    pub(super) async fn text(&mut self, text: &str) -> Result<(), ProjectError> {
        if text.is_empty() {
            return Ok(());
        }
        self.parser.push(text, &mut self.pieces);
        let delta = || Event::ReplyDelta(ReplyDelta { message: self.message, text: text.to_owned() });
        let verbatim = self.verbatim.then(delta);
        self.report(verbatim).await
    }

    pub(super) async fn reasoning(&mut self, text: String) -> Result<(), ProjectError> {
        let delta = Event::ReasoningDelta(ReasoningDelta { message: self.message, text });
        Ok(self.context.reporter.event(delta).await?)
    }

    /// Whether it ends inside of a file as it stands.
    pub(super) fn is_unfinished(&self) -> bool {
        self.is_in_file
    }

    /// The model has said all it wanted to. Corrections may follow, as another text.
    pub(super) async fn end(&mut self) -> Result<(), ProjectError> {
        let parser = std::mem::take(&mut self.parser);
        parser.finish(&mut self.pieces);
        self.report(None).await
    }

    /// What it says so far.
    pub(super) fn reply(&self) -> ParsedReply {
        self.builder.clone().finish()
    }

    /// These files are to be written again.
    pub(super) fn forget<'p>(&mut self, paths: impl Iterator<Item = &'p FilePath>) {
        paths.for_each(|path| self.builder.forget(path));
    }

    /// Sends what the parser made of the newest text.
    async fn report(&mut self, verbatim: Option<Event>) -> Result<(), ProjectError> {
        let pieces = std::mem::take(&mut self.pieces);
        let mut events = Vec::with_capacity(pieces.len() + 1);
        events.extend(verbatim);
        for piece in &pieces {
            self.builder.push(piece);
            events.extend(self.event(piece));
        }
        if !events.is_empty() {
            self.context.reporter.report(UpdateBody::Events(events)).await?;
        }
        Ok(())
    }

    fn event(&mut self, piece: &ReplyEvent) -> Option<Event> {
        let message = self.message;
        match piece {
            ReplyEvent::FileStarted { .. } => self.is_in_file = true,
            ReplyEvent::FileFinished | ReplyEvent::FileCut => self.is_in_file = false,
            _ => {}
        }
        match piece {
            ReplyEvent::Text(text) => Some(Event::TextDelta(TextDelta { message, text: text.clone() })),
            ReplyEvent::FileStarted { path, kind } => match reply_path::place(path, *kind, self.context.layout) {
                Ok(path) => {
                    let action = match kind {
                        ReplyFileKind::Edit => FileAction::Edit,
                        ReplyFileKind::Whole => file_tree::action(&self.context.tree.borrow(), &path),
                    };
                    self.file = Some(path.clone());
                    Some(Event::FileStarted(FileStarted { message, path, action }))
                }
                Err(refusal) => {
                    self.file = None;
                    Some(Event::FileRefused(FileRefused { path: refusal.name, reason: refusal.reason }))
                }
            },
            ReplyEvent::FileText(text) => self
                .file
                .clone()
                .map(|path| Event::FileDelta(FileDelta { message, path, text: text.clone(), done: false })),
            ReplyEvent::FileFinished => self
                .file
                .take()
                .map(|path| Event::FileDelta(FileDelta { message, path, text: String::new(), done: true })),
            ReplyEvent::FileCut => {
                self.file = None;
                None
            }
            // What these ask for is done when the reply is complete.
            ReplyEvent::Package(_) | ReplyEvent::Command(_) | ReplyEvent::Block(..) | ReplyEvent::LimitReached(_) => {
                None
            }
        }
    }
}
