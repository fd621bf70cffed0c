//! A process under test: this same program with other arguments, and a folder that goes when it goes.

use std::{
    env, fs,
    io::{self, BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, kill};

use super::{
    BenchError,
    machine::{CpuClock, Memory, pid},
};

/// How long an orderly end may take.
const END_MAX: Duration = Duration::from_secs(10);
/// Of the environment, what programs need to be found and run. Nothing a person configured for their own server.
const ENVIRONMENT_KEPT: [&str; 3] = ["PATH", "HOME", "LANG"];

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub(super) struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    pub(super) fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("cobuild-bench-{:016x}", rand::random::<u64>()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Left behind it is only litter in the folder for litter.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that said where it listens.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    address: SocketAddr,
}

impl Process {
    /// Starts it and waits for its first line, which ends with its address.
    pub(super) fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Result<Self, BenchError> {
        let kept = ENVIRONMENT_KEPT.iter().filter_map(|name| Some((*name, env::var_os(name)?)));
        let mut child = Command::new(env::current_exe()?)
            .args(arguments)
            .env_clear()
            .envs(kept)
            .envs(settings.iter().copied())
            // Not where a `.env` may lie.
            .current_dir(env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut line = String::new();
        if let Some(output) = output {
            BufReader::new(output).read_line(&mut line)?;
        }
        // `Cobuild is ready: http://localhost:40123`
        let port = line.trim_end().trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
        let Some(port) = port else {
            // It said on standard error why not.
            let _ = child.kill();
            child.wait()?;
            return Err(BenchError::Unexpected(format!("`cobuild {}` did not start", arguments.join(" "))));
        };
        Ok(Self { child, input, address: SocketAddr::from(([127, 0, 0, 1], port)) })
    }

    /// `cobuild serve` on a free port, with the demo model at full speed.
    pub(super) fn serve(data: &Path, sandboxes: &str) -> Result<Self, BenchError> {
        let data = data.display().to_string();
        let settings =
            [("DEMO_SPEED", "0"), ("LOG_LEVEL", "error"), ("SANDBOX_PROVIDER", sandboxes), ("SANDBOX_POOL_SIZE", "0")];
        Self::start(&["serve", "--port", "0", "--data-dir", &data], &settings)
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn memory(&self) -> io::Result<Memory> {
        Memory::of(self.child.id())
    }

    pub(super) fn cpu(&self) -> io::Result<CpuClock> {
        CpuClock::of(self.child.id())
    }
}

impl Drop for Process {
    /// In an orderly way, so that its sandboxes end too.
    fn drop(&mut self) {
        // One of our own ends when its input does.
        self.input = None;
        if let Ok(pid) = pid(self.child.id()) {
            let _ = kill(pid, Signal::SIGTERM);
        }
        let deadline = Instant::now() + END_MAX;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
