//! 47, 48: the server dies; a process floods it.

use std::{collections::BTreeSet, fs, net::SocketAddr, os::unix::fs::symlink};

use serde_json::{Value, json};

use super::{processes::until, *};
use crate::{
    sandbox_support::{data_dir, running},
    support::{ServerProcess, within},
};

#[tokio::test]
async fn attack_47_killing_the_server() {
    // Whether sandboxes can be made; and they share the template.
    let Some(arena) = Arena::open("attack 47").await else { return };
    drop(arena);
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("data")).expect("made");
    symlink(data_dir().join("sandbox"), folder.path().join("data/sandbox")).expect("linked");
    let mut server = ServerProcess::spawn(folder.path(), &["--sandbox-provider", "local"]);
    let pid = server.pid();
    let address = server.ready().await;
    let word = format!("{}", 200_000_000 + rand::random_range(0..100_000_000u32));
    let stay = format!("(setsid sh -c 'trap \"\" TERM HUP; sleep {word}' &); trap '' TERM; sleep {word}");
    post(address, "", json!({ "project": "p" })).await;
    post(address, "/p/commands", json!({ "id": "1", "type": "start_sandbox" })).await;
    post(address, "/p/commands", json!({ "id": "2", "type": "exec", "command": stay })).await;
    // The twin: while the server lives, so do its processes, the dev server among them.
    within("the sandbox's processes", until_slowly(|| running(&word))).await;
    within("the dev server", until_slowly(|| names(&tree(pid)).iter().any(|name| name.contains("vite")))).await;
    let tree = tree(pid);
    assert!(tree.len() >= 6, "{:?}", names(&tree));
    server.kill().await;
    until("everything is gone", || !running(&word) && tree.iter().all(|process| !process.lives())).await;
}

async fn post(address: SocketAddr, path: &str, body: Value) {
    let url = format!("http://{address}/api/v1/projects{path}");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = within("an answer", client.post(url).json(&body).send()).await.expect("an answer");
    assert!(answer.status().is_success(), "{body}: {}", answer.text().await.expect("a text"));
}

/// The first sandbox of a loaded machine takes its time.
async fn until_slowly(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A process of the host, which is told apart from one that is given its number later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    pid: u32,
    started: String,
}

impl Process {
    /// With the parent's number.
    fn find(pid: u32) -> Option<(u32, Self)> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // proc_pid_stat(5): the state comes after the name, then the parent; the time of the start is field 22.
        Some((fields.get(1)?.parse().ok()?, Self { pid, started: (*fields.get(19)?).to_owned() }))
    }

    fn lives(&self) -> bool {
        Self::find(self.pid).is_some_and(|(_, now)| now == *self)
    }
}

/// Every process that descends from this one.
fn tree(root: u32) -> BTreeSet<Process> {
    let numbers = fs::read_dir("/proc").expect("/proc").flatten();
    let all: Vec<(u32, Process)> =
        numbers.filter_map(|entry| Process::find(entry.file_name().to_str()?.parse().ok()?)).collect();
    let mut found = BTreeSet::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for (_, child) in all.iter().filter(|(of, _)| *of == parent) {
            found.insert(child.clone());
            parents.push(child.pid);
        }
    }
    found
}

/// Their command lines.
fn names(processes: &BTreeSet<Process>) -> Vec<String> {
    let line = |process: &Process| fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    processes.iter().map(|process| String::from_utf8_lossy(&line(process)).replace('\0', " ")).collect()
}

#[tokio::test]
async fn attack_48_flooding_the_server() {
    let Some(arena) = Arena::open("attack 48").await else { return };
    let before = std::time::Instant::now();
    let seen = arena.sh("head -c 300M /dev/zero | tr '\\0' x; echo; echo done >&2").await;
    assert_eq!(seen.exit, Exit::Code(0));
    assert!(seen.text.len() < 1_100_000, "{} bytes", seen.text.len());
    assert!(seen.text.contains("the rest is not kept"));
    eprintln!("300 MB of output took {:?}", before.elapsed());
}
