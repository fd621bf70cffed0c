//! The whole server with a model that speaks at a given pace.

use std::{
    io::{self, Write as _},
    sync::Arc,
    thread,
};

use futures_util::{StreamExt as _, stream, stream::BoxStream};
use tokio::{sync::watch, time};

use super::pace::Plan;
use crate::{
    cli::bench::{BenchError, machine::monotonic_ns},
    config::Config,
    project::model_provider::{ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest, StopReason},
    server::{Providers, RunningServer},
};

/// Serves until standard input ends, so that it never outlives whoever measures.
pub(in crate::cli::bench) async fn serve(config: &Config) -> Result<(), BenchError> {
    let unexpected = |error: crate::server::StartError| BenchError::Unexpected(error.to_string());
    let (complete, told) = watch::channel(0);
    let mut providers = Providers::configured(config).await.map_err(unexpected)?;
    providers.models = Arc::new(PacedModel { complete: told });
    providers.projects.sandbox_on_join = false;
    let server = RunningServer::start_with(config, providers).await.map_err(unexpected)?;
    let mut output = io::stdout();
    writeln!(output, "Ready: {}", server.url())?;
    output.flush()?;
    let mut ended = complete.clone().subscribe();
    let listener = thread::Builder::new().name("told".into()).spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if let Ok(count) = line.trim().parse() {
                complete.send_replace(count);
            }
        }
        complete.send_replace(u64::MAX);
    })?;
    // The end of standard input; an error would say the same.
    let _ = ended.wait_for(|count| *count == u64::MAX).await;
    drop(listener);
    server.shutdown().await;
    Ok(())
}

/// Says what the prompt, a [`Plan`], tells it to.
#[derive(Debug)]
struct PacedModel {
    /// How many events are with everybody.
    complete: watch::Receiver<u64>,
}

impl ModelProvider for PacedModel {
    fn default_model(&self) -> ModelInfo {
        ModelInfo::new("bench/paced")
    }

    fn models(&self) -> Vec<ModelInfo> {
        vec![self.default_model()]
    }

    fn resolve(&self, _: &str) -> Result<ModelInfo, ModelError> {
        Ok(self.default_model())
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
        let prompt = request.turns.last().map(|turn| turn.text.clone()).unwrap_or_default();
        let plan: Plan = match serde_json::from_str(&prompt) {
            Ok(plan) => plan,
            Err(error) => {
                let refusal = ModelError::InvalidRequest(format!("not a plan: {error}"));
                return stream::iter([Err(refusal)]).boxed();
            }
        };
        let mut clock = (plan.interval_us > 0).then(|| time::interval(plan.interval()));
        if let Some(clock) = &mut clock {
            clock.set_missed_tick_behavior(time::MissedTickBehavior::Burst);
        }
        let speech = Speech { said: 0, plan, clock, complete: self.complete.clone() };
        let stop = stream::iter([Ok(ModelChunk::Stop(StopReason::Complete))]);
        stream::unfold(speech, Speech::next).map(Ok).chain(stop).boxed()
    }
}

struct Speech {
    said: u64,
    plan: Plan,
    clock: Option<time::Interval>,
    complete: watch::Receiver<u64>,
}

impl Speech {
    async fn next(mut self) -> Option<(ModelChunk, Self)> {
        if self.said == self.plan.events {
            return None;
        }
        if let Some(clock) = &mut self.clock {
            clock.tick().await;
        }
        let heard = self.said.saturating_sub(self.plan.window - 1);
        self.complete.wait_for(|complete| *complete >= heard).await.ok()?;
        self.said += 1;
        Some((ModelChunk::Text(self.plan.text(monotonic_ns())), self))
    }
}
