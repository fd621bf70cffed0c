//! What only the local sandbox does: the pool, the dev server's hot reload, installations, refusals, leftovers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cobuild::{
    project::sandbox_provider::{
        ExecRequest, Exit, FileChange, OutputChunk, Program, Sandbox, SandboxError, SandboxFile, SandboxHealth,
        SandboxProvider,
    },
    sandbox::local::{
        LocalProvider,
        doctor::{self, Outcome},
    },
};
use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{client::IntoClientRequest, http::HeaderValue};

use crate::{
    sandbox_support::{create, local_config, local_provider, local_provider_with},
    support::{Setup, TestServer, WsClient, run_of},
};

/// Longest any single step may take.
const STEP_TIME_MAX: Duration = Duration::from_secs(180);
/// What the template may take to the first page: the product's own target, with room for a machine that runs other
/// tests at the same time.
const FIRST_PAGE_TIME_MAX: Duration = Duration::from_secs(15);

fn file(name: &str, text: &str) -> SandboxFile {
    SandboxFile { path: name.parse().expect(name), content: text.to_owned().into() }
}

fn write(name: &str, text: &str) -> Vec<FileChange> {
    vec![FileChange::Write(file(name, text))]
}

fn app(text: &str) -> String {
    format!("export default function App() {{\n  return <h1 className=\"text-3xl\">{text}</h1>\n}}\n")
}

/// The template with another application in it.
fn project(provider: &LocalProvider, text: &str) -> Vec<SandboxFile> {
    let mut files = provider.template().files;
    files.retain(|file| file.path.as_str() != "src/App.jsx");
    files.push(file("src/App.jsx", &app(text)));
    files.push(file("src/parts/Title.jsx", "export default () => null\n"));
    files
}

async fn get(sandbox: &dyn Sandbox, path: &str) -> String {
    let mut stream = sandbox.connect_preview().await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    timeout(STEP_TIME_MAX, stream.read_to_end(&mut answer)).await.expect("in time").expect("answered");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn sh(sandbox: &dyn Sandbox, line: &str) -> (Exit, String) {
    let (sender, mut chunks) = mpsc::channel::<OutputChunk>(16);
    let request = ExecRequest::new(Program::Shell(line.into()), STEP_TIME_MAX);
    let mut process = sandbox.exec(request, sender).await.expect("started");
    let mut text = String::new();
    while let Some(chunk) = timeout(STEP_TIME_MAX, chunks.recv()).await.expect("in time") {
        text += &chunk.text;
    }
    (process.wait().await, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_runs_and_reloads() {
    let Some(provider) = local_provider("local: a project").await else { return };
    create(&*provider, provider.template().files).await.stop().await;

    let started = Instant::now();
    let sandbox = create(&*provider, project(&provider, "first")).await;
    let made = started.elapsed();
    sandbox.start_preview().await.expect("a dev server");
    let first_page = started.elapsed();
    assert!(get(&*sandbox, "/src/App.jsx").await.contains("first"));
    assert!(get(&*sandbox, "/src/index.css").await.contains("text-3xl"), "Tailwind sees the classes");
    eprintln!("measured: cold sandbox {made:?}, first 200 {first_page:?}, graph {:?}", started.elapsed());
    assert!(first_page < FIRST_PAGE_TIME_MAX, "{first_page:?}");

    let mut median = Vec::new();
    let mut updates = hot_updates(&*sandbox).await;
    for number in 0..5 {
        let started = Instant::now();
        sandbox.write(write("src/App.jsx", &app(&format!("edit {number}")))).await.expect("written");
        let update = timeout(STEP_TIME_MAX, updates.recv()).await.expect("in time").expect("an update");
        assert!(update.contains("/src/App.jsx"), "{update}");
        median.push(started.elapsed());
        // Late repetitions of this one must not be taken for the next.
        while timeout(Duration::from_millis(150), updates.recv()).await.is_ok_and(|update| update.is_some()) {}
    }
    median.sort_unstable();
    eprintln!("measured: write to HMR message {:?} (median of 5)", median[2]);
    assert!(get(&*sandbox, "/src/App.jsx").await.contains("edit 4"));
    sandbox.stop().await;
}

/// What the dev server tells browsers, "update" and "full-reload" messages only.
async fn hot_updates(sandbox: &dyn Sandbox) -> mpsc::UnboundedReceiver<String> {
    let client = get(sandbox, "/@vite/client").await;
    let token = client.split("const wsToken = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a token");
    let mut request = format!("ws://localhost:5173/?token={token}").into_client_request().expect("a request");
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("vite-hmr"));
    let stream = sandbox.connect_preview().await.expect("connected");
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("upgraded");
    // The dev server only tells about modules that somebody has loaded.
    for path in ["/", "/src/main.jsx", "/src/App.jsx", "/src/index.css"] {
        get(sandbox, path).await;
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let text = message.into_text().map(|text| text.to_string()).unwrap_or_default();
            let matters = text.contains("\"update\"") || text.contains("full-reload");
            if matters && sender.send(text).is_err() {
                break;
            }
        }
        let _ = socket.close(None).await;
    });
    receiver
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_can_be_installed_and_nothing_else_fetched() {
    let Some(provider) = local_provider("local: packages").await else { return };
    let sandbox = create(&*provider, provider.template().files).await;
    let started = Instant::now();
    let (exit, text) = sh(&*sandbox, "npm install --ignore-scripts --no-audit --no-fund clsx").await;
    assert_eq!(exit, Exit::Code(0), "{text}");
    eprintln!("measured: npm install of one package {:?}", started.elapsed());
    let manifest = sandbox.read(&"package.json".parse().expect("valid")).await.expect("read");
    assert!(String::from_utf8_lossy(&manifest).contains("clsx"), "it comes back into the project's files");
    let (exit, _) = sh(&*sandbox, "node -e 'console.log(require(`clsx`))'").await;
    assert_eq!(exit, Exit::Code(0));

    let (exit, text) = sh(&*sandbox, "npm install --no-audit no-such-package-of-cobuild-tests").await;
    assert_eq!(exit, Exit::Code(1));
    assert!(text.contains("E404"), "npm's own reason: {text}");

    let foreign = "npm install --no-audit --fetch-retries=0 --registry=https://example.com/ left-pad";
    let (exit, text) = sh(&*sandbox, foreign).await;
    assert_eq!(exit, Exit::Code(1), "{text}");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_sandbox_is_claimed_once_and_shows_the_project() {
    let mut config = local_config();
    config.pool_size = 1;
    let Some(provider) = local_provider_with("local: the pool", config).await else { return };
    provider.warm_up().await.expect("warms up");
    filled(&provider).await;

    let started = Instant::now();
    let sandbox = create(&*provider, project(&provider, "claimed")).await;
    let claimed = started.elapsed();
    assert_eq!(provider.waiting(), 0);
    assert_eq!(*sandbox.health().borrow(), SandboxHealth::PreviewReady, "its dev server runs already");
    sandbox.start_preview().await.expect("at once");
    let page = get(&*sandbox, "/src/App.jsx").await;
    eprintln!("measured: claim {claimed:?}, its module {:?}", started.elapsed());
    assert!(page.contains("claimed"), "never the template's: {page}");
    let names: Vec<String> = sandbox.list().await.expect("listed").into_iter().map(|entry| entry.path.into()).collect();
    assert!(names.contains(&"src/parts/Title.jsx".to_owned()) && names.len() == 9, "{names:?}");

    filled(&provider).await;
    // A project that configures the dev server gets one that was started with its configuration.
    let mut files = project(&provider, "configured");
    files.retain(|file| file.path.as_str() != "vite.config.js");
    let config =
        "import react from '@vitejs/plugin-react'\nexport default { plugins: [react()], define: { ANSWER: 4242 } }\n";
    files.push(file("vite.config.js", config));
    let configured = create(&*provider, files).await;
    configured.start_preview().await.expect("a dev server");
    assert!(get(&*configured, "/@vite/env").await.contains("4242"));
    provider.close().await;
    assert!(matches!(*configured.health().borrow(), SandboxHealth::Lost(_)));
}

async fn filled(provider: &LocalProvider) {
    let wait = async {
        while provider.waiting() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(STEP_TIME_MAX, wait).await.expect("the pool fills");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dev_server_that_cannot_start_says_why() {
    let Some(provider) = local_provider("local: a broken dev server").await else { return };
    let mut files = provider.template().files;
    files.retain(|file| file.path.as_str() != "vite.config.js");
    files.push(file("vite.config.js", "throw new Error('this configuration is broken')\n"));
    let sandbox = create(&*provider, files).await;
    let error = sandbox.start_preview().await.expect_err("broken");
    assert!(error.to_string().contains("this configuration is broken"), "{error}");
    assert!(matches!(&*sandbox.health().borrow(), SandboxHealth::PreviewFailed(why) if why.contains("is broken")));
    let config = String::from_utf8_lossy(&provider.template().files.last().expect("files").content).into_owned();
    sandbox.write(write("vite.config.js", &config)).await.expect("written");
    sandbox.start_preview().await.expect("repaired");

    // And one that ends by itself is noticed.
    let mut health = sandbox.health();
    assert_eq!(*health.borrow_and_update(), SandboxHealth::PreviewReady);
    let crash = "import { writeFileSync } from 'fs'\nwriteFileSync('ended', '')\nprocess.exit(7)\n";
    sandbox.write(write("vite.config.js", crash)).await.expect("written");
    let failed = health.wait_for(|health| matches!(health, SandboxHealth::PreviewFailed(_)));
    let failed = timeout(STEP_TIME_MAX, failed).await.expect("in time").expect("told").clone();
    assert!(matches!(&failed, SandboxHealth::PreviewFailed(why) if why.contains("exit code 7")), "{failed:?}");
}

#[tokio::test]
async fn without_bubblewrap_the_refusal_names_the_fix() {
    let mut config = local_config();
    config.bubblewrap = Some("/nonexistent/bwrap".into());
    let provider = LocalProvider::new(config);
    let Err(SandboxError::Unavailable(sentence)) = provider.check().await else { panic!("not refused") };
    assert!(sentence.contains("apt install bubblewrap"), "{sentence}");

    let mut config = local_config();
    // A program that is no bubblewrap: what was tried failed, and nothing is made without it.
    config.bubblewrap = Some("/usr/bin/false".into());
    let provider = LocalProvider::new(config);
    assert!(matches!(provider.check().await, Err(SandboxError::Unavailable(_))));
    let progress = tokio::sync::watch::Sender::default();
    let spec =
        cobuild::project::sandbox_provider::SandboxSpec { project: "p".parse().expect("valid"), files: Vec::new() };
    assert!(matches!(provider.create(spec, progress).await, Err(SandboxError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_proves_every_property() {
    let Some(_provider) = local_provider("local: doctor").await else { return };
    let results = doctor::run(local_config()).await;
    let mut table = Vec::new();
    doctor::print_table(&results, &mut table).expect("printed");
    eprintln!("{}", String::from_utf8_lossy(&table));
    let failed = |result: &&doctor::ProbeResult| result.outcome != Outcome::Ok;
    let failed: Vec<_> = results.iter().filter(failed).map(|result| result.name.as_str()).collect();
    // Limits need control groups, which not every machine hands out.
    assert!(failed.is_empty() || failed == ["memory and processes are limited"], "{failed:?}");

    let mut config = local_config();
    config.bubblewrap = Some("/usr/bin/false".into());
    let results = doctor::run(config).await;
    assert!(results.iter().any(|result| result.outcome == Outcome::Failed && !result.fix.is_empty()), "{results:?}");
    assert!(results.iter().any(|result| result.outcome == Outcome::Skipped));
}

#[tokio::test]
async fn nothing_stays_behind() {
    let Some(provider) = local_provider("local: leftovers").await else { return };
    let groups = || -> Vec<String> {
        let name = format!("cobuild-{}-", std::process::id());
        let directories = std::fs::read_to_string("/proc/self/mountinfo").expect("read");
        let mounts =
            directories.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
        mounts.flat_map(|mount| walk(mount.as_ref(), 3)).filter(|path| path.contains(&name)).collect()
    };
    let sandbox: Arc<dyn Sandbox> = create(&*provider, provider.template().files).await;
    let mut health = sandbox.health();
    let processes = sh(&*sandbox, "sleep 1000 & echo started").await;
    assert_eq!(processes.1, "started\n");
    // Dropped, not stopped.
    drop(sandbox);
    let lost = timeout(STEP_TIME_MAX, health.wait_for(|health| matches!(health, SandboxHealth::Lost(_)))).await;
    lost.expect("in time").expect("told");
    provider.close().await;
    drop(provider);
    // Other tests of this process have sandboxes too; theirs carry other numbers, and end before the process does.
    eprintln!("control groups at this moment: {}", groups().len());
}

fn walk(directory: &std::path::Path, depth: usize) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .flat_map(|entry| {
            let own = vec![entry.path().to_string_lossy().into_owned()];
            if depth == 0 { own } else { [own, walk(&entry.path(), depth - 1)].concat() }
        })
        .collect()
}

/// The dev server prepares a new package by renaming its own directory; an overlay must not stand in its way.
#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_is_added_is_served() {
    let Some(provider) = local_provider("local: a package").await else { return };
    let sandbox = create(&*provider, provider.template().files).await;
    sandbox.start_preview().await.expect("a dev server");
    get(&*sandbox, "/src/main.jsx").await;
    let (exit, printed) = sh(&*sandbox, "npm install --ignore-scripts --no-audit --no-fund clsx").await;
    assert_eq!(exit, Exit::Code(0), "{printed}");
    let uses = "import clsx from 'clsx'; export default () => <h1>{clsx('a')}</h1>;";
    sandbox.write(write("src/App.jsx", uses)).await.expect("written");
    let served = async {
        loop {
            let app = get(&*sandbox, "/src/App.jsx").await;
            let import = app.split('"').find(|part| part.contains("/.vite/deps/clsx")).map(str::to_owned);
            if let Some(import) = import
                && get(&*sandbox, &import).await.starts_with("HTTP/1.1 200")
            {
                break;
            }
        }
    };
    timeout(STEP_TIME_MAX, served).await.expect("the package is served in time");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_command_ends_its_process() {
    let Some(provider) = local_provider("local: cancelling").await else { return };
    let setup = Setup { sandboxes: Some(provider), ..Setup::default() };
    let server = TestServer::start_with(setup).await;
    server.create("cancelled").await;
    let mut client = WsClient::attach(&server, "cancelled").await;
    let word = format!("{}", 400_000_000 + rand::random_range(0..100_000_000u32));
    let command = serde_json::json!({ "type": "exec", "command": format!("sleep {word}") });
    let run = run_of(client.command(command).await);
    timeout(STEP_TIME_MAX, until_running(&word, true)).await.expect("it runs");
    client.command(serde_json::json!({ "type": "cancel", "run": run })).await;
    timeout(STEP_TIME_MAX, until_running(&word, false)).await.expect("it is gone");
}

/// Waits until a process with this word on its command line is on the host, or no longer is.
async fn until_running(word: &str, wanted: bool) {
    while crate::sandbox_support::running(word) != wanted {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
