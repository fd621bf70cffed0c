//! A bad network between clients and the server: whatever it does, the pieces put together are the log.

use std::{
    collections::HashMap,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use cobuild::client::{Notice, Phase, Reply, RoomOptions, Server};
use cobuild_protocol::Seq;
use rand::RngExt as _;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::support::{
    Ended, Ending, Fault, FaultProxy, History, Pace, Place, Seed, Setup, TestServer, Visitor, WsClient, node_packages,
    write_own_files,
};

/// Connections that end badly, over both ways in together.
const CUTS: usize = 1000;
/// Clients over each way in.
const VISITORS: usize = 8;

/// How a visitor comes.
#[derive(Debug, Clone, Copy)]
enum Way {
    WebSocket,
    EventStream,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_cuts_lose_and_repeat_nothing() {
    let seed = Seed::new();
    let setup = Setup { pause: Duration::from_millis(4), ..Setup::default() };
    let server = TestServer::start_with(setup).await;
    server.create("p").await;
    let mut prompter = WsClient::attach(&server, "p").await;
    let epoch = prompter.epoch();
    let cuts = Arc::new(AtomicUsize::new(0));
    let mut visits = tokio::task::JoinSet::new();
    for number in 0..2 * VISITORS {
        let way = if number % 2 == 0 { Way::WebSocket } else { Way::EventStream };
        let visitor = Visitor::new(format!("v{number}"), "p", epoch.clone()).doing(write_own_files);
        let proxy = FaultProxy::start(server.address).await;
        let (cuts, mut rng) = (Arc::clone(&cuts), seed.of(number as u64));
        visits.spawn(async move {
            let mut visitor = visitor;
            while cuts.fetch_add(1, Ordering::SeqCst) < CUTS {
                proxy.plan(Fault::random(&mut rng));
                visit(&mut visitor, way, &proxy, Seq::MAX).await;
            }
            (visitor, way, proxy)
        });
    }
    // There is something to miss all the time.
    while cuts.load(Ordering::SeqCst) < CUTS {
        let run = prompter.ask("words 200").await;
        prompter.finished(run).await;
    }
    let mut visits = visits.join_all().await;
    // Now the network is good: what is left gets its reply, and one connection brings the rest of the log.
    for (visitor, way, proxy) in &mut visits {
        visitor.rest();
        assert_eq!(visit(visitor, *way, proxy, 1).await, Ended::Reached);
    }
    let log = server.log("p").await;
    let (history, effects) = (History::of(0, &log), effects_of(&log));
    println!("{} events, {CUTS} cuts", history.last);
    for (mut visitor, way, proxy) in visits {
        assert_eq!(visit(&mut visitor, way, &proxy, history.last).await, Ended::Reached);
        assert!(history.is_beginning_of(&visitor.history), "{way:?}: {:?}, not {history:?}", visitor.history);
        if visitor.history.last == history.last {
            assert_eq!(visitor.history.text_hash(), history.text_hash());
        }
        assert!(visitor.synced > 3 || matches!(way, Way::EventStream), "{}", visitor.synced);
        for (id, _) in &visitor.commands {
            assert_eq!(effects.get(id.as_str()), Some(&1), "{id}: {:?}", visitor.replies[id]);
        }
    }
}

/// How many events each command has led to directly.
fn effects_of(log: &[String]) -> HashMap<&str, usize> {
    let mut effects = HashMap::new();
    for line in log {
        if let Some((_, rest)) = line.rsplit_once(r#""command":""#) {
            *effects.entry(rest.trim_end_matches(r#""}"#)).or_default() += 1;
        }
    }
    effects
}

async fn visit(visitor: &mut Visitor, way: Way, proxy: &FaultProxy, until: Seq) -> Ended {
    match way {
        Way::WebSocket => visitor.over_websocket(proxy.address, until).await,
        Way::EventStream => visitor.over_sse(proxy.address, until).await,
    }
}

/// How often each of the shipped clients is cut off. Few, since they wait longer after each.
const CLIENT_CUTS: usize = 8;
/// No request for a WebSocket is shorter.
const REQUEST_SIZE_BYTES_MIN: usize = 150;
/// Commands they send meanwhile, one after the other.
const CLIENT_COMMANDS: usize = 100;

/// A server, and a way to it that is cut again and again.
async fn cut_off_again_and_again(seed: &Seed, number: u64) -> (TestServer, FaultProxy) {
    let server = TestServer::start_with(Setup { pause: Duration::from_millis(4), ..Setup::default() }).await;
    server.create("p").await;
    let proxy = FaultProxy::start(server.address).await;
    let mut rng = seed.of(number);
    for cut in 0..CLIENT_CUTS {
        // Well into the stream, but for the first two.
        let place = match Fault::random(&mut rng).place {
            // By the second, all commands may be sent: then nothing goes up for certain but the request to be let in.
            Place::Up(bytes) if cut == 1 => Place::Up(bytes.min(REQUEST_SIZE_BYTES_MIN)),
            place if cut < 2 => place,
            _ => Place::Down(rng.random_range(12_000..24_000)),
        };
        // No stalls: silence is noticed only after two heartbeats, and before a snapshot after minutes.
        let ending = [Ending::Reset, Ending::HalfClose][cut % 2];
        proxy.plan(Fault { place, ending, pace: Pace::AsTheyCome });
    }
    (server, proxy)
}

/// Runs until told that it is enough, so that there is something to miss all the time.
async fn prompt_until(server: &TestServer, enough: &AtomicBool) {
    let mut prompter = WsClient::attach(server, "p").await;
    while !enough.load(Ordering::SeqCst) {
        let run = prompter.ask("words 200").await;
        prompter.finished(run).await;
    }
}

/// What a shipped client was told is the log from where it began, and each of its commands is in it once.
async fn is_the_log(server: &TestServer, heard: &History, from: Seq, ids: impl Iterator<Item = String>) {
    let log = server.log_from("p", from + 1).await;
    let (history, effects) = (History::of(from, &log), effects_of(&log));
    assert!(heard.is_beginning_of(&history), "{heard:?}, not {history:?}");
    for id in ids {
        assert_eq!(effects.get(id.as_str()), Some(&1), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_client_misses_nothing_and_sends_everything_once() {
    let (server, proxy) = cut_off_again_and_again(&Seed::new(), 100).await;
    let address = format!("http://{}", proxy.address);
    let client = Server::new(&address, None).expect("an address");
    let mut room = client.room(&"p".parse().expect("an id"), RoomOptions::named("Ada"));
    let commander = room.commander().clone();
    let id = |number: usize| format!("rust-{number}");
    let send = async {
        for number in 0..CLIENT_COMMANDS {
            let write = json!({ "type": "write_file", "path": format!("rust/{number}.txt"), "content": "x" });
            let (command, id) = (serde_json::from_value(write).expect("a command"), id(number).parse().expect("an id"));
            let reply = commander.send_as(id, command).await;
            assert!(matches!(reply, Ok(Reply::Accepted(_))), "{reply:?}");
        }
    };
    let (enough, mut heard, mut connections) = (AtomicBool::new(false), None::<History>, 0);
    let listen = async {
        tokio::pin!(send);
        let mut sent = false;
        // All faults are behind it when it is in step for long enough to send all.
        while !sent || connections <= CLIENT_CUTS {
            tokio::select! {
                () = &mut send, if !sent => sent = true,
                notice = room.next() => match notice.expect("the room goes on") {
                    Notice::Snapshot { frame, .. } => {
                        assert!(heard.as_ref().is_none_or(|heard| heard.told_nothing()), "it had a place in the log");
                        heard = Some(History::after(frame.seq));
                    }
                    Notice::Event(happened) => heard.as_mut().expect("a beginning").push(&happened.text),
                    Notice::Phase(Phase::Connecting) => connections += 1,
                    Notice::Phase(_) | Notice::Welcome(_) => {}
                    other => panic!("{other:?}"),
                },
            }
        }
        enough.store(true, Ordering::SeqCst);
    };
    within_minutes("all faults", async { tokio::join!(listen, prompt_until(&server, &enough)) }).await;
    let heard = heard.expect("something");
    is_the_log(&server, &heard, heard.beginning(), (0..CLIENT_COMMANDS).map(id)).await;
    println!("{connections} connections, events up to {}", heard.last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_typescript_client_misses_nothing_and_sends_everything_once() {
    let Some(folder) = node_packages("web-demo", "the TypeScript client") else { return };
    let built = tempfile::tempdir().expect("a folder");
    let mut tsc = Command::new(folder.join("node_modules/.bin/tsc"));
    let ended = tsc.arg("-p").arg(folder.join("client")).arg("--outDir").arg(built.path()).status().await;
    assert!(ended.expect("it runs").success(), "the client is built");
    let (server, proxy) = cut_off_again_and_again(&Seed::new(), 101).await;
    let url = format!("ws://{}/api/v1/projects/p/ws", proxy.address);
    let mut watcher = Command::new("node")
        // Where it is not there without.
        .env("NODE_OPTIONS", "--experimental-websocket")
        .arg(folder.join("test/client/watch.mjs"))
        .args([built.path().to_str().expect("text"), &url, &CLIENT_COMMANDS.to_string(), &CLIENT_CUTS.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node runs");
    let mut lines = BufReader::new(watcher.stdout.take().expect("piped")).lines();
    let (enough, mut heard, mut connections) = (AtomicBool::new(false), None::<History>, 0);
    let listen = async {
        while connections == 0 {
            let line = lines.next_line().await.expect("text").expect("it goes on");
            let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            if let Some(seq) = said["snapshot"].as_u64() {
                assert!(heard.as_ref().is_none_or(|heard| heard.told_nothing()), "it had a place in the log");
                heard = Some(History::after(seq));
            } else if said["event"].is_object() {
                heard.as_mut().expect("a beginning").push(&said["event"].to_string());
            } else {
                connections = said["connections"].as_u64().unwrap_or_else(|| panic!("{said}"));
                assert_eq!(said["files"], CLIENT_COMMANDS, "its state has all it wrote");
            }
        }
        enough.store(true, Ordering::SeqCst);
    };
    within_minutes("all commands", async { tokio::join!(listen, prompt_until(&server, &enough)) }).await;
    let heard = heard.expect("something");
    is_the_log(&server, &heard, heard.beginning(), (0..CLIENT_COMMANDS).map(|number| format!("watcher-{number}")))
        .await;
    assert!(connections > CLIENT_CUTS as u64, "{connections} connections");
    println!("{connections} connections, events up to {}", heard.last);
}

/// They wait longer after each loss.
async fn within_minutes<T>(what: &str, future: impl Future<Output = T>) -> T {
    const MINUTES: Duration = Duration::from_secs(240);
    tokio::time::timeout(MINUTES, future).await.unwrap_or_else(|_| panic!("{what}: nothing within {MINUTES:?}"))
}
