//! The endpoints of two older systems, as façades over the same projects: whoever watches a project over a WebSocket sees
//! what these clients do, and the other way round.
//!
//! For which of the dialects a request is written is decided before its body is read, and never mixed. The wire formats
//! stay in these files; nothing of them reaches the core.
//!
//! | room | owns |
//! |---|---|
//! | `dialect`, `caller` | for which system a request is written, who sends it and for which project |
//! | `cors` | what pages of other origins are told |
//! | `wire` | what clients of the first engine and of the code-processing backend send and get |
//! | `body`, `refusal`, `events` | bodies in, errors and event streams out |
//! | `room` | one command and the events that come of it |
//! | `generate`, `apply`, `packages`, `conversation`, `sandbox`, `files` | the endpoints of the "Builder AI Engine" |
//! | `models`, `background` | names of models; what is sent along with a prompt |
//! | `code` | the code-processing backend |
//! | `browser` | the endpoints of browser clients without a project header |
//! | `camel` | those of a later engine, in camelCase, where the operator chooses them |

mod apply;
mod background;
mod body;
pub(crate) mod browser;
mod caller;
pub(crate) mod camel;
pub(crate) mod code;
mod conversation;
pub(crate) mod cors;
mod dialect;
mod events;
mod files;
mod generate;
mod models;
mod packages;
mod refusal;
mod room;
mod sandbox;
pub(crate) mod wire;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use cobuild_protocol::ErrorBody;

pub use self::dialect::DialectChoice;
use self::{body::BodyWithin, browser::Browsers, dialect::Dialect, refusal::Refusal};
pub(crate) use self::{browser::PAGES_MAX, refusal::no_such_path};
use super::{HttpState, assets};
use crate::{config::Config, project::ProjectError};

/// Paths of these systems, for what is decided before a route is looked at.
const PATHS: [&str; 12] = [
    "/api/generate-ai-code-stream",
    "/api/apply-ai-code-stream",
    "/api/conversation-state",
    "/api/install-packages",
    "/api/detect-and-install-packages",
    "/api/create-ai-sandbox-v2",
    "/api/get-sandbox-files",
    "/api/sandbox-status",
    "/api/kill-sandbox",
    "/api/create-zip",
    "/code",
    "/stream-dummy",
];
/// What an operator may choose about the older systems' clients.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How the dialect of a request is found.
    pub(crate) dialect: DialectChoice,
    /// Where each browser is.
    pub(crate) browsers: Browsers,
    /// Whether this server's default model and own sandboxes stand in for those it has no key for.
    pub(crate) stand_ins: bool,
    pub(crate) e2b_key_is_set: bool,
    pub(crate) vercel_token_is_set: bool,
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Self {
        let is_set = |secret: &Option<crate::config::Secret>| {
            secret.as_ref().is_some_and(|secret| !secret.expose().trim().is_empty())
        };
        Self {
            dialect: config.legacy_dialect,
            browsers: Browsers::default(),
            stand_ins: config.legacy_stand_ins,
            e2b_key_is_set: is_set(&config.e2b_api_key),
            vercel_token_is_set: is_set(&config.vercel_token),
        }
    }
}

/// The routes of these systems.
pub(crate) fn routes() -> Router<HttpState> {
    /// An endpoint of both dialects.
    macro_rules! either {
        ($method:ident, $engine:path, $browser:path) => {
            $method(async |State(state): State<HttpState>, request: Request| {
                let dialect = Dialect::of(state.legacy.dialect, request.headers());
                to_its_end(&state.clone(), dialect, async move {
                    match dialect {
                        Dialect::Engine => $engine(State(state), request).await.into_response(),
                        Dialect::Browser => browser::answer(state, request, $browser).await,
                        Dialect::Camel => camel::answer(state, request).await,
                    }
                })
                .await
            })
        };
    }
    /// An endpoint of browsers only.
    macro_rules! only {
        ($method:ident, $browser:path) => {
            $method(async |State(state): State<HttpState>, request: Request| match state.legacy.dialect {
                DialectChoice::Engine => no_such_path(),
                DialectChoice::EngineCamel => {
                    to_its_end(&state.clone(), Dialect::Camel, camel::answer(state, request)).await
                }
                DialectChoice::Auto | DialectChoice::Browser => {
                    to_its_end(&state.clone(), Dialect::Browser, browser::answer(state, request, $browser)).await
                }
            })
        };
    }
    let state = either!(get, conversation::get, browser::state::get)
        .merge(either!(post, conversation::post, browser::state::post))
        .merge(either!(delete, conversation::delete, browser::state::delete));
    Router::new()
        .route("/", get(root))
        .route("/api/generate-ai-code-stream", either!(post, generate::stream, browser::generate::stream))
        .route("/api/apply-ai-code-stream", either!(post, apply::stream, browser::apply::stream))
        .route("/api/conversation-state", state)
        .route("/api/install-packages", either!(post, packages::install, browser::install::stream))
        .route("/api/detect-and-install-packages", either!(post, packages::detect, browser::install::detect))
        .route("/api/create-ai-sandbox-v2", either!(post, sandbox::create, browser::sandbox::create))
        .route("/api/get-sandbox-files", either!(get, files::list, browser::files::list))
        // Browsers only get it, and the engine's clients only post it; nobody means the other by it.
        .route("/api/sandbox-status", post(posted_status).merge(only!(get, browser::sandbox::status)))
        .route("/api/kill-sandbox", either!(post, sandbox::kill, browser::sandbox::kill))
        .route("/api/create-zip", either!(post, files::zip, browser::files::zip))
        .route("/api/create-ai-sandbox", only!(post, browser::sandbox::create))
        .route("/api/restart-vite", only!(post, browser::sandbox::restart_vite))
        .route("/api/run-command", only!(post, browser::further::run_command))
        .route("/api/run-command-v2", only!(post, browser::further::run_command))
        .route("/api/install-packages-v2", only!(post, browser::install::in_one_piece))
        .route("/api/analyze-edit-intent", only!(post, browser::intent::analyze))
        .route("/api/monitor-vite-logs", only!(get, browser::further::vite_errors))
        .route("/api/check-vite-errors", only!(get, browser::further::known_errors))
        .route("/api/sandbox-logs", only!(get, browser::further::sandbox_logs))
        .route("/api/report-vite-error", only!(post, browser::further::report_vite_error))
        .route("/api/clear-vite-errors-cache", only!(post, browser::further::clear_vite_errors))
        .route("/api/search", only!(post, browser::pages::search))
        .route("/api/scrape-url-enhanced", only!(post, browser::pages::scrape_url))
        .route("/api/scrape-website", only!(post, browser::pages::scrape_website))
        .route("/api/scrape-screenshot", only!(post, browser::pages::scrape_screenshot))
        .route("/api/extract-brand-styles", only!(post, browser::pages::extract_styles))
        .route("/code", post(code::process))
        .route("/stream-dummy", get(code::dummy))
        .method_not_allowed_fallback(refusal::method_not_allowed)
}

/// `POST /api/sandbox-status`, which a later engine's clients only get.
async fn posted_status(state: State<HttpState>, request: Request) -> Response {
    if state.legacy.dialect == DialectChoice::EngineCamel {
        let refused = refusal::method_not_allowed().await;
        return ([(header::ALLOW, "GET,HEAD")], refused).into_response();
    }
    sandbox::status(state, request).await.into_response()
}

/// Says for which system a request below `/api` is written, and how long its body may take.
pub(crate) fn receive(state: &HttpState, request: &mut Request) -> Dialect {
    request.extensions_mut().insert(BodyWithin(state.timing.older_body_within));
    Dialect::of_path(state.legacy.dialect, request.uri().path(), request.headers())
}

/// The answer to a request that has none in time. What it began goes on.
pub(crate) fn late(dialect: Dialect) -> Response {
    let sentence = "The answer takes too long to begin; what was begun goes on";
    Refusal::Detail(StatusCode::REQUEST_TIMEOUT, sentence.into()).in_dialect(dialect)
}

/// Answers a request to its end, also when its client goes away before the answer begins: what was begun for it – a
/// sandbox, and what is to be done there – is the project's. Only the server's own end ends it.
async fn to_its_end(
    state: &HttpState,
    dialect: Dialect,
    answer: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let shutdown = state.shutdown.clone();
    let answering = state.tasks.spawn(async move { shutdown.run_until_cancelled(answer).await });
    let refusal = match answering.await {
        Ok(Some(response)) => return response,
        Ok(None) => Refusal::from(ProjectError::Closing),
        Err(error) => {
            tracing::error!(%error, "answering an older client's request panicked");
            Refusal::from(ProjectError::Internal)
        }
    };
    refusal.in_dialect(dialect)
}

/// A refusal that comes before any endpoint.
pub(crate) fn refuse(error: ErrorBody, dialect: Dialect) -> Response {
    Refusal::from(error).in_dialect(dialect)
}

/// Whether a path is one of these systems', so that CORS and errors are theirs.
pub(crate) fn is_legacy(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    PATHS.contains(&path) || path == "/health" || path.starts_with("/api/") && !path.starts_with("/api/v1/")
}

/// `GET /`: a page for those who ask for one, else what this is.
async fn root(state: State<HttpState>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    if accepted.contains("text/html") {
        return assets::serve(state, method, uri, headers).await;
    }
    let body = wire::ServiceStatus { message: "Cobuild", status: "running", version: env!("CARGO_PKG_VERSION") };
    ([(header::VARY, "accept")], Json(body)).into_response()
}

/// Where a request should go that has a slash too many.
pub(crate) fn redirect(scheme: &str, authority: Option<&str>, uri: &Uri) -> Option<Response> {
    let path = uri.path();
    let without = path.trim_end_matches('/');
    let is_ours = path.ends_with('/') && (PATHS.contains(&without) || without == "/health");
    is_ours.then(|| authority.map(|authority| refusal::without_slash(scheme, authority, uri))).flatten()
}
