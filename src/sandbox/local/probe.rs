//! Proof by trying: the few properties without which no sandbox is handed out.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{EGRESS_PORT, diagnosis, ground::Ground, instance::LocalSandbox};
use crate::project::sandbox_provider::{ExecRequest, Exit, OutputChunk, Program, Sandbox, SandboxError};

/// How long a probe may take: some 50 ms on a quiet machine.
const PROBE_TIME_MAX: Duration = Duration::from_secs(20);
/// Output of a probe waiting to be looked at: it is read at once.
const OUTPUT_QUEUE: usize = 16;

/// Makes a sandbox and tries what must hold. The error names the cause and the fix.
pub(super) async fn essential(ground: &Ground) -> Result<(), SandboxError> {
    let sandbox = LocalSandbox::start(ground, None).await?;
    let secret = ground.base.path().join("probe-secret");
    std::fs::write(&secret, "not for sandboxes").map_err(|error| diagnosis::explain_directory(&secret, &error))?;
    let script = include_str!("probe/essential.js");
    let (secret, port) = (secret.to_string_lossy().into_owned(), EGRESS_PORT.to_string());
    let tried = run(&sandbox, &["node", "-e", script, &secret, &port], PROBE_TIME_MAX).await;
    sandbox.stop().await;
    let Ran { exit, printed } = tried?;
    match (exit, printed.trim()) {
        (Exit::Code(0), "ready") => Ok(()),
        (Exit::Code(0), wrong) => {
            let wrong = wrong.trim_end_matches("ready").trim();
            Err(SandboxError::Unavailable(format!("Sandboxes on this machine are not safe, so none is made: {wrong}")))
        }
        (Exit::TimedOut, _) => Err(SandboxError::TimedOut("the first sandbox does not get ready".into())),
        (_, printed) => Err(diagnosis::explain_command(printed)),
    }
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
    let mut process = sandbox.exec(ExecRequest { program, timeout }, output).await?;
    let mut printed = String::new();
    while let Some(chunk) = chunks.recv().await {
        printed += &chunk.text;
    }
    Ok(Ran { exit: process.wait().await, printed })
}
