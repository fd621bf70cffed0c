//! The endpoints of two older systems, as façades over the same projects: whoever watches a project over a WebSocket sees
//! what these clients do, and the other way round.
//!
//! The wire formats stay in these files; nothing of them reaches the core.
//!
//! | room | owns |
//! |---|---|
//! | `dialect`, `caller` | for which system a request is written, who sends it and for which project |
//! | `cors` | what pages of other origins are told |
//! | `body`, `refusal`, `events` | bodies in, errors and event streams out |
//! | `room` | one command and the events that come of it |
//! | `generate`, `apply`, `packages`, `conversation`, `sandbox`, `files` | the endpoints of the "Builder AI Engine" |
//! | `models` | its names of models |
//! | `code` | the code-processing backend |

mod apply;
mod body;
mod caller;
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

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, Method, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use cobuild_protocol::ErrorBody;
use serde_json::json;

pub(crate) use self::refusal::no_such_path;
use super::{HttpState, assets};
use crate::config::Config;

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
#[derive(Debug, Clone)]
pub(crate) struct Settings {
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
            stand_ins: config.legacy_stand_ins,
            e2b_key_is_set: is_set(&config.e2b_api_key),
            vercel_token_is_set: is_set(&config.vercel_token),
        }
    }
}

/// The routes of these systems.
pub(crate) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/", get(root))
        .route("/api/generate-ai-code-stream", post(generate::stream))
        .route("/api/apply-ai-code-stream", post(apply::stream))
        .route("/api/conversation-state", get(conversation::get).post(conversation::post).delete(conversation::delete))
        .route("/api/install-packages", post(packages::install))
        .route("/api/detect-and-install-packages", post(packages::detect))
        .route("/api/create-ai-sandbox-v2", post(sandbox::create))
        .route("/api/get-sandbox-files", get(files::list))
        .route("/api/sandbox-status", post(sandbox::status))
        .route("/api/kill-sandbox", post(sandbox::kill))
        .route("/api/create-zip", post(files::zip))
        .route("/code", post(code::process))
        .route("/stream-dummy", get(code::dummy))
        .method_not_allowed_fallback(refusal::method_not_allowed)
}

/// A refusal that comes before any endpoint.
pub(crate) fn refuse(error: ErrorBody) -> Response {
    refusal::Refusal::from(error).into_response()
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
    let body = json!({ "message": "Cobuild", "status": "running", "version": env!("CARGO_PKG_VERSION") });
    ([(header::VARY, "accept")], Json(body)).into_response()
}

/// Where a request should go that has a slash too many.
pub(crate) fn redirect(scheme: &str, authority: Option<&str>, uri: &Uri) -> Option<Response> {
    let path = uri.path();
    let is_ours = path.ends_with('/') && PATHS.contains(&path.trim_end_matches('/'));
    is_ours.then(|| authority.map(|authority| refusal::without_slash(scheme, authority, uri))).flatten()
}
