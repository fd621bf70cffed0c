//! Every way in: WebSocket, server-sent events, REST, previews, the web demo.
//!
//! Adapters around [`ProjectRegistry`] and [`ProjectHandle`](crate::project::ProjectHandle); a project's state is never
//! touched from here. What a request is for is decided by its `Host` before any route is looked at, because a preview
//! may use every path there is.

mod assets;
pub(crate) mod auth;
mod command_frame;
mod diff;
mod error;
mod export;
mod extract;
mod figures;
mod leaving;
pub(crate) mod legacy;
mod listener;
mod models;
mod openapi;
mod origin;
mod preview;
mod problem_page;
mod rest;
mod share_links;
mod sse;
mod ws;

use std::{net::SocketAddr, ops::Deref, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use cobuild_protocol::{ErrorCode, frame::Limits};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use self::{
    auth::Access,
    error::Problem,
    leaving::Leaving,
    origin::{OriginPolicy, Target},
};
pub use self::{auth::DoorError, listener::CONNECTIONS_MAX, models::list as model_list};
use crate::{
    config::{Config, Secret},
    project::{
        FILE_SIZE_BYTES_MAX, FILES_MAX, IMAGE_SIZE_BYTES_MAX, IMAGES_MAX, PARTICIPANT_COMMANDS_BURST_MAX,
        PARTICIPANT_COMMANDS_PER_SECOND_MAX, PROMPT_SIZE_BYTES_MAX, ProjectRegistry, ProjectSettings, QUEUE_MAX,
        QUEUE_SHARE_MAX, model_provider::ModelProvider, sandbox_provider::SandboxProvider, scraper::Scraper,
    },
};

/// Largest frame or body from a client. A `write_file` carries a file of 1 MiB as JSON or Base64, and an `apply` about
/// twice that; announced as `frame_size_bytes_max`.
const FRAME_SIZE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Longest time until an answer begins. What handlers do takes milliseconds and streams begin at once, so beyond this a
/// client sends its body too slowly.
const ANSWER_BEGINS_MAX: Duration = Duration::from_secs(60);

/// What HTTP needs of the rest of the server.
#[derive(Debug)]
pub struct HttpParts {
    /// The projects.
    pub registry: ProjectRegistry,
    /// The models, to tell which there are.
    pub models: Arc<dyn ModelProvider>,
    /// The sandboxes, to tell whether there are any.
    pub sandboxes: Arc<dyn SandboxProvider>,
    /// A scraping service, where there is one.
    pub scraper: Option<Arc<dyn Scraper>>,
    /// How long things may take.
    pub timing: Timing,
    /// Most connections at once.
    pub connections_max: usize,
    /// How people reach the server, without a slash at the end.
    pub url: String,
    /// Whether that is what an operator says, and not only what the machine knows of itself.
    pub is_url_configured: bool,
}

/// How long connections may take over things.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How often the server shows a sign of life, and half of how long a client may show none. Below the 30 to 60
    /// seconds after which proxies drop idle connections.
    pub heartbeat: Duration,
    /// Longest wait for the `hello`: a client has it ready when it connects.
    pub hello_wait_max: Duration,
    /// Longest time in which a client may take not one byte.
    pub write_stall_max: Duration,
    /// How long a connection outlives its token: enough for a refresh that is on its way.
    pub expiry_grace: Duration,
    /// Longest time until an answer to a client of the older systems begins: some begin when packages are installed,
    /// behind whatever waits in the queue.
    pub older_answer_begins_max: Duration,
    /// Longest time in which the body of such a client's request arrives.
    pub older_body_within: Duration,
    /// Longest time for one repository of `POST /code`.
    pub code_job_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            hello_wait_max: Duration::from_secs(10),
            write_stall_max: Duration::from_secs(10),
            expiry_grace: Duration::from_secs(10),
            older_answer_begins_max: Duration::from_secs(900),
            older_body_within: Duration::from_secs(60),
            code_job_max: Duration::from_secs(30 * 60),
        }
    }
}

/// What every handler sees. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct HttpState(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) registry: ProjectRegistry,
    pub(crate) models: Arc<dyn ModelProvider>,
    pub(crate) sandboxes: Arc<dyn SandboxProvider>,
    pub(crate) scraper: Option<Arc<dyn Scraper>>,
    pub(crate) access: Access,
    pub(crate) origins: OriginPolicy,
    pub(crate) page_policy: HeaderValue,
    pub(crate) timing: Timing,
    pub(crate) connections_max: usize,
    pub(crate) url: String,
    pub(crate) is_url_configured: bool,
    pub(crate) legacy: legacy::Settings,
    /// One permit per archive being written.
    pub(crate) exports: Arc<Semaphore>,
    /// One permit per diff being worked out.
    pub(crate) diffs: Arc<Semaphore>,
    /// One permit per repository being processed.
    pub(crate) code_jobs: Arc<Semaphore>,
    /// One permit per page being read.
    pub(crate) page_reads: Arc<Semaphore>,
    /// Cancelled when connections must end, whatever they are doing.
    pub(crate) shutdown: CancellationToken,
    /// Everything HTTP has started.
    pub(crate) tasks: TaskTracker,
    /// Who writes to the sockets of each room.
    pub(crate) casters: ws::Casters,
    /// When clients should come back.
    pub(crate) leaving: Leaving,
}

impl HttpState {
    /// How those reach the server whom the sender of this request invites: as the operator says, else as the sender does,
    /// unless that is a name which each machine has for itself.
    pub(crate) fn url_for(&self, headers: &HeaderMap) -> String {
        let own = || self.url.clone();
        if self.is_url_configured {
            return own();
        }
        origin::name_for_others(headers).map_or_else(own, |authority| format!("http://{authority}"))
    }
}

impl Deref for HttpState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The whole HTTP side. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    state: HttpState,
    router: Router,
}

/// How the server lets callers in, decided from its configuration and where it listens.
#[derive(Debug, Clone)]
pub struct Door(Access);

impl Door {
    /// By signed tokens where those are configured; else open on loopback, and with an owner's token, kept in the data
    /// folder, anywhere else.
    ///
    /// # Errors
    ///
    /// [`DoorError`]; then the server must not start.
    pub fn new(address: SocketAddr, config: &Config) -> Result<Self, DoorError> {
        Access::new(address, config).map(Self)
    }

    /// What can be said of the configuration before anything is touched.
    ///
    /// # Errors
    ///
    /// [`DoorError`]; then the server must not start.
    pub fn check(config: &Config) -> Result<(), DoorError> {
        config.jwt_secret.as_ref().map_or(Ok(()), auth::check_secret)
    }

    /// The token to open the server with, if there is one for all.
    #[must_use]
    pub const fn token(&self) -> Option<&Secret> {
        self.0.owner_token()
    }
}

impl App {
    /// Puts the routes together.
    #[must_use]
    pub fn new(parts: HttpParts, config: &Config, door: Door) -> Self {
        figures::collect();
        let Door(access) = door;
        let tasks = TaskTracker::new();
        let state = HttpState(Arc::new(Shared {
            origins: OriginPolicy::new(&access, config.preview_domain.clone(), config.cors_origins.clone()),
            page_policy: assets::page_policy(&config.preview_domain),
            registry: parts.registry,
            models: parts.models,
            sandboxes: parts.sandboxes,
            scraper: parts.scraper,
            access,
            timing: parts.timing,
            connections_max: parts.connections_max,
            url: parts.url,
            is_url_configured: parts.is_url_configured,
            legacy: legacy::Settings::new(config),
            exports: Arc::new(Semaphore::new(export::EXPORTS_MAX)),
            diffs: Arc::new(Semaphore::new(diff::DIFFS_MAX)),
            code_jobs: Arc::new(Semaphore::new(legacy::code::JOBS_MAX)),
            page_reads: Arc::new(Semaphore::new(legacy::PAGES_MAX)),
            shutdown: CancellationToken::new(),
            casters: ws::Casters::new(tasks.clone()),
            leaving: Leaving::new(tasks.clone()),
            tasks,
        }));
        Self { router: routes(state.clone()), state }
    }

    /// Accepts and serves until `stop` is cancelled.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        self.state.tasks.spawn(figures::upkeep(self.state.shutdown.clone()));
        listener::serve(listener, self, stop).await;
    }

    /// Cancel it to end every connection.
    #[must_use]
    pub fn connections(&self) -> CancellationToken {
        self.state.shutdown.clone()
    }

    /// Says that the server stops after `at_most`: whoever comes from now on is told when to come back.
    pub fn leave(&self, at_most: Duration) {
        self.state.leaving.begin(at_most);
    }

    /// Ends every connection that is still open, WebSockets with a code that says "come back", and waits until all are
    /// gone.
    pub async fn close(&self) {
        self.state.shutdown.cancel();
        self.state.tasks.close();
        self.state.tasks.wait().await;
    }

    pub(crate) fn state(&self) -> &HttpState {
        &self.state
    }

    /// Answers one request.
    pub(crate) async fn handle(&self, request: Request) -> Response {
        let wants_page = problem_page::is_wanted(&request);
        let mut response = match self.state.origins.target(&request) {
            Ok(Target::Preview(id)) => return preview::serve(&self.state, &id, request).await,
            Ok(Target::App) => {
                let mut response = self.handle_app(request).await;
                secure(&mut response);
                figures::answered(response.status());
                response
            }
            Err(problem) => problem.into_response(),
        };
        if wants_page {
            problem_page::show(&mut response);
        }
        response
    }

    async fn handle_app(&self, mut request: Request) -> Response {
        let is_legacy = legacy::is_legacy(request.uri().path());
        let dialect = is_legacy.then(|| legacy::receive(&self.state, &mut request));
        let origin = match (self.state.origins.admit(&request), dialect) {
            (Ok(origin), _) => origin,
            (Err(problem), Some(dialect)) => return legacy::refuse(problem.into_body(), dialect),
            (Err(problem), None) => return problem.into_response(),
        };
        if let Some(address) = self.state.origins.better_address(&request) {
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, address)]).into_response();
        }
        let scheme = self.state.url.split(':').next().unwrap_or("http");
        let mut response = if origin::is_preflight(&request) {
            if is_legacy { legacy::cors::preflight(&request) } else { origin::preflight_answer() }
        } else if let Some(redirect) = legacy::redirect(scheme, origin::request_authority(&request), request.uri()) {
            redirect
        } else {
            let begins_max = if is_legacy { self.state.timing.older_answer_begins_max } else { ANSWER_BEGINS_MAX };
            match (timeout(begins_max, self.router.clone().oneshot(request)).await, dialect) {
                // A router has an answer to everything; its error type has no values.
                (Ok(answer), _) => answer.unwrap_or_else(|never| match never {}),
                (Err(_), Some(dialect)) => legacy::late(dialect),
                (Err(_), None) => Problem::new(ErrorCode::BadRequest, "the request took too long to arrive")
                    .with_status(StatusCode::REQUEST_TIMEOUT)
                    .into_response(),
            }
        };
        if is_legacy {
            legacy::cors::apply(origin.into_header(), response.headers_mut());
        } else {
            origin.apply(&mut response);
        }
        response
    }
}

fn routes(state: HttpState) -> Router {
    let router = openapi::routes(state.legacy.dialect).merge(legacy::routes());
    #[cfg(test)]
    let router = router.route("/echo", any(ws::echo::upgrade));
    router
        .route("/health", get(rest::health))
        .route("/metrics", get(figures::scrape))
        .route("/api/v1/projects/{project}/ws", any(ws::upgrade))
        .fallback(assets::serve)
        .method_not_allowed_fallback(rest::method_not_allowed)
        .layer(DefaultBodyLimit::max(FRAME_SIZE_BYTES_MAX))
        .with_state(state)
}

/// Keeps pages of different origins of one site in different processes: a preview that never ends its loop must not stop
/// the app's page around it. On the app's pages and the previews' alike.
const OWN_PROCESS: (HeaderName, &str) = (HeaderName::from_static("origin-agent-cluster"), "?1");

/// Headers for everything on the app's origin.
fn secure(response: &mut Response) {
    let defaults: [(HeaderName, &str); 5] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        OWN_PROCESS,
    ];
    for (name, value) in defaults {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// What clients are told about the limits.
fn limits(settings: &ProjectSettings, connections_max: usize) -> Limits {
    Limits {
        frame_size_bytes_max: FRAME_SIZE_BYTES_MAX as u64,
        prompt_size_bytes_max: PROMPT_SIZE_BYTES_MAX as u64,
        file_size_bytes_max: FILE_SIZE_BYTES_MAX as u64,
        files_max: FILES_MAX as u64,
        queue_max: QUEUE_MAX as u64,
        images_max: IMAGES_MAX as u64,
        image_size_bytes_max: IMAGE_SIZE_BYTES_MAX as u64,
        queue_share_max: QUEUE_SHARE_MAX as u64,
        frames_per_second_max: ws::FRAMES_PER_SECOND_MAX.into(),
        frames_burst_max: ws::FRAMES_BURST_MAX.into(),
        commands_under_way_max: ws::COMMANDS_UNDER_WAY_MAX as u64,
        participant_commands_per_second_max: PARTICIPANT_COMMANDS_PER_SECOND_MAX.into(),
        participant_commands_burst_max: PARTICIPANT_COMMANDS_BURST_MAX.into(),
        participant_connections_max: settings.participant_connections_max as u64,
        project_connections_max: settings.project_connections_max as u64,
        server_connections_max: connections_max as u64,
        projects_max: settings.projects_max,
    }
}
