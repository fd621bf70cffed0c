//! SIGKILL at random moments under load: what anybody has seen is there, and everything that was begun has an end.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use cobuild_protocol::{
    Epoch, Event, EventFrame, FilePath, RunId, Seq,
    frame::ControlFrame,
    value::{ContentHash, Outcome},
};
use rand::{RngExt as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use crate::support::{Ended, History, Seed, ServerProcess, Visitor, within, write_own_files};

/// Kills, when `COBUILD_KILLS` does not say how many.
const KILLS: usize = 100;
/// Longest life of a server under load.
const LIFE_MAX: Duration = Duration::from_millis(400);
/// Longest life of one that is killed while it starts.
const START_MAX: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_nothing_that_anyone_has_seen() {
    let mut rng = Seed::new().of(0);
    let kills = std::env::var("COBUILD_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let (mut server, address) = start(folder.path()).await;
    let mut house = House { address, http: reqwest::Client::builder().no_proxy().build().expect("a client") };
    let epoch = house.create().await;
    let mut visitors = vec![
        (Way::WebSocket, Visitor::new("writer", "p", epoch.clone()).doing(write_own_files)),
        (Way::WebSocket, Visitor::new("prompter", "p", epoch.clone()).doing(prompt)),
        (Way::WebSocket, Visitor::new("other", "p", epoch.clone()).doing(prompt)),
        (Way::EventStream, Visitor::new("reader", "p", epoch.clone())),
    ];
    let mut log = History::default();
    let mut starts = Vec::new();
    for _ in 0..kills {
        let visits = visit(visitors, house.address);
        sleep(LIFE_MAX.mul_f64(rng.random())).await;
        server.kill().await;
        // A process that is gone has closed its sockets; everybody notices.
        visitors = within("everybody to notice", visits.join_all()).await;
        let began = Instant::now();
        (server, house.address) = start_again(folder.path(), &mut rng).await;
        starts.push(began.elapsed());
        assert_eq!(house.epoch().await, epoch, "the same life of the log");
        house.log_after(log.last).await.iter().for_each(|line| log.push(line));
        for (_, visitor) in &visitors {
            let seen = &visitor.history;
            assert!(seen.last <= log.last, "a client saw event {} of {}", seen.last, log.last);
            assert!(seen.is_beginning_of(&log), "{seen:?}, not {log:?}");
        }
    }
    starts.sort_unstable();
    println!("{kills} kills, {} events; start to ready: median {:?}", log.last, starts[starts.len() / 2]);

    // Everybody gets the replies that are still missing. Then one more kill; what waits goes on after it.
    for (_, visitor) in &mut visitors {
        visitor.rest();
        within("all replies", async { while visitor.over_websocket(house.address, 0).await != Ended::Reached {} })
            .await;
    }
    server.kill().await;
    (server, house.address) = start(folder.path()).await;
    let log = house.settled_log().await;
    let history = History::of(0, &log);
    for (_, visitor) in &mut visitors {
        assert_eq!(visitor.over_websocket(house.address, history.last).await, Ended::Reached);
        assert!(history.is_beginning_of(&visitor.history), "{:?}, not {history:?}", visitor.history);
    }
    assert!((log.len() as Seq) < history.last, "compaction took place: {} frames of {}", log.len(), history.last);
    let events: Vec<EventFrame> = log.iter().map(|line| serde_json::from_str(line).expect("an event")).collect();
    runs_end_once(&events);
    commands_count_once(&events, visitors.iter().map(|(_, visitor)| visitor));
    house.files_are_the_fold(&events).await;
    server.kill().await;
    database_is_sound(&folder.path().join("data/cobuild.db"));
}

#[derive(Debug, Clone, Copy)]
enum Way {
    WebSocket,
    EventStream,
}

/// What somebody does who tries everything. Some of it is refused: there is no such run, the queue is full.
fn prompt(name: &str, number: usize) -> Value {
    match number % 8 {
        0 => json!({ "type": "generate", "prompt": "A todo list" }),
        1 | 4 => json!({ "type": "write_file", "path": format!("{name}/{number}.txt"), "content": name }),
        2 => json!({ "type": "generate", "prompt": "Make it dark" }),
        3 => json!({ "type": "exec", "command": "echo hello" }),
        5 => json!({ "type": "cancel", "run": format!("r{}", number / 2) }),
        6 => json!({ "type": "apply", "reply": format!("<file path=\"{name}/app.js\">{number}</file>") }),
        _ => json!({ "type": "delete_file", "path": format!("{name}/{}.txt", number - 3) }),
    }
}

/// Everybody at once, for as long as the server lives.
fn visit(visitors: Vec<(Way, Visitor)>, address: SocketAddr) -> JoinSet<(Way, Visitor)> {
    visitors
        .into_iter()
        .map(|(way, mut visitor)| async move {
            match way {
                Way::WebSocket => visitor.over_websocket(address, Seq::MAX).await,
                Way::EventStream => visitor.over_sse(address, Seq::MAX).await,
            };
            (way, visitor)
        })
        .collect()
}

async fn start(folder: &Path) -> (ServerProcess, SocketAddr) {
    // As fast as a fast model, so that a kill finds runs at every stage.
    let mut server = ServerProcess::spawn(folder, &["--sandbox-provider", "memory", "--demo-speed", "20000"]);
    let address = server.ready().await;
    (server, address)
}

/// One of several starts is cut off, too.
async fn start_again(folder: &Path, rng: &mut StdRng) -> (ServerProcess, SocketAddr) {
    while rng.random_ratio(1, 4) {
        let server = ServerProcess::spawn(folder, &["--sandbox-provider", "memory"]);
        sleep(START_MAX.mul_f64(rng.random())).await;
        server.kill().await;
    }
    start(folder).await
}

/// Every run has one terminal event, and it is the run's last. What waits outlives a kill: only what had begun is cut off.
fn runs_end_once(events: &[EventFrame]) {
    let mut ends: HashMap<RunId, Option<Outcome>> = HashMap::new();
    let (mut begun, mut queued) = (HashSet::new(), HashSet::new());
    for event in events {
        let Some(run) = event.run else { continue };
        let end = ends.entry(run).or_default();
        assert_eq!(*end, None, "{} comes after the end of {run}", event.event.name());
        match &event.event {
            Event::RunQueued(_) => drop(queued.insert(run)),
            Event::RunStarted(_) => drop(begun.insert(run)),
            Event::RunFinished(finished) => {
                *end = Some(finished.outcome);
                let cut_off = finished.outcome == Outcome::Interrupted;
                assert!(!cut_off || begun.contains(&run), "{run} was lost while it waited");
            }
            _ => {}
        }
    }
    let mut outcomes = BTreeMap::<String, usize>::new();
    for (run, end) in ends {
        let outcome = end.unwrap_or_else(|| panic!("{run} has no end"));
        *outcomes.entry(format!("{outcome:?}")).or_default() += 1;
    }
    let taken = queued.intersection(&begun).count();
    println!("runs: {outcomes:?}; of {} that waited, {taken} began", queued.len());
    assert!(taken > 0, "the queue goes on");
    assert!(outcomes.contains_key("Interrupted"), "a kill met a run");
}

/// Every reply is in the log, and every command that was accepted is in it once.
fn commands_count_once<'a>(events: &[EventFrame], visitors: impl Iterator<Item = &'a Visitor>) {
    let mut effects: HashMap<&str, Vec<&EventFrame>> = HashMap::new();
    for event in events {
        if let Some(command) = &event.command {
            effects.entry(command.as_str()).or_default().push(event);
        }
    }
    for visitor in visitors {
        for (id, command) in &visitor.commands {
            let recorded: Vec<_> = effects.remove(id.as_str()).unwrap_or_default();
            let recorded: Vec<_> = recorded.iter().map(|event| (event.run, event.seq)).collect();
            match &visitor.replies[id] {
                // Cancelling what has ended already leaves nothing to record.
                ControlFrame::Accepted(_) if command["type"] == "cancel" && recorded.is_empty() => {}
                ControlFrame::Accepted(accepted) => assert_eq!(recorded, [(accepted.run, accepted.seq)], "{id}"),
                reply => assert_eq!(recorded, [], "{id} was not accepted: {reply:?}"),
            }
        }
    }
    assert!(effects.is_empty(), "nobody sent {:?}", effects.keys());
}

fn database_is_sound(path: &Path) {
    let database = rusqlite::Connection::open(path).expect("it opens");
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
    assert_eq!(verdict, "ok");
}

/// What can be asked of the server from outside the room.
struct House {
    address: SocketAddr,
    http: reqwest::Client,
}

impl House {
    async fn create(&self) -> Epoch {
        let body = json!({ "project": "p" });
        let url = format!("http://{}/api/v1/projects", self.address);
        let answer = self.http.post(url).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 201);
        self.epoch().await
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("http://{}/api/v1/projects/p{path}", self.address);
        let answer = within("an answer", self.http.get(url).send()).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer
    }

    async fn status(&self) -> Value {
        self.get("").await.json().await.expect("JSON")
    }

    async fn epoch(&self) -> Epoch {
        serde_json::from_value(self.status().await["epoch"].take()).expect("an epoch")
    }

    async fn log_after(&self, seq: Seq) -> Vec<String> {
        let text = self.get(&format!("/log?from={}", seq + 1)).await.text().await.expect("a whole log");
        text.lines().map(str::to_owned).collect()
    }

    /// The log once the restart has written what it has to.
    async fn settled_log(&self) -> Vec<String> {
        within("all runs to end", async {
            let open =
                |runs: &Value| [r#""running""#, r#""queued""#].iter().any(|state| runs.to_string().contains(state));
            while open(&self.status().await["state"]["runs"]) {}
        })
        .await;
        self.log_after(0).await
    }

    /// The files are what the events say, and their contents what their hashes say.
    async fn files_are_the_fold(&self, events: &[EventFrame]) {
        let mut files: BTreeMap<FilePath, ContentHash> = BTreeMap::new();
        for event in events {
            match event.event.clone() {
                Event::ProjectCreated(created) => {
                    files.extend(created.files.into_iter().map(|file| (file.path, file.hash)));
                }
                Event::FileWritten(written) => drop(files.insert(written.path, written.hash)),
                Event::FileDeleted(deleted) => drop(files.remove(&deleted.path)),
                Event::FileRenamed(renamed) => {
                    let hash = files.remove(&renamed.from).expect("it was there");
                    files.insert(renamed.to, hash);
                }
                _ => {}
            }
        }
        let list: Value = self.get("/files").await.json().await.expect("JSON");
        let listed: BTreeMap<FilePath, ContentHash> = list["files"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|file| serde_json::from_value(json!([file["path"], file["hash"]])).expect("a file"))
            .collect();
        assert_eq!(listed, files);
        for (path, hash) in files {
            let content = self.get(&format!("/files/{path}")).await.bytes().await.expect("a content");
            assert_eq!(cobuild::project::content_hash(&content), hash, "{path}");
        }
    }
}
