//! `POST /code` and `GET /stream-dummy`, the documented code-processing backend: a public repository becomes a project,
//! a model changes it, and each step is told. The project stays, to be looked at, edited and exported.

mod steps;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    response::Response,
};
use cobuild_protocol::{
    Command, ErrorBody, ErrorCode, Event, ProjectId, ProjectState, RunId,
    command::{Cancel, Generate, ImportRepository, StopSandbox},
    event::RepositoryImported,
    value::{Role, SandboxState},
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use self::steps::{Kind, Step, Steps};
use super::{
    body,
    caller::Call,
    dialect::Dialect,
    events::{self, Gone, Listener},
    refusal::Refusal,
    room::{Visit, asked_again, ended},
    wire::{DummyEvent, ProcessRepositoryRequest, ProcessSummary},
};
use crate::{
    http::{HttpState, listener::Connection},
    project::repository::RepositoryUrl,
};

/// Repositories worked on at once: each has a sandbox and waits for a model.
pub(crate) const JOBS_MAX: usize = 4;
/// When somebody whom that limit turned away should try again.
const RETRY_AFTER_MS: u64 = 10_000;
/// Longest time for the sandbox: the first one installs its template.
const SANDBOX_TIME_MAX: Duration = Duration::from_secs(300);
/// How long a sandbox may take to be gone before the client is told that it is not.
const RELEASE_TIME_MAX: Duration = Duration::from_secs(20);
/// How many changed files get an event each; the summary counts all.
const CHANGES_TOLD_MAX: usize = 200;
/// How many files that were left out are named.
const LEFT_OUT_NAMED_MAX: usize = 5;
/// Pause between two events of `/stream-dummy`, and how many there are.
const DUMMY_PAUSE: Duration = Duration::from_secs(1);
const DUMMY_EVENTS: u32 = 5;

/// What counts as code, by the last part of its name.
const CODE: [&str; 43] = [
    "astro", "c", "cc", "clj", "cpp", "cs", "css", "cxx", "dart", "erl", "ex", "exs", "go", "h", "hpp", "hs", "html",
    "java", "jl", "js", "jsx", "kt", "lua", "m", "mjs", "ml", "php", "pl", "py", "r", "rb", "rs", "scala", "scss",
    "sh", "sql", "svelte", "swift", "ts", "tsx", "vue", "zig", "zsh",
];

/// What is asked for.
struct Job {
    call: Call,
    /// As it was sent, for what is said about it.
    url: Result<RepositoryUrl, String>,
    prompt: String,
    /// How whoever asked reaches the server.
    server_url: String,
    /// Longest time for all of it.
    within: Duration,
}

/// Where a job is done.
struct Workplace {
    visit: Visit,
    /// The run under way, or the last one.
    run: Option<RunId>,
    /// Whether a run was asked for and there was no answer yet: there may be one that is not known here.
    is_beginning: bool,
    /// Whether the repository is there.
    has_repository: bool,
}

impl Workplace {
    /// Begins a run.
    async fn begin(&mut self, command: Command) -> Result<RunId, ErrorBody> {
        self.is_beginning = true;
        let begun = self.visit.begin(command).await;
        self.is_beginning = false;
        let run = begun?;
        self.run = Some(run);
        Ok(run)
    }
}

pub(super) async fn process(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let grant = state.access.admit_request(request.headers()).await?;
    let connection = request.extensions().get::<Connection>().cloned();
    let server_url = state.url_for(request.headers());
    let ProcessRepositoryRequest { repo_url, prompt } = body::read(request).await?;
    grant.administer()?;
    let call = Call::new(&state, connection, new_project_id(), grant, Dialect::Engine)?;
    let Ok(permit) = Arc::clone(&state.code_jobs).try_acquire_owned() else {
        return Err(Refusal::Later("Too many repositories are being processed; try again".into(), RETRY_AFTER_MS));
    };
    let hosts = &state.registry.parts().settings.git_hosts;
    let url = RepositoryUrl::parse(&repo_url, hosts).map_err(|error| error.to_string());
    let (listener, (steps, mut told)) = (call.listener(), Steps::new());
    let job = Job { call, url, prompt, server_url, within: state.timing.code_job_max };
    let shutdown = state.shutdown.clone();
    // On its own: it goes on when the client goes away.
    state.tasks.spawn(async move {
        shutdown.run_until_cancelled(job.run(steps)).await;
        drop(permit);
    });
    Ok(events::respond(
        &state,
        listener,
        |error| events::value(steps::failure(Step::Complete, &error.message)),
        |events| async move {
            while let Some(event) = told.recv().await {
                events.send(event).await?;
            }
            Ok(())
        },
    ))
}

/// `GET /stream-dummy`: five events, a second apart.
pub(super) async fn dummy(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let grant = state.access.admit_request(request.headers()).await?;
    let connection = request.extensions().get::<Connection>().cloned();
    let listener = Listener::new(&state, &grant, Role::Viewer, connection.as_ref());
    Ok(events::respond(
        &state,
        listener,
        |error| json!({ "error": error.message }),
        |events| async move {
            for step in 0..DUMMY_EVENTS {
                if step > 0 {
                    sleep(DUMMY_PAUSE).await;
                }
                events.send(DummyEvent { step }).await?;
            }
            Ok::<(), Gone>(())
        },
    ))
}

impl Job {
    /// Does it, and ends with one last event, after the sandbox is released.
    async fn run(self, mut steps: Steps) {
        let began = Instant::now();
        let mut place = None;
        let work = self.work(&mut steps, &mut place);
        let done = timeout(self.within, work).await.unwrap_or_else(|_| {
            Err(ErrorBody::new(ErrorCode::SandboxTimeout, "it took longer than this server lets it take"))
        });
        let failed_step = steps.step();
        if done.is_ok() {
            steps.begin(Step::Complete);
            steps.say(Kind::Info, None, "Cleaning up sandbox...");
        }
        if let Some(place) = &mut place
            && let Err(error) = self.leave(place).await
        {
            steps.say(Kind::Warning, None, &format!("The sandbox was not released: {}", error.message));
        }
        match done {
            Ok(done) => {
                steps.say(Kind::Success, Some(100), "Code processing completed successfully!");
                let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                steps.summary(ProcessSummary {
                    repository: done.repository,
                    prompt: self.prompt,
                    files_modified: done.files_modified,
                    sandbox_id: done.sandbox,
                    duration_ms,
                });
            }
            Err(error) => steps.fail(failed_step, &error.message),
        }
    }

    /// Leaves nothing behind but what there is to look at: ends the run of the job, if it did not end by itself, and the
    /// sandbox; a project whose repository did not come goes, too, unless somebody else is in it.
    async fn leave(&self, place: &mut Workplace) -> Result<(), ErrorBody> {
        let Workplace { visit, run, is_beginning, has_repository } = place;
        let left = async {
            if let Some(run) = run.take() {
                // One that has ended stays as it ended.
                visit.submit(Command::Cancel(Cancel { run })).await?;
            }
            let is_shared = is_shared(visit).await?;
            if *has_repository || is_shared {
                // A job at its limit may have been cut off before it heard which run it had begun: that one ends, too, but
                // nobody else's.
                return release(visit, *is_beginning && !is_shared).await;
            }
            self.call.state.registry.delete(&self.call.project).await.map_err(|error| error.body())
        };
        timeout(RELEASE_TIME_MAX, left)
            .await
            .unwrap_or_else(|_| Err(ErrorBody::new(ErrorCode::SandboxTimeout, "it takes long to end")))
    }

    async fn work(&self, steps: &mut Steps, place: &mut Option<Workplace>) -> Result<Done, ErrorBody> {
        let state = &self.call.state;
        steps.begin(Step::Init);
        let provider = match state.sandboxes.name() {
            "e2b" => "E2B",
            name => name,
        };
        steps.say(Kind::Info, Some(10), &format!("Initializing {provider} sandbox..."));
        let url = match self.checked() {
            Ok(url) => url,
            Err(reason) => {
                // Looked at before a sandbox is paid for; told in the documented order.
                steps.begin(Step::Validation);
                steps.say(Kind::Info, Some(25), "Validating repository URL...");
                return Err(ErrorBody::new(ErrorCode::BadRequest, reason));
            }
        };
        let (project, name) = (self.call.project.clone(), url.name().to_owned());
        let handle = state.registry.create(Some(project.clone()), Some(name.clone())).await.map_err(|e| e.body())?;
        let subscription = self.call.enter(&handle).await.map_err(|error| error.body())?;
        let visit = Visit::new(handle, subscription);
        let place = place.insert(Workplace { visit, run: None, is_beginning: false, has_repository: false });
        steps.say(Kind::Info, None, &format!("Watch and edit it at {}/p/{project}", self.server_url));
        place.visit.start_sandbox(SANDBOX_TIME_MAX).await?;
        let (_, view) = place.visit.handle.state().await.map_err(|error| error.body())?;
        let sandbox = view.sandbox.sandbox.unwrap_or_else(|| project.to_string());
        steps.say(Kind::Success, Some(20), &format!("Sandbox initialized (ID: {sandbox})"));

        steps.begin(Step::Validation);
        steps.say(Kind::Info, Some(25), "Validating repository URL...");
        steps.say(Kind::Success, Some(30), &format!("Repository URL validated: {name}"));

        steps.begin(Step::Clone);
        steps.say(Kind::Info, Some(35), &format!("Cloning repository: {url}"));
        let command = ImportRepository { url: url.to_string() };
        let run = place.begin(Command::ImportRepository(command)).await?;
        let imported = imported(&mut place.visit, run).await?;
        place.has_repository = true;
        steps.say(Kind::Success, Some(50), &format!("Repository cloned successfully: {name}"));
        warn_of(steps, &imported);

        steps.begin(Step::Analysis);
        steps.say(Kind::Info, Some(55), "Analyzing repository structure...");
        let (_, view) = place.visit.handle.state().await.map_err(|error| error.body())?;
        steps.say(Kind::Success, Some(65), &format!("Repository analyzed. Found {} code files", code_files(&view)));

        steps.begin(Step::Planning);
        steps.say(Kind::Info, Some(70), &format!("Planning changes based on prompt: '{}'", self.prompt));
        let run = place.begin(Command::Generate(Generate::new(self.prompt.clone()))).await?;
        let files_modified = implement(&mut place.visit, run, steps).await?;
        Ok(Done { repository: name, files_modified, sandbox })
    }

    fn checked(&self) -> Result<&RepositoryUrl, String> {
        if self.prompt.trim().is_empty() {
            return Err("prompt must not be blank".into());
        }
        self.url.as_ref().map_err(Clone::clone)
    }
}

/// What there is to sum up.
struct Done {
    repository: String,
    files_modified: usize,
    sandbox: String,
}

/// What the run of an import has brought.
async fn imported(visit: &mut Visit, run: RunId) -> Result<RepositoryImported, ErrorBody> {
    let mut imported = None;
    loop {
        match visit.next_of(run).await? {
            Event::RepositoryImported(event) => imported = Some(event),
            Event::RunFinished(finished) => {
                ended(finished.outcome, finished.error)?;
                return imported.ok_or_else(|| ErrorBody::new(ErrorCode::Internal, "the clone left nothing behind"));
            }
            _ => {}
        }
    }
}

/// What of the repository is not in the project.
fn warn_of(steps: &mut Steps, imported: &RepositoryImported) {
    if imported.commit.is_none() {
        steps.say(Kind::Warning, None, "The repository is empty");
    }
    if imported.left_out_total > 0 {
        let named = imported.left_out.iter().take(LEFT_OUT_NAMED_MAX);
        let named: Vec<String> = named.map(|file| format!("{} ({})", file.name, file.reason)).collect();
        let more = if named.len() < imported.left_out_total as usize { " …" } else { "" };
        let count = imported.left_out_total;
        steps.say(Kind::Warning, None, &format!("Left out {count} of its entries: {}{more}", named.join(", ")));
    }
}

fn code_files(view: &ProjectState) -> usize {
    view.files.keys().filter(|path| CODE.binary_search(&path.extension().to_ascii_lowercase().as_str()).is_ok()).count()
}

/// Tells of the model's work until it is done; returns how many files it changed.
async fn implement(visit: &mut Visit, run: RunId, steps: &mut Steps) -> Result<usize, ErrorBody> {
    let mut changed: BTreeSet<String> = BTreeSet::new();
    loop {
        let (path, what) = match visit.next_of(run).await? {
            Event::RunStarted(started) => {
                let model = started.model.unwrap_or_default();
                steps.say_once(75, &format!("Asking {model}"));
                continue;
            }
            Event::MessageAdded(added) => {
                if let Some(notice) = added.notice {
                    steps.say(Kind::Warning, None, &notice);
                }
                continue;
            }
            Event::ModelRetried(retried) => {
                steps.say(Kind::Info, None, &asked_again(&retried));
                continue;
            }
            Event::TextDelta(_) | Event::ReasoningDelta(_) => {
                steps.say_once(80, "The model is answering");
                continue;
            }
            Event::FileStarted(started) => {
                steps.say_once(85, &format!("The model is writing {}", started.path));
                continue;
            }
            Event::FileRefused(refused) => {
                steps.say(Kind::Warning, None, &format!("{} was not changed: {}", refused.path, refused.reason));
                continue;
            }
            Event::FileConflicted(conflict) => {
                steps.say(Kind::Warning, None, &format!("{} was kept: {}", conflict.path, conflict.reason));
                continue;
            }
            Event::FileWritten(written) => (written.path.to_string(), "Changed"),
            Event::FileDeleted(deleted) => (deleted.path.to_string(), "Deleted"),
            Event::FileRenamed(renamed) => (renamed.to.to_string(), "Moved"),
            Event::RunFinished(finished) => {
                ended(finished.outcome, finished.error)?;
                begin_implementation(steps);
                if changed.is_empty() {
                    steps.say(Kind::Warning, None, "The model changed no file");
                }
                return Ok(changed.len());
            }
            _ => continue,
        };
        begin_implementation(steps);
        if changed.insert(path.clone()) && changed.len() <= CHANGES_TOLD_MAX {
            let progress = 92 + u8::try_from(changed.len()).unwrap_or(6).min(6);
            steps.say(Kind::Info, Some(progress), &format!("{what} {path}"));
        }
    }
}

/// The plan is the model's whole answer: files are changed when it is complete.
fn begin_implementation(steps: &mut Steps) {
    if steps.step() == Step::Planning {
        steps.say(Kind::Success, Some(90), "Change plan generated successfully");
        steps.begin(Step::Implementation);
        steps.say(Kind::Info, Some(92), "Implementing planned changes...");
    }
}

/// Whether somebody else is in the room, or has done something there.
async fn is_shared(visit: &Visit) -> Result<bool, ErrorBody> {
    let (_, view) = visit.handle.state().await.map_err(|error| error.body())?;
    let own = visit.participant();
    let is_there = view.participants.values().any(|other| other.participant != own && other.present);
    Ok(is_there || view.runs.iter().any(|run| run.by != Some(own)))
}

/// Ends the sandbox and waits until it is gone.
async fn release(visit: &mut Visit, end_run: bool) -> Result<(), ErrorBody> {
    visit.submit(Command::StopSandbox(StopSandbox { end_run })).await?;
    loop {
        let (_, view) = visit.handle.state().await.map_err(|error| error.body())?;
        if view.sandbox.state == SandboxState::Stopped {
            return Ok(());
        }
        visit.next().await?;
    }
}

/// Unguessable, as any project's that nobody named.
fn new_project_id() -> ProjectId {
    let id = format!("code-{}", hex::encode(rand::random::<[u8; 8]>()));
    id.parse().expect("invariant: letters, digits and '-' are a project id")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_kinds_of_code_are_in_order() {
        assert!(CODE.is_sorted());
    }

    #[tokio::test]
    async fn progress_never_falls_and_what_was_said_once_is_not_said_again() {
        let (mut steps, mut told) = Steps::new();
        steps.begin(Step::Planning);
        steps.say_once(80, "a");
        steps.say_once(80, "a");
        steps.say_once(75, "b");
        steps.say(Kind::Info, Some(10), "c");
        steps.fail(Step::Planning, "no");
        steps.say(Kind::Info, None, "never");
        drop(steps);
        let mut seen: Vec<Value> = Vec::new();
        while let Some(event) = told.recv().await.map(events::value) {
            assert!(event["timestamp"].is_u64() && event["step"] == "planning", "{event}");
            seen.push(json!([event["type"], event["progress"], event["message"]]));
        }
        let expected = json!([["info", 80, "a"], ["info", 80, "c"], ["error", null, "Processing failed: no"]]);
        assert_eq!(Value::from(seen), expected);
    }
}
