//! Asking a model in a test.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use cobuild::{
    model::{
        Models,
        catalogue::Catalogue,
        endpoint::{EndpointSettings, ModelSettings},
        http::HttpLimits,
        provider::Provider,
        retry::RetryPolicy,
        vendors::Vendors,
    },
    project::model_provider::{ModelChunk, ModelError, ModelProvider as _, ModelRequest, Retry, StopReason, Turn},
    secret::Secret,
};
use cobuild_protocol::value::{MessageRole, Usage};
use futures_util::StreamExt as _;

/// One model on each wire, and two more on the busiest.
pub(crate) const MODELS: [&str; 6] = [
    "anthropic/claude-sonnet-5-5",
    "openai/gpt-6.1-sol",
    "google/gemini-4-argon",
    "groq/openai/gpt-oss-120b",
    "openrouter/anthropic/claude-opus-5.5",
    "compatible/anything",
];

/// No answer of a stand-in takes this long.
const WITHIN: Duration = Duration::from_secs(60);

/// Vendors that are all at this address, each below the path its own SDK uses.
pub(crate) fn settings(address: SocketAddr) -> ModelSettings {
    let paths = [
        (Provider::Anthropic, ""),
        (Provider::Openai, "/v1"),
        (Provider::Google, ""),
        (Provider::Groq, "/openai/v1"),
        (Provider::Openrouter, "/api/v1"),
        (Provider::Compatible, "/v1"),
    ];
    let endpoint = |(provider, path): (Provider, &str)| {
        let base_url = Some(format!("http://{address}{path}"));
        (provider, EndpointSettings { key: Some(Secret::new("test-key")), base_url })
    };
    ModelSettings { endpoints: paths.into_iter().map(endpoint).collect(), ..ModelSettings::default() }
}

/// Waits that are told rather than waited.
pub(crate) fn vendors(settings: ModelSettings) -> Arc<Vendors> {
    vendors_within(settings, HttpLimits::default().idle)
}

/// The same, with a limit on silence that a test can wait for.
pub(crate) fn impatient_vendors(settings: ModelSettings) -> Arc<Vendors> {
    vendors_within(settings, Duration::from_millis(800))
}

fn vendors_within(settings: ModelSettings, idle: Duration) -> Arc<Vendors> {
    // A busy machine may take long to answer itself.
    let local = Duration::from_secs(5);
    let limits = HttpLimits { idle, local, event_size_bytes_max: 256 * 1024, ..HttpLimits::default() };
    let retry = RetryPolicy {
        first_wait: Duration::from_millis(2),
        asked_wait_max: Duration::from_millis(500),
        ..RetryPolicy::default()
    };
    Vendors::new(settings, Catalogue::built_in(), &limits, retry).expect("TLS is there")
}

/// All vendors as the server uses them.
pub(crate) fn models(vendors: &Arc<Vendors>) -> Models {
    Models::new(vendors.providers(), None).expect("providers")
}

pub(crate) fn request(model: &str, prompt: &str) -> ModelRequest {
    ModelRequest {
        model: model.to_owned(),
        system: "Be brief.".to_owned(),
        turns: vec![Turn { role: MessageRole::User, text: prompt.to_owned() }],
        ..ModelRequest::default()
    }
}

/// What came of a question.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) usage: Option<Usage>,
    pub(crate) stop: Option<StopReason>,
    pub(crate) error: Option<ModelError>,
    /// How often it was asked again, and why.
    pub(crate) retries: Vec<Retry>,
}

pub(crate) async fn ask_with(models: &Models, request: ModelRequest) -> Outcome {
    let mut outcome = Outcome::default();
    let mut chunks = models.stream(request);
    let read = async {
        while let Some(chunk) = chunks.next().await {
            assert!(outcome.stop.is_none() && outcome.error.is_none(), "nothing follows the end");
            match chunk {
                Ok(ModelChunk::Text(text)) => outcome.text.push_str(&text),
                Ok(ModelChunk::Reasoning(text)) => outcome.reasoning.push_str(&text),
                Ok(ModelChunk::Usage(usage)) => outcome.usage = Some(usage),
                Ok(ModelChunk::Stop(stop)) => outcome.stop = Some(stop),
                Ok(ModelChunk::Retried(retry)) => outcome.retries.push(*retry),
                Ok(ModelChunk::Switched(switch)) => panic!("{switch:?}"),
                Err(error) => outcome.error = Some(error),
            }
        }
    };
    tokio::time::timeout(WITHIN, read).await.expect("an answer in time");
    outcome
}

pub(crate) async fn ask(models: &Models, model: &str, mode: &str) -> Outcome {
    ask_with(models, request(model, &format!("mode:{mode}"))).await
}

/// Only these vendors are set up.
pub(crate) fn only(settings: ModelSettings, providers: &[Provider]) -> ModelSettings {
    let endpoints: BTreeMap<_, _> =
        settings.endpoints.into_iter().filter(|(provider, _)| providers.contains(provider)).collect();
    ModelSettings { endpoints, ..settings }
}
