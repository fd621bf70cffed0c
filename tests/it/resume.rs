//! Coming back: whatever the moment and the way in, the pieces put together are the log.

use std::time::Duration;

use cobuild_protocol::{Cursor, Epoch, Seq, frame::AttachMode, value::Outcome};
use futures_util::StreamExt as _;

use crate::support::{History, Received, Setup, TestServer, WsClient, run_of, within};

#[tokio::test]
async fn over_websocket_from_every_place() {
    let server = TestServer::start().await;
    server.create("p").await;
    let (epoch, log) = watched_run(&server).await;
    for cut in 0..=log.len() {
        let since = Cursor { epoch: epoch.clone(), seq: cut as Seq };
        let mut back = WsClient::attach_since(&server, "p", Some(since)).await;
        let expected = if cut == log.len() { AttachMode::Live } else { AttachMode::Resumed };
        assert_eq!(back.welcome.mode, expected, "{cut}");
        back.synced().await;
        let mut seen = History::of(0, &log[..cut]);
        back.lines.iter().for_each(|line| seen.push(line));
        assert_eq!(seen, History::of(0, &log), "{cut}");
    }
}

/// A run, and every event up to its end as somebody saw it who was there from the first on.
async fn watched_run(server: &TestServer) -> (Epoch, Vec<String>) {
    let epoch = WsClient::attach(server, "p").await.epoch();
    let since = Cursor { epoch: epoch.clone(), seq: 0 };
    let mut client = WsClient::attach_since(server, "p", Some(since)).await;
    let run = client.ask("words 40").await;
    assert_eq!(client.finished(run).await, Outcome::Completed);
    assert!(client.lines.len() as Seq == client.last && client.last > 40, "one by one");
    (epoch, client.lines)
}

#[tokio::test]
async fn over_websocket_cut_again_and_again_while_it_streams() {
    let setup = Setup { pause: Duration::from_millis(2), ..Setup::default() };
    let server = TestServer::start_with(setup).await;
    server.create("p").await;
    let mut watcher = WsClient::attach(&server, "p").await;
    let start = Cursor { epoch: watcher.epoch(), seq: 0 };
    let run = watcher.ask("words 300").await;
    let (mut lines, mut since, mut cuts) = (Vec::new(), start, 0);
    'run: loop {
        let mut client = WsClient::attach_since(&server, "p", Some(since.clone())).await;
        // Each time another number of events, so that the cuts fall everywhere.
        let mut left = 1 + cuts % 7;
        while left > 0 {
            if let Received::Event(event, _) = client.next().await {
                left -= 1;
                if event.run == Some(run) && matches!(event.event, cobuild_protocol::Event::RunFinished(_)) {
                    lines.append(&mut client.lines);
                    break 'run;
                }
            }
        }
        since.seq = client.last;
        lines.append(&mut client.lines);
        cuts += 1;
        drop(client);
    }
    assert!(cuts > 20, "{cuts} cuts");
    let log = server.log("p").await;
    let (seen, log) = (History::of(0, &lines), History::of(0, &log));
    assert!(seen.is_beginning_of(&log), "{seen:?}, not {log:?}");
}

#[tokio::test]
async fn a_place_in_another_log_gets_a_snapshot() {
    let server = TestServer::start().await;
    server.create("p").await;
    let client = WsClient::attach(&server, "p").await;
    let (epoch, head) = (client.epoch(), client.welcome.head);
    for since in [Cursor { epoch: "other".parse().expect("valid"), seq: 1 }, Cursor { epoch, seq: head + 1000 }] {
        let mut back = WsClient::attach_since(&server, "p", Some(since)).await;
        assert_eq!(back.welcome.mode, AttachMode::Snapshot);
        back.synced().await;
        assert!(back.lines.is_empty());
    }
}

#[tokio::test]
async fn after_a_restart_nothing_is_missing() {
    let mut server = TestServer::start().await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    let run = client.ask("hang").await;
    client.event(|frame| matches!(frame.event, cobuild_protocol::Event::TextDelta(_)).then_some(())).await;
    let since = Cursor { epoch: client.epoch(), seq: client.last };
    let before = client.lines.clone();
    server.restart().await;
    let mut back = WsClient::attach_since(&server, "p", Some(since)).await;
    assert_eq!(back.welcome.mode, AttachMode::Resumed);
    assert_eq!(back.finished(run).await, Outcome::Interrupted);
    let seen: Vec<String> = before.into_iter().chain(back.lines.clone()).collect();
    let from = client.welcome.head;
    let (seen, log) = (History::of(from, &seen), History::of(from, &server.log_from("p", from + 1).await));
    assert!(seen.is_beginning_of(&log), "{seen:?}, not {log:?}");
}

/// Runs end, their deltas become few frames in the store, and every place within these is still one to come back to.
#[tokio::test]
async fn from_every_place_of_a_compacted_log() {
    let mut server = TestServer::start().await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    let run = run_of(client.command(serde_json::json!({ "type": "generate", "prompt": "words 150" })).await);
    assert_eq!(client.finished(run).await, Outcome::Completed);
    let (epoch, from, head) = (client.epoch(), client.welcome.head, client.last);
    // What is in memory is one by one, so that it comes from the store: a log just loaded.
    server.restart().await;
    within("compaction", async { while server.log("p").await.len() > 50 {} }).await;
    let whole = History::of(from, &client.lines);
    let rest = History::of(from, &server.log_from("p", from + 1).await);
    assert!(whole.is_beginning_of(&rest), "{whole:?}, not {rest:?}");
    for cut in from..head {
        let since = Cursor { epoch: epoch.clone(), seq: cut };
        let mut back = WsClient::attach_since(&server, "p", Some(since)).await;
        assert_eq!(back.welcome.mode, AttachMode::Resumed, "{cut}");
        back.synced().await;
        let place = format!("{epoch}:{cut}");
        let by_sse = read_sse(&server, "", Some(&place), back.lines.len()).await;
        let by_sse: Vec<String> = by_sse.into_iter().map(|event| event.data).collect();
        let by_log = server.log_from("p", cut + 1).await;
        let before = usize::try_from(cut - from).expect("small");
        for came in [&back.lines, &by_sse, &by_log] {
            let mut seen = History::of(from, &client.lines[..before]);
            came.iter().for_each(|line| seen.push(line));
            assert!(whole.is_beginning_of(&seen), "{cut}: {seen:?}, not {whole:?}");
        }
    }
}

/// One server-sent event.
#[derive(Debug, Default, Clone, PartialEq)]
struct Sse {
    event: Option<String>,
    id: Option<String>,
    data: String,
}

/// Whether an event is the end of a run.
fn is_end(line: &str) -> bool {
    line.starts_with(r#"{"type":"run_finished""#)
}

/// Reads events until there are `count` or a run has ended with the last one, then hangs up.
async fn read_sse(server: &TestServer, query: &str, last_event_id: Option<&str>, count: usize) -> Vec<Sse> {
    let mut request = server.http.get(server.url(&format!("/api/v1/projects/p/events{query}")));
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    let mut chunks = answer.bytes_stream();
    let (mut text, mut events) = (Vec::new(), Vec::new());
    while events.len() < count && !events.last().is_some_and(|event: &Sse| is_end(&event.data)) {
        text.extend_from_slice(&within("a chunk", chunks.next()).await.expect("more").expect("whole"));
        while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
            let block = String::from_utf8(text.drain(..end + 2).collect()).expect("UTF-8");
            let mut event = Sse::default();
            for line in block.lines() {
                match line.split_once(": ") {
                    Some(("event", value)) => event.event = Some(value.into()),
                    Some(("id", value)) => event.id = Some(value.into()),
                    Some(("data", value)) => event.data.push_str(value),
                    _ => {}
                }
            }
            if !event.data.is_empty() {
                events.push(event);
            }
        }
    }
    events
}

#[tokio::test]
async fn over_sse_from_every_place() {
    let server = TestServer::start().await;
    server.create("p").await;
    let (epoch, log) = watched_run(&server).await;
    for cut in 0..log.len() {
        let left = log.len() - cut;
        let place = format!("{epoch}:{cut}");
        let by_header = read_sse(&server, "?since=other:1", Some(&place), left).await;
        let by_query = read_sse(&server, &format!("?since={place}"), None, left).await;
        for events in [by_header, by_query] {
            let mut seen = History::of(0, &log[..cut]);
            for event in &events {
                seen.push(&event.data);
                assert_eq!((&event.id, &event.event), (&Some(format!("{epoch}:{}", seen.last)), &None));
            }
            assert_eq!(seen, History::of(0, &log), "{cut}");
        }
    }
}

#[tokio::test]
async fn over_sse_cut_again_and_again_while_it_streams() {
    let setup = Setup { pause: Duration::from_millis(2), ..Setup::default() };
    let server = TestServer::start_with(setup).await;
    server.create("p").await;
    let mut watcher = WsClient::attach(&server, "p").await;
    let mut place = format!("{}:0", watcher.epoch());
    watcher.ask("words 200").await;
    let (mut lines, mut cuts) = (Vec::new(), 0);
    while !lines.last().is_some_and(|line: &String| is_end(line)) {
        for event in read_sse(&server, "", Some(&place), 1 + cuts % 5).await {
            place = event.id.expect("every event has an id");
            lines.push(event.data);
        }
        cuts += 1;
    }
    assert!(cuts > 10, "{cuts} cuts");
    let (seen, log) = (History::of(0, &lines), History::of(0, &server.log("p").await));
    assert!(seen.is_beginning_of(&log), "{seen:?}, not {log:?}");
}

#[tokio::test]
async fn over_sse_a_place_in_another_log_gets_one_reset() {
    let server = TestServer::start().await;
    server.create("p").await;
    let epoch = WsClient::attach(&server, "p").await.epoch();
    for (query, header) in [
        ("", None),
        ("?since=other:1", None),
        ("", Some("nonsense")),
        ("", Some("other:5")),
        ("", Some(format!("{epoch}:99999").as_str())),
    ] {
        let events = read_sse(&server, query, header, 1).await;
        assert_eq!(events[0].event.as_deref(), Some("reset"), "{query} {header:?}");
        let snapshot: serde_json::Value = serde_json::from_str(&events[0].data).expect("JSON");
        assert_eq!(snapshot["type"], "snapshot");
        assert_eq!(events[0].id, Some(format!("{epoch}:{}", snapshot["seq"])));
        // What follows the reset is what follows its place.
        let rest = read_sse(&server, "", events[0].id.as_deref(), 0).await;
        assert!(rest.is_empty());
    }
    let answer =
        server.http.get(server.url("/api/v1/projects/p/events?since=nonsense")).send().await.expect("an answer");
    assert_eq!(answer.status(), 400);
}
