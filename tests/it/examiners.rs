//! What others wrote examines the server: an independent reader of server-sent events, a validator of AsyncAPI. The
//! Autobahn testsuite is with the sockets it examines, in `src/http/ws/echo.rs`.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use cobuild_protocol::value::Outcome;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::{
    Ending, Fault, FaultProxy, History, Pace, Place, Setup, TestServer, WsClient, node_packages, within,
};

const PACKAGES: &str = "tests/examiners";

/// How often the examiner's connection is cut, and after how many more bytes each time.
const CUTS: usize = 4;
const CUT_AFTER_BYTES: usize = 4000;

/// npm `eventsource` follows a run over a network that cuts it off again and again: what it was told, put together, is the
/// log, byte for byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventsource_resumes() {
    let Some(folder) = node_packages(PACKAGES, "eventsource") else { return };
    let setup = Setup { pause: std::time::Duration::from_millis(3), ..Setup::default() };
    let server = TestServer::start_with(setup).await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    let proxy = FaultProxy::start(server.address).await;
    for cut in 0..CUTS {
        let ending = if cut % 2 == 0 { Ending::Reset } else { Ending::HalfClose };
        proxy.plan(Fault { place: Place::Down(CUT_AFTER_BYTES * (cut + 1)), ending, pace: Pace::AsTheyCome });
    }
    let url = format!("http://{}/api/v1/projects/p/events?since={}:0", proxy.address, client.epoch());
    let mut examiner = tokio::process::Command::new("node")
        .args([folder.join("eventsource.mjs").to_str().expect("a path of text"), &url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node runs");
    let mut lines = BufReader::new(examiner.stdout.take().expect("piped")).lines();
    let mut seen: Vec<Value> = Vec::new();
    let run = client.ask("words 300").await;
    assert_eq!(client.finished(run).await, Outcome::Completed);
    let log = server.log("p").await;
    let log = History::of(0, &log);
    let mut heard = History::after(0);
    within("the examiner has everything", async {
        while heard.last < log.last {
            let line = lines.next_line().await.expect("text").expect("the examiner lives");
            let event: Value = serde_json::from_str(&line).expect("JSON");
            heard.push(event["data"].as_str().expect("an event"));
            assert_eq!(event["id"], format!("{}:{}", client.epoch(), heard.last));
            seen.push(event);
        }
    })
    .await;
    assert_eq!(heard, log);
    let connections = seen.last().expect("events")["connections"].as_u64().expect("a number");
    assert!(connections > CUTS as u64, "it was cut off {CUTS} times and came back: {connections} connections");
}

#[test]
fn asyncapi_accepts_our_document() {
    let Some(folder) = node_packages(PACKAGES, "AsyncAPI's parser") else { return };
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol/schema/asyncapi.json");
    let output = Command::new("node").arg(folder.join("asyncapi.mjs")).arg(document).output().expect("node runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for channel in ["/api/v1/projects/{project}/ws", "/api/v1/projects/{project}/events"] {
        assert!(found["channels"][channel].as_u64() > Some(20), "{channel}: {found}");
    }
}
