//! `POST apply-ai-code-stream`: a ready reply put into effect, in three steps.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use cobuild_protocol::{
    Command, ErrorBody, Event, FilePath, ProjectState,
    event::{ExecFinished, InstallFinished, RunFinished},
    value::OutputStream,
};
use serde_json::{Value, json};

use super::{caller::Browser, install::output};
use crate::{
    codegen::reply::{ParsedReply, ReplyChange, ReplyMerge},
    http::legacy::{
        apply::Order,
        body::Fields,
        events::{self, Events, Gone},
        packages::names,
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
    let fields = Fields::read_or_empty(request).await?;
    let reply = fields.text("response").filter(|reply| !reply.trim().is_empty());
    let reply = reply.ok_or_else(|| Refusal::bad_request("response is required"))?;
    let edit = fields.value("isEdit").and_then(Value::as_bool).unwrap_or(false);
    let named = fields.list("packages").unwrap_or_default();
    let named = named.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    browser.call.may_change()?;
    let handle = browser.handle().await?;
    let merges = browser.call.state.registry.parts().settings.merge_model.is_some();
    let (order, unmergeable) = without_unmergeable(Order::new(reply, named, edit), merges);
    let (order, skipped) = without_configuration(order);
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
            let telling = Telling::new(&events, order, skipped, unmergeable, &view);
            let last = telling.apply(visit).await?.unwrap_or_else(|reason| failure(&reason));
            events.send(last).await
        },
    ))
}

fn failure(reason: &str) -> Value {
    json!({ "type": "error", "error": reason, "message": reason })
}

/// There is nowhere to apply it.
fn no_sandbox(error: &ErrorBody, parsed: &ParsedReply) -> Response {
    let reason = format!("Failed to create sandbox: {}", error.message);
    let results = Results { errors: vec![reason.clone()], ..Results::default() };
    let files: Vec<&FilePath> = parsed.files.iter().map(|file| &file.path).collect();
    let body = json!({
        "success": false,
        "error": reason,
        "results": results.body(),
        "explanation": parsed.explanation,
        "structure": parsed.structure,
        "parsedFiles": files,
        "message": format!("Parsed {} files, but there is no sandbox to put them into", files.len()),
    });
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}

/// Leaves out edits that nobody can put into their files, so that the rest of the reply takes effect without them. Returns
/// which, and why.
fn without_unmergeable(mut order: Order, merges: bool) -> (Order, Vec<(String, String)>) {
    let mut left_out: Vec<(String, String)> =
        order.parsed.unmatched.drain(..).map(|held| (held.path.to_string(), held.reason)).collect();
    if !merges || !order.command.edit {
        let reason = if merges { NO_EDIT } else { NO_MERGE };
        let dropped = order.parsed.merges.drain(..).map(|merge| (merge.path.to_string(), reason.to_owned()));
        left_out.extend(dropped);
    }
    if !left_out.is_empty() {
        order.command.reply = written(&order.parsed);
    }
    (order, left_out)
}

/// Leaves out configuration of the project's root. The rest is written down again, so that it is one reply as before.
fn without_configuration(mut order: Order) -> (Order, Vec<String>) {
    let is_configuration = |path: &FilePath| CONFIGURATION.contains(&path.as_str());
    let (skipped, kept): (Vec<_>, Vec<_>) = order.parsed.files.drain(..).partition(|file| is_configuration(&file.path));
    order.parsed.files = kept;
    if !skipped.is_empty() {
        order.command.reply = written(&order.parsed);
    }
    (order, skipped.into_iter().map(|file| file.path.to_string()).collect())
}

/// A parsed reply as text.
fn written(parsed: &ParsedReply) -> String {
    let mut text = String::new();
    for file in &parsed.files {
        let (path, end) = (&file.path, file.complete);
        match &file.change {
            ReplyChange::Whole(content) => {
                text.push_str(&format!("<file path=\"{path}\">\n{content}\n{}", if end { "</file>\n" } else { "" }));
            }
            ReplyChange::Edit(blocks) => {
                text.push_str(&format!("<edit path=\"{path}\">\n"));
                for block in blocks {
                    let (search, replace) = (&block.search, &block.replace);
                    text.push_str(&format!("<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"));
                }
                text.push_str(if end { "</edit>\n" } else { "" });
            }
        }
    }
    for ReplyMerge { path, edit } in &parsed.merges {
        text.push_str(&format!("<edit target_file=\"{path}\">\n{}\n</edit>\n", edit.written()));
    }
    // What was refused stays part of it, so that it is refused again and told.
    for refused in &parsed.refused_files {
        text.push_str(&format!("<file path=\"{}\">\n-\n</file>\n", refused.name.replace('"', "'")));
    }
    for package in &parsed.packages {
        text.push_str(&format!("<package>{package}</package>\n"));
    }
    for command in &parsed.commands {
        text.push_str(&format!("<command>{command}</command>\n"));
    }
    text
}

/// What came of it, in the seven lists these clients read.
#[derive(Debug, Default)]
struct Results {
    created: Vec<String>,
    updated: Vec<String>,
    installed: Vec<String>,
    already_installed: Vec<String>,
    failed: Vec<String>,
    executed: Vec<String>,
    errors: Vec<String>,
}

impl Results {
    fn body(&self) -> Value {
        json!({
            "filesCreated": self.created,
            "filesUpdated": self.updated,
            "packagesInstalled": self.installed,
            "packagesAlreadyInstalled": self.already_installed,
            "packagesFailed": self.failed,
            "commandsExecuted": self.executed,
            "errors": self.errors,
        })
    }
}

/// What the client is told: the packages, then the files – which the project writes before, all at once – then the
/// commands.
struct Telling<'a> {
    events: &'a Events,
    order: Order,
    skipped: Vec<String>,
    /// Files that earlier replies have written: these clients count every first one as created.
    known: BTreeSet<FilePath>,
    not_written: Vec<(String, String)>,
    wanted: Vec<String>,
    /// Packages the project lacked, and those that are none.
    lacking: Vec<String>,
    files_told: bool,
    commands_told: usize,
    command: Option<String>,
    results: Results,
}

impl<'a> Telling<'a> {
    fn new(
        events: &'a Events,
        order: Order,
        skipped: Vec<String>,
        unmergeable: Vec<(String, String)>,
        view: &ProjectState,
    ) -> Self {
        Self {
            events,
            order,
            skipped,
            known: view.runs.iter().flat_map(|run| run.files.iter().cloned()).collect(),
            not_written: unmergeable,
            wanted: Vec::new(),
            lacking: Vec::new(),
            files_told: false,
            commands_told: 0,
            command: None,
            results: Results::default(),
        }
    }

    /// Applies and tells; returns the last event, or why it failed.
    async fn apply(mut self, mut visit: Visit) -> Result<Result<Value, String>, Gone> {
        let run = match visit.begin(Command::Apply(self.order.command.clone())).await {
            Ok(run) => run,
            Err(error) => return Ok(Err(error.message)),
        };
        self.events
            .send(json!({ "type": "start", "message": "Starting code application...", "totalSteps": 3 }))
            .await?;
        let named: Vec<&str> =
            self.order.command.packages.iter().chain(&self.order.parsed.packages).map(|p| p.as_str()).collect();
        let message = if named.is_empty() {
            "Checking packages...".to_owned()
        } else {
            format!("Installing {} packages...", named.len())
        };
        self.events.tell(json!({ "type": "step", "step": 1, "message": message, "packages": named })).await;
        for path in &self.skipped {
            let message = format!("{path} was not written: the project's configuration is left as it is");
            self.events.tell(json!({ "type": "warning", "message": message })).await;
        }
        for (path, reason) in &self.not_written {
            let message = format!("{path} was not edited: {reason}");
            self.events.tell(json!({ "type": "warning", "message": message })).await;
        }
        // Where the reply has the whole file, too, it does without the edit.
        let whole =
            |path: &String| self.order.parsed.files.iter().any(|file| file.complete && file.path.as_str() == path);
        self.not_written.retain(|(path, _)| !whole(path));
        loop {
            match visit.next_of(run).await {
                Ok(Event::RunFinished(finished)) => return self.finish(finished).await,
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
                self.events.send(json!({ "type": "status", "message": message })).await
            }
            Event::InstallOutput(said) => output(said.stream, &said.text, self.events).await,
            Event::InstallFinished(finished) => self.installed(finished).await,
            Event::ExecStarted(started) => {
                self.files().await?;
                self.command_started(started.command).await
            }
            Event::ExecOutput(said) => {
                let stream = match said.stream {
                    OutputStream::Stdout => "stdout",
                    OutputStream::Stderr => "stderr",
                };
                let (command, output) = (&self.command, said.text);
                let event = json!({ "type": "command-output", "command": command, "output": output, "stream": stream });
                self.events.send(event).await
            }
            Event::ExecFinished(finished) => self.command_finished(finished).await,
            _ => Ok(()),
        }
    }

    async fn package_failed(&mut self, name: String, reason: String) -> Result<(), Gone> {
        let message = format!("'{name}' was not installed: {reason}");
        self.results.failed.push(name);
        self.results.errors.push(message.clone());
        self.events.send(json!({ "type": "warning", "message": message })).await
    }

    async fn installed(&mut self, finished: InstallFinished) -> Result<(), Gone> {
        if let Some(reason) = finished.error {
            self.results.failed.append(&mut self.wanted);
            self.results.errors.push(reason.clone());
            return self.events.send(json!({ "type": "warning", "message": reason })).await;
        }
        self.results.installed = names(&finished.installed);
        let message = format!("Installed packages: {}", self.results.installed.join(", "));
        let installed = &self.results.installed;
        self.events.send(json!({ "type": "success", "message": message, "installedPackages": installed })).await
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
        merged.dedup();
        let is_whole = |path: &FilePath| is_written(path) && !merged.contains(path);
        let written: Vec<FilePath> = parsed.files.iter().map(|file| file.path.clone()).filter(is_whole).collect();
        let total = merged.len() + written.len() + self.not_written.len();
        let message = format!("Creating {total} files...");
        self.events.send(json!({ "type": "step", "step": 2, "message": message })).await?;
        for (at, path) in merged.iter().enumerate() {
            self.progress("file-progress", "fileName", at + 1, total, path.as_str(), "morph-applying").await?;
            self.results.updated.push(path.to_string());
            self.events.send(json!({ "type": "file-complete", "fileName": path, "action": "morph-updated" })).await?;
        }
        for (at, path) in written.iter().enumerate() {
            let current = merged.len() + at + 1;
            self.progress("file-progress", "fileName", current, total, path.as_str(), "creating").await?;
            let action = if self.known.contains(path) { "updated" } else { "created" };
            let list = if action == "created" { &mut self.results.created } else { &mut self.results.updated };
            list.push(path.to_string());
            self.events.send(json!({ "type": "file-complete", "fileName": path, "action": action })).await?;
        }
        for (path, reason) in &self.not_written {
            self.results.errors.push(format!("{path} was not written: {reason}"));
            self.events.send(json!({ "type": "file-error", "fileName": path, "error": reason })).await?;
        }
        Ok(())
    }

    async fn progress(
        &self,
        kind: &str,
        name: &str,
        current: usize,
        total: usize,
        what: &str,
        action: &str,
    ) -> Result<(), Gone> {
        let mut event = json!({ "type": kind, "current": current, "total": total, "action": action });
        event[name] = what.into();
        self.events.send(event).await
    }

    async fn command_started(&mut self, command: String) -> Result<(), Gone> {
        let total = self.order.parsed.commands.len();
        if self.commands_told == 0 {
            let message = format!("Executing {total} commands...");
            self.events.send(json!({ "type": "step", "step": 3, "message": message })).await?;
        }
        self.commands_told += 1;
        self.progress("command-progress", "command", self.commands_told, total, &command, "executing").await?;
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
            self.results.executed.push(command.clone());
        } else {
            self.results.errors.push(format!("`{command}` ended with exit code {code}"));
        }
        let event = json!({ "type": "command-complete", "command": command, "exitCode": code, "success": code == 0 });
        self.events.send(event).await
    }

    async fn command_failed(&mut self, command: &str, reason: &str) -> Result<(), Gone> {
        self.results.errors.push(format!("`{command}`: {reason}"));
        self.events.send(json!({ "type": "command-error", "command": command, "error": reason })).await
    }

    /// The run is over. What failed in parts was told; only what ended it as a whole is a failure of the stream.
    async fn finish(mut self, finished: RunFinished) -> Result<Result<Value, String>, Gone> {
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
        let count = self.results.created.len() + self.results.updated.len();
        let errors = match self.results.errors.len() {
            0 => String::new(),
            errors => format!(" with {errors} errors"),
        };
        let named = self.order.command.packages.iter().chain(&self.order.parsed.packages);
        let mut present: Vec<String> = named.map(|package| package.name().to_owned()).collect();
        present.retain(|name| !self.lacking.contains(name));
        present.dedup();
        self.results.already_installed = present;
        let parsed = &self.order.parsed;
        let mut complete = json!({
            "type": "complete",
            "results": self.results.body(),
            "explanation": parsed.explanation,
            "structure": parsed.structure,
            "message": format!("Successfully applied {count} files{errors}"),
        });
        if let Some(template) = &parsed.template {
            complete["template"] = template.as_str().into();
        }
        Ok(Ok(complete))
    }
}
