//! All vendors as model providers: names, keys, what is known of a model, and the way to ask it.
//!
//! Nothing is sent to a vendor whose key is not set: the answer names the variable instead.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{
    StreamExt,
    future::join_all,
    stream::{self, BoxStream},
};

use super::{
    answer::{self, Question, RefusedParameters},
    ask::Ask,
    catalogue::{Catalogue, Model, today},
    detect::{self, FoundServer},
    endpoint::{Endpoint, EndpointError, ModelSettings},
    http::{Connections, HttpLimits},
    listing,
    provider::{ModelName, Provider},
    retry::RetryPolicy,
};
use crate::project::model_provider::{ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest};

/// How long a vendor's list of models is believed.
const LIST_FRESH: Duration = Duration::from_mins(10);
/// How long a list may take; people wait for it in a menu.
const LIST_WITHIN: Duration = Duration::from_secs(10);

/// All vendors.
#[derive(Debug)]
pub struct Vendors {
    endpoints: BTreeMap<Provider, Result<Arc<Endpoint>, EndpointError>>,
    settings: ModelSettings,
    catalogue: Catalogue,
    connections: Connections,
    retry: RetryPolicy,
    refused: RefusedParameters,
    lists: Mutex<BTreeMap<Provider, List>>,
}

/// What a vendor said it has, and when.
#[derive(Debug, Clone)]
struct List {
    models: BTreeMap<ModelName, Model>,
    at: Instant,
    failure: Option<String>,
}

/// The state of one provider's list, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListReport {
    /// Whose.
    pub provider: Provider,
    /// How many models it has.
    pub models: usize,
    /// Why the list could not be read; the models are then those of the last time, or of the table.
    pub failure: Option<String>,
}

impl Vendors {
    /// Sets everything up; nothing is called yet.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up on this machine.
    pub fn new(
        settings: ModelSettings,
        catalogue: Catalogue,
        limits: &HttpLimits,
        retry: RetryPolicy,
    ) -> Result<Arc<Self>, reqwest::Error> {
        let endpoint = |provider| (provider, Endpoint::new(provider, &settings).map(Arc::new));
        Ok(Arc::new(Self {
            endpoints: Provider::ALL.into_iter().map(endpoint).collect(),
            settings,
            catalogue,
            connections: Connections::new(limits)?,
            retry,
            refused: RefusedParameters::default(),
            lists: Mutex::default(),
        }))
    }

    /// One model provider for each name that may stand before the `/`, those without a key too: they answer with
    /// the variable to set.
    #[must_use]
    pub fn providers(self: &Arc<Self>) -> Vec<(String, Arc<dyn ModelProvider>)> {
        let vendor = |provider, listed| -> Arc<dyn ModelProvider> {
            Arc::new(Vendor { provider, listed, vendors: Arc::clone(self) })
        };
        let mut providers: Vec<_> =
            Provider::ALL.into_iter().map(|provider| (provider.name().to_owned(), vendor(provider, true))).collect();
        providers.push(("gemini".to_owned(), vendor(Provider::Google, false)));
        providers
    }

    /// The model to use when nobody names one: the default of the first provider with a key, else the first model of
    /// a server that was found; `None` when there is neither.
    #[must_use]
    pub fn default_model(&self) -> Option<ModelInfo> {
        Provider::ALL.into_iter().find_map(|provider| self.default_of(provider)).map(|model| info(&model))
    }

    /// What is known of a model: the table's row, else what its vendor said in its list.
    #[must_use]
    pub fn known(&self, name: &ModelName) -> Option<Model> {
        let listed = || self.lists().get(&name.provider).and_then(|list| list.models.get(name).cloned());
        self.catalogue.model(name).cloned().or_else(listed)
    }

    /// The table, with its date.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Asks every configured vendor whose list is old for a new one, all at once. One that fails hides nothing of the
    /// others.
    pub async fn refresh(&self) -> Vec<ListReport> {
        let stale = |provider: &Provider| self.lists().get(provider).is_none_or(|list| list.at.elapsed() > LIST_FRESH);
        let configured = self.endpoints.values().filter_map(|endpoint| endpoint.as_ref().ok());
        let asked: Vec<_> = configured
            .filter(|endpoint| !endpoint.provider.is_local() && stale(&endpoint.provider))
            .map(|endpoint| async {
                let listed = listing::list(&self.connections, endpoint, LIST_WITHIN).await;
                (endpoint.provider, listed.map_err(|refusal| refusal.failure.error.to_string()))
            })
            .collect();
        for (provider, listed) in join_all(asked).await {
            self.keep(provider, listed);
        }
        let lists = self.lists();
        let report = |(provider, list): (&Provider, &List)| ListReport {
            provider: *provider,
            models: list.models.len(),
            failure: list.failure.clone(),
        };
        lists.iter().map(report).collect()
    }

    /// Looks for model servers on this machine and offers what they have.
    pub async fn find_local(&self) -> Vec<FoundServer> {
        let found = detect::local_servers(&self.connections, &self.settings).await;
        for server in &found {
            self.keep(server.endpoint.provider, Ok(server.models.clone()));
        }
        found
    }

    /// Tries the compatible server people configured; `None` when there is none.
    pub async fn probe_compatible(&self) -> Option<Result<usize, detect::ProbeFault>> {
        let endpoint = self.endpoints.get(&Provider::Compatible)?.as_ref().ok()?;
        let probed = detect::probe(&self.connections, endpoint).await;
        if let Ok(models) = &probed {
            self.keep(Provider::Compatible, Ok(models.clone()));
        }
        Some(probed.map(|models| models.len()))
    }

    fn keep(&self, provider: Provider, listed: Result<Vec<Model>, String>) {
        let mut lists = self.lists();
        let list = lists.entry(provider).or_insert_with(|| List {
            models: BTreeMap::new(),
            at: Instant::now(),
            failure: None,
        });
        list.at = Instant::now();
        match listed {
            Ok(models) => {
                list.models = models.into_iter().map(|model| (model.name.clone(), model)).collect();
                list.failure = None;
            }
            Err(failure) => list.failure = Some(failure),
        }
    }

    fn lists(&self) -> std::sync::MutexGuard<'_, BTreeMap<Provider, List>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn endpoint(&self, provider: Provider) -> Result<&Arc<Endpoint>, ModelError> {
        match self.endpoints.get(&provider) {
            Some(Ok(endpoint)) => Ok(endpoint),
            Some(Err(error)) => Err(error.clone().into()),
            None => Err(ModelError::UnknownModel(format!("there is no provider `{provider}`"))),
        }
    }

    /// The models of a provider that can be used: those it lists, known better by the table; before it was asked,
    /// those of the table.
    fn usable(&self, provider: Provider) -> Vec<Model> {
        if self.endpoint(provider).is_err() {
            return Vec::new();
        }
        let today = today();
        let listed = self.lists().get(&provider).map(|list| list.models.clone()).unwrap_or_default();
        let mut models: Vec<Model> = if listed.is_empty() {
            self.catalogue.models().filter(|model| model.name.provider == provider).cloned().collect()
        } else {
            let known = |(name, model)| self.catalogue.model(&name).cloned().unwrap_or(model);
            listed.into_iter().map(known).collect()
        };
        models.retain(|model| !model.is_retired(today));
        models.sort_by_key(|model| (!model.default, model.role.is_none(), model.name.clone()));
        models
    }

    fn default_of(&self, provider: Provider) -> Option<Model> {
        let usable = self.usable(provider);
        usable.first().filter(|model| model.default || !is_vendor(provider)).cloned()
    }

    fn resolve(&self, provider: Provider, name: &str) -> Result<(ModelName, Option<Model>), ModelError> {
        let parsed = ModelName::parse(name).filter(|parsed| parsed.provider == provider);
        let parsed = parsed.ok_or_else(|| self.unusable(name))?;
        self.endpoint(provider)?;
        let model = self.known(&parsed);
        if model.as_ref().is_some_and(|model| model.is_retired(today())) {
            return Err(self.unusable(name));
        }
        Ok((parsed, model))
    }

    /// What to say to a name that cannot be used.
    fn unusable(&self, name: &str) -> ModelError {
        let provider = ModelName::parse(name).map(|name| name.provider);
        let listed: Vec<ModelName> = provider
            .and_then(|provider| self.lists().get(&provider).map(|list| list.models.keys().cloned().collect()))
            .unwrap_or_default();
        ModelError::UnknownModel(self.catalogue.unusable(name, &listed, today()))
    }

    fn ask(
        self: &Arc<Self>,
        provider: Provider,
        request: ModelRequest,
    ) -> Result<BoxStream<'static, Result<ModelChunk, ModelError>>, ModelError> {
        let (name, row) = self.resolve(provider, &request.model)?;
        let ask = Ask::new(name.clone(), row.as_ref(), request)?;
        let chunks = answer::answer(Question {
            endpoint: Arc::clone(self.endpoint(provider)?),
            ask,
            row,
            today: today(),
            connections: self.connections.clone(),
            retry: self.retry.clone(),
            refused: self.refused.clone(),
        });
        let vendors = Arc::clone(self);
        // The vendor only knows that it has no such model; we know which there are.
        Ok(chunks
            .map(move |chunk| match chunk {
                Err(ModelError::UnknownModel(_)) => Err(vendors.unusable(&name.to_string())),
                chunk => chunk,
            })
            .boxed())
    }
}

/// Whether its models are in the table; for the others the first one listed is as good as any.
fn is_vendor(provider: Provider) -> bool {
    !provider.is_local() && !matches!(provider, Provider::Compatible)
}

fn info(model: &Model) -> ModelInfo {
    let notice = model.retired_on.map(|day| format!("Retires on {day}"));
    ModelInfo {
        name: model.name.to_string(),
        notice,
        context_tokens_max: model.context_tokens_max,
        output_tokens_max: model.output_tokens_max,
        vision: model.vision,
        canned: false,
    }
}

/// One vendor.
#[derive(Debug)]
struct Vendor {
    provider: Provider,
    /// Whether its models are shown under this name; an alias shows none.
    listed: bool,
    vendors: Arc<Vendors>,
}

impl ModelProvider for Vendor {
    /// Its default, or the provider's bare name when it has none: that resolves to a sentence that says what exists.
    fn default_model(&self) -> ModelInfo {
        let default = self.vendors.default_of(self.provider);
        let nothing = || ModelInfo { name: format!("{}/", self.provider), ..ModelInfo::default() };
        default.map_or_else(nothing, |model| info(&model))
    }

    fn models(&self) -> Vec<ModelInfo> {
        if self.listed { self.vendors.usable(self.provider).iter().map(info).collect() } else { Vec::new() }
    }

    fn resolve(&self, name: &str) -> Result<ModelInfo, ModelError> {
        let (name, model) = self.vendors.resolve(self.provider, name)?;
        Ok(model.map_or_else(|| ModelInfo { name: name.to_string(), ..ModelInfo::default() }, |model| info(&model)))
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
        match self.vendors.ask(self.provider, request) {
            Ok(chunks) => chunks,
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}
