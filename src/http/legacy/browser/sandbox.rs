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

use super::{
    caller::Browser,
    wire::{
        BrowserSandbox, BrowserSandboxStatus, BrowserStatusFailure, CreateBrowserSandboxResponse, Done,
        KillBrowserSandboxResponse,
    },
};
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
    let body = CreateBrowserSandboxResponse {
        success: true,
        url: Some(browser.call.preview_url(&view)),
        sandbox_id: view.sandbox.sandbox.unwrap_or_default(),
        provider: view.sandbox.provider,
        message: "Sandbox created and Vite React app initialized".into(),
    };
    Ok(Json(body).into_response())
}

pub(crate) async fn status(browser: Browser, _: Request) -> Result<Response, Refusal> {
    shown(&browser).await.or_else(|refusal| match refusal {
        // These clients look at this field whatever else there is.
        Refusal::Unexpected(error) => {
            let body = BrowserStatusFailure { success: false, active: false, error };
            Ok((StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response())
        }
        other => Err(other),
    })
}

async fn shown(browser: &Browser) -> Result<Response, Refusal> {
    let handle = browser.handle().await?;
    let (_, mut view) = handle.state().await?;
    let active = sandbox::present(&view, None).is_some();
    let is_gone = matches!(view.sandbox.state, SandboxState::Stopped | SandboxState::Lost);
    if active && is_gone && browser.call.may_change().is_ok() {
        // It died by itself, or the server was restarted. A page that is told so makes another app.
        let mut visit = Visit::new(handle.clone(), browser.call.enter(&handle).await?);
        if let Err(error) = visit.start_sandbox(START_WITHIN).await {
            tracing::info!(project = %browser.call.project, error = error.message, "a sandbox did not come back");
        }
        view = handle.state().await?.1;
    }
    let healthy = active && view.sandbox.state == SandboxState::Ready && view.preview.state != PreviewState::Failed;
    let message = match (active, healthy) {
        (false, _) => "No active sandbox",
        (true, false) => "Sandbox exists but is not responding",
        (true, true) => "Sandbox is active and healthy",
    };
    let body = BrowserSandboxStatus {
        success: true,
        active,
        healthy,
        sandbox_data: active.then(|| data(browser, &view)),
        message: message.into(),
    };
    Ok(Json(body).into_response())
}

fn data(browser: &Browser, view: &ProjectState) -> BrowserSandbox {
    BrowserSandbox {
        sandbox_id: view.sandbox.sandbox.clone().unwrap_or_default(),
        url: Some(browser.call.preview_url(view)),
        files_tracked: view.files.keys().take(FILES_TRACKED_MAX).map(ToString::to_string).collect(),
        last_health_check: jiff::Timestamp::now().to_string(),
    }
}

pub(crate) async fn kill(browser: Browser, _: Request) -> Result<Response, Refusal> {
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    let (_, view) = handle.state().await?;
    let killed = sandbox::present(&view, None).is_some();
    if killed {
        sandbox::end(&browser.call, &handle).await?;
    }
    let message = "Sandbox cleaned up successfully".into();
    Ok(Json(KillBrowserSandboxResponse { success: true, sandbox_killed: killed, message }).into_response())
}

pub(crate) async fn restart_vite(browser: Browser, _: Request) -> Result<Response, Refusal> {
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    let mut visit = needed(&browser, &handle, Refusal::bad_request("No active sandbox")).await?;
    if handle.state().await?.1.preview.state == PreviewState::Starting {
        return Ok(Json(Done { success: true, message: "Vite is starting already".into() }).into_response());
    }
    let restarted = tokio::time::timeout(START_WITHIN, packages::restart(&mut visit)).await;
    let restarted = restarted.unwrap_or_else(|_| Err("the dev server takes too long to start".into()));
    restarted.map_err(Refusal::failed)?;
    Ok(Json(Done { success: true, message: "Vite restarted successfully".into() }).into_response())
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
