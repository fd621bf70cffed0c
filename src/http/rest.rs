//! Plain requests: one command, one file, the lists.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cobuild_protocol::{
    Cursor, Epoch, ErrorCode, ProjectId, ProjectState, Seq, frame::ControlFrame, model::ModelList, value::FileEntry,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    HttpState, assets, command_frame,
    error::Problem,
    extract::{Admitted, Body, Caller, InFile, Parameters},
    models, share_links,
};
use crate::project::{
    Identity, Member, POINTS_MAX, Point, ProjectError, ProjectHandle, event_store::ProjectSummary,
    sandbox_provider::SandboxError,
};

/// How many points of the history one answer has when nothing is said: more than fit a screen.
const POINTS_DEFAULT: usize = 100;
/// How long `GET /ready` waits for sandboxes: the first server after a crash has leftovers to remove.
const SANDBOX_CHECK_MAX: Duration = Duration::from_secs(2);

/// Content types that may be shown on the app's own origin: none of them can run a script. Everything else is text or
/// a download.
const SHOWN_TYPES: [&str; 8] =
    ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "audio/mpeg", "video/mp4", "video/webm"];

#[derive(Serialize, JsonSchema)]
pub(crate) struct ProjectList {
    projects: Vec<ProjectLine>,
}

/// A project in a list.
#[derive(Serialize, JsonSchema)]
struct ProjectLine {
    project: ProjectId,
    name: String,
    created_at: String,
    updated_at: String,
    head: Seq,
}

impl From<ProjectSummary> for ProjectLine {
    fn from(summary: ProjectSummary) -> Self {
        let ProjectSummary { project, name, created_at, updated_at, head } = summary;
        Self { project, name, created_at, updated_at, head }
    }
}

/// What `POST /api/v1/projects` takes; both may be left out.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct NewProject {
    project: Option<ProjectId>,
    name: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct ProjectStatus {
    project: ProjectId,
    epoch: Epoch,
    seq: Seq,
    state: ProjectState,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct FileList {
    seq: Seq,
    files: Vec<FileEntry>,
}

/// What works.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Readiness {
    ready: bool,
    /// The server is about to stop: it begins nothing new.
    draining: bool,
    store: PartReadiness,
    sandbox: PartReadiness,
}

/// Whether a part of the server works, and why not.
#[derive(Serialize, JsonSchema)]
struct PartReadiness {
    ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Which moment is meant.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct At {
    /// After this event; absent: now.
    at: Option<Seq>,
}

/// Which part of the history is meant.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct HistoryPage {
    /// Only points before this event.
    before: Option<Seq>,
    /// How many at most.
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct History {
    points: Vec<Point>,
}

/// That the process answers.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Health {
    status: &'static str,
    service: &'static str,
    version: &'static str,
}

/// `GET /health`: the process answers.
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "healthy", service: "cobuild", version: env!("CARGO_PKG_VERSION") })
}

/// `GET /ready`: what works. 503 when the store takes no writes or the server is about to stop; without sandboxes the
/// rest still works, and the body says why there are none.
pub(crate) async fn ready(State(state): State<HttpState>) -> Response {
    let preparing = || Err(SandboxError::Unavailable("sandboxes are still being prepared".into()));
    let sandbox = async { timeout(SANDBOX_CHECK_MAX, state.sandboxes.check()).await.unwrap_or_else(|_| preparing()) };
    let (store, sandbox) = tokio::join!(state.registry.store().check(), sandbox);
    let part = |failure: Option<String>| PartReadiness { ok: failure.is_none(), reason: failure };
    let draining = state.registry.draining().is_cancelled();
    let ready = store.is_ok() && !draining;
    let body = Readiness {
        ready,
        draining,
        store: part(store.err().map(|error| error.to_string())),
        sandbox: part(sandbox.err().map(|error| error.to_string())),
    };
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body)).into_response()
}

/// `GET /api/v1/models`
pub(crate) async fn models(State(state): State<HttpState>, _: Admitted) -> Json<ModelList> {
    Json(models::list(state.models.as_ref()).await)
}

/// `GET /api/v1/projects`, newest activity first.
pub(crate) async fn projects(State(state): State<HttpState>, Admitted(grant): Admitted) -> Result<Response, Problem> {
    let mut projects = state.registry.list().await?;
    projects.retain(|summary| grant.role_in(&summary.project).is_some());
    Ok(Json(ProjectList { projects: projects.into_iter().map(ProjectLine::from).collect() }).into_response())
}

/// `POST /api/v1/projects`
pub(crate) async fn create_project(
    State(state): State<HttpState>,
    Admitted(grant): Admitted,
    Body(new): Body<NewProject>,
) -> Result<Response, Problem> {
    grant.administer()?;
    let handle = state.registry.create(new.project, new.name).await?;
    let location = format!("/api/v1/projects/{}", handle.project());
    let status = status(&handle).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(status)).into_response())
}

/// `GET /api/v1/projects/{project}`
pub(crate) async fn project(State(state): State<HttpState>, caller: Caller) -> Result<Json<ProjectStatus>, Problem> {
    let handle = readable(&state, &caller).await?;
    Ok(Json(status(&handle).await?))
}

/// `DELETE /api/v1/projects/{project}`
pub(crate) async fn delete_project(State(state): State<HttpState>, caller: Caller) -> Result<StatusCode, Problem> {
    caller.grant.administer()?;
    share_links::revoke_all(&state, &caller).await?;
    state.registry.delete(&caller.project).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/projects/{project}/commands`: one command, its one reply. A rejection has its code's status and is a
/// problem; the other replies are the frames of the WebSocket.
pub(crate) async fn command(
    State(state): State<HttpState>,
    caller: Caller,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|rejection| {
        Problem::new(ErrorCode::TooLarge, "the body is larger than this server takes").with_status(rejection.status())
    })?;
    let frame = command_frame::parse_command(&body).map_err(|rejected| Problem::from(rejected.error))?;
    let handle = state.registry.get(&caller.project).await?;
    let member = enter(&handle, &caller, false).await?;
    match handle.submit(&member, frame).await {
        ControlFrame::Rejected(rejected) => Err(rejected.error.into()),
        frame @ ControlFrame::Accepted(_) => Ok((StatusCode::ACCEPTED, Json(frame)).into_response()),
        frame => Ok(Json(frame).into_response()),
    }
}

/// `GET /api/v1/projects/{project}/files`, with `?at=` as they were after that event.
pub(crate) async fn files(
    State(state): State<HttpState>,
    caller: Caller,
    Parameters(At { at }): Parameters<At>,
) -> Result<Json<FileList>, Problem> {
    let handle = readable(&state, &caller).await?;
    let (seq, files) = match at {
        Some(at) => (at, handle.files_at(at).await?),
        None => {
            let (seq, project) = handle.state().await?;
            (seq, project.files)
        }
    };
    let files = files
        .into_iter()
        .map(|(path, info)| FileEntry { path, hash: info.hash, size_bytes: info.size_bytes })
        .collect();
    Ok(Json(FileList { seq, files }))
}

/// `GET /api/v1/projects/{project}/history`: the points the files can be brought back to, newest first.
pub(crate) async fn history(
    State(state): State<HttpState>,
    caller: Caller,
    Parameters(HistoryPage { before, limit }): Parameters<HistoryPage>,
) -> Result<Json<History>, Problem> {
    let limit = limit.unwrap_or(POINTS_DEFAULT).clamp(1, POINTS_MAX);
    Ok(Json(History { points: readable(&state, &caller).await?.history(before, limit).await? }))
}

/// `GET /api/v1/projects/{project}/files/{path}`: the file's bytes.
pub(crate) async fn file(
    State(state): State<HttpState>,
    caller: Caller,
    InFile(path): InFile,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let handle = readable(&state, &caller).await?;
    let (info, content) = handle.read_file(&path).await?;
    let etag = HeaderValue::try_from(format!("\"{}\"", info.hash)).map_err(|_| ProjectError::Internal)?;
    let known = request.get(header::IF_NONE_MATCH).is_some_and(|known| assets::matches(known, &etag));
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { shown(&path, content) };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Whatever a browser makes of it, it is a page without origin that may load and run nothing.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    Ok(response)
}

/// A file as it may be shown on the app's origin.
fn shown(path: &cobuild_protocol::FilePath, content: Bytes) -> Response {
    let guessed = mime_guess::from_path(path.name()).first_or_octet_stream();
    let guessed = guessed.essence_str();
    if let Some(shown) = SHOWN_TYPES.iter().find(|shown| **shown == guessed) {
        return ([(header::CONTENT_TYPE, *shown)], content).into_response();
    }
    if std::str::from_utf8(&content).is_ok() {
        return ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], content).into_response();
    }
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CONTENT_DISPOSITION, "attachment")];
    (headers, content).into_response()
}

/// For a path that exists with another method.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(ErrorCode::BadRequest, "this address does not take this method")
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

async fn status(handle: &ProjectHandle) -> Result<ProjectStatus, ProjectError> {
    let (seq, state) = handle.state().await?;
    Ok(ProjectStatus { project: handle.project().clone(), epoch: handle.log().epoch().clone(), seq, state })
}

/// The project, for a caller who only reads: nobody enters the room for that. Fails for whoever an owner has removed.
pub(crate) async fn readable(state: &HttpState, caller: &Caller) -> Result<ProjectHandle, ProjectError> {
    let handle = state.registry.get(&caller.project).await?;
    handle.check_not_removed(caller.grant.program_key()).await?;
    Ok(handle)
}

/// A place in the room for as long as one command takes. The room keeps whoever left for a while, so a program that
/// sends many commands does not come and go with each. `looks`: somebody follows, and so wants to see the preview; a command
/// that needs a sandbox makes one itself.
pub(crate) async fn enter(handle: &ProjectHandle, caller: &Caller, looks: bool) -> Result<Member, ProjectError> {
    let identity = Identity {
        key: Some(caller.grant.program_key()),
        name: caller.grant.program_name().map(str::to_owned),
        party: caller.grant.party(),
        role: caller.role,
        looks,
    };
    // As somebody who has seen everything, or a snapshot would be made for nobody.
    let seen = Cursor { epoch: handle.log().epoch().clone(), seq: handle.log().head() };
    Ok(handle.join(identity, Some(seen)).await?.member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_that_could_run() {
        for (path, content, expected) in [
            ("index.html", &b"<script>"[..], "text/plain; charset=utf-8"),
            ("a.svg", b"<svg onload=1>", "text/plain; charset=utf-8"),
            ("a.js", b"x", "text/plain; charset=utf-8"),
            ("a.pdf", b"\xff\xfe", "application/octet-stream"),
            ("a.png", b"\x89PNG", "image/png"),
            ("noextension", b"text", "text/plain; charset=utf-8"),
        ] {
            let response = shown(&path.parse().expect("valid"), Bytes::from_static(content));
            assert_eq!(response.headers()["content-type"], expected, "{path}");
        }
    }
}
