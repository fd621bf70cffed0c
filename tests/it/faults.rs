//! A bad network between clients and the server: whatever it does, the pieces put together are the log.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cobuild_protocol::Seq;

use crate::support::{Ended, Fault, FaultProxy, History, Seed, Setup, TestServer, Visitor, WsClient, write_own_files};

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
