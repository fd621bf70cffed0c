//! `GET /metrics`: what operators see. Who may is in `auth`.

use std::time::Duration;

use cobuild_protocol::value::Outcome;
use futures_util::SinkExt as _;

use crate::support::{Received, TestServer, WsClient, open, receive, within};

/// The value of a line of the text format, if it is there; names with labels are written as there.
fn find(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().expect("a number"))
}

fn value(text: &str, name: &str) -> f64 {
    find(text, name).unwrap_or_else(|| panic!("{name} is missing:\n{text}"))
}

async fn scrape(server: &TestServer) -> String {
    let answer = server.http.get(server.url("/metrics")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    answer.text().await.expect("text")
}

/// Waits for a figure that follows what clients see.
async fn reaches(server: &TestServer, name: &str, wanted: impl Fn(f64) -> bool) {
    within(name, async {
        while !wanted(value(&scrape(server).await, name)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Other tests may run in this process, so figures are compared with what they were.
#[tokio::test]
async fn a_run_and_its_viewers_are_counted() {
    const COMPLETED: &str = r#"cobuild_runs_finished_total{kind="generate",outcome="completed"}"#;
    const SOCKETS: &str = r#"cobuild_connections{transport="websocket"}"#;
    const DELIVERED: &str = r#"cobuild_events_delivered_total{transport="websocket"}"#;
    let server = TestServer::start().await;
    let before = scrape(&server).await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    client.synced().await;
    reaches(&server, SOCKETS, |open| open >= 1.0).await;
    let run = client.ask("words 5").await;
    assert_eq!(client.finished(run).await, Outcome::Completed);
    let after = scrape(&server).await;
    // What was never measured is not there before.
    let grown = |name: &str| value(&after, name) - find(&before, name).unwrap_or_default();
    assert!(grown(COMPLETED) >= 1.0);
    assert!(grown("cobuild_events_appended_total") >= 8.0);
    assert!(grown("cobuild_append_seconds_count") >= 2.0);
    assert!(grown(r#"cobuild_append_seconds_bucket{le="+Inf"}"#) >= 2.0);
    assert!(grown(r#"cobuild_http_responses_total{status="2xx"}"#) >= 1.0);
    assert!(value(&after, "cobuild_projects_loaded") >= 1.0);
    assert!(value(&after, "process_resident_memory_bytes") > 1e6);
    reaches(&server, DELIVERED, |delivered| delivered >= value(&before, DELIVERED) + 7.0).await;
    assert!(value(&after, r#"cobuild_model_calls_total{vendor="test"}"#) >= 1.0);
}

#[tokio::test]
async fn a_close_is_counted_by_its_code() {
    const PROTOCOL: &str = r#"cobuild_connections_closed_total{code="4505"}"#;
    let server = TestServer::start().await;
    server.create("p").await;
    let before = value(&scrape(&server).await, PROTOCOL);
    let mut socket = open(&server, "p").await;
    socket.send("no hello".into()).await.expect("sent");
    let Received::Closed(code, _) = receive(&mut socket).await else { panic!("must be closed") };
    assert_eq!(code, Some(4505));
    reaches(&server, PROTOCOL, |closed| closed >= before + 1.0).await;
}

/// `docs/operating.md` names every figure there is.
#[tokio::test]
async fn every_figure_is_documented() {
    let docs = include_str!("../../docs/operating.md");
    let server = TestServer::start().await;
    server.create("p").await;
    let text = scrape(&server).await;
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(docs.contains(&format!("`{name}`")), "docs/operating.md does not know {name}");
    }
}
