//! The calls of the model in one run: each within the budget, each with its reason on record and its price, and each
//! answer continued where the model's output limit cut it.

use std::collections::HashMap;

use cobuild_protocol::{
    Event, MessageId,
    event::{ContextTrimmed, ModelSwitched, TurnStarted},
    value::{MessageRole, TurnReason, UsageTotal},
};
use futures_util::StreamExt;

use super::{answer::Answer, compaction, context::View, meter::Meter};
use crate::{
    codegen::{feedback, prompt, seam::Seam},
    project::{
        error::ProjectError,
        figures,
        model_provider::{Image, ModelChunk, ModelError, ModelInfo, ModelRequest, StopReason, Switch, Turn},
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
    calls: u32,
    rounds: HashMap<TurnReason, u32>,
    spent: UsageTotal,
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
            calls: 0,
            rounds: HashMap::new(),
            spent: UsageTotal::default(),
        };
        let text = talk.worded(&work.wish).await?;
        talk.ask_for(if work.mode.is_build() { text } else { feedback::plan(&text) }, &work.wish.images);
        compaction::compact(&mut talk).await?;
        talk.record_trimming().await?;
        Ok(talk)
    }

    /// The message that answers go to now.
    pub(super) fn message(&self) -> MessageId {
        self.message
    }

    /// What the run consumed so far.
    pub(super) fn spent(&self) -> &UsageTotal {
        &self.spent
    }

    /// Says something to the model that it is to answer; the next [`Talk::ask`] does.
    pub(super) async fn say(&mut self, reason: TurnReason, text: String, detail: String) -> Result<(), ProjectError> {
        self.turns.push(Turn { role: MessageRole::User, text });
        self.announce(reason, Some(detail)).await
    }

    /// Another prompt joins the run. Its answer is a message of its own, behind it.
    pub(super) async fn join(&mut self, wish: Wish, problem: Option<&str>) -> Result<(), ProjectError> {
        let text = self.worded(&wish).await?;
        self.message = self.context.reporter.open_answer(&self.model).await?;
        self.ask_for(problem.map_or_else(|| text.clone(), |problem| feedback::besides(&text, problem)), &wish.images);
        self.announce(TurnReason::Steer, None).await
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
        question: String,
    ) -> Result<String, ProjectError> {
        self.announce(reason, None).await?;
        let turns = vec![Turn { role: MessageRole::User, text: question }];
        let request = ModelRequest {
            model: self.model.name.clone(),
            fallbacks: self.fallbacks.clone(),
            system: system.to_owned(),
            turns,
            ..ModelRequest::default()
        };
        let mut text = String::new();
        let mut meter = self.meter(&request)?;
        let mut chunks = self.context.parts.models.stream(request);
        let ended = loop {
            match chunks.next().await {
                Some(Ok(ModelChunk::Text(more))) => {
                    meter.said(more.len());
                    text.push_str(&more);
                }
                Some(Ok(ModelChunk::Reasoning(more))) => meter.said(more.len()),
                Some(Ok(ModelChunk::Usage(usage))) => meter.learned(usage),
                Some(Ok(ModelChunk::Switched(switch))) => self.switch(*switch).await?,
                Some(Ok(ModelChunk::Stop(_))) => break Ok(()),
                Some(Err(error)) => break Err(error),
                None => break Err(ModelError::Incomplete),
            }
        };
        let usage = meter.settle().await?;
        self.spent = self.spent.with(&usage);
        ended?;
        Ok(text)
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

    /// The model failed before its first byte, and another answers – from now on, for the whole run.
    async fn switch(&mut self, switch: Switch) -> Result<(), ProjectError> {
        let Switch { from, to, error } = switch;
        let (message, error) = (self.message, ProjectError::from(error).body());
        let switched = ModelSwitched { message, from, to: to.name.clone(), notice: to.notice.clone(), error };
        self.context.reporter.event(Event::ModelSwitched(switched)).await?;
        if let Some(at) = self.fallbacks.iter().position(|name| *name == to.name) {
            self.fallbacks.drain(..=at);
        }
        self.model = to;
        Ok(())
    }

    /// A prompt as the model gets it: with the page to imitate, if there is one.
    async fn worded(&self, wish: &Wish) -> Result<String, ProjectError> {
        let prompt = match &wish.background {
            Some(text) => feedback::with_background(&wish.prompt, text),
            None => wish.prompt.clone(),
        };
        let Some(address) = &wish.url else { return Ok(prompt) };
        let page = self.context.parts.pages.read(address, PageKind::Html).await;
        let page = page.map_err(|error| ProjectError::BadRequest(error.to_string()))?;
        Ok(feedback::with_page(&prompt, address.as_str(), &page.text))
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
        let started = TurnStarted { message: self.message, turn: self.calls + 1, reason, round: *round, detail };
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
        loop {
            self.fit(seam.map_or(0, |()| said.len())).await?;
            let request = self.request(seam.map(|()| said.as_str()));
            let mut meter = self.meter(&request)?;
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
                    Some(Ok(ModelChunk::Switched(switch))) => self.switch(*switch).await?,
                    Some(Ok(ModelChunk::Stop(reason))) => break Ok(reason),
                    Some(Err(error)) => break Err(error),
                    None => break Err(ModelError::Incomplete),
                }
            };
            drop(chunks);
            if let Some(mut seam) = seam {
                let rest = seam.finish();
                said.push_str(&rest);
                answer.text(&rest).await?;
            }
            // After the first byte nothing is tried again: what was said would be said twice.
            let is_too_long = !heard && matches!(ended, Err(ModelError::ContextTooLong)) && trims < TRIMS_MAX;
            if is_too_long && (self.view.halve() || self.shorten_rounds()) {
                // Refused before anything was computed: sent again, shorter.
                meter.void();
                trims += 1;
                self.calls -= 1;
                self.record_trimming().await?;
                continue;
            }
            let usage = meter.settle().await?;
            self.spent = self.spent.with(&usage);
            return match ended? {
                StopReason::Refused(category) => {
                    let category = category.as_deref().unwrap_or("no reason given");
                    Err(ModelError::InvalidRequest(format!("the model refused to answer ({category})")).into())
                }
                stop => Ok(stop),
            };
        }
    }

    /// Sees to it that the next request fits into the model's window, as far as it is known: repairs and continuations make
    /// it grow. `said` is how much of the present answer goes along.
    async fn fit(&mut self, said: usize) -> Result<(), ProjectError> {
        let run_bytes = |talk: &Self| talk.turns.iter().map(|turn| turn.text.len()).sum::<usize>() + said;
        if !self.view.has_room_for(run_bytes(self)) {
            self.shorten_rounds();
        }
        if self.view.make_room(run_bytes(self)) {
            self.record_trimming().await?;
        }
        Ok(())
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

    /// Counts the call that is about to be made – if there is budget left for it.
    fn meter(&mut self, request: &ModelRequest) -> Result<Meter<'a>, ProjectError> {
        self.check_budget()?;
        figures::model_called(&request.model);
        self.calls += 1;
        let files = request.files.iter().filter_map(|file| file.text.as_ref()).map(String::len);
        let turns = request.turns.iter().map(|turn| turn.text.len());
        let asked = request.system.len() + files.chain(turns).sum::<usize>();
        let (reporter, window) = (&self.context.reporter, self.model.context_tokens_max);
        Ok(Meter::new(reporter, self.message, self.calls, window, asked))
    }

    fn check_budget(&self) -> Result<(), ProjectError> {
        let settings = &self.context.parts.settings;
        let of_run = settings.run_budget.exhausted_by(&self.spent);
        if let Some(most) = of_run {
            return Err(ProjectError::QuotaExceeded(format!("this run has used up its budget of {most}")));
        }
        let project = self.context.project_usage.plus(&self.spent);
        match settings.project_budget.exhausted_by(&project) {
            Some(most) => Err(ProjectError::QuotaExceeded(format!("this project has used up its budget of {most}"))),
            None => Ok(()),
        }
    }
}
