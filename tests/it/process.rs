//! The `cobuild` process: what it prints, how it ends.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Mutex,
};

use crate::{sandbox_support::local_provider, support::eventually};

fn cobuild(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cobuild"));
    command
        .current_dir(folder)
        .env_clear()
        .env("FIND_LOCAL_MODELS", "false")
        .args(if arguments.contains(&"--sandbox-provider") { &[][..] } else { &["--sandbox-provider", "none"] })
        .args(if arguments.contains(&"--log-level") { &[][..] } else { &["--log-level", "error"] })
        .args(arguments);
    command
}

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts a server and waits for its one line.
    fn start(folder: &Path, arguments: &[&str]) -> (Self, String) {
        Self::start_as(cobuild(folder, arguments))
    }

    fn start_as(mut command: Command) -> (Self, String) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        (Self(child), line)
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = i32::try_from(self.0.id()).expect("a pid");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("sent");
    }
}

/// A start that must fail: exit code 1 and one sentence on standard error.
fn refused(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty());
    text
}

#[test]
fn it_says_where_it_is_and_ends_in_order_when_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut running, line) = Running::start(folder.path(), &["--port", "0"]);
    assert!(line.starts_with("Cobuild is ready: http://localhost:"), "{line}");
    running.signal(nix::sys::signal::Signal::SIGTERM);
    let status = running.0.wait().expect("ended");
    let mut errors = String::new();
    running.0.stderr.take().expect("piped").read_to_string(&mut errors).expect("read");
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn a_taken_port_is_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = taken.local_addr().expect("bound").port().to_string();
    let text = refused(&cobuild(folder.path(), &["--port", &port]).output().expect("ran"));
    assert!(text.contains(&port) && text.contains("--port"), "{text}");
    assert!(!folder.path().join("data").exists(), "nothing was touched");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "").expect("written");
    let text = refused(&cobuild(folder.path(), &["--port", "0", "--data-dir", "file/data"]).output().expect("ran"));
    assert!(text.contains("file/data"), "{text}");
}

#[test]
fn a_database_of_a_newer_release_is_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let (running, line) = Running::start(folder.path(), &["--port", "0"]);
    assert!(line.starts_with("Cobuild is ready"), "{line}");
    drop(running);
    let database = rusqlite::Connection::open(folder.path().join("data/cobuild.db")).expect("a database");
    database.pragma_update(None, "user_version", 99).expect("written");
    drop(database);
    let text = refused(&cobuild(folder.path(), &["--port", "0"]).output().expect("ran"));
    assert!(text.contains("version 99") && text.contains("newer"), "{text}");
}

#[test]
fn a_second_server_on_the_same_data_is_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_first, line) = Running::start(folder.path(), &["--port", "0"]);
    assert!(line.starts_with("Cobuild is ready"), "{line}");
    let text = refused(&cobuild(folder.path(), &["--port", "0"]).output().expect("ran"));
    assert!(text.contains("data"), "{text}");
}

/// As behind `cobuild serve | head -1`.
#[test]
fn a_server_whose_words_nobody_reads_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    drop(ours);
    let mut command = cobuild(folder.path(), &["--port", "0", "--host", "0.0.0.0", "--log-level", "info"]);
    command.stdout(std::os::fd::OwnedFd::from(theirs)).stderr(Stdio::piped());
    let mut running = Running(command.spawn().expect("started"));
    let log = BufReader::new(running.0.stderr.take().expect("piped"));
    let serving = log.lines().map(|line| line.expect("text")).find(|line| line.contains("serving"));
    assert!(serving.is_some(), "it has ended");
    running.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(running.0.wait().expect("reaped").success());
}

/// Whoever ends while a sandbox is being made has said all there is to say.
#[test]
fn the_helper_of_a_server_that_is_gone_says_nothing() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    drop(ours);
    let mut helper = Command::new(env!("CARGO_BIN_EXE_cobuild"));
    let output = helper.env_clear().arg("__netns-helper").stdin(std::os::fd::OwnedFd::from(theirs)).output();
    let output = output.expect("ran");
    assert!(!output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// Ctrl-C in a terminal reaches every process of the server's group. Its sandboxes are none: the runs that are brought to
/// an end still need them.
#[tokio::test]
async fn an_interrupt_from_the_terminal_is_for_the_server_alone() {
    if local_provider("an interrupt from the terminal").await.is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = cobuild(folder.path(), &["--port", "0", "--sandbox-provider", "local", "--log-level", "warn"]);
    command.process_group(0).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let (mut running, line) = Running::start_as(command);
    assert!(line.starts_with("Cobuild is ready"), "{line}");
    let server = running.0.id();
    let seen = Mutex::default();
    eventually("a sandbox is being made", || {
        let helper = children(server).find_map(group_of);
        helper.inspect(|group| *seen.lock().expect("whole") = *group).is_some()
    })
    .await;
    assert_ne!(seen.into_inner().expect("whole"), server, "the helper is in the server's group");
    let group = nix::unistd::Pid::from_raw(i32::try_from(server).expect("a pid"));
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGINT).expect("sent");
    let status = running.0.wait().expect("ended");
    let mut errors = String::new();
    running.0.stderr.take().expect("piped").read_to_string(&mut errors).expect("read");
    let ours: Vec<&str> = errors.lines().filter(|line| !line.contains("no control group")).collect();
    assert!(status.code() == Some(0) && ours.is_empty(), "{status:?} {errors}");
}

/// The processes that a process has started, sandboxes' helpers among them.
fn children(parent: u32) -> impl Iterator<Item = u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = tasks.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
}

/// The process group of a helper; `None` for any other process.
fn group_of(pid: u32) -> Option<u32> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    line.split(|byte| *byte == 0).find(|argument| *argument == b"__netns-helper")?;
    let group = nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?))).ok()?;
    u32::try_from(group.as_raw()).ok()
}

#[test]
fn a_secret_that_is_too_short_touches_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = cobuild(folder.path(), &["--port", "0", "--sandbox-provider", "local", "--log-level", "warn"]);
    let text = refused(&command.env("JWT_SECRET", "short").output().expect("ran"));
    assert!(text.contains("at least 32 characters"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 0);
}

/// As compose files and shells have it for what nobody has set.
#[test]
fn a_variable_set_to_nothing_is_not_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = cobuild(folder.path(), &["--port", "0"]);
    for name in ["HOST", "DATA_DIR", "NPM_REGISTRY", "CORS_ORIGINS", "DRAIN_MS", "LOG_FORMAT"] {
        command.env(name, "");
    }
    let (_running, line) = Running::start_as(command);
    assert!(line.starts_with("Cobuild is ready: http://localhost:"), "{line}");
    assert!(folder.path().join("data").exists());
    let help = cobuild(folder.path(), &["serve", "--help"]).env("PORT", "").output().expect("ran");
    assert!(help.status.success(), "{help:?}");
    for name in ["JWT_SECRET", "JWKS_URL", "RUN_BUDGET_USD", "PROJECT_BUDGET_TOKENS"] {
        let text = refused(&cobuild(folder.path(), &["--port", "0"]).env(name, "").output().expect("ran"));
        assert!(text.contains(name), "no limit falls because its value is missing: {text}");
    }
}

#[test]
fn settings_that_make_no_sense_are_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = refused(&cobuild(folder.path(), &["--port", "0"]).env("CORS_ORIGINS", "example").output().expect("ran"));
    for word in ["--cors-origins", "CORS_ORIGINS", "`example`", "https://app.example.com"] {
        assert!(text.contains(word), "{text}");
    }
    let text = refused(&cobuild(folder.path(), &[]).env("PORT", "abc").output().expect("ran"));
    assert!(text.contains("--port") && text.contains("PORT") && text.contains("`abc`"), "{text}");
    let output = cobuild(folder.path(), &["--prot", "0"]).output().expect("ran");
    assert_eq!(output.status.code(), Some(2), "a command line that makes no sense is something else");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--prot"));
    std::fs::write(folder.path().join(".env"), "this is no setting\n").expect("written");
    let text = refused(&cobuild(folder.path(), &["--port", "0"]).output().expect("ran"));
    assert!(text.contains(".env") && !text.contains("no setting"), "{text}");
    std::fs::write(folder.path().join(".env"), "DEFAULT_AI_MODEL=no/such\n").expect("written");
    let text = refused(&cobuild(folder.path(), &["--port", "0"]).output().expect("ran"));
    assert!(text.contains("DEFAULT_AI_MODEL") && text.contains("`no`"), "{text}");
}
