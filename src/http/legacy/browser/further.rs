//! What else such a page calls: commands, logs and errors of the dev server.

use axum::{
    Json,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use cobuild_protocol::{Command, Event, command::Exec, value::OutputStream};

use super::{
    caller::Browser,
    sandbox::{dev_server, needed},
    wire::{
        DevServerStatus, Done, ReportErrorRequest, ReportErrorResponse, ReportedError, RunCommandRequest,
        RunCommandResponse, SandboxLogs, ViteErrors,
    },
};
use crate::http::legacy::{body::Fields, refusal::Refusal, sandbox};

/// Most of a command's output in one answer, in bytes.
const OUTPUT_SIZE_BYTES_MAX: usize = 256 * 1024;
/// When a command is ended: less than an answer may take to begin.
const COMMAND_MS_MAX: u64 = 50_000;
/// Longest text of a reported error, in characters.
const REPORT_CHARS_MAX: usize = 1000;
/// Last lines of the dev server's log in an answer.
const LOG_LINES_MAX: usize = 50;

pub(crate) async fn run_command(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let RunCommandRequest { command } = Fields::read_or_empty(request).await?.read_leniently();
    let command = command.0.filter(|command| !command.trim().is_empty());
    let command = command.ok_or_else(|| Refusal::bad_request("Command is required"))?;
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    let mut visit = needed(&browser, &handle, Refusal::bad_request("No active sandbox")).await?;
    let run = visit.begin(Command::Exec(Exec { command, timeout_ms: Some(COMMAND_MS_MAX) })).await?;
    let (mut output, mut errors, mut code, mut reason) = (String::new(), String::new(), None, None);
    loop {
        match visit.next_of(run).await? {
            Event::ExecOutput(said) => {
                let text = if said.stream == OutputStream::Stdout { &mut output } else { &mut errors };
                if text.len() < OUTPUT_SIZE_BYTES_MAX {
                    text.push_str(&said.text);
                }
            }
            Event::ExecFinished(finished) => (code, reason) = (finished.exit_code, finished.error),
            Event::RunFinished(_) => break,
            _ => {}
        }
    }
    let success = code == Some(0);
    let message = match (success, &reason) {
        (true, _) => "Command executed successfully".to_owned(),
        (false, Some(reason)) => format!("Command failed: {reason}"),
        (false, None) => "Command failed".to_owned(),
    };
    let output = if errors.is_empty() { output } else { format!("{output}{errors}") };
    let body = RunCommandResponse { success, output, error: errors, exit_code: code, message };
    Ok(Json(body).into_response())
}

/// `GET monitor-vite-logs`: what the dev server says now.
pub(crate) async fn vite_errors(browser: Browser, _: Request) -> Result<Response, Refusal> {
    let handle = browser.handle().await?;
    sandbox::present(&handle.state().await?.1, None).ok_or_else(|| Refusal::bad_request("No active sandbox"))?;
    let errors: Vec<ReportedError> = build_error(&browser).await?.into_iter().collect();
    Ok(Json(ViteErrors { success: true, has_errors: !errors.is_empty(), errors, message: None }).into_response())
}

/// `GET check-vite-errors`: the same, if there is a dev server, and what the page has reported.
pub(crate) async fn known_errors(browser: Browser, _: Request) -> Result<Response, Refusal> {
    let mut errors = browser.reports();
    errors.extend(build_error(&browser).await?);
    let message = if errors.is_empty() { "No errors" } else { "There are errors" };
    let body = ViteErrors { success: true, has_errors: !errors.is_empty(), errors, message: Some(message.into()) };
    Ok(Json(body).into_response())
}

/// The error of the dev server, where there is one.
async fn build_error(browser: &Browser) -> Result<Option<ReportedError>, Refusal> {
    let handle = browser.handle().await?;
    if sandbox::present(&handle.state().await?.1, None).is_none() {
        return Ok(None);
    }
    let (_, error) = dev_server(&handle).await?;
    Ok(error.map(|message| ReportedError { r#type: "build-error".into(), message, file: None, timestamp: None }))
}

pub(crate) async fn sandbox_logs(browser: Browser, _: Request) -> Result<Response, Refusal> {
    let handle = browser.handle().await?;
    let (_, view) = handle.state().await?;
    let sandbox = sandbox::present(&view, None).ok_or_else(|| Refusal::bad_request("No active sandbox"))?;
    let is_ready = sandbox.state == cobuild_protocol::value::SandboxState::Ready;
    let status = if is_ready { DevServerStatus::Running } else { DevServerStatus::Stopped };
    let (log, error) = dev_server(&handle).await?;
    let lines: Vec<&str> = log.lines().collect();
    let logs = lines[lines.len().saturating_sub(LOG_LINES_MAX)..].iter().map(ToString::to_string).collect();
    Ok(Json(SandboxLogs { success: true, has_errors: error.is_some(), logs, status }).into_response())
}

pub(crate) async fn report_vite_error(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let reported: ReportErrorRequest = Fields::read_or_empty(request).await?.read_leniently();
    let short = |text: String| text.chars().take(REPORT_CHARS_MAX).collect::<String>();
    let message = reported.error.0.map(short).filter(|message| !message.trim().is_empty());
    let message = message.ok_or_else(|| Refusal::bad_request("Error message is required"))?;
    browser.call.may_change()?;
    let error = ReportedError {
        r#type: reported.r#type.map_or_else(|| "runtime-error".into(), short),
        message,
        file: reported.file.map(short),
        timestamp: Some(jiff::Timestamp::now().to_string()),
    };
    browser.report(error.clone());
    Ok(Json(ReportErrorResponse { success: true, message: "Error reported".into(), error }).into_response())
}

pub(crate) async fn clear_vite_errors(browser: Browser, _: Request) -> Result<Response, Refusal> {
    browser.call.may_change()?;
    browser.forget_reports();
    Ok(Json(Done { success: true, message: "Reported errors are forgotten".into() }).into_response())
}
