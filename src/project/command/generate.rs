//! `generate`: a prompt, a model's answer, and what the answer does to the project.

use std::collections::BTreeMap;

use cobuild_protocol::{
    Event, FilePath,
    command::Generate,
    event::{FileDelta, FileRefused, FileStarted, MessageAdded, ModelSwitched, ReasoningDelta, ReplyDelta, TextDelta},
    value::{ContentHash, FileAction, MessageRole, Usage},
};
use futures_util::StreamExt;

use super::{
    Acceptance, Desk, PROMPT_SIZE_BYTES_MAX, apply,
    model_choice::{self, Chosen},
};
use crate::{
    codegen::{
        prompt::{self, PromptContext, PromptFile},
        reply::{ParsedReply, ReplyBuilder},
        reply_parser::{ReplyEvent, ReplyFileKind, ReplyParser},
        reply_path,
    },
    project::{
        batch::{Batch, Stamp},
        error::ProjectError,
        figures,
        file_tree::{self, Tree},
        model_provider::{
            ContextFile, ModelChunk, ModelError, ModelParameters, ModelRequest, StopReason, Switch, Turn,
        },
        run::{GenerateWork, JobContext, RunReport, UpdateBody, Work},
        sandbox_link::read_content,
        state::State,
    },
};

/// Most bytes of files and conversation in one request: a quarter of the smallest current context window, counted at
/// four bytes a token.
const CONTEXT_SIZE_BYTES_MAX: usize = 400 * 1024;
/// Files larger than this are named to the model, not shown.
const CONTEXT_FILE_SIZE_BYTES_MAX: u64 = 64 * 1024;
/// Files nobody writes by hand.
const NOT_SHOWN: [&str; 1] = ["package-lock.json"];

pub(super) fn accept(desk: &mut Desk<'_>, command: Generate) -> Result<Acceptance, ProjectError> {
    let Generate { prompt, model, apply, delivery } = command;
    if prompt.trim().is_empty() {
        return Err(ProjectError::BadRequest("prompt must not be blank".into()));
    }
    if prompt.len() > PROMPT_SIZE_BYTES_MAX {
        return Err(ProjectError::TooLarge(format!("prompt has at most {PROMPT_SIZE_BYTES_MAX} bytes")));
    }
    let Chosen { names: models, notice } = model_choice::choose(desk.parts.models.as_ref(), model)?;
    let work = GenerateWork { prompt, models, notice, apply };
    desk.begin_or_queue(Work::Generate(work), delivery)
}

/// Puts the prompt and the answer to come into the conversation.
pub(super) fn open_messages(batch: &mut Batch, state: &State, stamp: Stamp, work: &GenerateWork) {
    let prompt = MessageAdded {
        message: state.next_message(0),
        role: MessageRole::User,
        text: work.prompt.clone(),
        model: None,
        notice: None,
    };
    let answer = MessageAdded {
        message: state.next_message(1),
        role: MessageRole::Assistant,
        text: String::new(),
        model: work.models.first().cloned(),
        notice: work.notice.clone(),
    };
    let run = stamp.run;
    batch.push(Event::MessageAdded(prompt), stamp);
    batch.push(Event::MessageAdded(answer), Stamp { run, ..Stamp::default() });
}

/// The job: ask, stream, and – unless only the answer was wanted – apply.
pub(crate) async fn perform(context: JobContext, work: GenerateWork) -> Result<RunReport, ProjectError> {
    let seen = context.tree.borrow().clone();
    let GenerateWork { prompt, models, apply, notice: _ } = work;
    let request = request(&context, &seen, models, prompt).await?;
    figures::model_called(&request.model);
    let mut chunks = context.parts.models.stream(request);
    let mut answer = Answer::new(&context, &seen, !apply);
    let stop = loop {
        match chunks.next().await {
            Some(Ok(ModelChunk::Stop(reason))) => break reason,
            Some(Ok(chunk)) => answer.take(chunk).await?,
            Some(Err(error)) => return Err(error.into()),
            None => return Err(ModelError::Incomplete.into()),
        }
    };
    drop(chunks);
    let (reply, usage) = answer.finish().await?;
    if let StopReason::Refused(category) = &stop {
        let category = category.as_deref().unwrap_or("no reason given");
        return Err(ModelError::InvalidRequest(format!("the model refused to answer ({category})")).into());
    }
    let cut = stop == StopReason::Truncated || reply.is_cut();
    if apply {
        let bases = seen.iter().map(|(path, info)| (path.clone(), info.hash.clone())).collect();
        apply::put_into_effect(&context, reply, Vec::new(), Some(bases)).await?;
    }
    if cut {
        return Err(ProjectError::CutOff(
            "the answer reached the model's output limit; its complete files were applied, the cut-off one was not",
        ));
    }
    Ok(RunReport { usage })
}

/// What the model is asked.
async fn request(
    context: &JobContext,
    tree: &Tree,
    models: Vec<String>,
    prompt: String,
) -> Result<ModelRequest, ProjectError> {
    let mut files = Vec::with_capacity(tree.len());
    for (path, info) in tree {
        let shown = info.size_bytes <= CONTEXT_FILE_SIZE_BYTES_MAX && !NOT_SHOWN.contains(&path.name());
        let text =
            if shown { String::from_utf8(read_content(&context.parts.store, info).await?.to_vec()).ok() } else { None };
        files.push(PromptFile { path: path.clone(), text });
    }
    let history = context.conversation.turns.clone();
    let important = Vec::new();
    let parts = prompt::build(
        PromptContext { layout: context.layout, files, important, history, prompt },
        CONTEXT_SIZE_BYTES_MAX,
    );
    let mut models = models.into_iter();
    Ok(ModelRequest {
        model: models.next().unwrap_or_default(),
        fallbacks: models.collect(),
        system: parts.system,
        files: parts.files.into_iter().map(|file| ContextFile { path: file.path, text: file.text }).collect(),
        turns: parts.turns.into_iter().map(|turn| Turn { role: turn.role, text: turn.text }).collect(),
        images: Vec::new(),
        parameters: ModelParameters::default(),
    })
}

/// What the base of each file was when the model saw it.
pub(super) type Bases = BTreeMap<FilePath, ContentHash>;

/// An answer as it comes in: to events for the room, and staged for later.
struct Answer<'a> {
    context: &'a JobContext,
    tree: &'a Tree,
    parser: ReplyParser,
    builder: ReplyBuilder,
    /// The file being typed, if its path is acceptable.
    file: Option<FilePath>,
    usage: Option<Usage>,
    pieces: Vec<ReplyEvent>,
    /// Whether the answer itself is wanted, as it is written.
    verbatim: bool,
}

impl<'a> Answer<'a> {
    fn new(context: &'a JobContext, tree: &'a Tree, verbatim: bool) -> Self {
        let (parser, builder) = (ReplyParser::new(), ReplyBuilder::new(context.layout));
        Self { context, tree, parser, builder, file: None, usage: None, pieces: Vec::new(), verbatim }
    }

    async fn take(&mut self, chunk: ModelChunk) -> Result<(), ProjectError> {
        match chunk {
            ModelChunk::Text(text) => {
                self.parser.push(&text, &mut self.pieces);
                let message = self.context.message;
                let verbatim = self.verbatim.then_some(Event::ReplyDelta(ReplyDelta { message, text }));
                self.report(verbatim).await
            }
            ModelChunk::Reasoning(text) => {
                let delta = Event::ReasoningDelta(ReasoningDelta { message: self.context.message, text });
                Ok(self.context.reporter.event(delta).await?)
            }
            ModelChunk::Usage(usage) => {
                self.usage = Some(usage);
                Ok(())
            }
            ModelChunk::Switched(switch) => {
                let Switch { from, to, error } = *switch;
                let (message, error) = (self.context.message, ProjectError::from(error).body());
                let switched = ModelSwitched { message, from, to: to.name, notice: to.notice, error };
                Ok(self.context.reporter.event(Event::ModelSwitched(switched)).await?)
            }
            ModelChunk::Stop(_) => unreachable!("the caller ends at the stop"),
        }
    }

    async fn finish(mut self) -> Result<(ParsedReply, Option<Usage>), ProjectError> {
        let parser = std::mem::take(&mut self.parser);
        parser.finish(&mut self.pieces);
        self.report(None).await?;
        Ok((self.builder.finish(), self.usage))
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
        let message = self.context.message;
        match piece {
            ReplyEvent::Text(text) => Some(Event::TextDelta(TextDelta { message, text: text.clone() })),
            ReplyEvent::FileStarted { path, kind } => match reply_path::place(path, *kind, self.context.layout) {
                Ok(path) => {
                    let action = match kind {
                        ReplyFileKind::Edit => FileAction::Edit,
                        ReplyFileKind::Whole => file_tree::action(self.tree, &path),
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
