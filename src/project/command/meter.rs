//! What a call of the model consumes. It is put on record however the call ends, also when its run is cancelled in the
//! middle of it: the vendor's bill does not care.

use cobuild_protocol::{MessageId, value::Usage};

use crate::project::{
    error::ProjectError,
    figures,
    model_provider::ModelRequest,
    run::{CallUsage, JobContext, UpdateBody},
};

/// Bytes of text and code that make a token, about.
const BYTES_PER_TOKEN: u64 = 4;

/// Counts one call, from the first model that is asked to the one that answers.
pub(super) struct Meter<'a> {
    context: &'a JobContext,
    message: MessageId,
    turn: u32,
    context_tokens_max: Option<u64>,
    asked_bytes: usize,
    said_bytes: usize,
    /// What models consumed that failed before another request was made of the call.
    before: Option<Usage>,
    /// What the vendor said last.
    known: Option<Usage>,
    settled: bool,
}

impl<'a> Meter<'a> {
    /// For the call that is about to be made – if there is budget left for it. `context_tokens_max` is the window of the
    /// model that is asked.
    pub(super) fn begin(
        context: &'a JobContext,
        message: MessageId,
        context_tokens_max: Option<u64>,
        request: &ModelRequest,
    ) -> Result<Self, ProjectError> {
        let turn = context.spending.begin_call(&context.parts.settings)?;
        figures::model_called(&request.model);
        Ok(Self {
            context,
            message,
            turn,
            context_tokens_max,
            asked_bytes: size_bytes(request),
            said_bytes: 0,
            before: None,
            known: None,
            settled: false,
        })
    }

    /// The answer goes on.
    pub(super) fn said(&mut self, size_bytes: usize) {
        self.said_bytes += size_bytes;
    }

    /// The vendor says what was consumed so far.
    pub(super) fn learned(&mut self, usage: Usage) {
        self.known = Some(usage);
    }

    /// A model failed, and one with this window answers.
    pub(super) fn switched(&mut self, context_tokens_max: Option<u64>) {
        self.context_tokens_max = context_tokens_max;
    }

    /// The one that answers now gets a request of its own. What the others consumed stays on the bill.
    pub(super) fn asks_anew(&mut self, request: &ModelRequest) {
        figures::model_called(&request.model);
        self.before = self.total();
        self.known = None;
        self.asked_bytes = size_bytes(request);
    }

    /// The call is over. Returns what it consumed.
    pub(super) async fn settle(mut self) -> Result<(), ProjectError> {
        self.settled = true;
        let call = self.call();
        self.context.spending.add(&call.usage);
        Ok(self.context.reporter.report(UpdateBody::Usage(call)).await?)
    }

    /// The call was refused before anything was computed: there is nothing to pay – unless other models had failed before.
    pub(super) async fn void(mut self) -> Result<(), ProjectError> {
        if self.total().is_some() {
            return self.settle().await;
        }
        self.settled = true;
        self.context.spending.take_back_call();
        Ok(())
    }

    /// What vendors said, all models together.
    fn total(&self) -> Option<Usage> {
        match (&self.before, &self.known) {
            (Some(before), Some(known)) => Some(before.plus(known)),
            (before, known) => known.clone().or_else(|| before.clone()),
        }
    }

    fn call(&self) -> CallUsage {
        let tokens = |bytes: usize| Some(bytes as u64 / BYTES_PER_TOKEN);
        let estimate = || Usage {
            input_tokens: tokens(self.asked_bytes),
            output_tokens: tokens(self.said_bytes),
            estimated: true,
            ..Usage::default()
        };
        let usage = match (&self.known, &self.before) {
            (None, Some(before)) if self.said_bytes > 0 => before.plus(&estimate()),
            _ => self.total().unwrap_or_else(estimate),
        };
        CallUsage { message: self.message, turn: self.turn, usage, context_tokens_max: self.context_tokens_max }
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut call = self.call();
        // What the vendor said in the middle of it may be far behind: Anthropic's first word is one token.
        let said = self.said_bytes as u64 / BYTES_PER_TOKEN;
        if call.usage.output_tokens.unwrap_or(0) < said {
            call.usage = Usage {
                output_tokens: Some(said),
                cost_nano_usd: None,
                prices_as_of: None,
                estimated: true,
                ..call.usage
            };
        }
        if !self.context.reporter.try_report_outside(UpdateBody::Usage(call)) {
            tracing::info!(message = %self.message, "what a cancelled call consumed is not on record");
        }
    }
}

/// How much text a request is.
fn size_bytes(request: &ModelRequest) -> usize {
    let files = request.files.iter().filter_map(|file| file.text.as_ref()).map(String::len);
    let turns = request.turns.iter().map(|turn| turn.text.len());
    request.system.len() + files.chain(turns).sum::<usize>()
}
