//! In test builds only: `/echo` says everything again, over sockets that are set up and served like all others. The Autobahn
//! testsuite examines them.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::Response,
};
use clap::Parser as _;
use futures_util::SinkExt as _;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::{HttpState, sized};
use crate::{cli::Cli, server::RunningServer};

/// Framing, pings, reserved bits, opcodes, fragments, UTF-8, closing, large messages, automatic fragments. 12 and 13 are
/// about compression, which is not offered.
const CASES: [&str; 10] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.1.1", "9.2.1", "10.*"];
/// How many those are.
const CASE_COUNT: usize = 249;
/// Longest the examination may take; on a quiet machine it is a quarter of a minute.
const EXAMINATION_TIME_MAX: Duration = Duration::from_secs(240);

/// `GET /echo`
pub(crate) async fn upgrade(State(state): State<HttpState>, upgrade: WebSocketUpgrade) -> Response {
    let tasks = state.tasks.clone();
    sized(upgrade).on_upgrade(move |socket| tasks.track_future(echo(socket)))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let said = match message {
            Message::Text(_) | Message::Binary(_) => socket.feed(message).await,
            // Answered by the library.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(()),
        };
        if said.is_err() || socket.flush().await.is_err() {
            return;
        }
    }
}

/// What the examiner says about one case.
#[derive(Debug, Deserialize)]
struct Verdict {
    behavior: String,
    #[serde(rename = "behaviorClose")]
    behavior_close: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn autobahn_finds_no_fault() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let Some(packages) = packages(&python) else { return };
    let data = folder.path().join("data");
    let arguments = ["cobuild", "--port", "0", "--sandbox-provider", "none", "--data-dir"];
    let config = Cli::parse_from(arguments.into_iter().chain(data.to_str())).config;
    let server = RunningServer::start(&config).await.expect("a server");
    let reports = folder.path().join("reports");
    let spec = folder.path().join("spec.json");
    let url = format!("ws://{}/echo", server.address());
    let servers = json!([{ "agent": "cobuild", "url": url }]);
    let wanted = json!({ "outdir": reports, "servers": servers, "cases": CASES, "exclude-cases": [] });
    std::fs::write(&spec, wanted.to_string()).expect("written");

    let mut examiner = tokio::process::Command::new(&python);
    examiner.arg(examiners().join("autobahn.py")).arg(packages).arg(&spec).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(EXAMINATION_TIME_MAX, examiner.output()).await.expect("in time").expect("python runs");
    let report = std::fs::read(reports.join("index.json"));
    let report = report.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let mut agents: BTreeMap<String, BTreeMap<String, Verdict>> = serde_json::from_slice(&report).expect("JSON");
    let verdicts = agents.remove("cobuild").expect("our verdicts");
    assert_eq!(verdicts.len(), CASE_COUNT);
    let passes = |verdict: &str| matches!(verdict, "OK" | "NON-STRICT" | "INFORMATIONAL");
    let failed: Vec<_> =
        verdicts.iter().filter(|(_, case)| !passes(&case.behavior) || !passes(&case.behavior_close)).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let count = |kind: &str| verdicts.values().filter(|case| case.behavior == kind).count();
    println!("{} OK, {} NON-STRICT, {} INFORMATIONAL", count("OK"), count("NON-STRICT"), count("INFORMATIONAL"));
    server.shutdown().await;
}

fn examiners() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examiners")
}

/// A Python 2.7, which is what the testsuite is written in.
fn python() -> Option<PathBuf> {
    let in_home = std::env::home_dir().into_iter().flat_map(|home| {
        let versions = std::fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten().flatten();
        versions.map(|version| version.path().join("bin/python2.7"))
    });
    let found = [PathBuf::from("python2.7")].into_iter().chain(in_home).find(|python| {
        // A shim on the path may stand for a version that is not switched on.
        let pip = Command::new(python).args(["-m", "pip", "--version"]).stderr(Stdio::null()).output();
        pip.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        not_run("the Autobahn testsuite needs Python 2.7 with pip (such as pyenv's 2.7.18)");
    }
    found
}

/// The folder with the testsuite, installed on first use.
fn packages(python: &Path) -> Option<PathBuf> {
    let test = std::env::current_exe().expect("this test");
    // `target/debug/deps/<test>`: beside the build, so that it goes with it.
    let folder = test.ancestors().nth(3).expect("the build's folder").join("tmp/autobahn");
    let requirements = examiners().join("autobahn.txt");
    let stamp = folder.join("requirements.txt");
    std::fs::create_dir_all(&folder).expect("a folder");
    // Tests may run in processes of their own; only one of them installs.
    let lock = File::create(folder.with_extension("lock")).expect("a lock file");
    lock.lock().expect("the lock");
    let wanted = std::fs::read(&requirements).expect("requirements");
    if std::fs::read(&stamp).is_ok_and(|have| have == wanted) {
        return Some(folder);
    }
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"]);
    pip.arg(&folder).arg("--requirement").arg(&requirements).stdin(Stdio::null());
    let output = pip.output().expect("python runs");
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        not_run(&format!("the Autobahn testsuite cannot be installed: {}", reason.lines().last().unwrap_or_default()));
        return None;
    }
    std::fs::write(stamp, wanted).expect("a stamp");
    Some(folder)
}

/// Says that something could not be tested on this machine, and why; `scripts/test` repeats it at the end.
fn not_run(what: &str) {
    eprintln!("NOT RUN: {what}");
    let Some(path) = std::env::var_os("COBUILD_TEST_SKIPPED") else { return };
    let mut file = File::options().append(true).create(true).open(path).expect("scripts/test made it");
    writeln!(file, "{what}").expect("written");
}
