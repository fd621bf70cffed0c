//! 47, 48: the server dies; a process floods it.

use std::{io::BufRead, process::Stdio};

use super::{processes::until, *};
use crate::sandbox_support::running;

/// Names the sleep that stands for everything in the sandbox; set for the stand-in only.
const WORD: &str = "COBUILD_TEST_STAND_IN_WORD";

/// Not a test of its own: the server that attack 47 kills. It makes a sandbox with processes that want to stay.
#[tokio::test]
#[ignore = "attack 47 starts it"]
async fn stand_in_server() {
    let Ok(word) = std::env::var(WORD) else { return };
    let Some(arena) = Arena::open("attack 47").await else {
        println!("no sandbox");
        return;
    };
    arena.sandbox.start_preview().await.expect("a dev server");
    let stay = format!("(setsid sh -c 'trap \"\" TERM HUP; sleep {word}' &); trap '' TERM; echo up; sleep {word}");
    let (sender, mut output) = mpsc::channel(16);
    let request = ExecRequest::new(Program::Shell(stay), Duration::from_secs(600));
    let mut process = arena.sandbox.exec(request, sender).await.expect("started");
    assert_eq!(output.recv().await.expect("output").text, "up\n");
    println!("sandbox up");
    process.wait().await;
}

#[tokio::test]
async fn attack_47_killing_the_server() {
    let word = format!("{}", 200_000_000 + rand::random_range(0..100_000_000u32));
    let mut server = std::process::Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "sandbox_attacks::server::stand_in_server", "--ignored", "--nocapture"])
        .env(WORD, &word)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut lines = std::io::BufReader::new(server.stdout.take().expect("piped")).lines();
    let said = lines.find_map(|line| line.ok().filter(|line| line.contains("sandbox"))).expect("it says something");
    let there = said.contains("sandbox up");
    if there {
        // The twin: while the server lives, so do its processes.
        until("the sandbox's processes run", || running(&word)).await;
    }
    server.kill().expect("killed");
    server.wait().expect("waited");
    if !there {
        crate::support::not_run("attack 47: sandboxes cannot be made here");
        return;
    }
    until("everything is gone", || !running(&word)).await;
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
