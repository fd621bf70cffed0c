//! Proof by trying: the properties without which no sandbox is handed out.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{EGRESS_PORT, diagnosis, ground::Ground, instance::LocalSandbox};
use crate::project::sandbox_provider::{ExecRequest, Exit, OutputChunk, Program, Sandbox, SandboxError};

/// How long a probe may take: some 100 ms on a quiet machine.
const PROBE_TIME_MAX: Duration = Duration::from_secs(30);
/// Output of a probe waiting to be looked at: it is read at once.
const OUTPUT_QUEUE: usize = 16;

/// What is tried inside, under the names that the script reports.
pub(super) const PROPERTIES: [(&str, &str); 9] = [
    ("host_files", "the host's files are hidden"),
    ("host_environment", "the server's environment is hidden"),
    ("host_processes", "the host's processes are hidden"),
    ("host_read_only", "the host's programs are read-only"),
    ("privileges", "no capabilities, no new privileges"),
    ("system_calls", "the system-call filter is in force"),
    ("set_uid", "set-uid files are refused"),
    ("host_network", "the host's network is out of reach"),
    ("egress", "foreign hosts are refused"),
];

/// A property, and what was seen instead if it does not hold.
#[derive(Debug)]
pub(super) struct Property {
    pub(super) what: &'static str,
    pub(super) seen_instead: Option<String>,
}

/// Makes a sandbox and tries what must hold. The error names the cause and the fix.
pub(super) async fn essential(ground: &Ground) -> Result<(), SandboxError> {
    let sandbox = LocalSandbox::start(ground, None).await?;
    let properties = properties(ground, &sandbox).await;
    sandbox.stop().await;
    let broken: Vec<String> = properties?
        .into_iter()
        .filter_map(|Property { what, seen_instead }| seen_instead.map(|seen| format!("not true that {what}: {seen}")))
        .collect();
    if broken.is_empty() {
        return Ok(());
    }
    let broken = broken.join("; ");
    Err(SandboxError::Unavailable(format!("Sandboxes on this machine are not safe, so none is made: {broken}")))
}

/// Tries every property in a sandbox.
pub(super) async fn properties(ground: &Ground, sandbox: &LocalSandbox) -> Result<Vec<Property>, SandboxError> {
    let directory = ground.base.path();
    let failed = |error: std::io::Error| diagnosis::explain_directory(directory, &error);
    let secret = directory.join("probe-secret");
    std::fs::write(&secret, "not for sandboxes").map_err(failed)?;
    // Bound, so that a connection that got through would succeed; nobody needs to accept it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port().to_string();
    let script = include_str!("probe/inside.js");
    let argv = ["node", "-e", script, &secret.to_string_lossy(), &EGRESS_PORT.to_string(), &port];
    let Ran { exit, printed } = run(sandbox, &argv, PROBE_TIME_MAX).await?;
    match exit {
        Exit::Code(0) => Ok(judge(&printed)),
        Exit::TimedOut => Err(SandboxError::TimedOut("the first sandbox does not get ready".into())),
        _ => Err(diagnosis::explain_command(&printed)),
    }
}

/// What the script did not report counts as not true.
fn judge(printed: &str) -> Vec<Property> {
    let seen = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
    PROPERTIES
        .iter()
        .map(|&(name, what)| Property {
            what,
            seen_instead: match seen(name) {
                Some("ok") => None,
                Some(instead) => Some(instead.to_owned()),
                None => Some("the probe did not report it".into()),
            },
        })
        .collect()
}

/// A command that has ended.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) exit: Exit,
    /// On both streams.
    pub(super) printed: String,
}

/// Runs a command to its end.
pub(super) async fn run(sandbox: &dyn Sandbox, argv: &[&str], timeout: Duration) -> Result<Ran, SandboxError> {
    let program = Program::Argv(argv.iter().map(|&word| word.to_owned()).collect());
    let (output, mut chunks) = mpsc::channel::<OutputChunk>(OUTPUT_QUEUE);
    let mut process = sandbox.exec(ExecRequest::new(program, timeout), output).await?;
    let mut printed = String::new();
    while let Some(chunk) = chunks.recv().await {
        printed += &chunk.text;
    }
    Ok(Ran { exit: process.wait().await, printed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_no_proof() {
        let all: String = PROPERTIES.iter().map(|(name, _)| format!("{name}\tok\n")).collect();
        assert!(judge(&all).iter().all(|property| property.seen_instead.is_none()));
        assert!(judge("").iter().all(|property| property.seen_instead.is_some()));
        let one = all.replace("egress\tok", "egress\tconnected");
        let broken: Vec<_> = judge(&one).into_iter().filter_map(|property| property.seen_instead).collect();
        assert_eq!(broken, ["connected"]);
    }
}
