//! `POST apply-ai-code-stream`: a ready reply put into effect, in three steps.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use cobuild_protocol::{
    Command, ErrorBody, Event, FilePath, PackageSpec, ProjectState,
    command::LeaveOut,
    event::{ExecFinished, InstallFinished, RunFinished},
    value::OutputStream,
};
use serde_json::Value;

use super::{
    caller::Browser,
    install::lines,
    wire::{
        ApplyResults, BrowserApplyComplete, BrowserApplyEvent, BrowserApplyRequest, BrowserCommandAction,
        BrowserFileAction, BrowserOutputStream, NotAppliedResponse,
    },
};
use crate::{
    codegen::reply::ParsedReply,
    http::legacy::{
        apply::Order,
        body::Fields,
        events::{self, Events, Gone},
        packages::{self, Wanted, names},
        refusal::Refusal,
        room::{Visit, ended},
        sandbox::START_WITHIN,
    },
};

/// Files of the project's root that these clients' models rewrite without being asked; such a file of a reply is left out.
const CONFIGURATION: [&str; 6] =
    ["package.json", "package-lock.json", "vite.config.js", "tailwind.config.js", "postcss.config.js", "tsconfig.json"];

/// Why an edit without anything to look for is not put into its file: such edits are meant for a model that merges them.
const NO_MERGE: &str = "the edit quotes no text to replace, and this server has no model that merges such edits; send the \
    whole file";
/// Such edits count only where something is to be changed.
const NO_EDIT: &str = "the edit quotes no text to replace, and the request does not say that it is an edit (isEdit)";

pub(crate) async fn stream(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let BrowserApplyRequest { response, is_edit, packages } = Fields::read_or_empty(request).await?.read_leniently();
    let reply = response.0.filter(|reply| !reply.trim().is_empty());
    let reply = reply.ok_or_else(|| Refusal::bad_request("response is required"))?;
    let edit = is_edit.unwrap_or(false);
    let named = packages.unwrap_or_default();
    let named = named.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    let merges = browser.call.state.registry.parts().settings.merge_model.is_some();
    let (order, left_out) = without_what_does_not_count(Order::new(reply, named, edit), merges);
    let mut visit = Visit::new(handle.clone(), browser.call.enter(&handle).await?);
    if let Err(error) = visit.start_sandbox(START_WITHIN).await {
        return Ok(no_sandbox(&error, &order.parsed));
    }
    let (_, view) = handle.state().await?;
    let (state, listener) = (browser.call.state.clone(), browser.call.listener());
    Ok(events::respond(
        &state,
        listener,
        |error| failure(&error.message),
        move |events| async move {
            let telling = Telling::new(&events, order, left_out, &view);
            let last = telling.apply(visit).await?.unwrap_or_else(|reason| failure(&reason));
            events.send(last).await
        },
    ))
}

fn failure(reason: &str) -> Value {
    events::value(BrowserApplyEvent::Error { error: reason.to_owned(), message: reason.to_owned() })
}

/// There is nowhere to apply it.
fn no_sandbox(error: &ErrorBody, parsed: &ParsedReply) -> Response {
    let reason = format!("Failed to create sandbox: {}", error.message);
    let files: Vec<String> = parsed.files.iter().map(|file| file.path.to_string()).collect();
    let body = NotAppliedResponse {
        success: false,
        error: reason.clone(),
        results: ApplyResults { errors: vec![reason], ..ApplyResults::default() },
        explanation: parsed.explanation.clone(),
        structure: parsed.structure.clone(),
        message: format!("Parsed {} files, but there is no sandbox to put them into", files.len()),
        parsed_files: files,
    };
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}

/// What is not put into effect although the reply has it.
struct LeftOut {
    /// Configuration of the project's root.
    skipped: Vec<FilePath>,
    /// Edits that nobody can put into their files, and why.
    not_edited: Vec<(String, String)>,
}

/// Leaves out configuration, and edits that nobody can put into their files, so that the rest of the reply takes effect
/// without them. The reply itself stays as it was sent: written down again, it might not be the same.
fn without_what_does_not_count(mut order: Order, merges: bool) -> (Order, LeftOut) {
    let is_configuration = |path: &FilePath| CONFIGURATION.contains(&path.as_str());
    let parsed = &order.parsed;
    let paths = parsed.files.iter().map(|file| &file.path).chain(parsed.merges.iter().map(|merge| &merge.path));
    let skipped: BTreeSet<FilePath> = paths.filter(|path| is_configuration(path)).cloned().collect();
    let skipped: Vec<FilePath> = skipped.into_iter().collect();
    let unmatched = parsed.unmatched.iter().filter(|held| !skipped.contains(&held.path));
    let mut not_edited: Vec<(String, String)> =
        unmatched.map(|held| (held.path.to_string(), held.reason.clone())).collect();
    let without_merges = !merges || !order.command.edit;
    if without_merges {
        let reason = if merges { NO_EDIT } else { NO_MERGE };
        let dropped = parsed.merges.iter().filter(|merge| !skipped.contains(&merge.path));
        not_edited.extend(dropped.map(|merge| (merge.path.to_string(), reason.to_owned())));
    }
    order.command.leave_out = LeaveOut { files: skipped.clone(), unmatched: true, merges: without_merges };
    order.parsed.leave_out(&order.command.leave_out);
    (order, LeftOut { skipped, not_edited })
}

/// What the client is told: the packages, then the files – which the project writes before, all at once – then the
/// commands.
struct Telling<'a> {
    events: &'a Events,
    order: Order,
    skipped: Vec<FilePath>,
    /// Files that earlier replies have written: these clients count every first one as created.
    known: BTreeSet<FilePath>,
    not_written: Vec<(String, String)>,
    wanted: Vec<String>,
    /// Packages the project lacked, and those that are none.
    lacking: Vec<String>,
    files_told: bool,
    commands_told: usize,
    command: Option<String>,
    results: ApplyResults,
}

impl<'a> Telling<'a> {
    fn new(events: &'a Events, order: Order, left_out: LeftOut, view: &ProjectState) -> Self {
        Self {
            events,
            order,
            skipped: left_out.skipped,
            known: view.runs.iter().flat_map(|run| run.files.iter().cloned()).collect(),
            not_written: left_out.not_edited,
            wanted: Vec::new(),
            lacking: Vec::new(),
            files_told: false,
            commands_told: 0,
            command: None,
            results: ApplyResults::default(),
        }
    }

    /// Applies and tells; returns the last event, or why it failed.
    async fn apply(mut self, mut visit: Visit) -> Result<Result<Value, String>, Gone> {
        let run = match visit.begin(Command::Apply(self.order.command.clone())).await {
            Ok(run) => run,
            Err(error) => return Ok(Err(error.message)),
        };
        let message = "Starting code application...".into();
        self.events.send(BrowserApplyEvent::Start { message, total_steps: 3 }).await?;
        let named = self.order.command.packages.iter().chain(&self.order.parsed.packages);
        let named: Vec<String> = named.map(|package| package.as_str().to_owned()).collect();
        let message = if named.is_empty() {
            "Checking packages...".to_owned()
        } else {
            format!("Installing {} packages...", named.len())
        };
        self.events.tell(BrowserApplyEvent::Step { step: 1, message, packages: Some(named) }).await;
        for path in &self.skipped {
            let message = format!("{path} was not written: the project's configuration is left as it is");
            self.events.tell(BrowserApplyEvent::Warning { message }).await;
        }
        for (path, reason) in &self.not_written {
            let message = format!("{path} was not edited: {reason}");
            self.events.tell(BrowserApplyEvent::Warning { message }).await;
        }
        // Where the reply has the whole file, too, it does without the edit.
        let whole =
            |path: &String| self.order.parsed.files.iter().any(|file| file.complete && file.path.as_str() == path);
        self.not_written.retain(|(path, _)| !whole(path));
        loop {
            match visit.next_of(run).await {
                Ok(Event::RunFinished(finished)) => {
                    let manifest = packages::manifest(&visit.handle).await;
                    return self.finish(finished, manifest.as_deref()).await;
                }
                Ok(event) => self.tell(event).await?,
                Err(error) => return Ok(Err(error.message)),
            }
        }
    }

    async fn tell(&mut self, event: Event) -> Result<(), Gone> {
        match event {
            Event::PackagesDetected(detected) => {
                self.lacking = names(&detected.packages);
                for refused in detected.refused {
                    self.package_failed(refused.name, refused.reason).await?;
                }
                Ok(())
            }
            Event::FileRefused(refused) => {
                self.not_written.push((refused.path, refused.reason));
                Ok(())
            }
            Event::FileConflicted(conflict) => {
                let reason = format!("{}; both versions were kept", conflict.reason);
                self.not_written.push((conflict.path.to_string(), reason));
                Ok(())
            }
            Event::InstallStarted(started) => {
                self.wanted = names(&started.packages);
                let message = format!("Installing packages: {}", self.wanted.join(", "));
                self.events.send(BrowserApplyEvent::Status { message }).await
            }
            Event::InstallOutput(said) => {
                for message in lines(&said.text) {
                    let event = match said.stream {
                        OutputStream::Stdout => BrowserApplyEvent::Output { message },
                        OutputStream::Stderr => BrowserApplyEvent::Warning { message },
                    };
                    self.events.tell(event).await;
                }
                Ok(())
            }
            Event::InstallFinished(finished) => self.installed(finished).await,
            Event::ExecStarted(started) => {
                self.files().await?;
                self.command_started(started.command).await
            }
            Event::ExecOutput(said) => {
                let stream = match said.stream {
                    OutputStream::Stdout => BrowserOutputStream::Stdout,
                    OutputStream::Stderr => BrowserOutputStream::Stderr,
                };
                let (command, output) = (self.command.clone(), said.text);
                self.events.send(BrowserApplyEvent::CommandOutput { command, output, stream }).await
            }
            Event::ExecFinished(finished) => self.command_finished(finished).await,
            _ => Ok(()),
        }
    }

    async fn package_failed(&mut self, name: String, reason: String) -> Result<(), Gone> {
        let message = format!("'{name}' was not installed: {reason}");
        self.results.packages_failed.push(name);
        self.results.errors.push(message.clone());
        self.events.send(BrowserApplyEvent::Warning { message }).await
    }

    async fn installed(&mut self, finished: InstallFinished) -> Result<(), Gone> {
        if let Some(reason) = finished.error {
            self.results.packages_failed.append(&mut self.wanted);
            self.results.errors.push(reason.clone());
            return self.events.send(BrowserApplyEvent::Warning { message: reason }).await;
        }
        let installed_packages = names(&finished.installed);
        self.results.packages_installed.clone_from(&installed_packages);
        let message = format!("Installed packages: {}", installed_packages.join(", "));
        self.events.send(BrowserApplyEvent::Success { message, installed_packages }).await
    }

    /// The second step, once.
    async fn files(&mut self) -> Result<(), Gone> {
        if std::mem::replace(&mut self.files_told, true) {
            return Ok(());
        }
        let parsed = &self.order.parsed;
        let refused = parsed.refused_files.iter().map(|refused| (refused.name.clone(), refused.reason.clone()));
        let cut = parsed.files.iter().filter(|file| !file.complete);
        let cut = cut.map(|file| (file.path.to_string(), "it was cut off before its end".to_owned()));
        for (path, reason) in refused.chain(cut) {
            if !self.not_written.iter().any(|(known, _)| *known == path) {
                self.not_written.push((path, reason));
            }
        }
        let is_written = |path: &FilePath| !self.not_written.iter().any(|(other, _)| other == path.as_str());
        let mut merged: Vec<FilePath> =
            parsed.merges.iter().map(|merge| merge.path.clone()).filter(is_written).collect();
        let mut seen = BTreeSet::new();
        merged.retain(|path| seen.insert(path.clone()));
        let is_whole = |path: &FilePath| is_written(path) && !merged.contains(path);
        let written: Vec<FilePath> = parsed.files.iter().map(|file| file.path.clone()).filter(is_whole).collect();
        let total = merged.len() + written.len() + self.not_written.len();
        let message = format!("Creating {total} files...");
        self.events.send(BrowserApplyEvent::Step { step: 2, message, packages: None }).await?;
        for (at, path) in merged.iter().enumerate() {
            let (begun, done) = (BrowserFileAction::MorphApplying, BrowserFileAction::MorphUpdated);
            self.file(at + 1, total, path, begun, done).await?;
            self.results.files_updated.push(path.to_string());
        }
        for (at, path) in written.iter().enumerate() {
            let is_known = self.known.contains(path);
            let done = if is_known { BrowserFileAction::Updated } else { BrowserFileAction::Created };
            let list = if is_known { &mut self.results.files_updated } else { &mut self.results.files_created };
            list.push(path.to_string());
            self.file(merged.len() + at + 1, total, path, BrowserFileAction::Creating, done).await?;
        }
        for (path, reason) in &self.not_written {
            self.results.errors.push(format!("{path} was not written: {reason}"));
            let (file_name, error) = (path.clone(), reason.clone());
            self.events.send(BrowserApplyEvent::FileError { file_name, error }).await?;
        }
        Ok(())
    }

    /// That a file is being written, and that it is.
    async fn file(
        &self,
        current: usize,
        total: usize,
        path: &FilePath,
        begun: BrowserFileAction,
        done: BrowserFileAction,
    ) -> Result<(), Gone> {
        let file_name = path.to_string();
        let progress = BrowserApplyEvent::FileProgress { current, total, file_name: file_name.clone(), action: begun };
        self.events.send(progress).await?;
        self.events.send(BrowserApplyEvent::FileComplete { file_name, action: done }).await
    }

    async fn command_started(&mut self, command: String) -> Result<(), Gone> {
        let total = self.order.parsed.commands.len();
        if self.commands_told == 0 {
            let message = format!("Executing {total} commands...");
            self.events.send(BrowserApplyEvent::Step { step: 3, message, packages: None }).await?;
        }
        self.commands_told += 1;
        let progress = BrowserApplyEvent::CommandProgress {
            current: self.commands_told,
            total,
            command: command.clone(),
            action: BrowserCommandAction::Executing,
        };
        self.events.send(progress).await?;
        self.command = Some(command);
        Ok(())
    }

    async fn command_finished(&mut self, finished: ExecFinished) -> Result<(), Gone> {
        let Some(command) = self.command.take() else { return Ok(()) };
        let Some(code) = finished.exit_code else {
            let reason = finished.error.unwrap_or_else(|| "it could not be run".into());
            return self.command_failed(&command, &reason).await;
        };
        if code == 0 {
            self.results.commands_executed.push(command.clone());
        } else {
            self.results.errors.push(format!("`{command}` ended with exit code {code}"));
        }
        self.events.send(BrowserApplyEvent::CommandComplete { command, exit_code: code, success: code == 0 }).await
    }

    async fn command_failed(&mut self, command: &str, reason: &str) -> Result<(), Gone> {
        self.results.errors.push(format!("`{command}`: {reason}"));
        let (command, error) = (command.to_owned(), reason.to_owned());
        self.events.send(BrowserApplyEvent::CommandError { command, error }).await
    }

    /// The run is over. What failed in parts was told; only what ended it as a whole is a failure of the stream.
    /// `manifest` is the text of `package.json` now.
    async fn finish(mut self, finished: RunFinished, manifest: Option<&str>) -> Result<Result<Value, String>, Gone> {
        let in_parts = self.order.failed_in_parts(&finished);
        if let Err(error) = ended(finished.outcome, finished.error)
            && !in_parts
        {
            return Ok(Err(error.message));
        }
        self.files().await?;
        let not_run: Vec<String> = self.order.parsed.commands.iter().skip(self.commands_told).cloned().collect();
        for command in not_run {
            self.command_started(command.clone()).await?;
            self.command = None;
            self.command_failed(&command, "it was not run, because something before it failed").await?;
        }
        for refused in std::mem::take(&mut self.order.refused) {
            self.package_failed(refused.name, refused.reason).await?;
        }
        if self.order.parsed.limit.is_some() {
            self.results.errors.push("the reply is longer than this server takes, and its end was left out".into());
        }
        let count = self.results.files_created.len() + self.results.files_updated.len();
        let errors = match self.results.errors.len() {
            0 => String::new(),
            errors => format!(" with {errors} errors"),
        };
        let named = self.order.command.packages.iter().chain(&self.order.parsed.packages);
        let named: Vec<&str> = named.map(PackageSpec::as_str).collect();
        let Wanted { mut present, .. } =
            Wanted::sort(manifest, |collector| named.iter().for_each(|name| collector.add_named(name)));
        // By now it has those that were installed, too.
        present.retain(|name| !self.lacking.contains(name));
        self.results.packages_already_installed = present;
        let parsed = self.order.parsed;
        Ok(Ok(events::value(BrowserApplyEvent::Complete(Box::new(BrowserApplyComplete {
            results: self.results,
            explanation: parsed.explanation,
            structure: parsed.structure,
            message: format!("Successfully applied {count} files{errors}"),
            template: parsed.template,
        })))))
    }
}
