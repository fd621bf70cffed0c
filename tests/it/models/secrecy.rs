//! A key is in a header on its way to its own vendor, and nowhere else: not in the log at its most talkative, not in
//! events, errors or lists, not in anything a browser gets, not in a sandbox.

use std::{path::Path, process::Stdio, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::{fake_vendors::server::FaultServer, served::arguments};
use crate::{
    sandbox_support::{data_dir, local_provider},
    support::within,
};

const PLANTED: &str = "sk-planted-5bJq9vW2";

/// A server with the key in its environment, as people set it: every process below would inherit it.
struct Planted {
    process: Child,
    url: String,
    http: reqwest::Client,
    first_line: String,
    log: JoinHandle<String>,
}

impl Planted {
    async fn start(vendors: &FaultServer, folder: &Path, others: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cobuild"));
        command.current_dir(folder).env_clear().env("FIND_LOCAL_MODELS", "false").kill_on_drop(true);
        for argument in arguments(vendors, &[]) {
            let argument = argument.replace("test-key", PLANTED);
            let (name, value) = argument.trim_start_matches('-').split_once('=').expect("a value");
            command.env(name.to_ascii_uppercase().replace('-', "_"), value);
        }
        for name in ["PATH", "HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.args(["--port", "0", "--log-level", "trace"]).args(others).stdin(Stdio::null());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let mut log = process.stderr.take().expect("piped");
        let log = tokio::spawn(async move {
            let mut bytes = Vec::new();
            log.read_to_end(&mut bytes).await.expect("a log");
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let mut first_line = String::new();
        let mut output = BufReader::new(process.stdout.take().expect("piped"));
        within("the first line", output.read_line(&mut first_line)).await.expect("text");
        let port = first_line.trim().rsplit_once(':').map(|(_, port)| port.to_owned()).expect("an address");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { process, url: format!("http://127.0.0.1:{port}"), http, first_line, log }
    }

    async fn get(&self, path: &str) -> String {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.expect("an answer");
        answer.text().await.expect("text")
    }

    /// Everything a page gets when it opens a room: welcome, snapshot or replay, and what its server tells of itself.
    async fn room(&self, project: &str) -> String {
        let url = format!("{}/api/v1/projects/{project}/ws", self.url.replace("http", "ws"));
        let (mut socket, _) = within("an upgrade", connect_async(url)).await.expect("an upgrade");
        socket.send(Message::text(json!({"type": "hello", "protocol": 1}).to_string())).await.expect("sent");
        let mut seen = String::new();
        while !seen.contains("\"synced\"") {
            let frame = within("a frame", socket.next()).await.expect("a frame").expect("no error");
            seen.push_str(frame.to_text().unwrap_or_default());
        }
        seen
    }

    /// What it logged, all of it.
    async fn ended(mut self) -> String {
        self.process.start_kill().expect("killed");
        within("the log", self.log).await.expect("read")
    }
}

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
    let server = Planted::start(&vendors, folder.path(), &["--sandbox-provider", "none"]).await;
    let models = ["anthropic/claude-sonnet-5-5", "openai/gpt-6.1-sol", "google/gemini-4-argon", "compatible/x"];
    let mut events = String::new();
    let mut rooms = String::new();
    // Vendors quote keys in messages, codes, reasons and headers; before the stream and in it.
    for mode in [
        "normal",
        "bad_key",
        "error",
        "html",
        "unknown_model",
        "quoting",
        "quoting_inside",
        "quoting_reason",
        "quoting_type",
    ] {
        for (number, model) in models.into_iter().enumerate() {
            let project = format!("{mode}{number}");
            events.push_str(&prompt(&server.http, &server.url, &project, model, mode).await);
            rooms.push_str(&server.room(&project).await);
        }
    }
    let mut pages = String::new();
    for path in
        ["/", "/api/v1/models", "/api/v1/projects", "/api/v1/projects/quoting0", "/metrics", "/api/openapi.json"]
    {
        pages.push_str(&server.get(path).await);
    }
    assert!(pages.contains("claude-brand-new"), "the vendors were asked for their lists: {pages}");
    for project in ["retiring", "still"] {
        events.push_str(&prompt(&server.http, &server.url, project, "openai/gpt-7-new", "normal").await);
    }
    assert!(events.contains("refuses the key in OPENAI_API_KEY"), "the vendor was asked with a bad key");
    assert!(events.contains("does not take this request (400)"), "the vendor's code was left out");
    assert!(events.contains("refused to answer (no reason given)"), "the vendor's reason was left out");
    let first_line = server.first_line.clone();
    let log = server.ended().await;
    assert!(log.contains("the model vendor reported an error"), "the log tells of the errors");
    assert_eq!(log.matches("retires on 2999-01-01").count(), 1, "and once of a model that will stop working");
    let texts = [("the log", &log), ("events", &events), ("rooms", &rooms), ("pages", &pages), ("output", &first_line)];
    for (what, text) in texts {
        assert!(!text.contains(PLANTED), "{what}: the key is there");
        let part = &PLANTED[..PLANTED.len() - 2];
        assert!(!text.contains(part), "{what}: a part of the key is there");
    }
    let keys = ["authorization", "x-api-key", "x-goog-api-key"];
    let sent = vendors.seen().iter().filter(|seen| keys.iter().any(|key| seen.headers.contains_key(*key))).count();
    assert!(sent >= 36, "it was in use: {sent}");
    // Not even the database, which holds everything there was.
    let database = std::fs::read_dir(folder.path().join("data")).expect("data").flatten();
    for file in database.filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(file.path()).expect("read");
        let has_it = bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes());
        assert!(!has_it, "{}", file.path().display());
    }
}

/// Looks for the key in everything a process in a sandbox can read: its environment, those and the arguments of all
/// processes, and all files but the system's own. The key is put together in there, lest the probe find itself; and it
/// finds the one copy it makes.
fn probe() -> String {
    let (begin, end) = PLANTED.split_at(PLANTED.len() / 2);
    format!(
        "key={begin}; key=$key'{end}'; echo \"$key\" > /tmp/copy; \
         case \"$(env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ')\" in \
         *\"$key\"*) echo a process has it;; *PATH=*) echo no process has it;; esac; \
         grep -rlsF -D skip -f /tmp/copy $(ls -d /* /dev/shm | grep -vE '^/(usr|lib.*|s?bin|proc|sys|dev)$'); echo looked"
    )
}

#[tokio::test]
async fn a_sandbox_has_no_key() {
    if local_provider("models: no key in a sandbox").await.is_none() {
        return;
    }
    let vendors = FaultServer::start().await;
    // Shares the template with the other tests; the server's own files are made anew.
    let data = data_dir();
    for entry in std::fs::read_dir(&data).expect("a folder").flatten().filter(|entry| entry.path().is_file()) {
        std::fs::remove_file(entry.path()).expect("removed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let data = data.display().to_string();
    let server = Planted::start(&vendors, folder.path(), &["--data-dir", &data, "--sandbox-pool-size", "0"]).await;
    // The twin: the server has it, for whoever can look there.
    let of_server = std::fs::read(format!("/proc/{}/environ", server.process.id().expect("it runs"))).expect("read");
    assert!(String::from_utf8_lossy(&of_server).contains(PLANTED));
    let answered = prompt(&server.http, &server.url, "p", "anthropic/claude-sonnet-5-5", "normal").await;
    assert!(answered.contains("\"completed\""), "the key is in use: {answered}");
    let of_project = format!("{}/api/v1/projects/p", server.url);
    let body = json!({"type": "exec", "id": "look", "command": probe(), "timeout_ms": 200_000});
    let reply = server.http.post(format!("{of_project}/commands")).json(&body).send().await.expect("a reply");
    let reply: Value = reply.json().await.expect("JSON");
    let run = reply["run"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
    // The sandbox is made for it, and the first one installs the template.
    let output = tokio::time::timeout(Duration::from_secs(300), async {
        loop {
            let log = server.get("/api/v1/projects/p/log").await;
            assert!(!log.contains(PLANTED), "{log}");
            let of_run = |event: &Value| event["run"] == run.as_str();
            let events = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).filter(of_run);
            let events: Vec<Value> = events.collect();
            if events.iter().any(|event| event["type"] == "run_finished") {
                let output = events.iter().filter(|event| event["type"] == "exec_output");
                break output.filter_map(|event| event["text"].as_str()).collect::<String>();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let output = output.await.expect("the probe's end");
    assert_eq!(output, "no process has it\n/tmp/copy\nlooked\n");
    let stop = json!({"type": "stop_sandbox", "id": "stop"});
    server.http.post(format!("{of_project}/commands")).json(&stop).send().await.expect("a reply");
    assert!(!server.ended().await.contains(PLANTED), "the log has it");
}
