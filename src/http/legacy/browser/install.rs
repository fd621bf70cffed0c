//! `POST install-packages`, `POST install-packages-v2` and `POST detect-and-install-packages`.

use axum::{
    Json,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use cobuild_protocol::{Command, Event, PackageSpec, command::Install, value::OutputStream};
use serde_json::Value;

use super::{
    caller::Browser,
    sandbox::needed,
    wire::{
        BrowserDetectRequest, BrowserInstallEvent, BrowserInstallRequest, DetectBrowserPackagesResponse,
        InstallInOnePieceResponse,
    },
};
use crate::{
    http::legacy::{
        body::Fields,
        events::{self, Events},
        packages::{self, Wanted, names},
        refusal::Refusal,
        room::{Visit, ended},
    },
    project::ProjectHandle,
};

/// Most packages one `install` takes; more go in several.
const PACKAGES_AT_ONCE_MAX: usize = 50;
/// Most of a package manager's output in one answer, in bytes.
const OUTPUT_SIZE_BYTES_MAX: usize = 256 * 1024;

/// The packages a request names.
async fn named(request: Request) -> Result<Vec<String>, Refusal> {
    let BrowserInstallRequest { packages } = Fields::read_or_empty(request).await?.read_leniently();
    let named = packages.0.filter(|packages| !packages.is_empty());
    let named = named.ok_or_else(|| Refusal::bad_request("Packages array is required"))?;
    let named: Vec<String> = named
        .iter()
        .filter_map(Value::as_str)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if !named.iter().any(|name| name.parse::<PackageSpec>().is_ok()) {
        return Err(Refusal::bad_request("No valid package names provided"));
    }
    Ok(named)
}

/// `POST install-packages-v2`: installs, and answers when it is done.
pub(crate) async fn in_one_piece(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let named = named(request).await?;
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    let mut visit = needed(&browser, &handle, Refusal::bad_request("No active sandbox")).await?;
    let manifest = packages::manifest(&handle).await;
    let Wanted { needed, present } = Wanted::sort(manifest.as_deref(), |collector| {
        named.iter().for_each(|name| collector.add_named(name));
    });
    let mut errors: Vec<String> = needed
        .refused
        .iter()
        .map(|refused| format!("'{}' was not installed: {}", refused.name, refused.reason))
        .collect();
    let (mut installed, mut output) = (Vec::new(), String::new());
    for some in needed.packages.chunks(PACKAGES_AT_ONCE_MAX) {
        let run = visit.begin(Command::Install(Install { packages: some.to_vec() })).await?;
        loop {
            match visit.next_of(run).await? {
                Event::InstallOutput(said) if output.len() < OUTPUT_SIZE_BYTES_MAX => output.push_str(&said.text),
                Event::InstallFinished(finished) => installed.extend(names(&finished.installed)),
                Event::RunFinished(finished) => {
                    errors.extend(ended(finished.outcome, finished.error).err().map(|error| error.message));
                    break;
                }
                _ => {}
            }
        }
    }
    let message = match (errors.len(), installed.len()) {
        (0, 0) => format!("All packages are already installed: {}", present.join(", ")),
        (0, _) => format!("Packages installed successfully: {}", installed.join(", ")),
        _ => "Package installation failed".to_owned(),
    };
    let body = InstallInOnePieceResponse { success: errors.is_empty(), output, error: errors.join("\n"), message };
    Ok(Json(body).into_response())
}

pub(crate) async fn stream(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let named = named(request).await?;
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    let visit = needed(&browser, &handle, Refusal::bad_request("No active sandbox")).await?;
    let (state, listener) = (browser.call.state.clone(), browser.call.listener());
    Ok(events::respond(
        &state,
        listener,
        |error| failure(&error.message),
        move |events| async move {
            let last = install(visit, &handle, &named, &events).await.unwrap_or_else(|reason| failure(&reason));
            events.send(last).await
        },
    ))
}

fn failure(reason: &str) -> Value {
    events::value(BrowserInstallEvent::Error { error: reason.to_owned(), message: reason.to_owned() })
}

fn status(message: &str) -> BrowserInstallEvent {
    BrowserInstallEvent::Status { message: message.to_owned() }
}

/// Installs and tells; returns the last event, or why it failed.
async fn install(mut visit: Visit, handle: &ProjectHandle, named: &[String], events: &Events) -> Result<Value, String> {
    let message = "Starting package installation...".into();
    events.tell(BrowserInstallEvent::Start { message, packages: named.to_vec() }).await;
    events.tell(status("Stopping development server...")).await;
    events.tell(status("Checking installed packages...")).await;
    let manifest = packages::manifest(handle).await;
    let Wanted { needed, present } = Wanted::sort(manifest.as_deref(), |collector| {
        named.iter().for_each(|name| collector.add_named(name));
    });
    for refused in &needed.refused {
        let message = format!("'{}' was not installed: {}", refused.name, refused.reason);
        events.tell(BrowserInstallEvent::Warning { message }).await;
    }
    if !present.is_empty() {
        let message = format!("Already installed: {}", present.join(", "));
        events.tell(BrowserInstallEvent::Info { message }).await;
    }
    if needed.packages.is_empty() {
        let success = BrowserInstallEvent::Success {
            message: "All packages are already installed".into(),
            installed_packages: Vec::new(),
            already_installed: Some(present),
        };
        events.tell(success).await;
        events.tell(status("Restarting development server...")).await;
        let message = "Dev server restarted!".into();
        let complete = BrowserInstallEvent::Complete { message, installed_packages: Vec::new() };
        return packages::restart(&mut visit).await.map(|()| events::value(complete));
    }
    let installed = run(&mut visit, &needed.packages, events).await;
    if let Ok(installed) = &installed {
        let message = format!("Successfully installed: {}", installed.join(", "));
        let installed_packages = installed.clone();
        events.tell(BrowserInstallEvent::Success { message, installed_packages, already_installed: None }).await;
    }
    events.tell(status("Restarting development server...")).await;
    let restarted = packages::restart(&mut visit).await;
    let installed_packages = installed?;
    restarted?;
    let message = "Package installation complete and dev server restarted!".into();
    Ok(events::value(BrowserInstallEvent::Complete { message, installed_packages }))
}

/// The installs, with each line of their output.
async fn run(visit: &mut Visit, needed: &[PackageSpec], events: &Events) -> Result<Vec<String>, String> {
    let mut installed = Vec::new();
    for some in needed.chunks(PACKAGES_AT_ONCE_MAX) {
        let run = match visit.begin(Command::Install(Install { packages: some.to_vec() })).await {
            Ok(run) => run,
            Err(error) => return Err(error.message),
        };
        loop {
            match visit.next_of(run).await {
                Ok(Event::InstallOutput(said)) => {
                    for message in lines(&said.text) {
                        events.tell(line(said.stream, message)).await;
                    }
                }
                Ok(Event::InstallFinished(finished)) => installed.extend(names(&finished.installed)),
                Ok(Event::RunFinished(finished)) => match ended(finished.outcome, finished.error) {
                    Ok(()) => break,
                    Err(error) => return Err(error.message),
                },
                Ok(_) => {}
                Err(error) => return Err(error.message),
            }
        }
    }
    Ok(installed)
}

/// What a package manager says, line by line.
pub(super) fn lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned)
}

fn line(stream: OutputStream, message: String) -> BrowserInstallEvent {
    match stream {
        OutputStream::Stdout => BrowserInstallEvent::Output { message },
        OutputStream::Stderr => BrowserInstallEvent::Warning { message },
    }
}

pub(crate) async fn detect(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let BrowserDetectRequest { files } = Fields::read_or_empty(request).await?.read_leniently();
    let files = files.0.ok_or_else(|| Refusal::bad_request("Files object is required"))?;
    let files: Vec<(String, String)> =
        files.iter().filter_map(|(path, text)| Some((path.clone(), text.as_str()?.to_owned()))).collect();
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    let mut visit = needed(&browser, &handle, Refusal::not_found("No active sandbox")).await?;
    let Wanted { needed, present } = packages::detected(&handle, &files).await;
    let (mut installed, mut failed, mut logs) = (Vec::new(), Vec::new(), Vec::new());
    for some in needed.packages.chunks(PACKAGES_AT_ONCE_MAX) {
        let names = some.iter().map(|package| package.name().to_owned());
        let done = match visit.begin(Command::Install(Install { packages: some.to_vec() })).await {
            Ok(run) => visit.end_of(run).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => installed.extend(names),
            Err(error) => {
                failed.extend(names);
                logs.push(error.message);
            }
        }
    }
    let message = match (installed.len(), failed.len()) {
        (0, 0) => "No new packages needed".to_owned(),
        (count, 0) => format!("Installed {count} packages"),
        (count, failures) => format!("Installed {count} packages, {failures} failed"),
    };
    let body = DetectBrowserPackagesResponse {
        success: failed.is_empty(),
        packages_installed: installed,
        packages_failed: failed,
        packages_already_installed: present,
        message,
        logs: logs.join("\n"),
    };
    Ok(Json(body).into_response())
}
