//! A key is in a header on its way to its own vendor, and nowhere else: not in the log at its most talkative, not in
//! events, errors or lists. (That a sandbox has an environment of its own is shown by `sandbox_attacks`.)

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::Command,
};

use super::{fake_vendors::server::FaultServer, served::arguments};
use crate::support::within;

const PLANTED: &str = "sk-planted-5bJq9vW2";

/// A project of its own for one prompt, to the end of its run. Returns the project's whole log.
async fn prompt(http: &reqwest::Client, url: &str, project: &str, model: &str, mode: &str) -> String {
    let made = http.post(format!("{url}/api/v1/projects")).json(&json!({ "project": project })).send().await;
    assert_eq!(made.expect("an answer").status(), 201);
    let of_project = format!("{url}/api/v1/projects/{project}");
    let mut events = http.get(format!("{of_project}/events")).send().await.expect("events");
    let prompt = format!("mode:{mode}");
    let body = json!({"type": "generate", "id": "c", "prompt": prompt, "model": model, "apply": false});
    let reply = http.post(format!("{of_project}/commands")).json(&body).send().await.expect("a reply");
    assert_eq!(reply.status(), 202, "{}", reply.text().await.unwrap_or_default());
    let reply: Value = reply.json().await.expect("JSON");
    let run = reply["run"].as_str().expect("a run").to_owned();
    let mut seen = String::new();
    let end =
        |seen: &str| seen.lines().any(|line| line.contains("\"run_finished\"") && line.contains(&format!("\"{run}\"")));
    within("the end of a run", async {
        while !end(&seen) {
            let piece = events.chunk().await.expect("events").expect("more events");
            seen.push_str(&String::from_utf8_lossy(&piece));
        }
    })
    .await;
    let log = http.get(format!("{of_project}/log")).send().await.expect("a log");
    log.text().await.expect("text")
}

#[tokio::test]
async fn a_key_shows_nowhere() {
    let vendors = FaultServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let arguments: Vec<String> =
        arguments(&vendors, &[]).iter().map(|argument| argument.replace("test-key", PLANTED)).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cobuild"));
    command.current_dir(folder.path()).env_clear().env("FIND_LOCAL_MODELS", "false").kill_on_drop(true);
    // As people set them: in the environment, which every process below would inherit.
    for argument in &arguments {
        let (name, value) = argument.trim_start_matches('-').split_once('=').expect("a value");
        command.env(name.to_ascii_uppercase().replace('-', "_"), value);
    }
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(["--port", "0", "--log-level", "trace", "--sandbox-provider", "none"]).stdin(Stdio::null());
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let mut log = server.stderr.take().expect("piped");
    let reading = tokio::spawn(async move {
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes).await.expect("a log");
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let mut line = String::new();
    let mut output = BufReader::new(server.stdout.take().expect("piped"));
    within("the first line", output.read_line(&mut line)).await.expect("text");
    let port = line.trim().rsplit_once(':').map(|(_, port)| port.to_owned()).expect("an address");
    let url = format!("http://127.0.0.1:{port}");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let models = ["anthropic/claude-sonnet-5-5", "openai/gpt-6.1-sol", "google/gemini-4-argon", "compatible/x"];
    let mut events = String::new();
    for mode in ["normal", "bad_key", "error", "html", "unknown_model"] {
        for (number, model) in models.into_iter().enumerate() {
            events.push_str(&prompt(&http, &url, &format!("{mode}{number}"), model, mode).await);
        }
    }
    let list_url = format!("{url}/api/v1/models");
    let list = http.get(list_url).send().await.expect("a list").text().await.expect("text");
    assert!(list.contains("claude-brand-new"), "the vendors were asked for their lists: {list}");
    assert!(events.contains("refuses the key in OPENAI_API_KEY"), "the vendor was asked with a bad key");
    server.start_kill().expect("killed");
    let log = within("the log", reading).await.expect("read");
    assert!(log.contains("the model vendor reported an error"), "the log tells of the errors");
    for (what, text) in [("the log", &log), ("the events", &events), ("the list", &list), ("the output", &line)] {
        assert!(!text.contains(PLANTED), "{what} has the key");
        let part = &PLANTED[..PLANTED.len() - 2];
        assert!(!text.contains(part), "{what} has a part of the key");
    }
    let keys = ["authorization", "x-api-key", "x-goog-api-key"];
    let sent = vendors.seen().iter().filter(|seen| keys.iter().any(|key| seen.headers.contains_key(*key))).count();
    assert!(sent >= 20, "it was in use: {sent}");
    // Not even the database, which holds everything there was.
    let database = std::fs::read_dir(folder.path().join("data")).expect("data").flatten();
    for file in database.filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(file.path()).expect("read");
        let has_it = bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes());
        assert!(!has_it, "{}", file.path().display());
    }
}
