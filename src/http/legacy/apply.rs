//! `POST /api/apply-ai-code-stream`: a ready reply put into effect – packages, then files, then commands.

use axum::{
    extract::{Request, State},
    response::Response,
};
use cobuild_protocol::{
    Command, ErrorCode, Event, FilePath, PackageSpec,
    command::{Apply, LeaveOut},
    event::{ExecFinished, InstallFinished, PackagesDetected, RunFinished},
    value::{Outcome, Refusal as Refused},
};
use serde_json::Value;

use super::{
    body,
    caller::Call,
    events::{self, Events, Gone},
    packages::names,
    refusal::Refusal,
    room::{Visit, ended},
    sandbox,
    wire::{ApplyCodeRequest, ApplyEvent, ApplyStage},
};
use crate::{
    codegen::reply::{ParsedReply, parse_reply},
    http::HttpState,
    project::ProjectHandle,
};

/// What the stream's failure is called.
const FAILED: &str = "Failed to apply code";

pub(super) async fn stream(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let call = Call::of_header(&state, &request).await?;
    let ApplyCodeRequest { response, is_edit, packages, sandbox_id } = body::read(request).await?;
    let order = Order::new(response, packages, is_edit);
    let start = events::value(ApplyEvent::Start { message: "Applying code changes...".into() });
    sandbox::stream_within(call, sandbox_id.as_deref(), start, failure, |call, handle, events| async move {
        apply(&call, &handle, order, &events).await
    })
    .await
}

fn failure(reason: &str) -> Value {
    events::value(ApplyEvent::Error { error: reason.to_owned(), message: FAILED.into() })
}

/// What is to be applied, taken apart as the project will.
pub(crate) struct Order {
    pub(crate) command: Apply,
    pub(crate) parsed: ParsedReply,
    /// Packages of the request that are no npm names.
    pub(crate) refused: Vec<Refused>,
}

impl Order {
    pub(crate) fn new(reply: String, packages: Vec<String>, edit: bool) -> Self {
        let parsed = parse_reply(&reply);
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        for name in packages {
            match name.trim().parse::<PackageSpec>() {
                Ok(package) => good.push(package),
                Err(error) => {
                    let name = name.chars().filter(|c| !c.is_control()).take(120).collect();
                    refused.push(Refused { name, reason: error.to_string() });
                }
            }
        }
        Self { command: Apply { reply, packages: good, edit, leave_out: LeaveOut::default() }, parsed, refused }
    }

    /// Whether a run of this failed only in parts, each of which has been told: a process said no, or a file of the reply
    /// is cut off.
    pub(crate) fn failed_in_parts(&self, finished: &RunFinished) -> bool {
        finished.outcome == Outcome::Failed
            && finished.error.as_ref().is_some_and(|error| match error.code {
                ErrorCode::Unsupported => true,
                ErrorCode::BadRequest => self.parsed.is_cut(),
                _ => false,
            })
    }

    /// The files of the reply, each once.
    fn paths(&self) -> impl Iterator<Item = &FilePath> {
        let ParsedReply { files, merges, .. } = &self.parsed;
        let is_first = |at: usize| {
            let path = &merges[at].path;
            !merges[..at].iter().any(|other| other.path == *path) && !files.iter().any(|file| file.path == *path)
        };
        let merged = (0..merges.len()).filter(move |at| is_first(*at)).map(|at| &merges[at].path);
        files.iter().map(|file| &file.path).chain(merged)
    }

    /// How many packages the request and the reply's tags name, each once.
    fn packages_named(&self) -> usize {
        let mut names: Vec<&str> =
            self.command.packages.iter().chain(&self.parsed.packages).map(PackageSpec::name).collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    }
}

/// What a client of the first engine is told, in the order it expects: first the packages, then the files – which the
/// project writes before, all at once – and then the commands.
struct Telling<'a> {
    events: &'a Events,
    order: Order,
    /// Files that were not written, and why.
    not_written: Vec<(String, String)>,
    parsed_told: bool,
    files_told: bool,
    commands_told: usize,
    commands_failed: usize,
    created: Vec<String>,
    installed: Vec<String>,
    errors: usize,
    command: Option<String>,
}

/// Applies and tells; returns the last event, or why it failed.
async fn apply(
    call: &Call,
    handle: &ProjectHandle,
    order: Order,
    events: &Events,
) -> Result<Result<Value, String>, Gone> {
    let mut visit = match call.enter(handle).await {
        Ok(subscription) => Visit::new(handle.clone(), subscription),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let run = match visit.begin(Command::Apply(order.command.clone())).await {
        Ok(run) => run,
        Err(error) => return Ok(Err(error.message)),
    };
    let mut telling = Telling::new(events, order);
    loop {
        match visit.next_of(run).await {
            Ok(Event::RunFinished(finished)) => return telling.finish(finished).await,
            Ok(event) => telling.tell(event).await?,
            Err(error) => return Ok(Err(error.message)),
        }
    }
}

impl<'a> Telling<'a> {
    fn new(events: &'a Events, order: Order) -> Self {
        Self {
            events,
            order,
            not_written: Vec::new(),
            parsed_told: false,
            files_told: false,
            commands_told: 0,
            commands_failed: 0,
            created: Vec::new(),
            installed: Vec::new(),
            errors: 0,
            command: None,
        }
    }

    async fn tell(&mut self, event: Event) -> Result<(), Gone> {
        match event {
            Event::PackagesDetected(detected) => self.packages(detected).await,
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
                self.parsed(0).await?;
                let message = format!("Installing {} packages...", started.packages.len());
                self.events.send(ApplyEvent::Stage { stage: ApplyStage::Packages, message }).await
            }
            Event::InstallOutput(said) => self.events.send(ApplyEvent::PackageOutput { output: said.text }).await,
            Event::InstallFinished(finished) => self.install_finished(finished).await,
            Event::ExecStarted(started) => {
                self.files().await?;
                self.command_started(started.command).await
            }
            Event::ExecOutput(said) => self.events.send(ApplyEvent::CommandOutput { output: said.text }).await,
            Event::ExecFinished(finished) => self.command_finished(finished).await,
            _ => Ok(()),
        }
    }

    async fn parsed(&mut self, packages_needed: usize) -> Result<(), Gone> {
        if std::mem::replace(&mut self.parsed_told, true) {
            return Ok(());
        }
        let parsed = &self.order.parsed;
        let event = ApplyEvent::Parsed {
            file_count: self.order.paths().count() + parsed.refused_files.len(),
            package_count: packages_needed.max(self.order.packages_named()),
            command_count: parsed.commands.len(),
        };
        self.events.send(event).await?;
        for refused in std::mem::take(&mut self.order.refused) {
            self.errors += 1;
            let output = format!("'{}' was not installed: {}", refused.name, refused.reason);
            self.events.send(ApplyEvent::PackageOutput { output }).await?;
        }
        Ok(())
    }

    async fn packages(&mut self, detected: PackagesDetected) -> Result<(), Gone> {
        self.parsed(detected.packages.len()).await?;
        for refused in detected.refused {
            self.errors += 1;
            let output = format!("'{}' was not installed: {}", refused.name, refused.reason);
            self.events.send(ApplyEvent::PackageOutput { output }).await?;
        }
        Ok(())
    }

    async fn install_finished(&mut self, finished: InstallFinished) -> Result<(), Gone> {
        if let Some(reason) = finished.error {
            self.errors += 1;
            self.events.send(ApplyEvent::PackageOutput { output: reason }).await?;
        }
        self.installed = names(&finished.installed);
        self.events.send(ApplyEvent::PackagesComplete { installed: self.installed.clone() }).await
    }

    /// The stage of the files, once.
    async fn files(&mut self) -> Result<(), Gone> {
        self.parsed(0).await?;
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
        let is_written = |path: &&FilePath| !self.not_written.iter().any(|(other, _)| other == path.as_str());
        self.created = self.order.paths().filter(is_written).map(ToString::to_string).collect();
        let count = self.created.len() + self.not_written.len();
        if count == 0 {
            return Ok(());
        }
        let message = format!("Creating {count} files...");
        self.events.send(ApplyEvent::Stage { stage: ApplyStage::Files, message }).await?;
        for path in &self.created {
            self.events.send(ApplyEvent::FileCreated { path: path.clone() }).await?;
        }
        for (path, reason) in &self.not_written {
            self.events.send(ApplyEvent::FileError { path: path.clone(), error: reason.clone() }).await?;
        }
        self.errors += self.not_written.len();
        self.events.send(ApplyEvent::FilesComplete { created: self.created.clone() }).await
    }

    async fn commands_stage(&mut self) -> Result<(), Gone> {
        if self.commands_told > 0 {
            return Ok(());
        }
        let message = format!("Executing {} commands...", self.order.parsed.commands.len());
        self.events.send(ApplyEvent::Stage { stage: ApplyStage::Commands, message }).await
    }

    async fn command_started(&mut self, command: String) -> Result<(), Gone> {
        self.commands_stage().await?;
        self.commands_told += 1;
        self.events.send(ApplyEvent::CommandStart { command: command.clone() }).await?;
        self.command = Some(command);
        Ok(())
    }

    async fn command_finished(&mut self, finished: ExecFinished) -> Result<(), Gone> {
        let Some(command) = self.command.take() else { return Ok(()) };
        let reason = match (finished.exit_code, finished.error) {
            (Some(0), _) => return self.events.send(ApplyEvent::CommandComplete { command }).await,
            (Some(code), _) => format!("exit code {code}"),
            (None, error) => error.unwrap_or_else(|| "it could not be run".into()),
        };
        self.command_failed(&command, &reason).await
    }

    async fn command_failed(&mut self, command: &str, reason: &str) -> Result<(), Gone> {
        self.commands_failed += 1;
        self.errors += 1;
        let (command, error) = (command.to_owned(), reason.to_owned());
        self.events.send(ApplyEvent::CommandError { command, error }).await
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
            self.commands_stage().await?;
            self.commands_told += 1;
            self.command_failed(&command, "it was not run, because something before it failed").await?;
        }
        let message = match self.errors {
            0 => "Code applied successfully".to_owned(),
            errors => format!("Code applied with {errors} errors"),
        };
        Ok(Ok(events::value(ApplyEvent::Complete {
            message,
            files_created: self.created.len(),
            packages_installed: self.installed.len(),
            commands_executed: self.commands_told - self.commands_failed,
        })))
    }
}
