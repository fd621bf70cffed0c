//! A git host: git's own HTTP backend behind TLS, on loopback, with a certificate for `github.com` that nobody else
//! trusts.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    serve::Listener as _,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_util::{io::ReaderStream, task::AbortOnDropHandle};

use super::TlsListener;

/// The host it pretends to be.
const HOST: &str = "github.com";
/// Whoever owns these repositories shows them to nobody without a password.
const PRIVATE_OWNER: &str = "/private/";

pub(crate) struct GitServer {
    address: SocketAddr,
    folder: TempDir,
    serving: AbortOnDropHandle<()>,
}

impl GitServer {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("hosted")).expect("a folder");
        let listener = TlsListener::bind(HOST, &folder.path().join("ca.pem")).await;
        let address = listener.local_addr().expect("bound");
        let router = Router::new().fallback(backend).with_state(folder.path().join("hosted"));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { address, folder, serving: AbortOnDropHandle::new(serving) }
    }

    /// Nobody answers any more.
    pub(crate) async fn stop(&mut self) {
        self.serving.abort();
        let stopped = (&mut self.serving).await;
        assert!(stopped.is_err_and(|error| error.is_cancelled()));
    }

    /// For `--git-hosts`.
    pub(crate) fn hosts(&self) -> String {
        format!("{HOST}={}", self.address)
    }

    /// For `--sandbox-ca-file`.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Hosts a repository. `commands` are run by a shell in its work tree, before everything is committed; without any
    /// it stays empty.
    pub(crate) fn host(&self, name: &str, branch: &str, commands: Option<&str>) {
        let work = self.folder.path().join("work").join(name);
        std::fs::create_dir_all(&work).expect("a folder");
        let git = |line: &str| {
            let mut command = Command::new("sh");
            command.args(["-ec", line]).current_dir(&work).stdin(Stdio::null());
            command.env_clear().env("PATH", std::env::var_os("PATH").expect("a PATH"));
            command.envs([("HOME", "/nonexistent"), ("GIT_CONFIG_NOSYSTEM", "1")]);
            for who in ["AUTHOR", "COMMITTER"] {
                command.env(format!("GIT_{who}_NAME"), "somebody").env(format!("GIT_{who}_EMAIL"), "some@body");
            }
            assert!(command.status().expect("a shell").success(), "{line}");
        };
        // What is random cannot be compressed: neither here nor on its way.
        git(&format!(
            "git init -q -b {branch} . && git config core.compression 0 && git config core.bigFileThreshold 1m"
        ));
        if let Some(commands) = commands {
            git(&format!("{commands}\ngit add -A\ngit commit -q -m files"));
        }
        let bare = self.folder.path().join("hosted").join(format!("{name}.git"));
        std::fs::create_dir_all(bare.parent().expect("below a folder")).expect("a folder");
        std::fs::rename(work.join(".git"), &bare).expect("moved");
        git(&format!("git --git-dir={} config core.bare true", bare.display()));
        std::fs::remove_dir_all(&work).expect("removed");
    }
}

/// One request through `git http-backend`, by the rules of CGI (RFC 3875).
async fn backend(State(root): State<PathBuf>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.uri.path().starts_with(PRIVATE_OWNER) {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")]).into_response();
    }
    let body: Bytes = axum::body::to_bytes(body, 1024 * 1024).await.expect("a small request");
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut command = tokio::process::Command::new("git");
    command.arg("http-backend").kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.env_clear().env("PATH", std::env::var_os("PATH").expect("a PATH")).env("GIT_PROJECT_ROOT", &root).envs([
        ("GIT_HTTP_EXPORT_ALL", "1"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("PATH_INFO", parts.uri.path()),
        ("QUERY_STRING", parts.uri.query().unwrap_or_default()),
        ("REQUEST_METHOD", parts.method.as_str()),
        ("CONTENT_TYPE", header("content-type")),
        ("CONTENT_LENGTH", &body.len().to_string()),
        ("HTTP_CONTENT_ENCODING", header("content-encoding")),
        ("GIT_PROTOCOL", header("git-protocol")),
    ]);
    let mut child = command.spawn().expect("git has an HTTP backend");
    let mut input = child.stdin.take().expect("piped");
    tokio::spawn(async move { input.write_all(&body).await });
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut response = Response::builder();
    loop {
        let mut line = String::new();
        output.read_line(&mut line).await.expect("a head");
        match line.trim_end().split_once(": ") {
            Some(("Status", status)) => response = response.status(status.split(' ').next().expect("a number")),
            Some((name, value)) => response = response.header(name, value),
            None => break,
        }
    }
    // Its process lives as long as the answer.
    let stream = futures_util::StreamExt::map(ReaderStream::new(output), move |chunk| {
        let _ = &child;
        chunk
    });
    response.body(Body::from_stream(stream)).expect("a valid head")
}

/// Whether there is a git that can host.
pub(crate) fn can_host() -> bool {
    let path = Command::new("git").arg("--exec-path").output();
    path.is_ok_and(|output| {
        Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("git-http-backend").is_file()
    })
}
