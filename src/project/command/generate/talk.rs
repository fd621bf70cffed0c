//! The calls of the model in one run: each within the budget, each with its reason on record and its price, and each
//! answer continued where the model's output limit cut it.

use std::collections::HashMap;

use cobuild_protocol::{
    Event, MessageId,
    event::{ContextTrimmed, ModelRetried, ModelSwitched, TurnStarted},
    value::{MessageRole, TurnReason},
};
use futures_util::StreamExt;

use super::{answer::Answer, compaction, context::View};
use crate::{
    codegen::{feedback, prompt, seam::Seam},
    project::{
        command::{
            aside::{Aside, News},
            meter::Meter,
        },
        error::ProjectError,
        model_provider::{Image, ModelChunk, ModelError, ModelInfo, ModelRequest, Retry, StopReason, Switch, Turn},
        page_reader::PageKind,
        run::{GenerateWork, JobContext, Picture, Wish},
    },
};

/// How often one answer is continued. With today's output limits four parts are far beyond any app.
const CONTINUATIONS_MAX: u32 = 3;
/// How often a request that is longer than the model's window is sent again, half as long each time.
const TRIMS_MAX: u32 = 3;

/// What is kept of an earlier round of the run when the window is too small for all of it: the files are as they are now
/// in the latest one.
const ROUND_SIZE_BYTES_MAX: usize = 1024;

/// The conversation with the model in one run.
pub(super) struct Talk<'a> {
    context: &'a JobContext,
    model: ModelInfo,
    /// Those to ask when it fails before its first byte.
    fallbacks: Vec<String>,
    message: MessageId,
    /// What every call begins with: instructions, files, the conversation so far.
    view: View,
    /// What was said in this run, from the prompt on; the last turn is the one to answer.
    turns: Vec<Turn>,
    images: Vec<Image>,
    rounds: HashMap<TurnReason, u32>,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The model was done.
    Complete,
    /// It could not finish, however often it was continued.
    Cut,
}

impl<'a> Talk<'a> {
    /// Everything that comes before the first call: what the model is to see – and, where the conversation has outgrown
    /// its window, the summary of it.
    pub(super) async fn begin(context: &'a JobContext, work: &GenerateWork) -> Result<Self, ProjectError> {
        let view = View::gather(context, &work.model, &work.wish).await?;
        let mut talk = Self {
            context,
            model: work.model.clone(),
            fallbacks: work.fallbacks.clone(),
            message: context.message,
            view,
            turns: Vec::new(),
            images: Vec::new(),
            rounds: HashMap::new(),
        };
        let text = talk.worded(&work.wish).await.map_err(ProjectError::BadRequest)?;
        talk.ask_for(if work.mode.is_build() { text } else { feedback::plan(&text) }, &work.wish.images);
        compaction::compact(&mut talk).await?;
        talk.record_trimming().await?;
        Ok(talk)
    }

    /// The message that answers go to now.
    pub(super) fn message(&self) -> MessageId {
        self.message
    }

    /// Says something to the model that it is to answer; the next [`Talk::ask`] does.
    pub(super) async fn say(&mut self, reason: TurnReason, text: String, detail: String) -> Result<(), ProjectError> {
        self.turns.push(Turn { role: MessageRole::User, text });
        self.announce(reason, Some(detail)).await
    }

    /// Another prompt joins the run. Its answer is a message of its own, behind it. A page that it names and that cannot be
    /// read is no reason to end what others are waiting for: the model and the room are told.
    pub(super) async fn join(&mut self, wish: Wish, problem: Option<&str>) -> Result<(), ProjectError> {
        let (text, unread) = match self.worded(&wish).await {
            Ok(text) => (text, None),
            Err(reason) => (feedback::without_page(&worded_without_page(&wish), &reason), Some(reason)),
        };
        self.message = self.context.reporter.open_answer(&self.model).await?;
        self.ask_for(problem.map_or_else(|| text.clone(), |problem| feedback::besides(&text, problem)), &wish.images);
        self.announce(TurnReason::Steer, unread).await
    }

    /// The model's next answer, to the end. What it says goes to `answer` as it comes.
    pub(super) async fn ask(&mut self, answer: &mut Answer<'_>) -> Result<Ending, ProjectError> {
        let mut said = String::new();
        let mut stop = self.call(answer, &mut said, None).await?;
        let mut continued = 0;
        while (stop == StopReason::Truncated || answer.is_unfinished()) && continued < CONTINUATIONS_MAX {
            if said.is_empty() {
                break; // All of its limit went into reasoning: there is nothing to continue.
            }
            continued += 1;
            self.announce(TurnReason::Continuation, None).await?;
            stop = self.call(answer, &mut said, Some(())).await?;
        }
        let is_cut = stop == StopReason::Truncated || answer.is_unfinished();
        answer.end().await?;
        self.turns.push(Turn { role: MessageRole::Assistant, text: said });
        Ok(if is_cut { Ending::Cut } else { Ending::Complete })
    }

    /// Asks something beside the conversation and returns the text of the answer.
    pub(super) async fn ask_aside(
        &mut self,
        reason: TurnReason,
        system: &str,
        mut question: String,
    ) -> Result<String, ProjectError> {
        self.announce(reason, None).await?;
        let request = self.aside(system, &question);
        let mut aside = Aside::ask(self.context, self.message, &self.model, request)?;
        let ended = loop {
            match aside.next().await {
                News::Switched(switch) => {
                    self.switch(*switch, 0).await?;
                    if question.len() > self.view.budget_bytes() {
                        prompt::shorten(&mut question, self.view.budget_bytes());
                        aside.ask_anew(self.aside(system, &question));
                    }
                }
                News::Retried(retry) => self.retried(*retry).await?,
                News::Ended(ended) => break ended,
            }
        };
        aside.settle().await?;
        match ended? {
            (_, StopReason::Refused(category)) => Err(refused(category)),
            (text, StopReason::Complete | StopReason::Truncated) => Ok(text),
        }
    }

    fn aside(&self, system: &str, question: &str) -> ModelRequest {
        ModelRequest {
            model: self.model.name.clone(),
            fallbacks: self.fallbacks.clone(),
            system: system.to_owned(),
            turns: vec![Turn { role: MessageRole::User, text: question.to_owned() }],
            ..ModelRequest::default()
        }
    }

    pub(super) fn context(&self) -> &'a JobContext {
        self.context
    }

    pub(super) fn view(&mut self) -> &mut View {
        &mut self.view
    }

    pub(super) fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// The model is asked again in a while: nobody should wonder why nothing comes.
    async fn retried(&self, retry: Retry) -> Result<(), ProjectError> {
        let Retry { attempt, wait, error } = retry;
        let after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let error = ProjectError::from(error).body();
        let retried = ModelRetried { message: self.message, attempt, after_ms, error };
        self.context.reporter.event(Event::ModelRetried(retried)).await?;
        Ok(())
    }

    /// The model failed before its first byte, and another answers – from now on, for the whole run. Says whether it is to
    /// be sent something else: as much as fits into its own window. `said` is how much of the present answer goes along.
    async fn switch(&mut self, switch: Switch, said: usize) -> Result<bool, ProjectError> {
        let Switch { from, to, error } = switch;
        let (message, error) = (self.message, ProjectError::from(error).body());
        let switched = ModelSwitched { message, from, to: to.name.clone(), notice: to.notice.clone(), error };
        self.context.reporter.event(Event::ModelSwitched(switched)).await?;
        if let Some(at) = self.fallbacks.iter().position(|name| *name == to.name) {
            self.fallbacks.drain(..=at);
        }
        self.model = to;
        self.view.adopt(&self.model);
        let shortened = !self.view.has_room_for(self.run_bytes(said)) && self.shorten_rounds();
        let changed = self.view.choose_beside(self.run_bytes(said));
        if changed {
            self.record_trimming().await?;
        }
        Ok(shortened || changed)
    }

    /// A prompt as the model gets it: with the page to imitate, if there is one. Where that cannot be read: why.
    async fn worded(&self, wish: &Wish) -> Result<String, String> {
        let prompt = worded_without_page(wish);
        let Some(address) = &wish.url else { return Ok(prompt) };
        match self.context.parts.pages.read(address, PageKind::Html).await {
            Ok(page) => Ok(feedback::with_page(&prompt, address.as_str(), &page.text)),
            Err(error) => Err(error.to_string()),
        }
    }

    fn ask_for(&mut self, text: String, pictures: &[Picture]) {
        self.turns.push(Turn { role: MessageRole::User, text });
        let image = |picture: &Picture| Image {
            media_type: picture.media_type.as_str().to_owned(),
            data: picture.data.clone(),
        };
        self.images = pictures.iter().map(image).collect();
    }

    /// Puts a further call and its reason on record.
    async fn announce(&mut self, reason: TurnReason, detail: Option<String>) -> Result<(), ProjectError> {
        let round = self.rounds.entry(reason).or_default();
        *round += 1;
        let started = TurnStarted {
            message: self.message,
            turn: self.context.spending.next_call(),
            reason,
            round: *round,
            detail,
        };
        Ok(self.context.reporter.event(Event::TurnStarted(started)).await?)
    }

    /// After a call for something else: the next one answers the prompt.
    pub(super) async fn announce_prompt(&mut self) -> Result<(), ProjectError> {
        self.announce(TurnReason::Prompt, None).await
    }

    async fn record_trimming(&mut self) -> Result<(), ProjectError> {
        let Some((messages_dropped, files_without_text)) = self.view.trimmed() else { return Ok(()) };
        let trimmed = ContextTrimmed {
            messages_dropped,
            files_without_text,
            budget_bytes: self.view.budget_bytes() as u64,
            context_tokens_max: self.model.context_tokens_max,
        };
        Ok(self.context.reporter.event(Event::ContextTrimmed(trimmed)).await?)
    }

    /// One call. `seam`: it goes on where `said` was cut off.
    async fn call(
        &mut self,
        answer: &mut Answer<'_>,
        said: &mut String,
        seam: Option<()>,
    ) -> Result<StopReason, ProjectError> {
        let mut trims = 0;
        // Of a call that goes on with another request.
        let mut passed_on: Option<Meter<'a>> = None;
        loop {
            let said_before = seam.map_or(0, |()| said.len());
            self.fit(said_before).await?;
            let request = self.request(seam.map(|()| said.as_str()));
            let mut meter = match passed_on.take() {
                Some(mut meter) => {
                    meter.asks_anew(&request);
                    meter
                }
                None => Meter::begin(self.context, self.message, &self.model, &request)?,
            };
            let mut seam = seam.map(|()| Seam::new(said));
            let mut chunks = self.context.parts.models.stream(request);
            let mut heard = false;
            let ended = loop {
                match chunks.next().await {
                    Some(Ok(ModelChunk::Text(text))) => {
                        heard = true;
                        meter.said(text.len());
                        let text = seam.as_mut().map_or_else(|| text.clone(), |seam| seam.push(&text));
                        said.push_str(&text);
                        answer.text(&text).await?;
                    }
                    Some(Ok(ModelChunk::Reasoning(text))) => {
                        heard = true;
                        meter.said(text.len());
                        answer.reasoning(text).await?;
                    }
                    Some(Ok(ModelChunk::Usage(usage))) => meter.learned(usage),
                    Some(Ok(ModelChunk::Switched(switch))) => {
                        let is_refitted = self.switch(*switch, said_before).await?;
                        meter.switched(&self.model);
                        // Nothing has been sent to it yet.
                        if is_refitted && !heard {
                            break None;
                        }
                    }
                    Some(Ok(ModelChunk::Retried(retry))) => self.retried(*retry).await?,
                    Some(Ok(ModelChunk::Stop(reason))) => break Some(Ok(reason)),
                    Some(Err(error)) => break Some(Err(error)),
                    None => break Some(Err(ModelError::Incomplete)),
                }
            };
            drop(chunks);
            let Some(ended) = ended else {
                passed_on = Some(meter);
                continue;
            };
            if let Some(mut seam) = seam {
                let rest = seam.finish();
                said.push_str(&rest);
                answer.text(&rest).await?;
            }
            // After the first byte nothing is tried again: what was said would be said twice.
            let is_too_long = !heard && matches!(ended, Err(ModelError::ContextTooLong)) && trims < TRIMS_MAX;
            if is_too_long && (self.view.halve() || self.shorten_rounds()) {
                // Refused before anything was computed: sent again, shorter.
                meter.void().await?;
                trims += 1;
                self.record_trimming().await?;
                continue;
            }
            meter.settle().await?;
            return match ended? {
                StopReason::Refused(category) => Err(refused(category)),
                stop => Ok(stop),
            };
        }
    }

    /// Sees to it that the next request fits into the model's window, as far as it is known: repairs and continuations make
    /// it grow. `said` is how much of the present answer goes along.
    async fn fit(&mut self, said: usize) -> Result<(), ProjectError> {
        if !self.view.has_room_for(self.run_bytes(said)) {
            self.shorten_rounds();
        }
        if self.view.make_room(self.run_bytes(said)) {
            self.record_trimming().await?;
        }
        Ok(())
    }

    /// How much was said in this run, and `said` of the present answer.
    fn run_bytes(&self, said: usize) -> usize {
        self.turns.iter().map(|turn| turn.text.len()).sum::<usize>() + said
    }

    /// Shortens what was said between the prompt and the turn to answer. Says whether there was anything to shorten.
    fn shorten_rounds(&mut self) -> bool {
        let last = self.turns.len().saturating_sub(1);
        let mut shortened = false;
        for turn in self.turns.iter_mut().take(last).skip(1).filter(|turn| turn.text.len() > 2 * ROUND_SIZE_BYTES_MAX) {
            prompt::shorten(&mut turn.text, ROUND_SIZE_BYTES_MAX);
            shortened = true;
        }
        shortened
    }

    /// The request for the next call. With `said`, the model is asked to go on behind that.
    fn request(&self, said: Option<&str>) -> ModelRequest {
        let (system, files, mut turns) = self.view.parts();
        turns.extend(self.turns.iter().cloned());
        if let Some(said) = said {
            turns.push(Turn { role: MessageRole::Assistant, text: said.to_owned() });
            turns.push(Turn { role: MessageRole::User, text: feedback::continuation(said) });
        }
        ModelRequest {
            model: self.model.name.clone(),
            fallbacks: self.fallbacks.clone(),
            system,
            files,
            turns,
            images: self.images.clone(),
            ..ModelRequest::default()
        }
    }
}

fn worded_without_page(wish: &Wish) -> String {
    match &wish.background {
        Some(text) => feedback::with_background(&wish.prompt, text),
        None => wish.prompt.clone(),
    }
}

fn refused(category: Option<String>) -> ProjectError {
    let category = category.as_deref().unwrap_or("no reason given");
    ModelError::InvalidRequest(format!("the model refused to answer ({category})")).into()
}
