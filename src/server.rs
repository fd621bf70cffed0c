//! The composition root: from a [`Config`] to a running server, and back to nothing.
//!
//! Knows every room and none of their insides. Reads no environment, prints nothing, ends no process.

mod elsewhere;
mod port;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    config::{Config, Dollars, PublicUrl, SandboxChoice},
    http::{App, CONNECTIONS_MAX, Door, DoorError, HttpParts, Timing},
    model::{
        Models,
        catalogue::{Catalogue, CatalogueError, RENEWED_FILE},
        demo::{DemoConfig, DemoModel},
        http::HttpLimits,
        retry::RetryPolicy,
        vendors::Vendors,
    },
    pages::{
        WebPages,
        firecrawl::{Firecrawl, FirecrawlError},
    },
    project::{
        Budget, LogLimits, ProjectParts, ProjectRegistry, ProjectSettings,
        event_store::SharedStore,
        model_provider::{ModelError, ModelProvider},
        sandbox_provider::SandboxProvider,
        scraper::Scraper,
    },
    sandbox::{
        local::{LocalConfig, LocalProvider},
        memory::MemoryProvider,
        none::NoSandboxes,
    },
    store::sqlite::{OpenError, SqliteOptions, SqliteStore},
};

/// How long projects may take to come to an orderly end. Sandboxes end in milliseconds, an append in less than a
/// second; after this something hangs, and everything that was promised is in the store anyway.
const PROJECTS_CLOSE_MAX: Duration = Duration::from_secs(10);
/// How long the start waits for model servers on this machine to answer: they decide which model is the default. Where
/// there are none, the answer comes at once.
const LOOK_MAX: Duration = Duration::from_millis(400);
/// How long connections may take to hear that the server goes.
const CONNECTIONS_CLOSE_MAX: Duration = Duration::from_secs(3);

/// What a server is made of, for whoever wants other parts than the configured ones.
#[derive(Debug, Clone)]
pub struct Providers {
    /// Where logs and contents are.
    pub store: SharedStore,
    /// Who answers prompts.
    pub models: Arc<dyn ModelProvider>,
    /// Who makes sandboxes.
    pub sandboxes: Arc<dyn SandboxProvider>,
    /// How long connections may take over things.
    pub timing: Timing,
    /// Most connections at once; whoever comes beyond that waits.
    pub connections_max: usize,
    /// What projects may choose; the previews' address and the git hosts are filled in.
    pub projects: ProjectSettings,
}

/// Why a server did not start. Each is one sentence for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address does not exist.
    #[error("cannot listen on {host}: {reason}")]
    Address {
        /// As configured.
        host: String,
        /// Why not.
        reason: io::Error,
    },
    /// Somebody else listens there.
    #[error("port {port} of {host} is taken by another program; choose another with --port or PORT")]
    PortTaken {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
    },
    /// The database did not open.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// It cannot be decided who may come in.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// `DEFAULT_AI_MODEL` names no model there is.
    #[error("DEFAULT_AI_MODEL={name}: {reason}")]
    Model {
        /// As configured.
        name: String,
        /// Why not, and what there is.
        reason: ModelError,
    },
    /// A table of models cannot be used: the user's own, or the one made anew.
    #[error("{}: {reason}", file.display())]
    Catalogue {
        /// Where it is.
        file: PathBuf,
        /// Why not.
        reason: CatalogueError,
    },
    /// There is no TLS on this machine.
    #[error("models cannot be reached: {0}")]
    Tls(String),
    /// The scraping service cannot be used.
    #[error(transparent)]
    Scraper(#[from] FirecrawlError),
}

/// A server that answers. Dropping it ends its connections; [`RunningServer::shutdown`] does so in order.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    url: PublicUrl,
    elsewhere: Option<PublicUrl>,
    owner_link: Option<String>,
    app: App,
    registry: ProjectRegistry,
    /// How long runs may take to come to their own end.
    drain: Duration,
    stop: DropGuard,
    /// Dropped after the others: ends what is still connected.
    _connections: DropGuard,
}

impl Providers {
    /// The parts the configuration asks for.
    ///
    /// # Errors
    ///
    /// [`StartError`], before anything answers.
    pub async fn configured(config: &Config) -> Result<Self, StartError> {
        let store: SharedStore = Arc::new(SqliteStore::open(&config.data_dir, &SqliteOptions::default())?);
        Ok(Self {
            store,
            models: models(config).await?,
            sandboxes: sandboxes(config),
            timing: Timing::default(),
            connections_max: CONNECTIONS_MAX,
            projects: ProjectSettings {
                projects_max: config.projects_max,
                log_limits: LogLimits { frames: config.log_frames_max, ..LogLimits::default() },
                run_budget: budget(config.run_budget_usd, config.run_budget_tokens),
                project_budget: budget(config.project_budget_usd, config.project_budget_tokens),
                ..ProjectSettings::default()
            },
        })
    }
}

impl RunningServer {
    /// Starts what the configuration asks for.
    ///
    /// # Errors
    ///
    /// [`StartError`]; then nothing was started.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        Door::check(config)?;
        // The port before all else: a second server on the same port must not touch the data.
        let listener = port::listen(&config.host, config.port).await?;
        Self::start_on(listener, config, Providers::configured(config).await?)
    }

    /// Starts with parts of the caller's own.
    ///
    /// # Errors
    ///
    /// [`StartError`]; then nothing was started.
    pub async fn start_with(config: &Config, providers: Providers) -> Result<Self, StartError> {
        Self::start_on(port::listen(&config.host, config.port).await?, config, providers)
    }

    fn start_on(listener: TcpListener, config: &Config, providers: Providers) -> Result<Self, StartError> {
        let address = listener.local_addr().map_err(|reason| port::unreachable_address(&config.host, reason))?;
        let url = public_url(config, address);
        let elsewhere = elsewhere(config, address);
        let door = Door::new(address, config)?;
        let owner_link = door.token().map(|token| format!("{url}/#token={}", token.expose()));
        let Providers { store, models, sandboxes, timing, connections_max, projects } = providers;
        let pages = WebPages::new(&config.page_hosts).map_err(|error| StartError::Tls(error.to_string()))?;
        let pages = Arc::new(pages);
        let scraper = scraper(config, &pages)?;
        let preview_url = format!("{}/", url.with_host(&format!("{{id}}.{}", config.preview_domain)));
        let registry = ProjectRegistry::new(ProjectParts {
            store,
            models: Arc::clone(&models),
            sandboxes: Arc::clone(&sandboxes),
            pages,
            settings: Arc::new(ProjectSettings {
                preview_url,
                git_hosts: config.git_hosts.clone(),
                merge_model: config.models.merge_model.clone(),
                ..projects
            }),
        });
        let parts = HttpParts {
            registry: registry.clone(),
            models,
            sandboxes,
            scraper,
            timing,
            connections_max,
            // Whoever is invited may be at another machine.
            url: elsewhere.as_ref().unwrap_or(&url).to_string(),
            is_url_configured: config.public_url.is_some(),
        };
        let app = App::new(parts, config, door);
        registry.resume_waiting();
        let stop = CancellationToken::new();
        tokio::spawn(app.clone().serve(listener, stop.clone()));
        let connections = app.connections().drop_guard();
        let drain = Duration::from_millis(config.drain_ms);
        Ok(Self {
            address,
            url,
            elsewhere,
            owner_link,
            app,
            registry,
            drain,
            stop: stop.drop_guard(),
            _connections: connections,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How people reach it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// The link that makes whoever has it owner; `None` on a server that is open to this machine.
    #[must_use]
    pub fn owner_link(&self) -> Option<&str> {
        self.owner_link.as_deref()
    }

    /// The same link – or, where there is none, address – for other machines, as far as it is known and another one.
    #[must_use]
    pub fn link_elsewhere(&self) -> Option<String> {
        let elsewhere = self.elsewhere.as_ref()?.to_string();
        let owners = self.owner_link.as_ref().and_then(|link| link.strip_prefix(&self.url.to_string()));
        Some(format!("{elsewhere}{}", owners.unwrap_or_default()))
    }

    /// Begins nothing new and waits for the runs under way, for as long as `DRAIN_MS` says; whoever comes meanwhile is
    /// told when to come back. Then it stops accepting, brings every project to an orderly end, tells clients when to come
    /// back, and returns when all is quiet or its time is up.
    pub async fn shutdown(self) {
        let Self { app, registry, drain, stop, .. } = self;
        app.leave(drain);
        registry.drain(drain).await;
        drop(stop);
        if timeout(PROJECTS_CLOSE_MAX, registry.shutdown()).await.is_err() {
            tracing::error!("projects did not come to an end in time");
        }
        if timeout(CONNECTIONS_CLOSE_MAX, app.close()).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
        }
    }
}

/// Every model there is a way to; without a key or a server that is the demo.
pub(crate) async fn models(config: &Config) -> Result<Arc<dyn ModelProvider>, StartError> {
    let vendors = vendors(config)?;
    let demo: Arc<dyn ModelProvider> = Arc::new(DemoModel::new(DemoConfig { speed: config.demo_speed }));
    let looking = tokio::spawn(Vendors::keep_looking(Arc::downgrade(&vendors)));
    let mut providers = vendors.providers();
    // Last: it steps aside for whatever else there is.
    providers.push(("demo".to_owned(), demo));
    let default = config.models.chosen_default();
    let models = Models::new(providers, default)
        .map_err(|reason| StartError::Model { name: default.unwrap_or_default().to_owned(), reason })?;
    if let Some(error) = models.default_problem() {
        tracing::warn!("DEFAULT_AI_MODEL cannot be used, so prompts must name another model: {error}");
    }
    if let Some(day) = default.and_then(|name| models.resolve(name).ok()?.retires_on) {
        tracing::warn!("DEFAULT_AI_MODEL retires on {day}; from then on prompts must name another model");
    }
    if let Some(name) = &config.models.merge_model
        && let Err(error) = models.resolve(name)
    {
        tracing::warn!("MERGE_MODEL cannot be used, so edits that a model has to merge are refused: {error}");
    }
    if default.is_none() {
        vendors.first_look(LOOK_MAX).await;
    }
    drop(looking);
    Ok(Arc::new(models))
}

fn budget(dollars: Option<Dollars>, tokens: Option<u64>) -> Budget {
    Budget { cost_nano_usd: dollars.map(Dollars::nano), tokens }
}

/// What is known of models: the built-in table, over it the one made anew, over both the user's own rows.
fn catalogue(config: &Config) -> Result<Catalogue, StartError> {
    let about = |file: &Path| {
        let file = file.to_owned();
        |reason| StartError::Catalogue { file, reason }
    };
    let renewed = config.data_dir.join(RENEWED_FILE);
    let catalogue = Catalogue::built_in().with_renewed_file(&renewed).map_err(about(&renewed))?;
    match &config.models.models_file {
        Some(own) => catalogue.with_user_file(own).map_err(about(own)),
        None => Ok(catalogue),
    }
}

/// All vendors, by the keys and addresses of the configuration.
pub(crate) fn vendors(config: &Config) -> Result<Arc<Vendors>, StartError> {
    let catalogue = catalogue(config)?;
    Vendors::new(config.models.settings(), catalogue, &HttpLimits::default(), RetryPolicy::default())
        .map_err(|error| StartError::Tls(error.to_string()))
}

/// The scraping service, where one is configured.
fn scraper(config: &Config, pages: &Arc<WebPages>) -> Result<Option<Arc<dyn Scraper>>, StartError> {
    let key = config.firecrawl_api_key.clone().filter(|key| !key.expose().trim().is_empty());
    let base_url = config.firecrawl_base_url.as_deref().map(str::trim).filter(|url| !url.is_empty());
    if key.is_none() && base_url.is_none() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Firecrawl::new(base_url, key, Arc::clone(pages))?)))
}

fn sandboxes(config: &Config) -> Arc<dyn SandboxProvider> {
    match config.sandbox_provider {
        SandboxChoice::Local => {
            let local = Arc::new(LocalProvider::new(local_sandboxes(config)));
            tokio::spawn(warm_up(Arc::clone(&local)));
            local
        }
        SandboxChoice::Memory => Arc::new(MemoryProvider::default()),
        SandboxChoice::None => Arc::new(NoSandboxes::new(
            "This server runs without sandboxes (SANDBOX_PROVIDER=none); set SANDBOX_PROVIDER=local to have them",
        )),
    }
}

/// How the configuration wants the sandboxes of this machine.
pub(crate) fn local_sandboxes(config: &Config) -> LocalConfig {
    LocalConfig {
        pool_size: config.sandbox_pool_size,
        registry: config.npm_registry.clone(),
        upstream_proxy: config.https_proxy.clone(),
        ca_file: config.sandbox_ca_file.clone(),
        ..LocalConfig::new(&config.data_dir)
    }
}

/// Makes the first project wait less. What is wrong with this machine is said once, at start, and again to whoever wants
/// a sandbox.
async fn warm_up(local: Arc<LocalProvider>) {
    if let Err(error) = local.warm_up().await {
        tracing::warn!("no sandboxes on this machine: {error}");
    }
}

/// What people at other machines type, where that is something else.
fn elsewhere(config: &Config, address: SocketAddr) -> Option<PublicUrl> {
    if config.public_url.is_some() {
        return None;
    }
    let own = elsewhere::own_address(address.ip())?;
    Some(public_url(config, SocketAddr::new(own, address.port())))
}

/// What people type: as configured, or the address with a name that browsers know for loopback and "all addresses".
fn public_url(config: &Config, address: SocketAddr) -> PublicUrl {
    if let Some(url) = &config.public_url {
        return url.clone();
    }
    let ip = address.ip();
    let host = match ip {
        _ if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        std::net::IpAddr::V4(ip) => ip.to_string(),
    };
    PublicUrl { scheme: "http".into(), host, port: Some(address.port()).filter(|port| *port != 80) }
}
