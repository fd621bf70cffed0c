//! The `cobuild` process: what it prints, how it ends.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

fn cobuild(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cobuild"));
    command
        .current_dir(folder)
        .env_clear()
        .env("FIND_LOCAL_MODELS", "false")
        .args(["--sandbox-provider", "none", "--log-level", "error"])
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
        let mut command = cobuild(folder, arguments);
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

#[test]
fn settings_that_make_no_sense_are_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = cobuild(folder.path(), &["--port", "0"]).env("CORS_ORIGINS", "example").output().expect("ran");
    assert_eq!(output.status.code(), Some(2), "as for every wrong argument");
    assert!(String::from_utf8_lossy(&output.stderr).contains("https://app.example.com"));
    std::fs::write(folder.path().join(".env"), "this is no setting\n").expect("written");
    let text = refused(&cobuild(folder.path(), &["--port", "0"]).output().expect("ran"));
    assert!(text.contains(".env") && !text.contains("no setting"), "{text}");
    std::fs::write(folder.path().join(".env"), "DEFAULT_AI_MODEL=no/such\n").expect("written");
    let text = refused(&cobuild(folder.path(), &["--port", "0"]).output().expect("ran"));
    assert!(text.contains("DEFAULT_AI_MODEL") && text.contains("`no`"), "{text}");
}
