//! `cobuild` as a client: the real program, a server, and a network between them that breaks.

mod identity;
mod tokens;

use std::{
    net::SocketAddr,
    path::Path,
    process::{Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command},
    sync::watch,
};

use crate::support::{History, Setup, TestServer, WsClient, eventually, within};

/// A model that takes its time, so that there is a middle to break.
fn slowly() -> Setup {
    Setup { pause: Duration::from_millis(20), ..Setup::default() }
}

fn command(address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cobuild"));
    command
        .env_clear()
        .env("FIND_LOCAL_MODELS", "false")
        .env("COBUILD_URL", format!("http://{address}"))
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn output(address: SocketAddr, arguments: &[&str]) -> Output {
    within("the program’s end", command(address, arguments).output()).await.expect("ran")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn frames(output: &Output) -> Vec<Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A program under way whose frames are read one by one.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(address: SocketAddr, arguments: &[&str]) -> Self {
        let mut child =
            command(address, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    async fn frame(&mut self) -> Option<Value> {
        let line = within("a line", self.lines.next_line()).await.expect("text")?;
        Some(serde_json::from_str(&line).expect("JSON"))
    }

    async fn until(&mut self, kind: &str) -> Value {
        while let Some(frame) = self.frame().await {
            if frame["type"] == kind {
                return frame;
            }
        }
        let mut errors = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut errors).await.expect("text");
        panic!("it ended before there was a {kind}: {errors}")
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().expect("runs")).expect("a pid");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("sent");
    }

    async fn end(mut self) -> (Option<i32>, String) {
        let status = within("the program’s end", self.child.wait()).await.expect("ended");
        let mut errors = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut errors).await.expect("text");
        (status.code(), errors)
    }
}

/// Stands between the program and the server, and cuts all connections on demand.
struct Cutter {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    cut: watch::Sender<()>,
    /// Set: the first piece from the server that holds an `accepted` is lost, and its connection with it.
    loses_a_reply: Arc<AtomicBool>,
}

impl Cutter {
    async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let (connections, cut) = (Arc::new(AtomicUsize::new(0)), watch::Sender::new(()));
        let (counted, cuts) = (Arc::clone(&connections), cut.clone());
        let loses_a_reply = Arc::new(AtomicBool::new(false));
        let losing = Arc::clone(&loses_a_reply);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Before it counts: whoever sees it count can cut it.
                let mut cut = cuts.subscribe();
                counted.fetch_add(1, Ordering::SeqCst);
                let losing = Arc::clone(&losing);
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        () = pass(client, server, &losing) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, connections, cut, loses_a_reply }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, losing: &AtomicBool) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let down = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            let piece = &buffer[..length];
            if text(piece).contains(r#""type":"accepted""#) && losing.swap(false, Ordering::SeqCst) {
                break;
            }
            if to_client.write_all(piece).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = down => {}
    }
}

/// All events from the first on, each once and in order.
fn assert_contiguous(frames: &[Value]) {
    let place = |frame: &Value, name: &str| frame[name].as_u64();
    for pair in frames.windows(2) {
        let first = place(&pair[1], "seq_first").or(place(&pair[1], "seq"));
        assert_eq!(first, place(&pair[0], "seq").map(|seq| seq + 1), "after {}: {}", pair[0], pair[1]);
    }
}

#[tokio::test]
async fn a_prompt_makes_the_project_and_ends_well() {
    let server = TestServer::start().await;
    let ended = output(server.address, &["generate", "new", "file src/App.jsx export default () => null"]).await;
    assert_eq!((ended.status.code(), text(&ended.stderr).as_str()), (Some(0), ""));
    let frames = frames(&ended);
    assert_contiguous(&frames);
    let (first, last) = (frames.first().expect("frames"), frames.last().expect("frames"));
    assert_eq!((first["type"].as_str(), first["run"].as_str()), (Some("run_started"), Some("r1")));
    assert_eq!((last["type"].as_str(), last["outcome"].as_str()), (Some("run_finished"), Some("completed")));
    assert!(frames.iter().any(|frame| frame["type"] == "file_written" && frame["path"] == "src/App.jsx"));
    // The frames are the log's own.
    let from = first["seq"].as_u64().expect("a place") - 1;
    let lines: Vec<String> = text(&ended.stdout).lines().map(str::to_owned).collect();
    let (seen, log) = (History::of(from, &lines), History::of(from, &server.log_from("new", from + 1).await));
    assert!(seen.is_beginning_of(&log), "{seen:?}, not {log:?}");
}

#[tokio::test]
async fn exit_codes_say_what_became_of_it() {
    let server = TestServer::start().await;
    server.create("p").await;
    for (arguments, code, words) in [
        (vec!["generate", "p", "words 3"], 0, ""),
        (vec!["generate", "p", "words 3", "--model", "no/such"], 1, "there is no model"),
        (vec!["generate", "p", "  "], 1, "prompt"),
        (vec!["generate", "not a name", "x"], 2, "a project id is"),
        (vec!["watch", "nope"], 1, "no project"),
        (vec!["status", "nope"], 1, "no project"),
        (vec!["export", "nope"], 1, "no project"),
        (vec!["status", "p"], 0, ""),
        (vec!["projects"], 0, ""),
        (vec!["projects", "--server", "localhost"], 1, "http://localhost:3100"),
    ] {
        let ended = output(server.address, &arguments).await;
        let errors = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(words) && errors.is_empty() == words.is_empty(), "{arguments:?}: {errors}");
        assert!(code != 1 || errors.trim().lines().count() == 1, "one sentence: {errors}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_one_sentence() {
    let mut server = TestServer::start().await;
    server.shut_down().await;
    let ended = output(server.address, &["generate", "p", "x"]).await;
    let errors = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1));
    assert!(errors.contains("does not answer: Connection refused") && errors.contains("cobuild serve"), "{errors}");
}

#[tokio::test]
async fn a_cut_connection_loses_and_repeats_nothing() {
    let server = TestServer::start_with(slowly()).await;
    server.create("p").await;
    let network = Cutter::start(server.address).await;
    let mut running = Running::start(network.address, &["generate", "p", "words 60"]);
    let mut frames = vec![running.until("run_started").await];
    for _ in 0..2 {
        let before = network.connections();
        frames.push(running.frame().await.expect("in the middle"));
        network.cut.send_replace(());
        eventually("it comes back", || network.connections() > before).await;
    }
    while let Some(frame) = running.frame().await {
        frames.push(frame);
    }
    let (code, errors) = running.end().await;
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("the connection was lost"), "{errors}");
    assert_contiguous(&frames);
    let said: String = frames.iter().filter_map(|frame| frame["text"].as_str()).collect();
    assert!(said.trim_end().ends_with("wörd59"), "{said}");
    assert_eq!(said.matches("wörd").count(), 60);
    assert_eq!(server.model.calls(), 1, "the prompt was taken once");
}

#[tokio::test]
async fn a_prompt_whose_reply_was_lost_is_taken_once() {
    let server = TestServer::start().await;
    server.create("p").await;
    let network = Cutter::start(server.address).await;
    network.loses_a_reply.store(true, Ordering::SeqCst);
    let ended = output(network.address, &["generate", "p", "words 5"]).await;
    let errors = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{errors}");
    assert!(errors.contains("the connection was lost"), "the reply was lost indeed: {errors}");
    assert_eq!(server.model.calls(), 1);
    let log = server.log("p").await;
    assert_eq!(log.iter().filter(|line| line.contains(r#""type":"run_started""#)).count(), 1);
}

#[tokio::test]
async fn a_run_that_the_server_s_end_cuts_off_is_no_success() {
    let mut server = TestServer::start().await;
    server.create("p").await;
    let mut running = Running::start(server.address, &["generate", "p", "hang"]);
    running.until("text_delta").await;
    server.shut_down().await;
    // Its end came before the server went.
    let last = running.until("run_finished").await;
    assert_eq!(last["outcome"], "interrupted");
    assert_eq!(running.end().await.0, Some(1));
}

#[tokio::test]
async fn the_first_interrupt_cancels_the_run() {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut running = Running::start(server.address, &["generate", "p", "hang"]);
    running.until("text_delta").await;
    running.signal(Signal::SIGINT);
    let last = running.until("run_finished").await;
    assert_eq!(last["outcome"], "cancelled");
    assert_eq!(running.end().await.0, Some(130));
    eventually("the model’s stream is dropped", || server.model.open() == 0).await;
}

#[tokio::test]
async fn a_waiting_prompt_is_cancelled_too() {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut client = WsClient::attach(&server, "p").await;
    client.ask("hang").await;
    let mut running = Running::start(server.address, &["generate", "p", "words 3"]);
    running.until("run_queued").await;
    running.signal(Signal::SIGINT);
    assert_eq!(running.until("run_finished").await["outcome"], "cancelled");
    assert_eq!(running.end().await.0, Some(130));
    assert_eq!(server.model.calls(), 1);
}

#[tokio::test]
async fn watching_shows_what_others_do_and_ends_when_asked() {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut running = Running::start(server.address, &["watch", "p"]);
    let snapshot = running.frame().await.expect("a frame");
    assert_eq!((snapshot["type"].as_str(), snapshot["state"]["name"].as_str()), (Some("snapshot"), Some("p")));
    let ended = output(server.address, &["generate", "p", "words 5"]).await;
    assert_eq!(ended.status.code(), Some(0));
    let finished = running.until("run_finished").await;
    assert_eq!(finished["run"], "r1");
    running.signal(Signal::SIGINT);
    assert_eq!(running.end().await, (Some(0), String::new()));
}

#[tokio::test]
async fn an_archive_is_whole_or_not_there() {
    let server = TestServer::start().await;
    server.create("p").await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.zip");
    let export = |to: &str| command(server.address, &["export", "p", "--output", to]).output();
    let ended = within("the export", export(path.to_str().expect("text"))).await.expect("ran");
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    let size = path.metadata().expect("there").len();
    assert_eq!(frames(&ended)[0]["size_bytes"], size);
    let archive = zip::ZipArchive::new(std::fs::File::open(&path).expect("opened")).expect("an archive");
    assert!(archive.file_names().any(|name| name.is_ok_and(|name| name.ends_with("package.json"))));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");

    let piped = within("the export", export("-")).await.expect("ran");
    assert_eq!(piped.stdout, std::fs::read(&path).expect("read"));
    let nowhere = within("the export", export("/no/such/folder/out.zip")).await.expect("ran");
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text(&nowhere.stderr).starts_with("cobuild: /no/such/folder/out.zip cannot be written"));
    assert!(!Path::new("p.zip").exists());
}

#[tokio::test]
async fn lists_are_lines() {
    let server = TestServer::start().await;
    for project in ["a", "b"] {
        server.create(project).await;
    }
    let list = frames(&output(server.address, &["projects"]).await);
    let mut names: Vec<&str> = list.iter().filter_map(|line| line["project"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "b"]);
    let status = frames(&output(server.address, &["status", "a"]).await);
    assert_eq!((status.len(), status[0]["project"].as_str()), (1, Some("a")));
}
