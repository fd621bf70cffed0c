//! What else such a page calls: commands, logs and errors of the dev server.

use axum::{
    Json,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use cobuild_protocol::{Command, Event, command::Exec, value::OutputStream};
use serde_json::{Value, json};

use super::{
    caller::Browser,
    sandbox::{dev_server, needed},
};
use crate::http::legacy::{body::Fields, refusal::Refusal, sandbox};

/// Most of a command's output in one answer, in bytes.
const OUTPUT_SIZE_BYTES_MAX: usize = 256 * 1024;
/// When a command is ended: less than an answer may take to begin.
const COMMAND_MS_MAX: u64 = 50_000;
/// Last lines of the dev server's log in an answer.
const LOG_LINES_MAX: usize = 50;

pub(crate) async fn run_command(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let fields = Fields::read_or_empty(request).await?;
    let command = fields.text("command").filter(|command| !command.trim().is_empty());
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
    let body = json!({
        "success": success,
        "output": if errors.is_empty() { output.clone() } else { format!("{output}{errors}") },
        "error": errors,
        "exitCode": code,
        "message": message,
    });
    Ok(Json(body).into_response())
}

/// `GET monitor-vite-logs` and `GET check-vite-errors`.
pub(crate) async fn vite_errors(browser: Browser, _: Request) -> Result<Response, Refusal> {
    let handle = browser.handle().await?;
    sandbox::present(&handle.state().await?.1, None).ok_or_else(|| Refusal::bad_request("No active sandbox"))?;
    let (_, error) = dev_server(&handle).await?;
    let errors: Vec<Value> = error.iter().map(|message| json!({ "type": "build-error", "message": message })).collect();
    let message = if errors.is_empty() { "No errors" } else { "The dev server reports an error" };
    let body = json!({ "success": true, "hasErrors": !errors.is_empty(), "errors": errors, "message": message });
    Ok(Json(body).into_response())
}

pub(crate) async fn sandbox_logs(browser: Browser, _: Request) -> Result<Response, Refusal> {
    let handle = browser.handle().await?;
    let (_, view) = handle.state().await?;
    let sandbox = sandbox::present(&view, None).ok_or_else(|| Refusal::bad_request("No active sandbox"))?;
    let status = if sandbox.state == cobuild_protocol::value::SandboxState::Ready { "running" } else { "stopped" };
    let (log, error) = dev_server(&handle).await?;
    let lines: Vec<&str> = log.lines().collect();
    let lines = &lines[lines.len().saturating_sub(LOG_LINES_MAX)..];
    Ok(Json(json!({ "success": true, "hasErrors": error.is_some(), "logs": lines, "status": status })).into_response())
}

pub(crate) async fn report_vite_error(_: Browser, request: Request) -> Result<Response, Refusal> {
    let fields = Fields::read_or_empty(request).await?;
    let message = fields.text("error").ok_or_else(|| Refusal::bad_request("Error message is required"))?;
    let error = json!({
        "type": fields.text("type").unwrap_or_else(|| "runtime-error".into()),
        "message": message,
        "file": fields.text("file"),
        "timestamp": jiff::Timestamp::now().to_string(),
    });
    // Taken note of, not kept: what the dev server shows is asked of the dev server itself.
    Ok(Json(json!({ "success": true, "message": "Error reported", "error": error })).into_response())
}

pub(crate) async fn clear_vite_errors(_: Browser, _: Request) -> Result<Response, Refusal> {
    Ok(Json(json!({ "success": true, "message": "Nothing is cached: errors are read as they are" })).into_response())
}
