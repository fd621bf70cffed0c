//! The demo model: canned answers at a human pace, for a server without a key. It streams real apps from a small
//! catalogue and real search/replace edits of them, through the same path as any model's answer, and says everywhere
//! that no AI is involved.
//!
//! It knows nothing of projects: what it needs is in the request. It doesn't pretend: a prompt it has no answer for
//! gets a list of what it can do, and to somebody's repository it adds one note that says that it is a demo's.

mod answer;
mod catalogue;
mod change;
mod pace;
mod repository;
pub mod script;
mod wish;

use cobuild_protocol::{
    model::{ProviderReport, ProviderState},
    value::{MessageRole, Usage},
};
use futures_util::{
    FutureExt as _, StreamExt,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};

use super::unknown_model;
use crate::codegen::prompt;
use crate::project::model_provider::{
    Cost, ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest, StopReason,
};

/// What every surface says about this model.
pub const DEMO_NOTICE: &str = "Demo – canned answers, no AI";
/// Its name.
pub const DEMO_MODEL: &str = "demo/scripted";
/// Characters per second that read as brisk typing: the todo app takes about 13 seconds.
pub const DEMO_SPEED_DEFAULT: u32 = 600;

/// How the demo model behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoConfig {
    /// Characters per second; 0 is as fast as possible, without a timer.
    pub speed: u32,
}

impl Default for DemoConfig {
    fn default() -> Self {
        Self { speed: DEMO_SPEED_DEFAULT }
    }
}

/// The provider of `demo/scripted`.
#[derive(Debug)]
pub struct DemoModel {
    config: DemoConfig,
}

impl DemoModel {
    /// A demo model.
    #[must_use]
    pub fn new(config: DemoConfig) -> Self {
        Self { config }
    }
}

impl ModelProvider for DemoModel {
    fn default_model(&self) -> ModelInfo {
        ModelInfo { notice: Some(DEMO_NOTICE.to_owned()), canned: true, ..ModelInfo::new(DEMO_MODEL) }
    }

    fn models(&self) -> Vec<ModelInfo> {
        vec![self.default_model()]
    }

    fn resolve(&self, name: &str) -> Result<ModelInfo, ModelError> {
        let models = self.models();
        models.iter().find(|model| model.name == name).cloned().ok_or_else(|| unknown_model(name, &models))
    }

    /// Nobody is asked, so nobody is paid.
    fn cost(&self, model: &str, _: &Usage) -> Option<Cost> {
        self.resolve(model).ok().map(|_| Cost { nano_usd: 0, prices_as_of: None })
    }

    fn refresh(&self) -> BoxFuture<'_, Vec<ProviderReport>> {
        let report = ProviderReport {
            provider: "demo".to_owned(),
            title: "Demo".to_owned(),
            state: ProviderState::Ready,
            models: 1,
            detail: Some(DEMO_NOTICE.to_owned()),
            variable: None,
        };
        future::ready(vec![report]).boxed()
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
        if let Err(error) = self.resolve(&request.model) {
            return stream::iter([Err(error)]).boxed();
        }
        let prompt = request.turns.iter().rev().find(|turn| turn.role == MessageRole::User);
        let prompt = prompt.map_or("", |turn| turn.text.as_str());
        let reply = if prompt::is_for_repository(&request.system) {
            repository::answer(prompt, &request.files)
        } else {
            answer::to(prompt, &request.files)
        };
        let end = [ModelChunk::Usage(usage(&request, &reply)), ModelChunk::Stop(StopReason::Complete)];
        let text = pace::paced(reply, self.config.speed).map(ModelChunk::Text);
        text.chain(stream::iter(end)).map(Ok).boxed()
    }
}

/// What a model would have counted, at the usual four characters per token. That it costs nothing is known: nobody is asked.
fn usage(request: &ModelRequest, reply: &str) -> Usage {
    let files: usize = request.files.iter().map(|file| file.text.as_ref().map_or(0, String::len)).sum();
    let turns: usize = request.turns.iter().map(|turn| turn.text.len()).sum();
    let tokens = |size_bytes: usize| u64::try_from(size_bytes / 4).ok();
    Usage {
        input_tokens: tokens(request.system.len() + files + turns),
        output_tokens: tokens(reply.len()),
        estimated: true,
        cost_nano_usd: Some(0),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests;
