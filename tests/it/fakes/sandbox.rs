//! The sandboxes in memory, with a dev server of the tests' own in front: it says what it was asked, and can be stopped.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Request, WebSocketUpgrade, ws::Message},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use bytes::Bytes;
use cobuild::{
    project::sandbox_provider::{
        ByteStream, ExecRequest, FileChange, OutputSender, Process, ProgressSender, RefusedChange, Sandbox,
        SandboxEntry, SandboxError, SandboxHealth, SandboxProvider, SandboxSpec, Template,
    },
    sandbox::memory::MemoryProvider,
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
    /// Making a sandbox does not end.
    pub(crate) slow: Arc<AtomicBool>,
    /// Ending a sandbox does not end.
    pub(crate) lingers: Arc<AtomicBool>,
    /// No program begins.
    pub(crate) held: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
pub(crate) struct FakeSandboxes {
    pub(crate) switch: PreviewSwitch,
    memory: MemoryProvider,
}

#[derive(Debug)]
struct FakeSandbox {
    memory: Arc<dyn Sandbox>,
    switch: PreviewSwitch,
}

impl FakeSandboxes {
    pub(crate) fn new(switch: PreviewSwitch) -> Self {
        Self { switch, memory: MemoryProvider::default() }
    }
}

#[async_trait]
impl SandboxProvider for FakeSandboxes {
    fn name(&self) -> &'static str {
        self.memory.name()
    }

    fn template(&self) -> Template {
        self.memory.template()
    }

    async fn create(&self, spec: SandboxSpec, progress: ProgressSender) -> Result<Arc<dyn Sandbox>, SandboxError> {
        progress.send_replace("Unpacking the fake".into());
        while self.switch.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        if self.switch.broken.load(Ordering::SeqCst) {
            return Err(SandboxError::Unavailable("bubblewrap is not installed: apt install bubblewrap".into()));
        }
        let memory = self.memory.create(spec, progress).await?;
        Ok(Arc::new(FakeSandbox { memory, switch: self.switch.clone() }))
    }

    async fn check(&self) -> Result<(), SandboxError> {
        self.memory.check().await
    }

    async fn close(&self) {
        self.memory.close().await;
    }
}

#[async_trait]
impl Sandbox for FakeSandbox {
    async fn write(&self, changes: Vec<FileChange>) -> Result<Vec<RefusedChange>, SandboxError> {
        self.memory.write(changes).await
    }

    async fn list(&self) -> Result<Vec<SandboxEntry>, SandboxError> {
        self.memory.list().await
    }

    async fn read(&self, path: &FilePath) -> Result<Bytes, SandboxError> {
        self.memory.read(path).await
    }

    async fn exec(&self, request: ExecRequest, output: OutputSender) -> Result<Box<dyn Process>, SandboxError> {
        while self.switch.held.load(Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        self.memory.exec(request, output).await
    }

    async fn start_preview(&self) -> Result<(), SandboxError> {
        self.memory.start_preview().await
    }

    async fn stop_preview(&self) {
        self.memory.stop_preview().await;
    }

    async fn connect_preview(&self) -> Result<Box<dyn ByteStream>, SandboxError> {
        if self.switch.refuses.load(Ordering::SeqCst) {
            return Err(SandboxError::Failed("connection refused".into()));
        }
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let service = TowerToHyperService::new(dev_server(Arc::clone(&self.memory)));
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
            let _ = connection.with_upgrades().await;
        });
        Ok(Box::new(ours))
    }

    fn preview_log(&self) -> String {
        self.memory.preview_log()
    }

    fn health(&self) -> watch::Receiver<SandboxHealth> {
        self.memory.health()
    }

    async fn stop(&self) {
        while self.switch.lingers.load(Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        self.memory.stop().await;
    }
}

/// Says what it was asked, echoes bodies and frames, redirects and bakes cookies.
fn dev_server(memory: Arc<dyn Sandbox>) -> Router {
    let elsewhere = || async { (StatusCode::FOUND, [("location", "http://localhost/asked")]) };
    let cookie = || async { ([("set-cookie", "a=1; Domain=localhost"), ("x-mine", "1")], "baked") };
    Router::new()
        .route("/asked", any(asked))
        .route("/echo", post(|body: Bytes| async { body }))
        .route("/hmr", get(hmr))
        .route("/elsewhere", get(elsewhere))
        .route("/cookie", get(cookie))
        .fallback(move |request: Request| {
            let memory = Arc::clone(&memory);
            async move { file(&*memory, request.uri().path()).await }
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

async fn file(memory: &dyn Sandbox, path: &str) -> Response {
    let path = if path == "/" { "index.html" } else { path.trim_start_matches('/') };
    let Ok(path) = path.parse::<FilePath>() else { return StatusCode::NOT_FOUND.into_response() };
    let kind = if path.extension() == "html" { "text/html" } else { "text/javascript" };
    match memory.read(&path).await {
        Ok(content) => ([("content-type", kind)], content).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Echoes each frame; the first one it sends is the origin it was asked from.
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
