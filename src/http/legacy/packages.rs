//! `POST /api/install-packages` and `POST /api/detect-and-install-packages`.

use std::time::Duration;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use cobuild_protocol::{
    Command, Event, FilePath, PackageSpec,
    command::{Install, RestartPreview},
    value::PreviewState,
};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    body,
    caller::Call,
    events::{self, Events},
    refusal::Refusal,
    room::{Visit, ended},
    sandbox::{self, NOT_FOUND_STREAM},
    wire::{
        DetectPackagesRequest, DetectPackagesResponse, InstallComplete, InstallEvent, InstallPackagesRequest,
        InstallStage,
    },
};
use crate::{
    codegen::{
        packages::{NeededPackages, PackageCollector},
        reply::{ParsedReply, ReplyChange},
    },
    http::HttpState,
    project::{Preview, ProjectHandle},
};

/// Longest time until another dev server answers. One that has its own limit ends sooner.
const RESTART_WITHIN: Duration = Duration::from_secs(120);
/// What the stream's failure is called.
const FAILED: &str = "Package installation failed";
/// Most packages one `install` takes; more go in several.
const PACKAGES_AT_ONCE_MAX: usize = 50;

/// What a project needs and what it has of what somebody names.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// To be installed.
    pub(super) needed: NeededPackages,
    /// Named, but in `package.json` already.
    pub(super) present: Vec<String>,
}

impl Wanted {
    /// Sorts what `name` names. `manifest` is the text of `package.json`.
    pub(super) fn sort(manifest: Option<&str>, name: impl Fn(&mut PackageCollector)) -> Self {
        let collect = |manifest| {
            let mut collector = PackageCollector::new(manifest);
            name(&mut collector);
            collector.finish()
        };
        let needed = collect(manifest);
        let is_needed = |package: &PackageSpec| needed.packages.iter().any(|other| other.name() == package.name());
        let all = collect(None).packages;
        let present = all.iter().filter(|package| !is_needed(package)).map(|package| package.name().to_owned());
        Self { present: present.collect(), needed }
    }
}

/// The text of the project's `package.json`.
pub(super) async fn manifest(handle: &ProjectHandle) -> Option<String> {
    let path: FilePath = "package.json".parse().expect("invariant: a valid path");
    let (_, content) = handle.read_file(&path).await.ok()?;
    String::from_utf8(content.to_vec()).ok()
}

/// What a reply needs that the project lacks.
pub(super) async fn of_reply(handle: &ProjectHandle, reply: &ParsedReply) -> Vec<String> {
    let mut collector = PackageCollector::new(manifest(handle).await.as_deref());
    name_those_of(reply, &mut collector);
    collector.finish().packages.iter().map(ToString::to_string).collect()
}

fn name_those_of(reply: &ParsedReply, collector: &mut PackageCollector) {
    for package in &reply.packages {
        collector.add_named(package.as_str());
    }
    for file in reply.files.iter().filter(|file| file.complete) {
        if let ReplyChange::Whole(text) = &file.change {
            collector.add_imports(&file.path, text);
        }
    }
}

pub(super) async fn install(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let call = Call::of_header(&state, &request).await?;
    let InstallPackagesRequest { packages, sandbox_id } = body::read(request).await?;
    let start = events::value(InstallEvent::Start { message: "Starting package installation...".into() });
    sandbox::stream_within(call, sandbox_id.as_deref(), start, failure, |call, handle, events| async move {
        Ok(install_all(&call, &handle, &packages, &events).await)
    })
    .await
}

fn failure(reason: &str) -> Value {
    events::value(InstallEvent::Error { error: reason.to_owned(), message: FAILED.into() })
}

fn complete(message: &str) -> Value {
    events::value(InstallEvent::Complete(InstallComplete { message: message.into(), installed: None, count: None }))
}

/// Installs and tells whoever listens; returns the last event, or why it failed. Goes on to the end when the client has
/// gone: half of what was asked for would be worse than all of it.
async fn install_all(
    call: &Call,
    handle: &ProjectHandle,
    packages: &[String],
    events: &Events,
) -> Result<Value, String> {
    if packages.is_empty() {
        return Ok(complete("No packages to install"));
    }
    let message = format!("Installing {} packages: {}", packages.len(), quoted(packages));
    events.tell(InstallEvent::Info { message }).await;
    let manifest = manifest(handle).await;
    if manifest.is_none() {
        events.tell(InstallEvent::Warning { message: "Could not read package.json".into() }).await;
    }
    let Wanted { needed, present } = Wanted::sort(manifest.as_deref(), |collector| {
        packages.iter().for_each(|package| collector.add_named(package));
    });
    if !present.is_empty() {
        let message = format!("Already installed: {}", quoted(&present));
        events.tell(InstallEvent::Info { message }).await;
    }
    if let Some(refused) = needed.refused.first() {
        return Err(format!("'{}' was not installed: {}", refused.name, refused.reason));
    }
    if needed.packages.is_empty() {
        return Ok(complete("All packages already installed"));
    }
    let mut visit = match call.enter(handle).await {
        Ok(subscription) => Visit::new(handle.clone(), subscription),
        Err(error) => return Err(error.to_string()),
    };
    events.tell(stage(InstallStage::StopVite, "Stopping Vite server...".into())).await;
    let installing = format!("Installing {} packages...", needed.packages.len());
    events.tell(stage(InstallStage::Install, installing)).await;
    let mut installed = Vec::new();
    let mut failed = None;
    for some in needed.packages.chunks(PACKAGES_AT_ONCE_MAX) {
        match install_some(&mut visit, some, events).await {
            Ok(names) => installed.extend(names),
            Err(reason) => {
                failed = Some(reason);
                break;
            }
        }
    }
    events.tell(stage(InstallStage::RestartVite, "Restarting Vite server...".into())).await;
    let restarted = restart(&mut visit).await;
    for line in preview_log(handle).await.lines() {
        events.tell(InstallEvent::ViteOutput { content: line.to_owned() }).await;
    }
    if let Some(reason) = failed.or(restarted.err()) {
        return Err(reason);
    }
    let (count, message) = (Some(installed.len()), "Packages installed successfully".into());
    Ok(events::value(InstallEvent::Complete(InstallComplete { message, installed: Some(installed), count })))
}

fn stage(stage: InstallStage, message: String) -> InstallEvent {
    InstallEvent::Stage { stage, message }
}

/// One `install`; returns the names, or why it failed.
async fn install_some(visit: &mut Visit, packages: &[PackageSpec], events: &Events) -> Result<Vec<String>, String> {
    let run = match visit.begin(Command::Install(Install { packages: packages.to_vec() })).await {
        Ok(run) => run,
        Err(error) => return Err(error.message),
    };
    let mut installed = Vec::new();
    loop {
        match visit.next_of(run).await {
            Ok(Event::InstallOutput(said)) => {
                events.tell(InstallEvent::Output { content: said.text }).await;
            }
            Ok(Event::InstallFinished(finished)) => installed = names(&finished.installed),
            Ok(Event::RunFinished(finished)) => {
                return ended(finished.outcome, finished.error).map(|()| installed).map_err(|error| error.message);
            }
            Ok(_) => {}
            Err(error) => return Err(error.message),
        }
    }
}

/// Names of packages without their versions.
pub(super) fn names(specs: &[String]) -> Vec<String> {
    let name = |spec: &String| spec.parse::<PackageSpec>().map_or_else(|_| spec.clone(), |spec| spec.name().to_owned());
    specs.iter().map(name).collect()
}

/// Ends the dev server and waits until another answers.
pub(crate) async fn restart(visit: &mut Visit) -> Result<(), String> {
    visit.submit(Command::RestartPreview(RestartPreview {})).await.map_err(|error| error.message)?;
    let restarted = timeout(RESTART_WITHIN, restarted(visit)).await;
    restarted.unwrap_or_else(|_| Err("the dev server takes too long to start".into()))
}

async fn restarted(visit: &mut Visit) -> Result<(), String> {
    // The restart says that it begins; what the preview said before does not count.
    let mut begun = false;
    loop {
        let Event::PreviewChanged(changed) = visit.next().await.map_err(|error| error.message)?.event else { continue };
        match changed.state {
            PreviewState::Starting => begun = true,
            PreviewState::Ready if begun => return Ok(()),
            PreviewState::Failed | PreviewState::Stopped if begun => {
                return Err(changed.error.unwrap_or_else(|| "the dev server did not start again".into()));
            }
            PreviewState::Ready | PreviewState::Failed | PreviewState::Stopped => {}
        }
    }
}

async fn preview_log(handle: &ProjectHandle) -> String {
    match handle.preview().await {
        Ok(Preview::Ready(sandbox)) => sandbox.preview_log(),
        Ok(Preview::Starting { .. } | Preview::Failed { .. }) | Err(_) => String::new(),
    }
}

/// `['a', 'b']`, as the first engine wrote lists.
pub(super) fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("[{}]", quoted.join(", "))
}

pub(super) async fn detect(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let call = Call::of_header(&state, &request).await?;
    let DetectPackagesRequest { files } = body::read(request).await?;
    let files: Vec<(String, String)> = files.into_iter().collect();
    call.may_change()?;
    let handle = call.handle().await?;
    let (_, view) = handle.state().await?;
    let outcome = if sandbox::present(&view, None).is_some() {
        install_detected(&call, &handle, &files).await
    } else {
        Err(NOT_FOUND_STREAM.to_owned())
    };
    let body = outcome.unwrap_or_else(|reason| DetectPackagesResponse {
        success: false,
        packages_installed: Vec::new(),
        packages_already_installed: Vec::new(),
        message: format!("Failed to detect packages: {reason}"),
    });
    Ok(Json(body).into_response())
}

async fn install_detected(
    call: &Call,
    handle: &ProjectHandle,
    files: &[(String, String)],
) -> Result<DetectPackagesResponse, String> {
    let Wanted { needed, present } = detected(handle, files).await;
    let (found, missing) = (needed.packages.len() + present.len(), needed.packages.len());
    let mut installed = Vec::new();
    let mut visit = Visit::new(handle.clone(), call.enter(handle).await.map_err(|error| error.to_string())?);
    for some in needed.packages.chunks(PACKAGES_AT_ONCE_MAX) {
        let run = visit.begin(Command::Install(Install { packages: some.to_vec() })).await;
        let run = run.map_err(|error| error.message)?;
        visit.end_of(run).await.map_err(|error| error.message)?;
        installed.extend(some.iter().map(|package| package.name().to_owned()));
    }
    let message = if found == 0 {
        "No packages detected in provided files".to_owned()
    } else {
        format!("Detected {found} packages. {missing} need installation.")
    };
    Ok(DetectPackagesResponse {
        success: true,
        packages_installed: installed,
        packages_already_installed: present,
        message,
    })
}

/// What files import, whatever their paths are: a file without a known ending is taken for a script.
pub(super) async fn detected(handle: &ProjectHandle, files: &[(String, String)]) -> Wanted {
    let manifest = manifest(handle).await;
    let script: FilePath = "file.jsx".parse().expect("invariant: a valid path");
    Wanted::sort(manifest.as_deref(), |collector| {
        for (path, text) in files {
            let path = path.trim_start_matches('/').parse::<FilePath>().unwrap_or_else(|_| script.clone());
            collector.add_imports(&path, text);
        }
    })
}
