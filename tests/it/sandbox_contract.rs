//! What every sandbox provider does, whatever it is made of. Run against the ones that run here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use cobuild::{
    project::sandbox_provider::{
        ExecRequest, Exit, FileChange, OUTPUT_SIZE_BYTES_MAX, OutputChunk, Process, Program, Sandbox, SandboxError,
        SandboxFile, SandboxHealth, SandboxProvider,
    },
    sandbox::memory::{Ending, MemoryProgram, MemoryProvider},
};
use cobuild_protocol::{FilePath, value::OutputStream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};

use crate::sandbox_support::{self, local_provider};

/// Longest any single step may take: the first sandbox of a machine installs its template.
const STEP_TIME_MAX: Duration = Duration::from_secs(180);

// The command lines of the contract, for providers that run them and for the one that plays them.
const HELLO: &str = "echo hello; echo trouble >&2; exit 3";
const HANG: &str = "sleep 1000 & sleep 1000";
const MAKE_FILE: &str = "mkdir -p made && printf by-a-process > made/file.txt";
const FLOOD: &str = "head -c 3000000 /dev/zero | tr '\\0' x";
const MISSING: &str = "no-such-program";

fn memory_provider() -> MemoryProvider {
    MemoryProvider::new(vec![
        MemoryProgram::new(HELLO, "hello\n", Ending::Code(3)).complaining("trouble\n"),
        MemoryProgram::new(HANG, "", Ending::Hang),
        MemoryProgram::new(MAKE_FILE, "", Ending::Code(0)).writing(vec![file("made/file.txt", "by-a-process")]),
        MemoryProgram::new(FLOOD, &"x".repeat(3_000_000), Ending::Code(0)),
    ])
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    sandbox_contract(&memory_provider()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_keeps_the_contract() {
    let Some(provider) = local_provider("contract").await else { return };
    sandbox_contract(&*provider).await;
}

async fn sandbox_contract(provider: &dyn SandboxProvider) {
    provider.check().await.expect("sandboxes can be made");
    files(provider).await;
    processes(provider).await;
    preview(provider).await;
    end(provider).await;
}

async fn files(provider: &dyn SandboxProvider) {
    let template = provider.template();
    let mut wanted: BTreeMap<FilePath, Bytes> =
        template.files.into_iter().map(|file| (file.path, file.content)).collect();
    wanted.remove(&path("src/App.jsx"));
    wanted.insert(path("src/deep/er/Näme ✓.txt"), Bytes::from_static(b"\xFF\0binary"));
    wanted.insert(path("empty"), Bytes::new());
    let sandbox = create(provider, wanted.iter().map(|(path, content)| whole(path, content)).collect()).await;

    assert_eq!(contents(&*sandbox).await, wanted, "it holds exactly what it was made with");
    assert!(matches!(sandbox.read(&path("src/App.jsx")).await, Err(SandboxError::NotFound)));

    let changes = vec![
        FileChange::Write(file("src/new/a.txt", "one")),
        FileChange::Write(file("src/new/a.txt", "two")),
        FileChange::Delete(path("empty")),
        FileChange::Delete(path("never/was")),
    ];
    assert_eq!(sandbox.write(changes).await.expect("written"), []);
    wanted.remove(&path("empty"));
    wanted.insert(path("src/new/a.txt"), Bytes::from_static(b"two"));
    assert_eq!(contents(&*sandbox).await, wanted, "changes are made in order");
    assert!(sandbox.list().await.expect("listed").is_sorted_by_key(|entry| entry.path.clone()));

    let (exit, _) = run(&*sandbox, MAKE_FILE).await;
    assert_eq!(exit, Exit::Code(0));
    wanted.insert(path("made/file.txt"), Bytes::from_static(b"by-a-process"));
    assert_eq!(contents(&*sandbox).await, wanted, "what processes do to files is seen");
    sandbox.stop().await;
}

async fn processes(provider: &dyn SandboxProvider) {
    let sandbox = create(provider, provider.template().files).await;
    let (exit, output) = run(&*sandbox, HELLO).await;
    let on = |stream| -> String { output.iter().filter(|c| c.stream == stream).map(|c| c.text.as_str()).collect() };
    assert_eq!(exit, Exit::Code(3));
    assert_eq!((on(OutputStream::Stdout).as_str(), on(OutputStream::Stderr).as_str()), ("hello\n", "trouble\n"));

    let (exit, _) = run(&*sandbox, MISSING).await;
    assert_eq!(exit, Exit::Code(127));

    let (exit, output) = run(&*sandbox, FLOOD).await;
    let printed: String = output.into_iter().map(|chunk| chunk.text).collect();
    assert_eq!(exit, Exit::Code(0), "a process that prints too much goes on");
    assert_eq!(printed.matches('x').count(), OUTPUT_SIZE_BYTES_MAX);
    assert_eq!(printed.matches("the rest is not kept").count(), 1);

    let (mut process, mut output) = start(&*sandbox, HANG, STEP_TIME_MAX).await;
    process.kill();
    assert!(matches!(wait(&mut *process).await, Exit::Signal(9)));
    closed(&mut output, "kill").await;

    let (process, mut output) = start(&*sandbox, HANG, STEP_TIME_MAX).await;
    drop(process);
    closed(&mut output, "drop").await;

    let (mut process, mut output) = start(&*sandbox, HANG, Duration::from_millis(200)).await;
    assert_eq!(wait(&mut *process).await, Exit::TimedOut);
    assert_eq!(wait(&mut *process).await, Exit::TimedOut, "its end can be asked for again");
    closed(&mut output, "time").await;

    let nothing = ExecRequest::new(Program::Argv(Vec::new()), STEP_TIME_MAX);
    let refused = sandbox.exec(nothing, mpsc::channel(1).0).await;
    assert!(matches!(refused, Err(SandboxError::Refused(_))));
    sandbox.stop().await;
}

async fn preview(provider: &dyn SandboxProvider) {
    let sandbox = create(provider, provider.template().files).await;
    let mut health = sandbox.health();
    timeout(STEP_TIME_MAX, sandbox.start_preview()).await.expect("in time").expect("the preview starts");
    sandbox.start_preview().await.expect("starting it again does nothing");
    assert_eq!(*health.borrow_and_update(), SandboxHealth::PreviewReady);
    let page = get(&*sandbox, "/").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("<div id=\"root\">"), "{page}");
    sandbox.write(vec![FileChange::Write(file("public/note.txt", "a new file"))]).await.expect("written");
    assert!(!sandbox.preview_log().is_empty());
    sandbox.stop().await;
}

async fn end(provider: &dyn SandboxProvider) {
    let sandbox = create(provider, provider.template().files).await;
    let mut health = sandbox.health();
    let (mut process, mut output) = start(&*sandbox, HANG, STEP_TIME_MAX).await;
    timeout(STEP_TIME_MAX, sandbox.stop()).await.expect("it stops");
    sandbox.stop().await;
    assert_eq!(wait(&mut *process).await, Exit::Lost);
    closed(&mut output, "stop").await;
    let lost = timeout(STEP_TIME_MAX, health.wait_for(|health| matches!(health, SandboxHealth::Lost(_)))).await;
    lost.expect("in time").expect("its health says so");

    let is_lost = |error: SandboxError| assert!(matches!(error, SandboxError::Lost(_)), "{error:?}");
    is_lost(sandbox.list().await.expect_err("gone"));
    is_lost(sandbox.read(&path("package.json")).await.expect_err("gone"));
    is_lost(sandbox.write(vec![FileChange::Delete(path("x"))]).await.expect_err("gone"));
    is_lost(sandbox.start_preview().await.expect_err("gone"));
    is_lost(sandbox.connect_preview().await.err().expect("gone"));
    let request = ExecRequest::new(Program::Shell(HELLO.into()), STEP_TIME_MAX);
    is_lost(sandbox.exec(request, mpsc::channel(1).0).await.expect_err("gone"));
}

async fn create(provider: &dyn SandboxProvider, files: Vec<SandboxFile>) -> Arc<dyn Sandbox> {
    sandbox_support::create(provider, files).await
}

async fn contents(sandbox: &dyn Sandbox) -> BTreeMap<FilePath, Bytes> {
    let mut contents = BTreeMap::new();
    for entry in sandbox.list().await.expect("listed") {
        let content = sandbox.read(&entry.path).await.expect("read");
        assert_eq!(entry.size_bytes, content.len() as u64, "{}", entry.path);
        contents.insert(entry.path, content);
    }
    contents
}

async fn start(sandbox: &dyn Sandbox, line: &str, time: Duration) -> (Box<dyn Process>, mpsc::Receiver<OutputChunk>) {
    let (sender, receiver) = mpsc::channel(16);
    let request = ExecRequest::new(Program::Shell(line.into()), time);
    (sandbox.exec(request, sender).await.expect("started"), receiver)
}

async fn run(sandbox: &dyn Sandbox, line: &str) -> (Exit, Vec<OutputChunk>) {
    let (mut process, mut output) = start(sandbox, line, STEP_TIME_MAX).await;
    let mut chunks = Vec::new();
    while let Some(chunk) = timeout(STEP_TIME_MAX, output.recv()).await.expect("in time") {
        chunks.push(chunk);
    }
    (wait(&mut *process).await, chunks)
}

async fn wait(process: &mut dyn Process) -> Exit {
    timeout(STEP_TIME_MAX, process.wait()).await.expect("it ends in time")
}

async fn closed(output: &mut mpsc::Receiver<OutputChunk>, after: &str) {
    let drained = async { while output.recv().await.is_some() {} };
    timeout(Duration::from_secs(10), drained).await.unwrap_or_else(|_| panic!("the output closes after {after}"));
}

async fn get(sandbox: &dyn Sandbox, path: &str) -> String {
    let mut stream = sandbox.connect_preview().await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    timeout(STEP_TIME_MAX, stream.read_to_end(&mut answer)).await.expect("in time").expect("answered");
    String::from_utf8_lossy(&answer).into_owned()
}

fn path(text: &str) -> FilePath {
    text.parse().expect(text)
}

fn file(name: &str, text: &str) -> SandboxFile {
    whole(&path(name), &Bytes::copy_from_slice(text.as_bytes()))
}

fn whole(path: &FilePath, content: &Bytes) -> SandboxFile {
    SandboxFile { path: path.clone(), content: content.clone() }
}
