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
//! | `failover` | the next model, where one fails before its first byte |
//! | [`listing`], [`detect`] | the models vendors say they have; servers on this machine |
//! | [`price_lists`] | the lists others publish, from which the table is made anew |

pub mod answer;
pub mod anthropic;
pub mod ask;
pub mod catalogue;
pub mod demo;
pub mod detect;
pub mod endpoint;
mod failover;
pub mod gemini;
pub mod http;
pub mod listing;
pub mod openai_chat;
pub mod openai_responses;
pub mod price_lists;
pub mod provider;
pub mod retry;
pub mod sse;
#[cfg(test)]
mod testing;
mod think_tags;
pub mod usage;
pub mod vendor_error;
pub mod vendors;
pub mod wire;

use std::sync::Arc;

use cobuild_protocol::{model::ProviderReport, value::Usage};
use futures_util::{
    FutureExt as _, StreamExt,
    future::{BoxFuture, join_all},
    stream::{self, BoxStream},
};

use self::failover::Candidate;
use crate::project::model_provider::{Cost, ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest};

/// How many models the sentence about an unknown one names.
const MODELS_NAMED_MAX: usize = 12;
/// How many names an error about a provider suggests.
const SUGGESTIONS_MAX: usize = 3;

/// Every configured provider, by name. It is itself a provider: names are `provider/model`, split at the first `/`.
#[derive(Debug)]
pub struct Models {
    providers: Vec<(String, Arc<dyn ModelProvider>)>,
    default: Option<String>,
}

impl Models {
    /// A registry of these providers, in the order people see them. `default_model` is a `provider/model`; without
    /// one, it is the default of the first provider that has one, whenever it is asked for.
    ///
    /// # Errors
    ///
    /// There is no such model, or no provider at all. A default that was retired, or whose provider is not set up, is
    /// no error here: it is one for whoever uses it.
    pub fn new(
        providers: Vec<(String, Arc<dyn ModelProvider>)>,
        default_model: Option<&str>,
    ) -> Result<Self, ModelError> {
        if providers.is_empty() {
            let sentence = "no model provider is configured".to_owned();
            return Err(ModelError::UnknownModel { sentence, instead: Vec::new() });
        }
        let models = Self { providers, default: default_model.map(str::to_owned) };
        match models.default_problem() {
            None | Some(ModelError::RetiredModel { .. } | ModelError::NotConfigured { .. }) => Ok(models),
            Some(error) => Err(error),
        }
    }

    /// Why the configured default cannot be used, if it cannot.
    #[must_use]
    pub fn default_problem(&self) -> Option<ModelError> {
        self.default.as_ref().and_then(|name| self.resolve(name).err())
    }

    fn provider(&self, model: &str) -> Result<&Arc<dyn ModelProvider>, ModelError> {
        let Some((provider, _)) = model.split_once('/') else {
            let name = catalogue::shown(model);
            let sentence = format!("`{name}` is not a model's name, which is `provider/model`{}", self.examples());
            return Err(ModelError::UnknownModel { sentence, instead: self.suggestions() });
        };
        let found = self.providers.iter().find(|(name, _)| name == provider);
        found.map(|(_, provider)| provider).ok_or_else(|| ModelError::UnknownProvider {
            name: catalogue::shown(provider),
            instead: self.suggestions(),
        })
    }

    /// The default, and some others that can be used.
    fn suggestions(&self) -> Vec<String> {
        // As it is written: whether it can be used is what may be asked just now.
        let default = self.default.clone().or_else(|| Some(self.ready_default_of_all()?.name)).unwrap_or_default();
        let mut names: Vec<String> = self.models().into_iter().map(|model| model.name).collect();
        // A stable sort: the default in front, the others as they are.
        names.sort_by_key(|name| *name != default);
        names.truncate(SUGGESTIONS_MAX);
        names
    }

    fn ready_default_of_all(&self) -> Option<ModelInfo> {
        self.providers.iter().find_map(|(_, provider)| provider.ready_default())
    }

    fn examples(&self) -> String {
        let names = self.suggestions();
        if names.is_empty() { String::new() } else { format!("; there is {}", names.join(", ")) }
    }

    fn candidate(&self, name: String) -> Candidate {
        let found = self.provider(&name).and_then(|provider| Ok((provider.resolve(&name)?, Arc::clone(provider))));
        Candidate { name, found }
    }
}

impl ModelProvider for Models {
    /// What is configured, even where it cannot be used: then its notice says why, and using it is an error.
    fn default_model(&self) -> ModelInfo {
        let Some(name) = &self.default else {
            return self
                .ready_default_of_all()
                .or_else(|| Some(self.providers.first()?.1.default_model()))
                .unwrap_or_default();
        };
        let unusable = |error: ModelError| ModelInfo { notice: Some(error.to_string()), ..ModelInfo::new(name) };
        self.resolve(name).unwrap_or_else(unusable)
    }

    fn models(&self) -> Vec<ModelInfo> {
        self.providers.iter().flat_map(|(_, provider)| provider.models()).collect()
    }

    fn resolve(&self, name: &str) -> Result<ModelInfo, ModelError> {
        self.provider(name)?.resolve(name)
    }

    fn cost(&self, model: &str, usage: &Usage) -> Option<Cost> {
        self.provider(model).ok()?.cost(model, usage)
    }

    fn refresh(&self) -> BoxFuture<'_, Vec<ProviderReport>> {
        let reports = join_all(self.providers.iter().map(|(_, provider)| provider.refresh()));
        reports.map(|reports| reports.into_iter().flatten().collect()).boxed()
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
        if request.fallbacks.is_empty() {
            return match self.provider(&request.model) {
                Ok(provider) => provider.stream(request),
                Err(error) => stream::iter([Err(error)]).boxed(),
            };
        }
        let names = std::iter::once(request.model.clone()).chain(request.fallbacks.iter().cloned());
        let candidates = names.map(|name| self.candidate(name)).collect();
        failover::answer(request, candidates)
    }
}

/// The answer to a name that a provider does not have: it repeats the name and says what there is.
fn unknown_model(name: &str, models: &[ModelInfo]) -> ModelError {
    let shown = catalogue::shown(name);
    let mut known: Vec<&str> = models.iter().map(|model| model.name.as_str()).take(MODELS_NAMED_MAX).collect();
    let instead = known.iter().take(SUGGESTIONS_MAX).map(ToString::to_string).collect();
    if models.len() > MODELS_NAMED_MAX {
        known.push("…");
    }
    let sentence = format!("there is no model `{shown}` here; there is {}", known.join(", "));
    ModelError::UnknownModel { sentence, instead }
}

#[cfg(test)]
mod tests {
    use super::{
        catalogue::Catalogue,
        demo::{DemoConfig, DemoModel, script::ScriptedModel},
        endpoint::ModelSettings,
        http::HttpLimits,
        retry::RetryPolicy,
        vendors::Vendors,
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
        for name in ["gpt-9", "demo/other", "demo", "", "demo/", "demo/scripted/x"] {
            let Err(ModelError::UnknownModel { sentence, instead }) = models.resolve(name) else { panic!("{name}") };
            assert!(sentence.contains(&format!("`{name}`")) && sentence.contains("demo/scripted"), "{sentence}");
            assert_eq!(instead[0], "demo/scripted", "{name}");
        }
        for (name, provider) in [("openai/gpt-9", "openai"), ("/", ""), ("foo/x/y", "foo")] {
            let Err(ModelError::UnknownProvider { name: named, instead }) = models.resolve(name) else {
                panic!("{name}")
            };
            assert_eq!((named.as_str(), instead[0].as_str()), (provider, "demo/scripted"));
        }
        assert!(models.resolve(&"x\n".repeat(500)).is_err_and(|error| error.to_string().len() < 300));
    }

    #[test]
    fn the_default_must_exist() {
        assert!(models(Some("demo/scripted")).is_ok());
        for none in ["demo/none", "none", "no/such", ""] {
            assert!(models(Some(none)).is_err(), "{none}");
        }
        assert!(Models::new(Vec::new(), None).is_err());
    }

    #[tokio::test]
    async fn a_cost_depends_on_the_prompts_size_and_on_caches() {
        let vendors = Vendors::new(
            ModelSettings::default(),
            Catalogue::built_in(),
            &HttpLimits::default(),
            RetryPolicy::default(),
        );
        let mut providers = vendors.expect("TLS is there").providers();
        providers.push(("demo".to_owned(), Arc::new(DemoModel::new(DemoConfig::default()))));
        let models = Models::new(providers, None).expect("valid");
        let usage = |fresh: u64| Usage {
            input_tokens: Some(fresh),
            cache_read_tokens: Some(100_000),
            output_tokens: Some(1000),
            ..Usage::default()
        };
        let cost = |model: &str, fresh: u64| models.cost(model, &usage(fresh)).map(|cost| cost.nano_usd);
        assert_eq!(cost("openai/gpt-6.1-sol", 100_000), Some(220_000_000));
        assert_eq!(cost("openai/gpt-6.1-sol", 200_000), Some(835_000_000), "all of a long prompt costs more");
        assert_eq!((cost("openai/gpt-9-new", 1), cost("no/such", 1)), (None, None), "unknown, never 0");
        assert_eq!(cost("demo/scripted", 1), Some(0));
        let sol = models.cost("openai/gpt-6.1-sol", &usage(1)).expect("known");
        assert_eq!(sol.prices_as_of, Some(Catalogue::built_in().as_of().to_string()));
    }

    #[tokio::test]
    async fn a_request_for_an_unknown_model_fails_in_the_stream() {
        let models = models(None).expect("valid");
        let request = ModelRequest { model: "no/such".to_owned(), ..ModelRequest::default() };
        let answer: Vec<_> = models.stream(request).collect().await;
        assert!(matches!(answer.as_slice(), [Err(ModelError::UnknownProvider { .. })]));
    }
}
