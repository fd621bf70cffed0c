//! A server of one test, and clients that keep what a browser would.

mod fault_proxy;
mod history;
mod node_packages;
mod python;
mod random;
mod schema;
mod server_process;
mod sse;
mod visitor;
mod ws_client;

use std::{
    io::Write as _,
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use clap::Parser as _;
use cobuild::{
    cli::Cli,
    config::Config,
    http::{CONNECTIONS_MAX, Timing},
    project::{ProjectSettings, model_provider::ModelProvider, sandbox_provider::SandboxProvider},
    server::{Providers, RunningServer},
    store::sqlite::{SqliteOptions, SqliteStore},
};
use cobuild_protocol::Seq;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use self::python::python_programs;
pub(crate) use self::{
    fault_proxy::{Ending, Fault, FaultProxy, Pace, Place},
    history::History,
    node_packages::node_packages,
    random::Seed,
    server_process::ServerProcess,
    sse::SseParser,
    visitor::{Ended, Visitor, write_own_files},
    ws_client::{Received, WsClient, open, receive, run_of, try_open},
};
use crate::fakes::{FakeSandboxes, PreviewSwitch, ScriptedModel};

/// The longest any single step of a test may take, also on a machine that has much else to do.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Names the file to which `scripts/test` wants to be told what could not be tested: a test that passes is not heard.
const NOT_RUN_FILE: &str = "COBUILD_TEST_SKIPPED";

/// Says that something could not be tested on this machine, and why.
pub(crate) fn not_run(what: &str) {
    eprintln!("NOT RUN: {what}");
    let Some(path) = std::env::var_os(NOT_RUN_FILE) else { return };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("scripts/test made it");
    writeln!(file, "{what}").expect("written");
}

/// Waits, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: nothing within {DEADLINE:?}"))
}

/// Waits until a condition holds that no event tells of.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A server on a free port with its own data folder. Ends when dropped.
pub(crate) struct TestServer {
    running: Option<RunningServer>,
    pub(crate) address: SocketAddr,
    pub(crate) model: ScriptedModel,
    pub(crate) preview: PreviewSwitch,
    pub(crate) http: reqwest::Client,
    folder: TempDir,
    setup: Setup,
}

/// What a test may want otherwise.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) arguments: Vec<String>,
    pub(crate) timing: Timing,
    /// Most connections of the server.
    pub(crate) connections_max: usize,
    /// The model's pause before each chunk.
    pub(crate) pause: Duration,
    /// Other sandboxes than the fake ones.
    pub(crate) sandboxes: Option<Arc<dyn SandboxProvider>>,
    pub(crate) projects: ProjectSettings,
    /// Other models than the scripted one.
    pub(crate) models: Option<Arc<dyn ModelProvider>>,
    /// Whether the models are those of the arguments, as in a real server, instead of the test's own.
    pub(crate) configured_models: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            timing: Timing::default(),
            connections_max: CONNECTIONS_MAX,
            pause: Duration::ZERO,
            sandboxes: None,
            models: None,
            configured_models: false,
            projects: ProjectSettings { sandbox_on_join: false, ..ProjectSettings::default() },
        }
    }
}

impl Setup {
    pub(crate) fn with_arguments(arguments: &[&str]) -> Self {
        Self { arguments: arguments.iter().map(ToString::to_string).collect(), ..Self::default() }
    }
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    pub(crate) async fn start_with(setup: Setup) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (model, preview) = (ScriptedModel::new(setup.pause), PreviewSwitch::default());
        let running = start(folder.path(), &setup, &model, &preview).await;
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { address: running.address(), running: Some(running), model, preview, http, folder, setup }
    }

    /// Ends the server in order and starts another on the same data.
    pub(crate) async fn restart(&mut self) {
        self.shut_down().await;
        let running = start(self.folder.path(), &self.setup, &self.model, &self.preview).await;
        self.address = running.address();
        self.running = Some(running);
    }

    pub(crate) async fn shut_down(&mut self) {
        if let Some(running) = self.running.take() {
            within("shutdown", running.shutdown()).await;
        }
    }

    pub(crate) fn running(&self) -> &RunningServer {
        self.running.as_ref().expect("not shut down")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn create(&self, project: &str) {
        let body = serde_json::json!({ "project": project });
        let answer = self.http.post(self.url("/api/v1/projects")).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 201);
    }

    /// A GET whose answer is JSON.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.http.get(self.url(path)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    }

    /// The whole log, one line per event.
    pub(crate) async fn log(&self, project: &str) -> Vec<String> {
        self.log_from(project, 1).await
    }

    /// The log from an event on.
    pub(crate) async fn log_from(&self, project: &str, from: Seq) -> Vec<String> {
        let url = self.url(&format!("/api/v1/projects/{project}/log?from={from}"));
        let answer = self.http.get(url).send().await.expect("an answer");
        let text = answer.text().await.expect("a whole log");
        text.lines().map(str::to_owned).collect()
    }

    /// The host of a project's preview, without port.
    pub(crate) async fn preview_host(&self, project: &str) -> String {
        let status = self.json(&format!("/api/v1/projects/{project}")).await;
        format!("{}.cobuild.localhost", status["state"]["preview_id"].as_str().expect("an id"))
    }

    /// While it is so, no model says anything and no program begins: what is asked for does not come to its end.
    pub(crate) fn hold(&self, held: bool) {
        self.model.held.store(held, Ordering::SeqCst);
        self.preview.held.store(held, Ordering::SeqCst);
    }

    pub(crate) fn stop_dev_servers(&self, stopped: bool) {
        self.preview.refuses.store(stopped, Ordering::SeqCst);
    }
}

async fn start(folder: &Path, setup: &Setup, model: &ScriptedModel, preview: &PreviewSwitch) -> RunningServer {
    let config = config(folder, &setup.arguments);
    if setup.configured_models {
        let mut providers = Providers::configured(&config).await.expect("valid settings");
        let fake = || -> Arc<dyn SandboxProvider> { Arc::new(FakeSandboxes::new(preview.clone())) };
        providers.sandboxes = setup.sandboxes.clone().unwrap_or_else(fake);
        providers.timing = setup.timing;
        providers.projects.sandbox_on_join = false;
        return RunningServer::start_with(&config, providers).await.expect("a server");
    }
    let providers = Providers {
        store: Arc::new(SqliteStore::open(folder, &SqliteOptions::default()).expect("a store")),
        models: setup.models.clone().unwrap_or_else(|| Arc::new(model.clone())),
        sandboxes: setup.sandboxes.clone().unwrap_or_else(|| Arc::new(FakeSandboxes::new(preview.clone()))),
        timing: setup.timing,
        connections_max: setup.connections_max,
        projects: setup.projects.clone(),
    };
    RunningServer::start_with(&config, providers).await.expect("a server")
}

fn config(folder: &Path, arguments: &[String]) -> Config {
    let folder = folder.to_str().expect("a UTF-8 path");
    // Nobody's model servers take part in a test.
    let fixed = ["cobuild", "--port", "0", "--data-dir", folder, "--find-local-models", "false"];
    // Models of tests that are told to hang do not come to an end of their own.
    let drain = ["--drain-ms", "0"].into_iter().filter(|_| !arguments.iter().any(|argument| argument == "--drain-ms"));
    Cli::parse_from(fixed.into_iter().chain(drain).map(str::to_owned).chain(arguments.iter().cloned())).config
}
