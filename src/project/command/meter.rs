//! What a call of the model consumes. It is put on record however the call ends, also when its run is cancelled in the
//! middle of it: the vendor's bill does not care.

use cobuild_protocol::{MessageId, value::Usage};

use crate::project::{
    error::ProjectError,
    figures,
    model_provider::{Cost, ModelInfo, ModelRequest},
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
    /// The model that is asked, by name.
    model: String,
    asked_bytes: usize,
    said_bytes: usize,
    /// What models consumed that failed before another request was made of the call.
    before: Option<Usage>,
    /// What the vendor said last.
    known: Option<Usage>,
    settled: bool,
}

impl<'a> Meter<'a> {
    /// For the call of this model that is about to be made – if there is budget left for it.
    pub(super) fn begin(
        context: &'a JobContext,
        message: MessageId,
        model: &ModelInfo,
        request: &ModelRequest,
    ) -> Result<Self, ProjectError> {
        let turn = context.spending.begin_call(&context.parts.settings)?;
        figures::model_called(&request.model);
        Ok(Self {
            context,
            message,
            turn,
            context_tokens_max: model.context_tokens_max,
            model: model.name.clone(),
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

    /// A model failed, and this one answers.
    pub(super) fn switched(&mut self, model: &ModelInfo) {
        self.context_tokens_max = model.context_tokens_max;
        self.model.clone_from(&model.name);
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
        let call = self.call(false);
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

    /// What is put on record; `broken`: the call ends in the middle of its answer.
    fn call(&self, broken: bool) -> CallUsage {
        let said = self.said_bytes as u64 / BYTES_PER_TOKEN;
        // What the vendor said in the middle of it may be far behind: Anthropic's first word is one token.
        let is_behind = |known: &Usage| broken && known.output_tokens.unwrap_or(0) < said;
        let own = match &self.known {
            Some(known) if is_behind(known) => Some(self.estimated(known.clone(), said)),
            Some(known) => Some(known.clone()),
            None if self.before.is_some() && self.said_bytes == 0 => None,
            None => {
                let input_tokens = Some(self.asked_bytes as u64 / BYTES_PER_TOKEN);
                let estimate = self.estimated(Usage { input_tokens, ..Usage::default() }, said);
                // One that ended by itself without a word was refused, and perhaps cost nothing.
                let has_price = broken || self.said_bytes > 0;
                Some(if has_price { estimate } else { Usage { cost_nano_usd: None, prices_as_of: None, ..estimate } })
            }
        };
        let usage = match (&self.before, own) {
            (Some(before), Some(own)) => before.plus(&own),
            (before, own) => own.or_else(|| before.clone()).unwrap_or_default(),
        };
        CallUsage { message: self.message, turn: self.turn, usage, context_tokens_max: self.context_tokens_max }
    }

    /// The same with our own count of the answer, and what that costs where the model has a price.
    fn estimated(&self, usage: Usage, output_tokens: u64) -> Usage {
        let usage = Usage { output_tokens: Some(output_tokens), estimated: true, ..usage };
        let (cost_nano_usd, prices_as_of) = match self.context.parts.models.cost(&self.model, &usage) {
            Some(Cost { nano_usd, prices_as_of }) => (Some(nano_usd), prices_as_of),
            None => (None, None),
        };
        Usage { cost_nano_usd, prices_as_of, ..usage }
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if !self.context.reporter.try_report_outside(UpdateBody::Usage(self.call(true))) {
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
