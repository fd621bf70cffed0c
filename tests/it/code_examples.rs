//! The code-processing backend's documentation, word for word: its shell, Python and browser examples run as real
//! programs against a real server on the port they name. That `github.com` is the test's own git host is the server's
//! configuration, and nothing else is.

use std::{
    fs::File,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{
    fakes::git::{self, GitServer},
    legacy::examples,
    support::{not_run, python_programs},
};

/// The documentation as it was published.
const DOCUMENT: &str = include_str!("../fixtures/legacy/code-processing-backend.md");
const PORT: u16 = 8000;
const REQUIREMENTS: &str = "aiohttp==3.14.5\n";
/// What `make run` sets besides.
const STAND_INS: (&str, &str) = ("LEGACY_STAND_INS", "true");
/// How long the port is waited for: as long as another run of this test takes.
const PLACE_WAIT_MAX: Duration = Duration::from_secs(300);
/// How often the server is started where somebody else takes the port at the last moment.
const STARTS_MAX: usize = 3;
/// How often it is looked whether it is free.
const PLACE_CHECK: Duration = Duration::from_millis(200);
/// Longest a step may take on a busy machine; the first one builds the sandboxes' template.
const STEP_TIME_MAX: Duration = Duration::from_secs(400);

/// The blocks of a language, in the order they stand there.
fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    let after = DOCUMENT.split(opening.as_str()).skip(1);
    after.map(|rest| rest.split_once("```").expect("a block ends").0).collect()
}

struct Server {
    _child: Child,
    _git: GitServer,
    folder: PathBuf,
    _place: Place,
}

/// The port that the documentation names, and the folder that goes with it. Whoever else runs this test on this machine,
/// from another copy of the repository too, waits.
struct Place {
    _lock: File,
}

impl Place {
    /// `None`: something else has the port and keeps it.
    async fn take() -> Option<Self> {
        let path = std::env::temp_dir().join(format!("cobuild-test-port-{PORT}.lock"));
        // Another user's file can be neither written nor locked; the port decides then.
        let lock = File::options().create(true).append(true).open(path).ok()?;
        let taken = timeout(PLACE_WAIT_MAX, async {
            while lock.try_lock().is_err() {
                sleep(PLACE_CHECK).await;
            }
        });
        let place = taken.await.is_ok().then_some(Self { _lock: lock })?;
        place.is_free_in_time().await.then_some(place)
    }

    /// Whether the port is free, now or soon.
    async fn is_free_in_time(&self) -> bool {
        let freed = timeout(PLACE_WAIT_MAX, async {
            while !is_free() {
                sleep(PLACE_CHECK).await;
            }
        });
        freed.await.is_ok()
    }
}

/// Whether nobody has the port, on either of the addresses that `localhost` may mean.
fn is_free() -> bool {
    let is_taken =
        |address: IpAddr| TcpListener::bind((address, PORT)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
    !is_taken(Ipv4Addr::LOCALHOST.into()) && !is_taken(Ipv6Addr::LOCALHOST.into())
}

impl Server {
    async fn start() -> Option<Self> {
        if !git::can_host() {
            not_run("the documented examples of POST /code: there is no git with an HTTP backend");
            return None;
        }
        let Some(place) = Place::take().await else {
            not_run("the documented examples of POST /code: port 8000, which they name, is taken");
            return None;
        };
        let git = GitServer::start().await;
        git.host("fastapi/fastapi", "master", Some("mkdir fastapi && echo 'x = 1' > fastapi/main.py"));
        // Kept for its template; everything else is made anew.
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("code-examples");
        std::fs::create_dir_all(&folder).expect("a folder");
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                std::fs::remove_file(path).expect("removed");
            }
        }
        for _ in 0..STARTS_MAX {
            if !place.is_free_in_time().await {
                break;
            }
            // Between looking and binding, somebody else may have been quicker.
            if let Some(child) = Self::start_on(&folder, &git).await {
                return Some(Self { _child: child, _git: git, folder, _place: place });
            }
        }
        not_run("the documented examples of POST /code: port 8000, which they name, is taken again and again");
        None
    }

    /// `None`: it ended at once.
    async fn start_on(folder: &Path, git: &GitServer) -> Option<Child> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cobuild"));
        command.current_dir(folder).env_clear().kill_on_drop(true);
        for name in ["PATH", "HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // What the deployment of this backend had to be told, and as `make run` starts it.
        command.env("PORT", PORT.to_string()).env(STAND_INS.0, STAND_INS.1);
        command.args(["serve", "--demo-speed", "0", "--log-level", "error"]);
        command.arg("--data-dir").arg(folder);
        command.args(["--git-hosts", &git.hosts()]).arg("--sandbox-ca-file").arg(git.ca_file());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        timeout(STEP_TIME_MAX, output.read_line(&mut line)).await.expect("in time").expect("text");
        if line.is_empty() {
            let ended = timeout(STEP_TIME_MAX, child.wait_with_output()).await.expect("in time").expect("ended");
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert!(said.contains("in use"), "it does not start: {said}");
            return None;
        }
        assert!(line.contains(&PORT.to_string()), "{line}");
        tokio::spawn(async move { while output.read_line(&mut String::new()).await.is_ok_and(|read| read > 0) {} });
        let mut errors = BufReader::new(child.stderr.take().expect("piped"));
        tokio::spawn(async move { while errors.read_line(&mut String::new()).await.is_ok_and(|read| read > 0) {} });
        Some(child)
    }

    async fn run(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Output {
        let mut command = Command::new(program.as_ref());
        command.args(arguments).current_dir(&self.folder).env("NO_PROXY", "localhost");
        command.stdin(Stdio::null()).kill_on_drop(true);
        timeout(STEP_TIME_MAX, command.output()).await.expect("in time").expect("started")
    }
}

fn text(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What the documentation promises about the lines `type: message`.
#[track_caller]
fn check_lines(lines: &[&str]) {
    let place = |wanted: &str| {
        lines.iter().position(|line| *line == wanted).unwrap_or_else(|| panic!("{wanted:?} is not in {lines:#?}"))
    };
    let order = [
        place("info: Initializing local sandbox..."),
        place("info: Validating repository URL..."),
        place("info: Cloning repository: https://github.com/fastapi/fastapi.git"),
        place("success: Repository cloned successfully: fastapi"),
        place("success: Repository analyzed. Found 1 code files"),
        place("info: Planning changes based on prompt: 'Add better error handling'"),
        place("info: Implementing planned changes..."),
        place("info: Cleaning up sandbox..."),
        place("success: Code processing completed successfully!"),
        place("summary: Processing completed"),
    ];
    assert!(order.is_sorted() && order[0] == 0 && order[9] == lines.len() - 1, "{lines:#?}");
}

#[test]
fn make_run_starts_the_server_as_the_examples_need_it() {
    let mut make = std::process::Command::new("make");
    make.args(["--dry-run", "run", "ARGS=--demo-speed 0"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    // This test may itself be run by a `make` with other goals in mind.
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
        make.env_remove(name);
    }
    let Ok(output) = make.output() else { return not_run("how `make run` starts the server: there is no make here") };
    let lines = text(&output);
    let start = lines.lines().find(|line| line.contains("cobuild serve")).expect("it starts the server");
    let (name, value) = STAND_INS;
    let set = format!("scripts/is-set {name} || export {name}={value};");
    assert!(start.starts_with(&set) && start.ends_with("/cobuild serve --demo-speed 0"), "{start}");
}

#[tokio::test]
async fn every_documented_example_runs_as_written() {
    let Some(server) = Server::start().await else { return };
    curl(&server).await;
    python(&server).await;
    browser(&server).await;
    if examples::has_curl().await {
        // The other system's, in real sandboxes, too.
        examples::run_every_example(&server.folder, PORT, "local").await;
    }
}

async fn curl(server: &Server) {
    let block = blocks("bash").into_iter().find(|block| block.contains("localhost:8000/code")).expect("documented");
    let said = text(&server.run("bash", &["-euc", block]).await);
    // While the sandbox is made, there may be comments in between.
    let data = said.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let events: Vec<Value> = data.map(|json| serde_json::from_str(json).expect("JSON")).collect();
    let lines: Vec<String> = events
        .iter()
        .map(|event| format!("{}: {}", event["type"].as_str().expect("text"), event["message"].as_str().expect("text")))
        .collect();
    check_lines(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let summary = &events.last().expect("events")["summary"];
    assert_eq!((summary["repository"].as_str(), summary["files_modified"].as_u64()), (Some("fastapi"), Some(1)));

    let said = text(&server.run("curl", &["-sN", "http://localhost:8000/stream-dummy"]).await);
    assert_eq!(said.matches("data: ").count(), 5);
}

async fn python(server: &Server) {
    let Some(programs) = python_programs("code-examples-python", REQUIREMENTS) else { return };
    let blocks = blocks("python");
    let [client, test_client] = blocks[..] else { panic!("two programs are documented: {blocks:#?}") };
    // The first one is a function that somebody has to call.
    let client = format!("{client}\nimport asyncio\nasyncio.run(process_code())\n");
    for (name, program) in [("client.py", client.as_str()), ("test_client.py", test_client)] {
        std::fs::write(server.folder.join(name), program).expect("written");
        let said = text(&server.run(programs.join("python"), &[name]).await);
        check_lines(&said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>());
    }
}

async fn browser(server: &Server) {
    let blocks = blocks("javascript");
    let [snippet] = blocks[..] else { panic!("one program is documented: {blocks:#?}") };
    std::fs::write(server.folder.join("example.js"), snippet).expect("written");
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("web-demo/test/run-in-page.mjs");
    let driver = driver.to_str().expect("text");
    let output = server.run("node", &[driver, "http://localhost:8000/docs", "example.js"]).await;
    if output.status.code() == Some(3) {
        return not_run(&format!("the documented browser example: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    check_lines(&text(&output).lines().filter(|line| !line.is_empty()).collect::<Vec<_>>());
}
