//! `cobuild doctor`: every property of the local sandbox proved by trying it, as a table.

use std::{
    fmt,
    io::{self, Write},
    time::{Duration, Instant},
};

use cobuild_protocol::FilePath;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    LocalConfig,
    ground::Ground,
    instance::LocalSandbox,
    probe::{self, Property, Ran},
};
use crate::project::sandbox_provider::{ExecRequest, Exit, Program, Sandbox, SandboxError};

/// How long one probe may take.
const PROBE_TIME_MAX: Duration = Duration::from_secs(30);
/// Limits small enough to be reached at once.
const PROBE_MEMORY_BYTES: u64 = 192 * 1024 * 1024;
const PROBE_TASKS: u64 = 64;

/// What came of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// The property, as a statement.
    pub name: String,
    /// Whether it is true.
    pub outcome: Outcome,
    /// What was seen.
    pub detail: String,
    /// What to do about it; empty when there is nothing to do.
    pub fix: String,
}

/// Whether a property was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Proved.
    Ok,
    /// Disproved, or not proved.
    Failed,
    /// Not tried, because something it needs failed.
    Skipped,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        })
    }
}

impl ProbeResult {
    fn new(name: impl Into<String>, outcome: Outcome, detail: impl Into<String>, fix: &str) -> Self {
        Self { name: name.into(), outcome, detail: detail.into(), fix: fix.into() }
    }

    fn of(name: &str, seen: Result<String, String>, fix: &str) -> Self {
        match seen {
            Ok(detail) => Self::new(name, Outcome::Ok, detail, ""),
            Err(detail) => Self::new(name, Outcome::Failed, detail, fix),
        }
    }
}

const MADE: &str = "sandboxes can be made";
const REGISTRY: &str = "the package registry can be reached";
const LIMITS: &str = "memory and processes are limited";
const FILES: &str = "links out of the project are not followed";
const ENDS: &str = "a stopped sandbox leaves nothing running";

/// Tries everything. Takes a second or two; needs no template.
pub async fn run(config: LocalConfig) -> Vec<ProbeResult> {
    let mut results = Vec::new();
    let opened = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || Ground::open(&config)).await
    };
    let ground = match opened.map_err(|error| SandboxError::Failed(error.to_string())).flatten() {
        Ok(ground) => ground,
        Err(error) => {
            results.push(ProbeResult::new(MADE, Outcome::Failed, "", &error.to_string()));
            results.extend(skipped());
            return results;
        }
    };
    let view = &ground.host.view;
    let tools = format!("{}, {}", view.bubblewrap.display(), ground.host.node.display());
    results.push(ProbeResult::new("bubblewrap and node are there", Outcome::Ok, tools, ""));
    results.extend(in_sandbox(&ground).await);
    results.push(limits(config).await);
    ground.close().await;
    results
}

fn skipped() -> impl Iterator<Item = ProbeResult> {
    let inside = probe::PROPERTIES.iter().map(|&(_, what)| what);
    inside.chain([REGISTRY, FILES, ENDS, LIMITS]).map(|name| ProbeResult::new(name, Outcome::Skipped, "", ""))
}

async fn in_sandbox(ground: &Ground) -> Vec<ProbeResult> {
    let started = Instant::now();
    let tried = async {
        let sandbox = LocalSandbox::start(ground, None).await?;
        let properties = probe::properties(ground, &sandbox).await?;
        Ok::<_, SandboxError>((sandbox, properties))
    };
    let (sandbox, properties) = match tried.await {
        Ok(tried) => tried,
        Err(error) => {
            let made = ProbeResult::new(MADE, Outcome::Failed, "", &error.to_string());
            return std::iter::once(made).chain(skipped().filter(|result| result.name != LIMITS)).collect();
        }
    };
    let took = format!("with all probes inside in {} ms", started.elapsed().as_millis());
    let mut results = vec![ProbeResult::new(MADE, Outcome::Ok, took, "")];
    let broken = "This is a fault of the sandbox on this machine: do not run code you do not trust, and report it";
    results.extend(properties.into_iter().map(|Property { what, seen_instead }| match seen_instead {
        None => ProbeResult::new(what, Outcome::Ok, "", ""),
        Some(seen) => ProbeResult::new(what, Outcome::Failed, seen, broken),
    }));
    let reachable = "Check the server's network and its setting of the package registry";
    results.push(ProbeResult::of(REGISTRY, registry(ground, &sandbox).await, reachable));
    results.push(ProbeResult::of(FILES, links(&sandbox).await, broken));
    results.push(ProbeResult::of(ENDS, ends(&sandbox).await, broken));
    results
}

/// Asks the egress proxy for the registry, from inside.
async fn registry(ground: &Ground, sandbox: &LocalSandbox) -> Result<String, String> {
    let target = ground.egress.allowed().to_string();
    let mut stream = sandbox.connect_egress().await.map_err(|error| error.to_string())?;
    let request = format!("CONNECT {target} HTTP/1.1\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = [0; 64];
    let length = tokio::time::timeout(PROBE_TIME_MAX, stream.read(&mut answer))
        .await
        .map_err(|_| "no answer in time".to_owned())?
        .map_err(|error| error.to_string())?;
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    let status = answer.lines().next().unwrap_or_default();
    if status.contains(" 200 ") { Ok(target) } else { Err(format!("{target}: {status}")) }
}

/// Plants a link that leads out and asks the file API for it.
async fn links(sandbox: &LocalSandbox) -> Result<String, String> {
    let planted = probe::run(sandbox, &["ln", "-s", "/etc/passwd", "planted-link"], PROBE_TIME_MAX).await;
    match planted {
        Ok(Ran { exit: Exit::Code(0), .. }) => {}
        other => return Err(format!("the link could not be planted: {other:?}")),
    }
    let path: FilePath = "planted-link".parse().expect("a valid path");
    match sandbox.read(&path).await {
        Err(SandboxError::NotFound) => Ok(String::new()),
        other => Err(format!("reading it: {other:?}")),
    }
}

/// Starts something that wants to stay, and ends the sandbox.
async fn ends(sandbox: &LocalSandbox) -> Result<String, String> {
    let word = format!("{}", 300_000_000 + rand::random_range(0..100_000_000u32));
    let stay = format!("trap '' TERM; setsid sleep {word} & sleep {word}");
    let (output, _discarded) = tokio::sync::mpsc::channel(1);
    let request = ExecRequest::new(Program::Shell(stay), PROBE_TIME_MAX);
    let process = sandbox.exec(request, output).await.map_err(|error| error.to_string())?;
    let deadline = Instant::now() + PROBE_TIME_MAX;
    while !runs(&word) {
        if Instant::now() > deadline {
            return Err("the probe's process did not start".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let started = Instant::now();
    sandbox.stop().await;
    drop(process);
    if runs(&word) { Err("a process lives on".into()) } else { Ok(format!("in {} ms", started.elapsed().as_millis())) }
}

/// Whether a process of the host has this word on its command line.
fn runs(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.map(|process| process.path().join("cmdline")).any(|path| {
        let line = std::fs::read(path).unwrap_or_default();
        line.split(|&byte| byte == 0).any(|argument| argument == word.as_bytes())
    })
}

/// Makes a sandbox with small limits and goes beyond them.
async fn limits(mut config: LocalConfig) -> ProbeResult {
    const FIX: &str = "Give the server cgroups: run it as root, or as a systemd service with Delegate=yes and \
        DelegateSubgroup=server. Without them \
        a sandbox can use all of the machine's memory";
    config.limits.resources.memory_bytes_max = PROBE_MEMORY_BYTES;
    config.limits.resources.tasks_max = PROBE_TASKS;
    let opened = tokio::task::spawn_blocking(move || Ground::open(&config)).await;
    let seen = async {
        let ground = opened.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        // Only where a limit will stop them are bombs thrown.
        let group = ground.hierarchy.as_ref().map_err(Clone::clone)?.describe();
        let sandbox = LocalSandbox::start(&ground, None).await.map_err(|error| error.to_string())?;
        let memory = "const kept = []; for (let i = 0; i < 100; i++) kept.push(Buffer.alloc(4 << 20, 1))";
        let forks = format!("for i in $(seq {}); do sleep 5 & done", PROBE_TASKS * 2);
        let memory = probe::run(&sandbox, &["node", "-e", memory], PROBE_TIME_MAX).await;
        let forks = probe::run(&sandbox, &["sh", "-c", &forks], PROBE_TIME_MAX).await;
        ground.close().await;
        match (memory.map(|ran| ran.exit), forks.map(|ran| ran.exit)) {
            (Ok(Exit::Signal(9)), Ok(exit)) if exit != Exit::Code(0) => Ok(group),
            (memory, forks) => Err(format!("{group}: too much memory: {memory:?}, too many processes: {forks:?}")),
        }
    };
    ProbeResult::of(LIMITS, seen.await, FIX)
}

/// Prints the results as a table, what to do last.
///
/// # Errors
/// When it cannot be written.
pub fn print_table(results: &[ProbeResult], to: &mut impl Write) -> io::Result<()> {
    let width = results.iter().map(|result| result.name.chars().count()).max().unwrap_or_default();
    for ProbeResult { name, outcome, detail, .. } in results {
        writeln!(to, "{}", format!("{outcome:<8} {name:<width$}  {detail}").trim_end())?;
    }
    for ProbeResult { name, fix, .. } in results.iter().filter(|result| !result.fix.is_empty()) {
        writeln!(to, "\n{name}:\n  {}", fix.replace('\n', "\n  "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ends_with_what_to_do() {
        let results = [
            ProbeResult::new("a property", Outcome::Ok, "seen", ""),
            ProbeResult::new("another", Outcome::Failed, "", "Do this"),
        ];
        let mut printed = Vec::new();
        print_table(&results, &mut printed).expect("printed");
        let expected = "ok       a property  seen\nFAILED   another\n\nanother:\n  Do this\n";
        assert_eq!(String::from_utf8(printed).expect("UTF-8"), expected);
    }
}
