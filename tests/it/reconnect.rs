//! A whole crowd comes back at the same moment.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cobuild_protocol::{Cursor, frame::AttachMode};
use tokio::{sync::Barrier, task::JoinSet};

use crate::support::{History, TestServer, WsClient};

const CROWD: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_of_one_room_come_back_at_once() {
    let server = TestServer::start().await;
    server.create("p").await;
    // They have all been here; whoever comes back soon enough has never left.
    let (_, mut since) = miss_something(&server, "p").await;
    for number in 0..CROWD {
        let mut client = WsClient::attach_as(&server, "p", &name(number), Some(since.clone())).await;
        since.seq = client.synced().await;
    }
    let places = [miss_something(&server, "p").await];
    come_back("one room, after a cut", server, &places).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_of_ten_rooms_come_back_at_once_after_a_restart() {
    let mut server = TestServer::start().await;
    let mut places = Vec::new();
    for room in 0..10 {
        let project = format!("p{room}");
        server.create(&project).await;
        places.push(miss_something(&server, &project).await);
    }
    server.restart().await;
    come_back("ten rooms, after a restart", server, &places).await;
}

/// A room and a place in its log.
type Place = (String, Cursor);

fn name(number: usize) -> String {
    format!("client {number}")
}

/// A run; returns the place before it.
async fn miss_something(server: &TestServer, project: &str) -> Place {
    let mut prompter = WsClient::attach(server, project).await;
    let since = Cursor { epoch: prompter.epoch(), seq: prompter.last };
    let run = prompter.ask("words 20").await;
    prompter.finished(run).await;
    (project.to_owned(), since)
}

/// Everybody at once; prints how long each waited until it had everything it had missed.
async fn come_back(when: &str, server: TestServer, places: &[Place]) {
    let (server, start) = (Arc::new(server), Arc::new(Barrier::new(CROWD)));
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let (server, start) = (Arc::clone(&server), Arc::clone(&start));
        let (project, since) = places[number % places.len()].clone();
        crowd.spawn(async move {
            start.wait().await;
            let began = Instant::now();
            let mut client = WsClient::attach_as(&server, &project, &name(number), Some(since.clone())).await;
            assert_eq!(client.welcome.mode, AttachMode::Resumed);
            client.synced().await;
            (began.elapsed(), project, since, client)
        });
    }
    println!("Coming back");
    let mut waits: Vec<Duration> = Vec::new();
    for (wait, project, since, client) in crowd.join_all().await {
        let log = server.log_from(&project, since.seq + 1).await;
        let (seen, log) = (History::of(since.seq, &client.lines), History::of(since.seq, &log));
        assert!(seen.is_beginning_of(&log), "{seen:?}, not {log:?}");
        waits.push(wait);
    }
    waits.sort_unstable();
    let at = |percent: usize| waits[(waits.len() * percent / 100).min(waits.len() - 1)];
    println!("{when}: {} resumed, p50 {:?}, p99 {:?}, max {:?}", waits.len(), at(50), at(99), at(100));
}
