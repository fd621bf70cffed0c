//! A question to a model beside the conversation: a text comes back. What is said is nobody's event; what it consumes is on
//! record and within the budgets like any other call.

use cobuild_protocol::MessageId;
use futures_util::{StreamExt as _, stream::BoxStream};

use super::meter::Meter;
use crate::project::{
    error::ProjectError,
    model_provider::{ModelChunk, ModelError, ModelInfo, ModelRequest, Retry, StopReason, Switch},
    run::JobContext,
};

/// Such a question, under way.
pub(super) struct Aside<'a> {
    context: &'a JobContext,
    meter: Meter<'a>,
    chunks: BoxStream<'static, Result<ModelChunk, ModelError>>,
    text: String,
}

/// What became of it.
pub(super) enum News {
    /// A model failed before its first byte. Another one is asked the same, unless [`Aside::ask_anew`] has it asked otherwise.
    Switched(Box<Switch>),
    /// It failed before its first byte, and is asked again in a while.
    Retried(Box<Retry>),
    /// It is over: the text and why the model stopped, or why there is none.
    Ended(Result<(String, StopReason), ModelError>),
}

impl<'a> Aside<'a> {
    /// Asks this model – if there is budget left for it. What it consumes is part of `message`.
    pub(super) fn ask(
        context: &'a JobContext,
        message: MessageId,
        model: &ModelInfo,
        request: ModelRequest,
    ) -> Result<Self, ProjectError> {
        let meter = Meter::begin(context, message, model, &request)?;
        let chunks = context.parts.models.stream(request);
        Ok(Self { context, meter, chunks, text: String::new() })
    }

    /// Waits for what happens next. Once it has ended, [`Self::settle`] puts what it consumed on record.
    pub(super) async fn next(&mut self) -> News {
        loop {
            match self.chunks.next().await {
                Some(Ok(ModelChunk::Text(more))) => {
                    self.meter.said(more.len());
                    self.text.push_str(&more);
                }
                Some(Ok(ModelChunk::Reasoning(more))) => self.meter.said(more.len()),
                Some(Ok(ModelChunk::Usage(usage))) => self.meter.learned(usage),
                Some(Ok(ModelChunk::Retried(retry))) => return News::Retried(retry),
                Some(Ok(ModelChunk::Switched(switch))) => {
                    self.meter.switched(&switch.to);
                    return News::Switched(switch);
                }
                Some(Ok(ModelChunk::Stop(stop))) => return News::Ended(Ok((std::mem::take(&mut self.text), stop))),
                Some(Err(error)) => return News::Ended(Err(error)),
                None => return News::Ended(Err(ModelError::Incomplete)),
            }
        }
    }

    /// The model that was switched to is asked this instead.
    pub(super) fn ask_anew(&mut self, request: ModelRequest) {
        self.meter.asks_anew(&request);
        self.chunks = self.context.parts.models.stream(request);
    }

    /// Closes the connection and puts what was consumed on record.
    pub(super) async fn settle(self) -> Result<(), ProjectError> {
        drop(self.chunks);
        self.meter.settle().await
    }
}
