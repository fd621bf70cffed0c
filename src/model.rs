//! Model providers: the adapters behind [`crate::project::model_provider`], and the registry that finds one by the
//! first part of a model's name.
//!
//! | room | owns |
//! |---|---|
//! | [`vendors`] | all vendors as providers |
//! | [`demo`] | canned apps for a server without a key, scripts for tests |
//! | [`provider`], [`endpoint`] | vendors, their addresses and keys |
//! | [`catalogue`] | what is known of models: limits, prices, retirements |
//! | [`ask`] | a request with the parameters that the model takes |
//! | [`wire`], [`anthropic`], [`openai_responses`], [`openai_chat`], [`gemini`] | the four wires: pure |
//! | [`vendor_error`], [`usage`] | vendors' errors and counts in one shape |
//! | [`http`], [`sse`], [`retry`], [`answer`] | the IO: one call, its events, its retries, one whole answer |
//! | [`listing`], [`detect`] | the models vendors say they have; servers on this machine |

pub mod answer;
pub mod anthropic;
pub mod ask;
pub mod catalogue;
pub mod demo;
pub mod detect;
pub mod endpoint;
pub mod gemini;
pub mod http;
pub mod listing;
pub mod openai_chat;
pub mod openai_responses;
pub mod provider;
pub mod retry;
pub mod sse;
#[cfg(test)]
mod testing;
pub mod usage;
pub mod vendor_error;
pub mod vendors;
pub mod wire;

use std::sync::Arc;

use futures_util::{StreamExt, stream, stream::BoxStream};

use crate::project::model_provider::{ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest};

/// How many models the sentence about an unknown one names.
const MODELS_NAMED_MAX: usize = 12;

/// Every configured provider, by name. It is itself a provider: names are `provider/model`, split at the first `/`.
#[derive(Debug)]
pub struct Models {
    providers: Vec<(String, Arc<dyn ModelProvider>)>,
    default: ModelInfo,
}

impl Models {
    /// A registry of these providers, in the order people see them. `default_model` is a `provider/model`; without
    /// one, the first provider's own default is used. Fails when there is no such model, or no provider at all.
    pub fn new(
        providers: Vec<(String, Arc<dyn ModelProvider>)>,
        default_model: Option<&str>,
    ) -> Result<Self, ModelError> {
        let Some((_, first)) = providers.first() else {
            return Err(ModelError::UnknownModel("no model provider is configured".to_owned()));
        };
        let mut models = Self { default: first.default_model(), providers };
        if let Some(name) = default_model {
            models.default = models.resolve(name)?;
        }
        Ok(models)
    }

    fn provider(&self, model: &str) -> Result<&dyn ModelProvider, ModelError> {
        let provider = model.split_once('/').map_or(model, |(provider, _)| provider);
        let found = self.providers.iter().find(|(name, _)| name == provider);
        found.map(|(_, provider)| provider.as_ref()).ok_or_else(|| unknown_model(model, &self.models()))
    }
}

impl ModelProvider for Models {
    fn default_model(&self) -> ModelInfo {
        self.default.clone()
    }

    fn models(&self) -> Vec<ModelInfo> {
        self.providers.iter().flat_map(|(_, provider)| provider.models()).collect()
    }

    fn resolve(&self, name: &str) -> Result<ModelInfo, ModelError> {
        self.provider(name)?.resolve(name)
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
        match self.provider(&request.model) {
            Ok(provider) => provider.stream(request),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

/// The answer to a name nobody has: it repeats the name and says what there is.
fn unknown_model(name: &str, models: &[ModelInfo]) -> ModelError {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    let mut known: Vec<&str> = models.iter().map(|model| model.name.as_str()).take(MODELS_NAMED_MAX).collect();
    if models.len() > MODELS_NAMED_MAX {
        known.push("…");
    }
    ModelError::UnknownModel(format!("there is no model '{shown}' here; there is {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{
        demo::{DemoConfig, DemoModel, script::ScriptedModel},
        *,
    };

    fn models(default_model: Option<&str>) -> Result<Models, ModelError> {
        let providers: Vec<(String, Arc<dyn ModelProvider>)> = vec![
            ("demo".to_owned(), Arc::new(DemoModel::new(DemoConfig::default()))),
            ("other".to_owned(), Arc::new(ScriptedModel::new([]))),
        ];
        Models::new(providers, default_model)
    }

    #[test]
    fn finds_a_provider_by_the_first_part_of_the_name() {
        let models = models(None).expect("valid");
        assert_eq!(models.default_model().name, "demo/scripted");
        assert_eq!(models.resolve("demo/scripted").expect("known").name, "demo/scripted");
        let names: Vec<_> = models.models().into_iter().map(|model| model.name).collect();
        assert_eq!(names, ["demo/scripted", "demo/test"]);
    }

    #[test]
    fn an_unknown_name_is_answered_with_what_exists() {
        let models = models(None).expect("valid");
        for name in ["gpt-9", "openai/gpt-9", "demo/other", "demo", "", "/", "demo/", "demo/scripted/x"] {
            let Err(ModelError::UnknownModel(sentence)) = models.resolve(name) else { panic!("{name} is known") };
            assert!(sentence.contains(&format!("'{name}'")) && sentence.contains("demo/scripted"), "{sentence}");
        }
        assert!(models.resolve(&"x\n".repeat(500)).is_err_and(|error| error.to_string().len() < 300));
    }

    #[test]
    fn the_default_must_exist() {
        assert!(models(Some("demo/scripted")).is_ok());
        assert!(models(Some("demo/none")).is_err());
        assert!(Models::new(Vec::new(), None).is_err());
    }

    #[tokio::test]
    async fn a_request_for_an_unknown_model_fails_in_the_stream() {
        let models = models(None).expect("valid");
        let request = ModelRequest { model: "no/such".to_owned(), ..ModelRequest::default() };
        let answer: Vec<_> = models.stream(request).collect().await;
        assert!(matches!(answer.as_slice(), [Err(ModelError::UnknownModel(_))]));
    }
}
