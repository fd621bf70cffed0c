//! A project's one sandbox, as clients of the first engine see it: `POST /api/create-ai-sandbox-v2`,
//! `POST /api/sandbox-status`, `POST /api/kill-sandbox`.

use std::{collections::HashMap, time::Duration};

use axum::{
    Json,
    extract::{Query, Request, State},
    response::{IntoResponse, Response},
};
use cobuild_protocol::{
    Command, ProjectState,
    command::{Cancel, StopSandbox},
    state::RunState,
    value::{SandboxInfo, SandboxState},
};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    body,
    caller::Call,
    events::{self, Events, Gone},
    refusal::Refusal,
    room::Visit,
    wire::{
        CreateSandboxRequest, CreateSandboxResponse, KillSandboxRequest, KillSandboxResponse, SandboxStatus,
        SandboxStatusResponse,
    },
};
use crate::{http::HttpState, project::ProjectHandle};

/// How long a request waits for a sandbox: less than an answer may take to begin. The first sandbox of a server installs
/// its template, which takes some ten seconds.
pub(crate) const START_WITHIN: Duration = Duration::from_secs(50);
/// The only template.
const TEMPLATE: &str = "react-vite";
/// What clients are told when there is none.
pub(super) const NOT_FOUND: &str = "Sandbox not found";
pub(super) const NOT_FOUND_CREATE: &str = "Sandbox not found. Please create a sandbox first.";
/// The same in streams.
pub(super) const NOT_FOUND_STREAM: &str = "400: No sandbox found. Please create a sandbox first.";

/// The parameters of a request; none where they cannot be read.
pub(super) fn query_of(request: &Request) -> HashMap<String, String> {
    Query::try_from_uri(request.uri()).map(|Query(query)| query).unwrap_or_default()
}

/// Names the sandbox in a query.
pub(super) const SANDBOX_PARAMETER: &str = "sandbox_id";

/// The project's sandbox, unless there is none, somebody ended it, or another one is meant. One that died by itself counts:
/// it is made again when it is needed.
pub(crate) fn present<'a>(view: &'a ProjectState, id: Option<&str>) -> Option<&'a SandboxInfo> {
    known(view, id).filter(|sandbox| !sandbox.parked)
}

/// The same, or the one that somebody ended.
fn known<'a>(view: &'a ProjectState, id: Option<&str>) -> Option<&'a SandboxInfo> {
    let sandbox = Some(&view.sandbox).filter(|sandbox| sandbox.sandbox.is_some())?;
    id.is_none_or(|id| sandbox.sandbox.as_deref() == Some(id)).then_some(sandbox)
}

/// Answers with a stream about what is done in the project's sandbox: `start` and what `work` tells, its last event or the
/// reason why it failed – or, where there is no such sandbox, that alone. `failure` words a failure.
pub(super) async fn stream_within<F>(
    call: Call,
    wanted: Option<&str>,
    start: Value,
    failure: fn(&str) -> Value,
    work: impl FnOnce(Call, ProjectHandle, Events) -> F + Send + 'static,
) -> Result<Response, Refusal>
where
    F: Future<Output = Result<Result<Value, String>, Gone>> + Send,
{
    call.may_change()?;
    let handle = call.handle().await?;
    let (_, view) = handle.state().await?;
    let has_sandbox = present(&view, wanted).is_some();
    let (state, listener) = (call.state.clone(), call.listener());
    Ok(events::respond(
        &state,
        listener,
        move |error| failure(&error.message),
        move |events| async move {
            if !has_sandbox {
                return events.send(failure(NOT_FOUND_STREAM)).await;
            }
            events.tell(start).await;
            let last = work(call, handle, events.clone()).await?.unwrap_or_else(|reason| failure(&reason));
            events.send(last).await
        },
    ))
}

pub(super) async fn create(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let call = Call::of_header(&state, &request).await?;
    let CreateSandboxRequest { provider, template } = body::read(request).await?;
    call.may_change()?;
    let notice = check_provider(&state, provider.as_deref())?;
    if let Some(template) = template.filter(|template| template != TEMPLATE) {
        let shown: String = template.chars().filter(|c| !c.is_control()).take(80).collect();
        return Err(Refusal::bad_request(format!("Unknown template: {shown}")));
    }
    let handle = call.handle().await?;
    let mut visit = Visit::new(handle.clone(), call.enter(&handle).await?);
    let made = visit.start_sandbox(START_WITHIN).await;
    made.map_err(|error| Refusal::failed(format!("Failed to create sandbox: {}", error.message)))?;
    let (_, view) = handle.state().await?;
    let provider = view.sandbox.provider.clone();
    let body = CreateSandboxResponse {
        success: true,
        url: Some(call.preview_url(&view)),
        sandbox_id: view.sandbox.sandbox.unwrap_or_default(),
        message: format!("Sandbox created successfully with {provider}"),
        provider,
        notice,
    };
    Ok(Json(body).into_response())
}

/// Whether this server makes the sandboxes somebody wants. Where another kind stands in, that is returned to be told.
pub(super) fn check_provider(state: &HttpState, wanted: Option<&str>) -> Result<Option<String>, Refusal> {
    let own = state.sandboxes.name();
    let Some(wanted) = wanted.map(str::to_lowercase).filter(|wanted| wanted != own) else { return Ok(None) };
    let (variable, key_is_set) = match wanted.as_str() {
        "e2b" => ("E2B_API_KEY", state.legacy.e2b_key_is_set),
        "vercel" => ("VERCEL_TOKEN", state.legacy.vercel_token_is_set),
        _ => {
            let shown: String = wanted.chars().filter(|c| !c.is_control()).take(80).collect();
            return Err(Refusal::bad_request(format!("Unknown sandbox provider: {shown}")));
        }
    };
    let reason = if key_is_set {
        format!("This server makes no {wanted} sandboxes, whatever {variable} is")
    } else {
        format!("{variable} not configured")
    };
    if state.legacy.stand_ins {
        Ok(Some(format!("{reason}; a {own} sandbox stands in for {wanted}")))
    } else {
        Err(Refusal::bad_request(reason))
    }
}

pub(super) async fn status(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let query = query_of(&request);
    let call = Call::of_header(&state, &request).await?;
    let handle = call.handle().await?;
    let (_, mut view) = handle.state().await?;
    let id = query.get(SANDBOX_PARAMETER).map(String::as_str);
    let sandbox = known(&view, id).ok_or_else(|| Refusal::not_found(NOT_FOUND))?;
    if !sandbox.parked && sandbox.state != SandboxState::Ready && call.may_change().is_ok() {
        // It died by itself, or the server was restarted: it comes back now.
        let mut visit = Visit::new(handle.clone(), call.enter(&handle).await?);
        if let Err(error) = visit.start_sandbox(START_WITHIN).await {
            tracing::info!(project = %call.project, error = error.message, "a sandbox did not come back");
        }
        view = handle.state().await?.1;
    }
    let sandbox = known(&view, id).ok_or_else(|| Refusal::not_found(NOT_FOUND))?;
    let is_running = !sandbox.parked && sandbox.state == SandboxState::Ready;
    let status = match sandbox.state {
        _ if sandbox.parked => SandboxStatus::Terminated,
        SandboxState::Ready => SandboxStatus::Running,
        SandboxState::Creating | SandboxState::Restoring => SandboxStatus::Starting,
        SandboxState::Stopped | SandboxState::Lost => SandboxStatus::Stopped,
    };
    let body = SandboxStatusResponse {
        success: true,
        sandbox_id: sandbox.sandbox.clone().unwrap_or_default(),
        status,
        uptime_seconds: if is_running { uptime_seconds(sandbox) } else { 0.0 },
        provider: sandbox.provider.clone(),
        is_running,
    };
    Ok(Json(body).into_response())
}

fn uptime_seconds(sandbox: &SandboxInfo) -> f64 {
    let created = sandbox.created_at.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
    created.map_or(0.0, |created| Timestamp::now().duration_since(created).as_secs_f64().max(0.0))
}

pub(super) async fn kill(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let call = Call::of_header(&state, &request).await?;
    let KillSandboxRequest { sandbox_id } = body::read(request).await?;
    call.may_change()?;
    let handle = call.handle().await?;
    let (_, view) = handle.state().await?;
    let sandbox = present(&view, sandbox_id.as_deref()).ok_or_else(|| Refusal::not_found(NOT_FOUND))?;
    let sandbox_id = sandbox.sandbox.clone().unwrap_or_default();
    end(&call, &handle).await?;
    let body = KillSandboxResponse { success: true, message: "Sandbox terminated successfully".into(), sandbox_id };
    Ok(Json(body).into_response())
}

/// Ends the sandbox, the run that uses it, and what the caller has waiting. What others have waiting is not theirs to end,
/// whoever they are: it makes another sandbox when its turn comes.
pub(crate) async fn end(call: &Call, handle: &ProjectHandle) -> Result<(), Refusal> {
    let mut visit = Visit::new(handle.clone(), call.enter(handle).await?);
    let (_, view) = handle.state().await?;
    let own = Some(visit.participant());
    for run in view.runs.iter().filter(|run| run.state == RunState::Queued && run.by == own) {
        visit.submit(Command::Cancel(Cancel { run: run.run })).await?;
    }
    let ended = view.sandbox.sandbox;
    visit.submit(Command::StopSandbox(StopSandbox { end_run: true })).await?;
    // Somebody else may have ended it before, or asked for another since.
    loop {
        let (_, view) = handle.state().await?;
        if view.sandbox.state == SandboxState::Stopped || view.sandbox.sandbox != ended {
            return Ok(());
        }
        visit.next().await?;
    }
}
