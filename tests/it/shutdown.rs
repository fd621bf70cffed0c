//! The end of a server, and what its clients are told.

use cobuild_protocol::{Event, value::Outcome};
use futures_util::StreamExt as _;

use crate::support::{Received, TestServer, WsClient, eventually, open, receive, within};

#[tokio::test]
async fn clients_are_told_to_come_back_and_runs_get_their_end() {
    let mut server = TestServer::start().await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    let run = client.ask("hang").await;
    client.event(|frame| matches!(frame.event, Event::TextDelta(_)).then_some(())).await;
    let watched = tokio::spawn(async move {
        let outcome = client.finished(run).await;
        (outcome, client.closed().await)
    });
    server.shut_down().await;
    let (outcome, (code, reason)) = within("the end", watched).await.expect("no panic");
    assert_eq!((outcome, code), (Outcome::Interrupted, Some(4000)));
    assert!(reason.contains("retry_after_ms="), "{reason}");
    eventually("the model's stream is dropped", || server.model.open() == 0).await;
}

#[tokio::test]
async fn those_who_have_not_said_hello_are_told_too() {
    let mut server = TestServer::start().await;
    server.create("p").await;
    let mut socket = open(&server, "p").await;
    let told = tokio::spawn(async move { receive(&mut socket).await });
    server.shut_down().await;
    let told = within("the close", told).await.expect("no panic");
    assert!(matches!(told, Received::Closed(Some(4000), _)), "{told:?}");
}

#[tokio::test]
async fn event_streams_end() {
    let mut server = TestServer::start().await;
    server.create("p").await;
    let answer = server.http.get(server.url("/api/v1/projects/p/events")).send().await.expect("an answer");
    let mut chunks = answer.bytes_stream();
    assert!(within("the reset", chunks.next()).await.is_some());
    let rest = tokio::spawn(async move { while let Some(Ok(_)) = chunks.next().await {} });
    server.shut_down().await;
    within("the end", rest).await.expect("no panic");
}

#[tokio::test]
async fn the_port_is_free_again() {
    let mut server = TestServer::start().await;
    let address = server.address;
    server.shut_down().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
