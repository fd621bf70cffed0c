//! Installs that fail: each ends its run within its time, in npm's own words, and the project goes on.
//!
//! The whole server with a real sandbox. What stands for a registry out of reach is a proxy of the test's own, through which
//! the sandbox's way out leads.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use cobuild::{project::ProjectSettings, sandbox::local::LocalConfig};
use cobuild_protocol::{
    ErrorBody, ErrorCode, Event, RunId,
    frame::ControlFrame,
    value::{Outcome, OutputStream},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

use crate::{
    sandbox_support::{create, local_config, local_provider, local_provider_with},
    support::{Received, Setup, TestServer, WsClient, run_of},
};

/// The time limit of an install in these tests.
const INSTALL_TIME_MAX: Duration = Duration::from_secs(90);
/// Longest wait for anything else: the first sandbox builds the template.
const STEP_TIME_MAX: Duration = Duration::from_secs(300);

/// How the registry is out of reach.
#[derive(Clone, Copy)]
enum Trouble {
    /// Nothing leads there.
    Unreachable,
    /// It takes the connection and never says anything.
    Silent,
}

/// The server's own proxy, which has this trouble with every connection.
async fn proxy(trouble: Trouble) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let answer = match trouble {
                    Trouble::Unreachable => "HTTP/1.1 502 Bad Gateway\r\n\r\n",
                    Trouble::Silent => "HTTP/1.1 200 Connection Established\r\n\r\n",
                };
                let _ = socket.write_all(answer.as_bytes()).await;
                // Until the other side gives up.
                let mut buffer = [0; 1024];
                while let Ok(1..) = socket.read(&mut buffer).await {}
            });
        }
    });
    address
}

/// A server whose sandboxes are real; `None`, said loudly, where they cannot be made.
async fn server(suite: &str, config: LocalConfig) -> Option<TestServer> {
    // The template comes from the registry as it is.
    let whole = local_provider(suite).await?;
    create(&*whole, Vec::new()).await.stop().await;
    let provider = local_provider_with(suite, config).await?;
    let projects =
        ProjectSettings { sandbox_on_join: false, install_time_max: INSTALL_TIME_MAX, ..ProjectSettings::default() };
    let setup = Setup { sandboxes: Some(provider), projects, ..Setup::default() };
    let server = TestServer::start_with(setup).await;
    server.create("p").await;
    Some(server)
}

async fn accepted(client: &mut WsClient, command: serde_json::Value) -> RunId {
    run_of(client.command(command).await)
}

/// Waits for a run's end. Making a sandbox may take longer than a step of other tests; heartbeats come meanwhile.
async fn end(client: &mut WsClient, run: RunId) -> (Outcome, Option<ErrorBody>) {
    let waiting = async {
        loop {
            match client.next().await {
                Received::Event(frame, _) if frame.run == Some(run) => {
                    if let Event::RunFinished(finished) = frame.event {
                        return (finished.outcome, finished.error);
                    }
                }
                Received::Closed(code, reason) => panic!("closed with {code:?} {reason}"),
                _ => {}
            }
        }
    };
    timeout(STEP_TIME_MAX, waiting).await.expect("the run ends")
}

/// Installs what cannot be had; returns the error and how long it took. Afterwards everything else works.
async fn fails(server: &TestServer) -> (ErrorBody, Duration) {
    let mut client = WsClient::attach(server, "p").await;
    // So that only the install is timed.
    let warm_up = accepted(&mut client, json!({ "type": "exec", "command": "true" })).await;
    assert_eq!(end(&mut client, warm_up).await.0, Outcome::Completed);
    let began = Instant::now();
    let run =
        accepted(&mut client, json!({ "type": "install", "packages": ["no-such-package-of-cobuild-tests"] })).await;
    let (outcome, error) = end(&mut client, run).await;
    let took = began.elapsed();
    assert_eq!(outcome, Outcome::Failed);

    let wrote = client.command(json!({ "type": "write_file", "path": "notes.txt", "content": "still here" })).await;
    assert!(matches!(wrote, ControlFrame::Accepted(_)), "{wrote:?}");
    let run = accepted(&mut client, json!({ "type": "exec", "command": "cat notes.txt" })).await;
    assert_eq!(end(&mut client, run).await.0, Outcome::Completed);
    let said = client.lines.iter().filter(|line| line.contains(r#""type":"exec_output""#)).any(|line| {
        let frame: cobuild_protocol::EventFrame = serde_json::from_str(line).expect("an event");
        matches!(&frame.event, Event::ExecOutput(output)
            if output.stream == OutputStream::Stdout && output.text.contains("still here"))
    });
    assert!(said, "the sandbox has what was written after the failure");
    let answer = client.ask("words 3").await;
    assert_eq!(client.finished(answer).await, Outcome::Completed);
    (error.expect("a reason"), took)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_does_not_exist() {
    let Some(server) = server("installs: no such package", local_config()).await else { return };
    let (error, took) = fails(&server).await;
    assert!(error.message.contains("npm: code E404"), "{error:?}");
    assert!(took < INSTALL_TIME_MAX, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_cannot_be_reached() {
    let upstream = format!("http://{}", proxy(Trouble::Unreachable).await);
    let config = LocalConfig { upstream_proxy: Some(upstream), ..local_config() };
    let Some(server) = server("installs: no registry", config).await else { return };
    let (error, took) = fails(&server).await;
    assert!(error.message.starts_with("npm: ") && error.message.contains("502"), "{error:?}");
    assert!(took < INSTALL_TIME_MAX, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_says_nothing() {
    let upstream = format!("http://{}", proxy(Trouble::Silent).await);
    let config = LocalConfig { upstream_proxy: Some(upstream), ..local_config() };
    let Some(server) = server("installs: a silent registry", config).await else { return };
    let (error, took) = fails(&server).await;
    assert_ne!(error.code, ErrorCode::SandboxTimeout, "npm gives up first, and says why: {error:?}");
    assert!(error.message.starts_with("npm: ") && error.message.contains("network"), "{error:?}");
    assert!(took < INSTALL_TIME_MAX, "{took:?}");
}
