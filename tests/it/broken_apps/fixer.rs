//! A model that reads its answers off: the prompt names the list, and how often it has answered is where it is in it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use cobuild::project::model_provider::{ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest, StopReason};
use cobuild_protocol::value::{MessageRole, Usage};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};

/// What it answers, by the name in the prompt (`case <name>`).
#[derive(Debug, Clone)]
pub(super) struct Fixer {
    replies: BTreeMap<String, Vec<String>>,
    /// What it was asked after the prompt, for each name: why the app does not work, with the files.
    asked: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
}

impl Fixer {
    /// What each of its answers costs.
    pub(super) const COST_NANO_USD: u64 = 1_000;
    const NAME: &str = "test/fixer";

    pub(super) fn new(replies: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        Self { replies: replies.into_iter().collect(), asked: Arc::default() }
    }

    /// Whether the model was told what is wrong and what its files are: `problems` is why it was asked again, each time.
    /// The error says what it was not told.
    pub(super) fn check_asked(&self, name: &str, problems: &[String]) -> Result<(), String> {
        let asked = self.asked.lock().expect("not poisoned").get(name).cloned().unwrap_or_default();
        if asked.len() != problems.len() {
            return Err(format!("asked {} times to mend it, told of {} problems", asked.len(), problems.len()));
        }
        for (round, (asked, problem)) in asked.iter().zip(problems).enumerate() {
            // The last lines may be cut off, the first ones not.
            let missing = problem.lines().take(2).find(|line| !asked.contains(line.trim()));
            if let Some(line) = missing {
                return Err(format!("round {}: “{line}” did not reach the model: {asked}", round + 1));
            }
            for path in self.replies[name][..=round].iter().flat_map(|reply| written(reply)) {
                let Some((_, file)) = asked.split_once(&format!("<file path=\"{path}\">\n")) else {
                    return Err(format!("round {}: {path} was not shown to the model: {asked}", round + 1));
                };
                // As the last whole version of it has it, where no edit came after.
                let versions: Vec<&String> =
                    self.replies[name][..=round].iter().filter(|reply| written(reply).contains(&path)).collect();
                let last = versions.last().expect("one wrote it");
                if let Some((_, text)) = last.split_once(&format!("<file path=\"{path}\">\n")) {
                    let text = text.split("\n</file>").next().unwrap_or_default();
                    if !file.starts_with(text) {
                        return Err(format!("round {}: {path} is shown otherwise than it was written", round + 1));
                    }
                }
            }
        }
        Ok(())
    }

    fn reply(&self, request: &ModelRequest) -> String {
        let prompt = |text: &str| text.strip_prefix("case ").map(str::to_owned);
        let at = request.turns.iter().rposition(|turn| turn.role == MessageRole::User && prompt(&turn.text).is_some());
        let at = at.expect("a prompt");
        let name = prompt(&request.turns[at].text).expect("found");
        let said = request.turns[at..].iter().filter(|turn| turn.role == MessageRole::Assistant).count();
        let name = name.trim();
        if said > 0 {
            let asked = request.turns.last().expect("a turn").text.clone();
            self.asked.lock().expect("not poisoned").entry(name.to_owned()).or_default().push(asked);
        }
        let replies = &self.replies[name];
        replies.get(said).cloned().unwrap_or_else(|| "There is nothing left to try.".to_owned())
    }
}

/// The files that a reply writes.
fn written(reply: &str) -> Vec<String> {
    let paths = reply.lines().filter_map(|line| {
        let rest = line.strip_prefix("<file path=\"").or_else(|| line.strip_prefix("<edit path=\""))?;
        Some(rest.split('"').next()?.to_owned())
    });
    paths.collect()
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
