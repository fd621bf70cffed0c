//! Sandboxes in memory, with a small dev server that says what it was asked.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Request, WebSocketUpgrade, ws::Message},
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use bytes::Bytes;
use cobuild::project::{
    content_hash,
    sandbox_provider::{
        ByteStream, ExecRequest, Exit, FileChange, OutputSender, Process, ProgressSender, Sandbox, SandboxEntry,
        SandboxError, SandboxFile, SandboxHealth, SandboxProvider, SandboxSpec, Template,
    },
};
use cobuild_protocol::FilePath;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::sync::watch;

/// What the tests may do to the previews of all sandboxes.
#[derive(Debug, Clone, Default)]
pub(crate) struct PreviewSwitch {
    /// Sandboxes cannot be made.
    pub(crate) broken: Arc<AtomicBool>,
    /// The dev server takes no connections.
    pub(crate) refuses: Arc<AtomicBool>,
    /// Making a sandbox never ends.
    pub(crate) slow: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
pub(crate) struct FakeSandboxes {
    pub(crate) switch: PreviewSwitch,
}

type Files = Arc<Mutex<BTreeMap<FilePath, Bytes>>>;

#[derive(Debug)]
struct FakeSandbox {
    files: Files,
    health: watch::Sender<SandboxHealth>,
    switch: PreviewSwitch,
}

#[async_trait]
impl SandboxProvider for FakeSandboxes {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn template(&self) -> Template {
        cobuild::sandbox::template::react_vite()
    }

    async fn create(&self, spec: SandboxSpec, progress: ProgressSender) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let _ = progress.send("Unpacking the fake".into());
        if self.switch.slow.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.switch.broken.load(Ordering::SeqCst) {
            return Err(SandboxError::Unavailable("bubblewrap is not installed: apt install bubblewrap".into()));
        }
        let files = spec.files.into_iter().map(|file| (file.path, file.content)).collect();
        let (health, _) = watch::channel(SandboxHealth::Ready);
        Ok(Arc::new(FakeSandbox { files: Arc::new(Mutex::new(files)), health, switch: self.switch.clone() }))
    }

    async fn check(&self) -> Result<(), SandboxError> {
        Ok(())
    }

    async fn close(&self) {}
}

impl FakeSandbox {
    fn files(&self) -> std::sync::MutexGuard<'_, BTreeMap<FilePath, Bytes>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sandbox for FakeSandbox {
    async fn write(&self, changes: Vec<FileChange>) -> Result<(), SandboxError> {
        for change in changes {
            match change {
                FileChange::Write(SandboxFile { path, content }) => drop(self.files().insert(path, content)),
                FileChange::Delete(path) => drop(self.files().remove(&path)),
            }
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<SandboxEntry>, SandboxError> {
        let entry = |(path, content): (&FilePath, &Bytes)| SandboxEntry {
            path: path.clone(),
            hash: content_hash(content),
            size_bytes: content.len() as u64,
        };
        Ok(self.files().iter().map(entry).collect())
    }

    async fn read(&self, path: &FilePath) -> Result<Bytes, SandboxError> {
        self.files().get(path).cloned().ok_or(SandboxError::NotFound)
    }

    async fn exec(&self, _: ExecRequest, _: OutputSender) -> Result<Box<dyn Process>, SandboxError> {
        Ok(Box::new(Nothing))
    }

    async fn start_preview(&self) -> Result<(), SandboxError> {
        self.health.send_replace(SandboxHealth::PreviewReady);
        Ok(())
    }

    async fn connect_preview(&self) -> Result<Box<dyn ByteStream>, SandboxError> {
        if self.switch.refuses.load(Ordering::SeqCst) {
            return Err(SandboxError::Failed("connection refused".into()));
        }
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let service = TowerToHyperService::new(dev_server(Arc::clone(&self.files)));
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
            let _ = connection.with_upgrades().await;
        });
        Ok(Box::new(ours))
    }

    fn preview_log(&self) -> String {
        String::new()
    }

    fn health(&self) -> watch::Receiver<SandboxHealth> {
        self.health.subscribe()
    }

    async fn stop(&self) {
        self.health.send_replace(SandboxHealth::Lost("stopped".into()));
    }
}

/// A process that is done at once.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Process for Nothing {
    async fn wait(&mut self) -> Exit {
        Exit::Code(0)
    }

    fn kill(&mut self) {}
}

/// Says what it was asked, echoes bodies and frames, and streams.
fn dev_server(files: Files) -> Router {
    Router::new()
        .route("/asked", any(asked))
        .route("/echo", post(|body: Bytes| async { body }))
        .route("/hmr", get(hmr))
        .route("/elsewhere", get(|| async { ([("location", "http://localhost/asked")], axum::http::StatusCode::FOUND) }))
        .route("/cookie", get(|| async { ([("set-cookie", "a=1; Domain=localhost"), ("x-mine", "1")], "baked") }))
        .fallback(move |request: Request| {
            let files = Arc::clone(&files);
            async move { file(&files, request.uri().path()) }
        })
}

async fn asked(request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let headers: BTreeMap<String, String> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    let target = parts.uri.to_string();
    Json(serde_json::json!({ "method": parts.method.as_str(), "target": target, "headers": headers })).into_response()
}

fn file(files: &Files, path: &str) -> Response {
    let path = if path == "/" { "index.html" } else { path.trim_start_matches('/') };
    let content = path.parse::<FilePath>().ok().and_then(|path| {
        files.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned()
    });
    match content {
        Some(content) => ([("content-type", "text/html")], content).into_response(),
        None => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

/// Echoes each frame; the first one it sends is the origin and protocol it was asked with.
async fn hmr(headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let origin = headers.get("origin").and_then(|origin| origin.to_str().ok()).unwrap_or("none").to_owned();
    upgrade.protocols(["vite-hmr"]).on_upgrade(async move |mut socket| {
        let _ = socket.send(Message::Text(origin.into())).await;
        while let Some(Ok(message)) = socket.recv().await {
            if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
                return;
            }
        }
    })
}
