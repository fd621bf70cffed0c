//! The caller's sandbox: make, look at, end, and its dev server's restart.

use axum::{
    Json,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use cobuild_protocol::{
    ProjectState,
    value::{PreviewState, SandboxState},
};
use serde_json::{Value, json};

use super::caller::Browser;
use crate::{
    http::legacy::{
        packages,
        refusal::Refusal,
        room::Visit,
        sandbox::{self, START_WITHIN},
    },
    project::{Preview, ProjectHandle},
};

/// Most files a status names.
const FILES_TRACKED_MAX: usize = 500;

pub(crate) async fn create(mut browser: Browser, _: Request) -> Result<Response, Refusal> {
    browser.call.may_change()?;
    let view = browser
        .app(|call, handle| async move {
            let mut visit = Visit::new(handle.clone(), call.enter(&handle).await?);
            let made = visit.start_sandbox(START_WITHIN).await;
            made.map_err(|error| Refusal::failed(format!("Failed to create sandbox: {}", error.message)))?;
            Ok(handle.state().await?.1)
        })
        .await?;
    let body = json!({
        "success": true,
        "sandboxId": view.sandbox.sandbox,
        "url": browser.call.preview_url(&view),
        "provider": view.sandbox.provider,
        "message": "Sandbox created and Vite React app initialized",
    });
    Ok(Json(body).into_response())
}

pub(crate) async fn status(browser: Browser, _: Request) -> Result<Response, Refusal> {
    shown(&browser).await.or_else(|refusal| match refusal {
        // These clients look at this field whatever else there is.
        Refusal::Unexpected(error) => {
            let body = json!({ "success": false, "active": false, "error": error });
            Ok((StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response())
        }
        other => Err(other),
    })
}

async fn shown(browser: &Browser) -> Result<Response, Refusal> {
    let (_, view) = browser.handle().await?.state().await?;
    let active = sandbox::present(&view, None).is_some();
    let healthy = active && view.sandbox.state == SandboxState::Ready && view.preview.state != PreviewState::Failed;
    let message = match (active, healthy) {
        (false, _) => "No active sandbox",
        (true, false) => "Sandbox exists but is not responding",
        (true, true) => "Sandbox is active and healthy",
    };
    let body = json!({
        "success": true,
        "active": active,
        "healthy": healthy,
        "sandboxData": if active { data(browser, &view) } else { Value::Null },
        "message": message,
    });
    Ok(Json(body).into_response())
}

fn data(browser: &Browser, view: &ProjectState) -> Value {
    json!({
        "sandboxId": view.sandbox.sandbox,
        "url": browser.call.preview_url(view),
        "filesTracked": view.files.keys().take(FILES_TRACKED_MAX).collect::<Vec<_>>(),
        "lastHealthCheck": jiff::Timestamp::now().to_string(),
    })
}

pub(crate) async fn kill(browser: Browser, _: Request) -> Result<Response, Refusal> {
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    let (_, view) = handle.state().await?;
    let killed = sandbox::present(&view, None).is_some();
    if killed {
        sandbox::end(&browser.call, &handle).await?;
    }
    let message = "Sandbox cleaned up successfully";
    Ok(Json(json!({ "success": true, "sandboxKilled": killed, "message": message })).into_response())
}

pub(crate) async fn restart_vite(browser: Browser, _: Request) -> Result<Response, Refusal> {
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    let mut visit = needed(&browser, &handle, Refusal::bad_request("No active sandbox")).await?;
    if handle.state().await?.1.preview.state == PreviewState::Starting {
        return Ok(Json(json!({ "success": true, "message": "Vite is starting already" })).into_response());
    }
    let restarted = tokio::time::timeout(START_WITHIN, packages::restart(&mut visit)).await;
    let restarted = restarted.unwrap_or_else(|_| Err("the dev server takes too long to start".into()));
    restarted.map_err(Refusal::failed)?;
    Ok(Json(json!({ "success": true, "message": "Vite restarted successfully" })).into_response())
}

/// The sandbox, which is made again if it died by itself; the refusal where there is none.
pub(super) async fn needed(browser: &Browser, handle: &ProjectHandle, none: Refusal) -> Result<Visit, Refusal> {
    let (_, view) = handle.state().await?;
    if sandbox::present(&view, None).is_none() {
        return Err(none);
    }
    let mut visit = Visit::new(handle.clone(), browser.call.enter(handle).await?);
    visit.start_sandbox(START_WITHIN).await?;
    Ok(visit)
}

/// What the dev server said last, and whether it works.
pub(super) async fn dev_server(handle: &ProjectHandle) -> Result<(String, Option<String>), Refusal> {
    let (_, view) = handle.state().await?;
    let log = match handle.preview().await? {
        Preview::Ready(sandbox) => sandbox.preview_log(),
        Preview::Starting { .. } => String::new(),
        Preview::Failed { reason } => reason,
    };
    Ok((log, view.preview.error))
}
