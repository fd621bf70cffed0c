//! A model that reads its answers off: the prompt names the list, and how often it has answered is where it is in it.

use std::collections::BTreeMap;

use cobuild::project::model_provider::{ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest, StopReason};
use cobuild_protocol::value::{MessageRole, Usage};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};

/// What it answers, by the name in the prompt (`case <name>`).
#[derive(Debug)]
pub(super) struct Fixer {
    replies: BTreeMap<String, Vec<String>>,
}

impl Fixer {
    /// What each of its answers costs.
    pub(super) const COST_NANO_USD: u64 = 1_000;
    const NAME: &str = "test/fixer";

    pub(super) fn new(replies: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        Self { replies: replies.into_iter().collect() }
    }

    fn reply(&self, request: &ModelRequest) -> String {
        let prompt = |text: &str| text.strip_prefix("case ").map(str::to_owned);
        let at = request.turns.iter().rposition(|turn| turn.role == MessageRole::User && prompt(&turn.text).is_some());
        let at = at.expect("a prompt");
        let name = prompt(&request.turns[at].text).expect("found");
        let said = request.turns[at..].iter().filter(|turn| turn.role == MessageRole::Assistant).count();
        let replies = &self.replies[name.trim()];
        replies.get(said).cloned().unwrap_or_else(|| "There is nothing left to try.".to_owned())
    }
}

impl ModelProvider for Fixer {
    fn default_model(&self) -> ModelInfo {
        ModelInfo::new(Self::NAME)
    }

    fn models(&self) -> Vec<ModelInfo> {
        vec![self.default_model()]
    }

    fn resolve(&self, _: &str) -> Result<ModelInfo, ModelError> {
        Ok(self.default_model())
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
        let usage = Usage {
            input_tokens: Some(100),
            output_tokens: Some(100),
            cost_nano_usd: Some(Self::COST_NANO_USD),
            ..Usage::default()
        };
        let chunks =
            [ModelChunk::Text(self.reply(&request)), ModelChunk::Usage(usage), ModelChunk::Stop(StopReason::Complete)];
        stream::iter(chunks.map(Ok)).boxed()
    }
}
