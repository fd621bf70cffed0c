//! All vendors as model providers: names, keys, what is known of a model, and the way to ask it.
//!
//! Nothing is sent to a vendor whose key is not set: the answer names the variable instead.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use cobuild_protocol::{
    model::{ModelPrice, ProviderReport, ProviderState},
    value::Usage,
};
use futures_util::{
    FutureExt as _, StreamExt,
    future::{BoxFuture, join_all},
    stream::{self, BoxStream},
};
use jiff::civil::Date;

use super::{
    answer::{self, Question, RefusedParameters},
    ask::Ask,
    catalogue::{Catalogue, Model, today},
    detect::{self, FoundServer, ProbeFault},
    endpoint::{Endpoint, EndpointError, ModelSettings},
    http::{Connections, HttpLimits},
    provider::{ModelName, Provider},
    retry::RetryPolicy,
    usage::Price,
};
use crate::project::model_provider::{
    Cost, ModelChunk, ModelError, ModelInfo, ModelParameters, ModelProvider, ModelRequest,
};

/// How long a vendor's list of models is believed.
const LIST_FRESH: Duration = Duration::from_mins(10);
/// How long a failure is believed: whoever mends it wants to see so.
const FAILURE_FRESH: Duration = Duration::from_secs(20);
/// How long a list may take; people wait for it in a menu.
const LIST_WITHIN: Duration = Duration::from_secs(10);
/// How often this machine is looked over for model servers that have come or gone.
const LOOK_EVERY: Duration = Duration::from_secs(60);

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
    /// Becomes true when this machine has been looked over once.
    looked: tokio::sync::watch::Sender<bool>,
    /// Models that will stop working, and of which the log says so already.
    warned: Mutex<BTreeSet<ModelName>>,
    /// Held while a list is asked for, so that a full room does not ask all at once.
    asking: BTreeMap<Provider, tokio::sync::Mutex<()>>,
}

/// What a vendor said it has, and when.
#[derive(Debug, Clone)]
struct List {
    models: BTreeMap<ModelName, Model>,
    at: Instant,
    failure: Option<ProbeFault>,
}

impl List {
    fn is_fresh(&self) -> bool {
        let believed = if self.failure.is_some() { FAILURE_FRESH } else { LIST_FRESH };
        self.at.elapsed() < believed
    }
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
            warned: Mutex::default(),
            looked: tokio::sync::watch::Sender::new(false),
            asking: Provider::ALL.into_iter().map(|provider| (provider, tokio::sync::Mutex::default())).collect(),
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

    /// The model to use when nobody names one: the default of the first provider that is set up, else the first model
    /// of a server that was found; `None` when there is neither.
    #[must_use]
    pub fn default_model(&self) -> Option<ModelInfo> {
        Provider::ALL.into_iter().find_map(|provider| self.ready_default(provider))
    }

    /// A provider that is set up but has no default gives its bare name: to use that is an error that says what is wrong,
    /// and nobody is answered by somebody they did not choose.
    fn ready_default(&self, provider: Provider) -> Option<ModelInfo> {
        self.endpoint(provider).ok()?;
        if let Some(model) = self.default_of(provider) {
            return Some(self.info(&model));
        }
        let name = bare(provider);
        let notice = self.without_default(provider).to_string();
        (!provider.is_local()).then(|| ModelInfo { notice: Some(notice), ..ModelInfo::new(name) })
    }

    fn info(&self, model: &Model) -> ModelInfo {
        let price = model.price_on(today()).map(price);
        ModelInfo {
            name: model.name.to_string(),
            notice: model.retired_on.map(|day| format!("Retires on {day}")),
            context_tokens_max: model.context_tokens_max,
            output_tokens_max: model.output_tokens_max,
            vision: model.vision,
            price,
            // What runs on somebody's machine is mostly small. Of the edits of a coder of 32 billion parameters 28 % are not
            // well-formed, of its whole files hardly any (aider's polyglot leaderboard).
            whole_files: model.name.provider.is_local(),
            canned: false,
            retires_on: model.retired_on.map(|day| day.to_string()),
        }
    }

    fn cost(&self, name: &str, usage: &Usage) -> Option<Cost> {
        let row = self.known(&ModelName::parse(name)?)?;
        let nano_usd = row.cost(usage, today())?;
        Some(Cost { nano_usd, prices_as_of: Some(self.catalogue.as_of().to_string()) })
    }

    /// What to say of a provider without a default model.
    fn without_default(&self, provider: Provider) -> ModelError {
        let title = provider.title();
        let failure = self.lists().get(&provider).map(|list| list.failure.clone());
        match failure {
            Some(Some(fault)) => ModelError::Unavailable(format!("the models of {title} are not known: {fault}")),
            Some(None) => ModelError::UnknownModel {
                sentence: format!("none of the models of {title} is its default: name one, or set DEFAULT_AI_MODEL"),
                instead: self.usable(provider).iter().take(3).map(|model| model.name.to_string()).collect(),
            },
            None => ModelError::Unavailable(format!("the models of {title} are not known yet")),
        }
    }

    /// What is known of a model: the table's row, else what its vendor said in its list.
    #[must_use]
    pub fn known(&self, name: &ModelName) -> Option<Model> {
        let listed = self.lists().get(&name.provider).and_then(|list| list.models.get(name).cloned());
        self.joined(name, listed)
    }

    /// The table knows more, the vendor's list knows newer: when it will stop is the vendor's word.
    fn joined(&self, name: &ModelName, listed: Option<Model>) -> Option<Model> {
        let Some(mut row) = self.catalogue.model(name).cloned() else { return listed };
        if let Some(listed) = listed {
            row.retired_on = listed.retired_on.or(row.retired_on);
            row.price = row.price.or(listed.price);
            row.context_tokens_max = row.context_tokens_max.or(listed.context_tokens_max);
            row.output_tokens_max = row.output_tokens_max.or(listed.output_tokens_max);
            row.vision = row.vision.or(listed.vision);
        }
        Some(row)
    }

    /// The table, with its date.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Asks every configured vendor whose list is old for a new one, all at once. One that fails hides nothing of the
    /// others.
    pub async fn refresh(&self) -> Vec<ListReport> {
        let configured = Provider::ALL.into_iter().filter(|provider| !provider.is_local());
        let configured: Vec<Provider> = configured.filter(|provider| self.endpoint(*provider).is_ok()).collect();
        join_all(configured.iter().map(|provider| self.ask_for_list(*provider))).await;
        let lists = self.lists();
        let report = |(provider, list): (&Provider, &List)| ListReport {
            provider: *provider,
            models: list.models.len(),
            failure: list.failure.as_ref().map(ToString::to_string),
        };
        lists.iter().map(report).collect()
    }

    /// A new list of one provider, unless the one there is is fresh.
    async fn ask_for_list(&self, provider: Provider) {
        let (Ok(endpoint), Some(asking)) = (self.endpoint(provider), self.asking.get(&provider)) else { return };
        let _one_at_a_time = asking.lock().await;
        if self.lists().get(&provider).is_some_and(List::is_fresh) {
            return;
        }
        if provider.is_local() {
            if !self.settings.without_local {
                self.look_for(endpoint).await;
            }
        } else {
            self.keep(provider, detect::probe(&self.connections, endpoint, LIST_WITHIN).await);
        }
    }

    /// Looks for model servers on this machine and offers what they have.
    pub async fn find_local(&self) -> Vec<FoundServer> {
        if self.settings.without_local {
            return Vec::new();
        }
        let locals = Provider::ALL.into_iter().filter(|provider| provider.is_local());
        let endpoints: Vec<_> = locals.filter_map(|provider| self.endpoint(provider).ok()).collect();
        join_all(endpoints.into_iter().map(|endpoint| self.look_for(endpoint))).await.into_iter().flatten().collect()
    }

    async fn look_for(&self, endpoint: &Arc<Endpoint>) -> Option<FoundServer> {
        let found = detect::local_server(&self.connections, endpoint).await;
        match &found {
            Some(server) => self.keep(endpoint.provider, Ok(server.models.clone())),
            None => drop(self.lists().remove(&endpoint.provider)),
        }
        found
    }

    /// Looks for what only looking tells: the servers on this machine and the models of the compatible server. Then goes
    /// on looking from time to time, for as long as somebody has these vendors.
    pub async fn keep_looking(vendors: Weak<Self>) {
        let mut said: Vec<String> = Vec::new();
        while let Some(vendors) = vendors.upgrade() {
            let (found, ()) = tokio::join!(vendors.find_local(), vendors.ask_for_list(Provider::Compatible));
            let found: Vec<String> = found.iter().map(FoundServer::sentence).collect();
            for sentence in found.iter().filter(|sentence| !said.contains(sentence)) {
                tracing::info!("{sentence}");
            }
            said = found;
            vendors.looked.send_replace(true);
            drop(vendors);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until [`Self::keep_looking`] has looked once, but no longer than this.
    pub async fn first_look(&self, within: Duration) {
        let mut looked = self.looked.subscribe();
        // Whoever is still silent then is found by a later look.
        let _ = tokio::time::timeout(within, looked.wait_for(|looked| *looked)).await;
    }

    /// Tries the compatible server people configured; `None` when there is none.
    pub async fn probe_compatible(&self) -> Option<Result<usize, ProbeFault>> {
        let endpoint = self.endpoints.get(&Provider::Compatible)?.as_ref().ok()?;
        let probed = detect::probe(&self.connections, endpoint, LIST_WITHIN).await;
        self.keep(Provider::Compatible, probed.clone());
        Some(probed.map(|models| models.len()))
    }

    /// How a provider is. `None`: it would be on this machine, where nobody wants it looked for.
    fn report(&self, provider: Provider) -> Option<ProviderReport> {
        if provider.is_local() && self.settings.without_local {
            return None;
        }
        let mut variable = None;
        let (state, detail) = match (self.endpoints.get(&provider)?, self.lists().get(&provider)) {
            (Err(error @ EndpointError::BadBaseUrl { .. }), _) => (ProviderState::Failing, Some(error.to_string())),
            (Err(error), _) => {
                variable = Some(error.variable().to_owned());
                (ProviderState::NotConfigured, Some(error.to_string()))
            }
            (Ok(endpoint), Some(List { failure: Some(fault), .. })) => {
                (ProviderState::Failing, Some(format!("{fault}; asked {}", endpoint.place())))
            }
            (Ok(endpoint), Some(_)) if endpoint.is_loopback() => {
                (ProviderState::Ready, Some(format!("at {}", endpoint.base_url)))
            }
            (Ok(_), None) if provider.is_local() => (ProviderState::NotFound, None),
            (Ok(_), _) => (ProviderState::Ready, None),
        };
        let models = u64::try_from(self.usable(provider).len()).unwrap_or(u64::MAX);
        let (name, title) = (provider.name().to_owned(), provider.title().to_owned());
        Some(ProviderReport { provider: name, title, state, models, detail, variable })
    }

    fn keep(&self, provider: Provider, listed: Result<Vec<Model>, ProbeFault>) {
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
            None => Err(ModelError::UnknownProvider { name: provider.to_string(), instead: Vec::new() }),
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
            listed.into_iter().filter_map(|(name, model)| self.joined(&name, Some(model))).collect()
        };
        models.retain(|model| !model.is_retired(today));
        models.sort_by_key(|model| (!model.default, model.role.is_none(), model.name.clone()));
        models
    }

    fn default_of(&self, provider: Provider) -> Option<Model> {
        let usable = self.usable(provider);
        usable.first().filter(|model| model.default || model.role.is_some() || !is_vendor(provider)).cloned()
    }

    /// What the server's owner set, where the request says nothing.
    fn set_defaults(&self, parameters: &mut ModelParameters) {
        parameters.temperature = parameters.temperature.or(self.settings.temperature);
        parameters.output_tokens_max = parameters.output_tokens_max.or(self.settings.output_tokens_max);
    }

    fn resolve(&self, provider: Provider, name: &str) -> Result<(ModelName, Option<Model>), ModelError> {
        self.endpoint(provider)?;
        let parsed = ModelName::parse(name).filter(|parsed| parsed.provider == provider);
        let parsed = parsed
            .ok_or_else(|| if name == bare(provider) { self.without_default(provider) } else { self.unusable(name) })?;
        let model = self.known(&parsed);
        if model.as_ref().is_some_and(|model| model.is_retired(today())) {
            return Err(self.unusable(name));
        }
        Ok((parsed, model))
    }

    /// What is in use and will stop working is in the log once, not with every prompt.
    fn warn_once(&self, name: &ModelName, day: Date) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(name.clone()) {
            tracing::warn!(model = %name, "a model that is in use retires on {day}");
        }
    }

    /// What to say to a name that cannot be used.
    fn unusable(&self, name: &str) -> ModelError {
        let provider = ModelName::parse(name).map(|name| name.provider);
        let listed: Vec<ModelName> = provider
            .and_then(|provider| self.lists().get(&provider).map(|list| list.models.keys().cloned().collect()))
            .unwrap_or_default();
        self.catalogue.unusable(name, &listed, today())
    }

    fn ask(
        self: &Arc<Self>,
        provider: Provider,
        mut request: ModelRequest,
    ) -> Result<BoxStream<'static, Result<ModelChunk, ModelError>>, ModelError> {
        self.set_defaults(&mut request.parameters);
        let (name, row) = self.resolve(provider, &request.model)?;
        if let Some(day) = row.as_ref().and_then(|row| row.retired_on) {
            self.warn_once(&name, day);
        }
        let ask = Ask::new(name.clone(), row.as_ref(), request)?;
        let chunks = answer::answer(Question {
            endpoint: Arc::clone(self.endpoint(provider)?),
            ask,
            row,
            today: today(),
            prices_as_of: self.catalogue.as_of(),
            connections: self.connections.clone(),
            retry: self.retry.clone(),
            refused: self.refused.clone(),
        });
        let vendors = Arc::clone(self);
        // The vendor only knows that it has no such model; we know which there are.
        Ok(chunks
            .map(move |chunk| match chunk {
                Err(ModelError::UnknownModel { .. }) => Err(vendors.unusable(&name.to_string())),
                chunk => chunk,
            })
            .boxed())
    }
}

/// Whether its models are in the table; for the others the first one listed is as good as any.
fn is_vendor(provider: Provider) -> bool {
    !provider.is_local() && !matches!(provider, Provider::Compatible)
}

/// A name without a model, which is no name that can be used.
fn bare(provider: Provider) -> String {
    format!("{provider}/")
}

/// A price as clients see it.
pub(crate) fn price(price: Price) -> ModelPrice {
    let Price { input, output, cache_read, cache_write, cache_write_1h: _ } = price;
    ModelPrice { input, output, cache_read, cache_write }
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
    /// Its default, or the provider's bare name when it has none: that resolves to a sentence that says why.
    fn default_model(&self) -> ModelInfo {
        let default = self.vendors.default_of(self.provider);
        default.map_or_else(|| ModelInfo::new(bare(self.provider)), |model| self.vendors.info(&model))
    }

    fn ready_default(&self) -> Option<ModelInfo> {
        if self.listed { self.vendors.ready_default(self.provider) } else { None }
    }

    fn models(&self) -> Vec<ModelInfo> {
        if self.listed {
            self.vendors.usable(self.provider).iter().map(|model| self.vendors.info(model)).collect()
        } else {
            Vec::new()
        }
    }

    fn resolve(&self, name: &str) -> Result<ModelInfo, ModelError> {
        let (name, model) = self.vendors.resolve(self.provider, name)?;
        Ok(self.vendors.info(&model.unwrap_or_else(|| Model::new(name))))
    }

    fn cost(&self, model: &str, usage: &Usage) -> Option<Cost> {
        self.vendors.cost(model, usage)
    }

    fn refresh(&self) -> BoxFuture<'_, Vec<ProviderReport>> {
        async {
            if !self.listed {
                return Vec::new();
            }
            self.vendors.ask_for_list(self.provider).await;
            self.vendors.report(self.provider).into_iter().collect()
        }
        .boxed()
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
        match self.vendors.ask(self.provider, request) {
            Ok(chunks) => chunks,
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}
