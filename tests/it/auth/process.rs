//! The `cobuild` process: the tokens it makes and those it must not write down.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::signer::{SECRET, hs256, now};
use crate::support::within;

fn cobuild(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cobuild"));
    command.current_dir(folder).env_clear().env("FIND_LOCAL_MODELS", "false").env("JWT_SECRET", SECRET).args(arguments);
    command
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("UTF-8").trim_end().to_owned()
}

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn tokens_it_makes_are_let_in_and_none_is_written_down() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--port", "0", "--sandbox-provider", "none", "--log-level", "trace"];
    let mut command = cobuild(folder.path(), &arguments);
    let mut child = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started"));
    let mut stderr = child.0.stderr.take().expect("piped");
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).expect("UTF-8");
        log
    });
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("Cobuild is ready: ").expect("no owner link is needed").to_owned();

    let make = |arguments: &[&str]| printed(&cobuild(folder.path(), arguments).output().expect("ran"));
    let owner = make(&["token", "--project", "*", "--role", "owner", "--name", "Ada"]);
    let viewer = make(&["token", "--project", "p", "--role", "viewer", "--hours", "1"]);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let create = http.post(format!("{url}/api/v1/projects")).json(&json!({ "project": "p" }));
    assert_eq!(create.try_clone().expect("a copy").bearer_auth(&viewer).send().await.expect("an answer").status(), 403);
    assert_eq!(create.bearer_auth(&owner).send().await.expect("an answer").status(), 201);
    let expired = hs256(json!({ "sub": "x", "projects": {}, "exp": now() - 5.0 }));
    let authority = url.strip_prefix("http://").expect("http");
    for (token, admitted) in [(&owner, true), (&viewer, true), (&expired, false)] {
        let socket = tokio::net::TcpStream::connect(authority).await.expect("a connection");
        let address = format!("ws://{authority}/api/v1/projects/p/ws");
        let (mut socket, _) = tokio_tungstenite::client_async(address, socket).await.expect("an upgrade");
        let hello = json!({ "type": "hello", "protocol": 1, "token": token });
        socket.send(Message::text(hello.to_string())).await.expect("sent");
        let first = within("an answer", socket.next()).await.expect("a frame").expect("a frame");
        assert_eq!(first.is_text(), admitted, "{first}");
        let refresh = json!({ "type": "refresh_token", "id": "r", "token": token });
        let _ = socket.send(Message::text(refresh.to_string())).await;
    }
    let made = http.post(format!("{url}/api/v1/projects/p/share-links")).json(&json!({ "role": "viewer" }));
    let made: serde_json::Value = made.bearer_auth(&owner).send().await.expect("an answer").json().await.expect("JSON");
    let share = made["token"].as_str().expect("a token").to_owned();
    let read = http.get(format!("{url}/api/v1/projects/p")).bearer_auth(&share).send().await.expect("an answer");
    assert_eq!(read.status(), 200);

    drop(child);
    let log = log.join().expect("read");
    assert!(log.contains("TRACE"), "the finest log there is");
    let signature = |token: &str| token.rsplit('.').next().expect("a part").to_owned();
    for secret in [signature(&owner), signature(&viewer), signature(&expired), share, SECRET.to_owned()] {
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{line:?}");
    }
}

#[test]
fn without_a_good_secret_there_are_no_tokens_and_no_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |secret: Option<&str>, arguments: &[&str]| {
        let mut command = cobuild(folder.path(), arguments);
        match secret {
            Some(secret) => command.env("JWT_SECRET", secret),
            None => command.env_remove("JWT_SECRET"),
        };
        let output = command.output().expect("ran");
        assert!(output.stdout.is_empty() && !output.status.success());
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let token = ["token", "--project", "p"];
    assert!(run(None, &token).contains("no JWT_SECRET"));
    assert!(run(Some("short"), &token).contains("at least 32 characters"));
    let server = ["--port", "0", "--sandbox-provider", "none"];
    for bad in ["", "short"] {
        let text = run(Some(bad), &server);
        assert!(text.contains("at least 32 characters") && text.trim().lines().count() == 1, "{text}");
    }
    assert!(run(Some(SECRET), &["token", "--project", "no/id"]).contains("a project id"));
    assert!(run(Some(SECRET), &["token", "--project", "p", "--hours", "0"]).contains("--hours"));
    let help = cobuild(folder.path(), &["--help"]).output().expect("ran");
    assert!(!String::from_utf8_lossy(&help.stdout).contains(SECRET), "the help does not show what is set");
}
