//! `--token-file`: read again when what was in it counts no more.

use std::fs;

use cobuild::http::Timing;
use serde_json::json;

use super::*;
use crate::auth::signer::{SECRET, hs256, now};

fn token(seconds: f64) -> String {
    hs256(json!({ "sub": "ada", "name": "Ada", "projects": { "*": "owner" }, "exp": now() + seconds }))
}

/// Puts a token in place as tools do that renew them: at once.
fn renew(file: &Path, token: &str) {
    let draft = file.with_extension("new");
    fs::write(&draft, format!("{token}\n")).expect("written");
    fs::rename(draft, file).expect("in place");
}

async fn guarded() -> TestServer {
    let timing = Timing { expiry_grace: Duration::from_millis(100), ..Timing::default() };
    let server = TestServer::start_with(Setup { timing, ..Setup::with_arguments(&["--jwt-secret", SECRET]) }).await;
    let made =
        server.http.post(server.url("/api/v1/projects")).bearer_auth(token(60.0)).json(&json!({ "project": "p" }));
    assert_eq!(made.send().await.expect("an answer").status(), 201);
    server
}

async fn write(server: &TestServer, id: &str) {
    let write = json!({ "type": "write_file", "id": id, "path": format!("{id}.txt"), "content": "x" });
    let request = server.http.post(server.url("/api/v1/projects/p/commands")).bearer_auth(token(60.0)).json(&write);
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 202, "{:?}", answer.text().await);
}

#[tokio::test]
async fn a_token_that_expires_is_read_again_from_its_file_and_nothing_is_missing() {
    let server = guarded().await;
    let network = Cutter::start(server.address).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    renew(&file, &token(3.0));
    let path = file.to_str().expect("text");
    let mut running = Running::start(network.address, &["watch", "p", "--token-file", path]);
    assert_eq!(running.frame().await.expect("a frame")["type"], "snapshot");
    write(&server, "before").await;
    assert_eq!(running.until("file_written").await["path"], "before.txt");
    let before = network.connections();
    renew(&file, &token(60.0));
    eventually("it comes back with the new one", || network.connections() > before).await;
    write(&server, "after").await;
    assert_eq!(running.until("file_written").await["path"], "after.txt");
    running.signal(Signal::SIGINT);
    let (code, errors) = running.end().await;
    assert!(code == Some(0) && errors.contains("expired"), "{code:?} {errors}");
}

#[tokio::test]
async fn without_a_good_token_it_is_one_sentence() {
    let server = guarded().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    let path = file.to_str().expect("text");
    let refused = async |words: &str| {
        let ended = output(server.address, &["watch", "p", "--token-file", path]).await;
        let errors = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{errors}");
        assert!(errors.contains(words) && errors.trim().lines().count() == 1, "{errors}");
    };
    refused(path).await;
    fs::write(&file, " \n").expect("written");
    refused("it is empty").await;
    // Refused for good: there is no other in the file.
    renew(&file, &token(-60.0));
    refused("expired").await;
    renew(&file, &format!("{}x", token(60.0)));
    refused("token").await;
    let both = output(server.address, &["watch", "p", "--token-file", path, "--token", "x"]).await;
    assert_eq!(both.status.code(), Some(2));
}
