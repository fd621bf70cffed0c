//! Whom the process trusts over TLS: the machine's roots, and nobody else.

use std::path::Path;

use axum::{Json, Router, serve::Listener as _};
use serde_json::json;
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

use crate::{fakes::TlsListener, support::within};

/// Asks a server of models over TLS, as `cobuild models` does. `roots` stands for the machine's.
async fn models(port: u16, roots: &Path, folder: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cobuild"));
    command.current_dir(folder).env_clear().arg("models").kill_on_drop(true);
    command.env("FIND_LOCAL_MODELS", "false").env("SSL_CERT_FILE", roots);
    command.env("COMPATIBLE_BASE_URL", format!("https://localhost:{port}/v1"));
    let output = within("the program’s end", command.output()).await.expect("ran");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn only_who_has_a_certificate_of_the_machines_roots_is_trusted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (its_own, anothers) = (folder.path().join("its-own.pem"), folder.path().join("anothers.pem"));
    let none = folder.path().join("none.pem");
    std::fs::write(&none, "").expect("written");
    let listener = TlsListener::bind("localhost", &its_own).await;
    let port = listener.local_addr().expect("bound").port();
    drop(TlsListener::bind("localhost", &anothers).await);
    let router = Router::new().fallback(async || Json(json!({"object": "list", "data": [{"id": "quill"}]})));
    let _serving = AbortOnDropHandle::new(tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    }));

    let (can_be_used, said) = models(port, &its_own, folder.path()).await;
    assert!(can_be_used && said.contains("compatible/quill"), "{said}");
    for roots in [&anothers, &none] {
        let (can_be_used, said) = models(port, roots, folder.path()).await;
        assert!(!can_be_used && said.contains("no secure connection (TLS)"), "{}: {said}", roots.display());
    }
}
