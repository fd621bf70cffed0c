//! One answer of a vendor, from the call to the last chunk: retries before the first content, the rule that only the
//! wire's own marker completes an answer, continuation by token, usage summed over every billed attempt, and cost.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cobuild_protocol::value::Usage;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::civil::Date;
use serde_json::{Value, json};

use super::{
    ask::{Ask, SamplingParameter},
    catalogue::Model,
    endpoint::Endpoint,
    http::{Connections, Events, Refusal},
    provider::ModelName,
    retry::{Failure, RetryPolicy},
    sse::SseError,
    usage,
    vendor_error::VendorError,
    wire::{self, Wire},
};
use crate::project::model_provider::{ModelChunk, ModelError, Retry, StopReason};

/// How often one answer is continued by the vendor's token. Each leg is as long as the vendor's own default cap, so
/// this is far beyond any app.
const CONTINUATIONS_MAX: u32 = 3;

/// Sampling parameters that models have refused while this process ran; they are not sent again.
#[derive(Debug, Clone, Default)]
pub struct RefusedParameters(Arc<Mutex<HashSet<(ModelName, SamplingParameter)>>>);

impl RefusedParameters {
    fn remember(&self, model: &ModelName, parameter: SamplingParameter) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((model.clone(), parameter));
    }

    fn drop_from(&self, ask: &mut Ask) {
        for parameter in SamplingParameter::ALL {
            let key = (ask.model.clone(), parameter);
            if self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&key) {
                ask.drop_parameter(parameter);
            }
        }
    }
}

/// Everything one answer needs.
#[derive(Debug)]
pub struct Question {
    /// Whom to ask, where.
    pub endpoint: Arc<Endpoint>,
    /// What.
    pub ask: Ask,
    /// What is known of the model, for the cost.
    pub row: Option<Model>,
    /// The day by which the price is told.
    pub today: Date,
    /// The date of the table of prices.
    pub prices_as_of: Date,
    /// The connections.
    pub connections: Connections,
    /// How calls are repeated.
    pub retry: RetryPolicy,
    /// What models have refused so far.
    pub refused: RefusedParameters,
}

/// Asks. Nothing happens until the stream is read; dropping it closes the connection.
#[must_use]
pub fn answer(question: Question) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
    let answering = Answering::new(question);
    stream::unfold(answering, |mut answering| async move {
        let next = answering.next().await?;
        Some((next, answering))
    })
    .boxed()
}

struct Answering {
    question: Question,
    open: Option<Open>,
    ready: VecDeque<ModelChunk>,
    /// What ends the stream after `ready`; `None` after a stop.
    over: Option<Option<ModelError>>,
    retried: u32,
    /// How long to wait before the next call.
    pause: Option<Duration>,
    continued: u32,
    continuation: Option<String>,
    /// Whether text or reasoning went out: then nothing is tried again.
    delivered: bool,
    answered_size_bytes: usize,
    /// Consumption of earlier attempts and legs.
    spent: Option<Usage>,
    /// Consumption of this leg, as far as the vendor said.
    said: Option<Usage>,
}

/// A call whose answer is coming in.
struct Open {
    events: Events,
    reader: Box<dyn Wire>,
}

impl Answering {
    fn new(mut question: Question) -> Self {
        question.refused.drop_from(&mut question.ask);
        Self {
            question,
            open: None,
            ready: VecDeque::new(),
            over: None,
            retried: 0,
            pause: None,
            continued: 0,
            continuation: None,
            delivered: false,
            answered_size_bytes: 0,
            spent: None,
            said: None,
        }
    }

    async fn next(&mut self) -> Option<Result<ModelChunk, ModelError>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(Ok(chunk));
            }
            if let Some(over) = &mut self.over {
                return over.take().map(Err);
            }
            if let Some(wait) = self.pause.take() {
                tokio::time::sleep(wait).await;
            }
            if let Err(failure) = self.advance().await {
                self.recover(failure);
            }
        }
    }

    /// One step: the call, or its next event.
    async fn advance(&mut self) -> Result<(), Failure> {
        let Some(open) = &mut self.open else {
            self.open = Some(self.call().await?);
            return Ok(());
        };
        let mut chunks = Vec::new();
        let read = match open.events.next().await {
            Some(Ok(event)) => open.reader.on_event(&event.event, &event.data, &mut chunks),
            Some(Err(error)) => ended_badly(&self.question.endpoint, open.reader.as_mut(), &error, &mut chunks),
            None => open.reader.on_end(&mut chunks),
        };
        // A token counts only together with the stop it comes with.
        let token = open.reader.continuation();
        for chunk in chunks {
            self.take(chunk, token.as_deref());
        }
        read.map_err(Failure::from)
    }

    async fn call(&mut self) -> Result<Open, Failure> {
        loop {
            let Question { endpoint, ask, connections, .. } = &self.question;
            let mut call = wire::call(endpoint, ask)?;
            if let Some(token) = &self.continuation {
                call.body["continuationToken"] = json!(token);
            }
            match connections.stream(endpoint, &call).await {
                Ok(events) => return Ok(Open { events, reader: wire::reader(endpoint, &ask.model.id) }),
                Err(refusal) => {
                    if !self.drop_blamed(&refusal, &call.body) {
                        return Err(refusal.failure);
                    }
                }
            }
        }
    }

    /// Takes out the sampling parameters that the vendor blames. Each can go only once, so this ends.
    fn drop_blamed(&mut self, refusal: &Refusal, body: &Value) -> bool {
        let Some(said) = &refusal.said else { return false };
        let mut dropped = false;
        for parameter in SamplingParameter::ALL {
            let sent = |name: &&str| body.get(name).or_else(|| body.get("generationConfig")?.get(name)).is_some();
            let blamed = parameter.names().iter().filter(|name| sent(name)).any(|name| said.blames(name));
            if blamed && self.question.ask.drop_parameter(parameter) {
                self.question.refused.remember(&self.question.ask.model, parameter);
                dropped = true;
            }
        }
        dropped
    }

    fn take(&mut self, chunk: ModelChunk, token: Option<&str>) {
        match chunk {
            ModelChunk::Text(text) => {
                self.content(text.len());
                self.ready.push_back(ModelChunk::Text(text));
            }
            ModelChunk::Reasoning(text) => {
                self.content(text.len());
                self.ready.push_back(ModelChunk::Reasoning(text));
            }
            ModelChunk::Usage(said) => {
                self.said = Some(said);
                self.report_usage(false);
            }
            ModelChunk::Stop(stop) => self.stop(stop, token),
            // A wire knows one model, and one attempt.
            ModelChunk::Switched(_) | ModelChunk::Retried(_) => self.ready.push_back(chunk),
        }
    }

    fn content(&mut self, size_bytes: usize) {
        self.delivered = true;
        self.answered_size_bytes += size_bytes;
    }

    fn stop(&mut self, stop: StopReason, token: Option<&str>) {
        if let (StopReason::Truncated, Some(token)) = (&stop, token)
            && self.continued < CONTINUATIONS_MAX
        {
            self.continued += 1;
            self.continuation = Some(token.to_owned());
            self.leave();
            return;
        }
        if self.said.is_none() {
            self.report_usage(true);
        }
        self.open = None;
        self.ready.push_back(ModelChunk::Stop(stop));
        self.over = Some(None);
    }

    /// Ends this leg; what it consumed counts for the whole answer.
    fn leave(&mut self) {
        self.open = None;
        self.spent = match (self.spent.take(), self.said.take().map(|said| self.priced(said))) {
            (Some(spent), Some(said)) => Some(spent.plus(&said)),
            (one, None) | (None, one) => one,
        };
    }

    /// Tries again, or ends the answer with the failure.
    fn recover(&mut self, failure: Failure) {
        let wait = self.question.retry.wait(&failure, self.retried).filter(|_| !self.delivered);
        if let Some(wait) = wait {
            tracing::info!(
                provider = self.question.endpoint.provider.name(),
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                error = %failure.error,
                "calling the model again"
            );
            self.leave();
            self.retried += 1;
            self.pause = Some(wait);
            let retry = Retry { attempt: self.retried, wait, error: failure.error };
            self.ready.push_back(ModelChunk::Retried(Box::new(retry)));
            return;
        }
        let cut_off = self.delivered || self.said.is_some();
        self.open = None;
        if cut_off || self.spent.is_some() {
            self.report_usage(cut_off);
        }
        self.over = Some(Some(failure.error));
    }

    /// Tells the consumption of the whole answer so far.
    fn report_usage(&mut self, estimated: bool) {
        let leg = if estimated {
            let asked = self.question.ask.size_bytes();
            Some(usage::estimate(self.said.as_ref(), asked, self.answered_size_bytes))
        } else {
            self.said.clone()
        };
        let leg = leg.map(|leg| self.priced(leg));
        let total = match (&self.spent, leg) {
            (Some(spent), Some(leg)) => Some(spent.plus(&leg)),
            (spent, leg) => leg.or_else(|| spent.clone()),
        };
        self.ready.extend(total.map(ModelChunk::Usage));
    }

    /// With the cost by the table, unless the vendor has told the charge.
    fn priced(&self, mut usage: Usage) -> Usage {
        if usage.cost_nano_usd.is_none() {
            let Question { row, today, prices_as_of, .. } = &self.question;
            usage.cost_nano_usd = row.as_ref().and_then(|row| row.cost(&usage, *today));
            usage.prices_as_of = usage.cost_nano_usd.map(|_| prices_as_of.to_string());
        }
        usage
    }
}

/// The connection broke, went silent or sent what is no stream. If the answer was complete before, it stays so.
fn ended_badly(
    endpoint: &Endpoint,
    reader: &mut dyn Wire,
    error: &SseError<reqwest::Error>,
    chunks: &mut Vec<ModelChunk>,
) -> Result<(), ModelError> {
    let fault = match error {
        SseError::Bare(object) => return Err(VendorError::read(None, object).into_model_error(endpoint)),
        SseError::Transport(error) if error.is_timeout() => "it went silent",
        SseError::Transport(_) => "the connection broke",
        SseError::NotText => "the stream is not text",
        SseError::TooLarge(_) => "an event is too large",
    };
    tracing::warn!(provider = endpoint.provider.name(), fault, "a model's answer broke off");
    match (reader.on_end(chunks), error) {
        (Ok(()), SseError::Transport(_)) => Ok(()),
        (_, SseError::Transport(error)) if error.is_timeout() => {
            Err(ModelError::Unavailable(format!("{} went silent", endpoint.provider.title())))
        }
        _ => {
            chunks.clear();
            Err(ModelError::Incomplete)
        }
    }
}
