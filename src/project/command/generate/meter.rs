//! What a call of the model consumes. It is put on record however the call ends, also when its run is cancelled in the
//! middle of it: the vendor's bill does not care.

use cobuild_protocol::{MessageId, value::Usage};

use crate::project::{
    error::ProjectError,
    run::{CallUsage, Reporter, UpdateBody},
};

/// Bytes of text and code that make a token, about.
pub(super) const BYTES_PER_TOKEN: u64 = 4;

/// Counts one call.
#[derive(Debug)]
pub(in crate::project::command) struct Meter<'a> {
    reporter: &'a Reporter,
    message: MessageId,
    turn: u32,
    context_tokens_max: Option<u64>,
    asked_bytes: usize,
    said_bytes: usize,
    /// What the vendor said last.
    known: Option<Usage>,
    settled: bool,
}

impl<'a> Meter<'a> {
    pub(in crate::project::command) fn new(
        reporter: &'a Reporter,
        message: MessageId,
        turn: u32,
        context_tokens_max: Option<u64>,
        asked_bytes: usize,
    ) -> Self {
        Self { reporter, message, turn, context_tokens_max, asked_bytes, said_bytes: 0, known: None, settled: false }
    }

    /// The answer goes on.
    pub(in crate::project::command) fn said(&mut self, size_bytes: usize) {
        self.said_bytes += size_bytes;
    }

    /// The vendor says what was consumed so far.
    pub(in crate::project::command) fn learned(&mut self, usage: Usage) {
        self.known = Some(usage);
    }

    /// The call is over. Returns what it consumed.
    pub(in crate::project::command) async fn settle(mut self) -> Result<Usage, ProjectError> {
        self.settled = true;
        let call = self.call();
        let usage = call.usage.clone();
        self.reporter.report(UpdateBody::Usage(call)).await?;
        Ok(usage)
    }

    /// The call was refused before anything was computed: there is nothing to pay.
    pub(super) fn void(mut self) {
        self.settled = true;
    }

    fn call(&self) -> CallUsage {
        let tokens = |bytes: usize| Some(bytes as u64 / BYTES_PER_TOKEN);
        let usage = self.known.clone().unwrap_or_else(|| Usage {
            input_tokens: tokens(self.asked_bytes),
            output_tokens: tokens(self.said_bytes),
            estimated: true,
            ..Usage::default()
        });
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
        if !self.reporter.try_report_outside(UpdateBody::Usage(call)) {
            tracing::info!(message = %self.message, "what a cancelled call consumed is not on record");
        }
    }
}
