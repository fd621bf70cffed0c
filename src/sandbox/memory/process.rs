//! Programs in memory: scripts that print, change files and end, or hang until they are killed.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Files, Script, ScriptEnd};
use crate::{
    project::sandbox_provider::{ExecRequest, Exit, OutputSender, Process, Program, SandboxError},
    sandbox::output::{self, OutputBudget},
};

/// The signal that ends a killed process.
const SIGKILL: i32 = 9;

#[derive(Debug)]
pub(super) struct MemoryProcess {
    killed: CancellationToken,
    exit: watch::Receiver<Option<Exit>>,
}

/// Starts the script that belongs to the command line.
pub(super) fn start(
    programs: &HashMap<String, Script>,
    files: Files,
    gone: CancellationToken,
    request: ExecRequest,
    output: OutputSender,
) -> Result<MemoryProcess, SandboxError> {
    let line = match request.program {
        Program::Shell(line) => line,
        Program::Argv(argv) if argv.is_empty() => {
            return Err(SandboxError::Refused("there is nothing to run".into()));
        }
        Program::Argv(argv) => argv.join(" "),
    };
    let script = programs.get(&line).cloned().unwrap_or_else(|| {
        Script::prints("").complaining(&format!("sh: {line}: not found\n")).ending(ScriptEnd::Code(127))
    });
    let killed = CancellationToken::new();
    let (report, exit) = watch::channel(None);
    let process = MemoryProcess { killed: killed.clone(), exit };
    tokio::spawn(async move {
        let end = tokio::select! {
            biased;
            () = gone.cancelled() => Exit::Lost,
            () = killed.cancelled() => Exit::Signal(SIGKILL),
            code = run(script, &files, output) => Exit::Code(code),
            () = sleep(request.timeout.max(Duration::from_millis(1))) => Exit::TimedOut,
        };
        report.send_replace(Some(end));
    });
    Ok(process)
}

async fn run(script: Script, files: &Files, output: OutputSender) -> i32 {
    let budget = OutputBudget::default();
    for (stream, text) in script.prints {
        output::pump(text.as_bytes(), stream, &budget, output.clone()).await;
    }
    files.change(&script.changes);
    match script.end {
        ScriptEnd::Code(code) => code,
        ScriptEnd::Hangs => std::future::pending().await,
    }
}

#[async_trait]
impl Process for MemoryProcess {
    async fn wait(&mut self) -> Exit {
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or(Exit::Lost),
            Err(_) => Exit::Lost,
        }
    }

    fn kill(&mut self) {
        self.killed.cancel();
    }
}

impl Drop for MemoryProcess {
    fn drop(&mut self) {
        self.killed.cancel();
    }
}
