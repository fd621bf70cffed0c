//! The attack list of the local sandbox: what code in a sandbox must not be able to do, tried by such code. The
//! numbers are the list's.
//!
//! Rules: aim only at what the suite itself made, and look afterwards whether it lives. Every probe has a time limit.
//! Every probe has a twin that runs outside and succeeds, so that a broken probe cannot pass; where the real target
//! would harm the machine the twin uses a stand-in. Bombs run only where limits are in force. What cannot be run says
//! so by name, and why.

mod files;
mod kernel;
mod limits;
mod network;
mod processes;
mod reads;
mod server;

use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use cobuild::{
    project::sandbox_provider::{ExecRequest, Exit, Program, Sandbox, SandboxProvider},
    sandbox::local::{LocalConfig, LocalProvider},
};
use tokio::{sync::mpsc, time::timeout};

use crate::sandbox_support::{create, local_config, local_provider_with, required};

/// Longest a probe may run, inside or outside; most take milliseconds.
const PROBE_TIME_MAX: Duration = Duration::from_secs(30);

/// A sandbox under attack. Its provider ends with it.
struct Arena {
    sandbox: Arc<dyn Sandbox>,
    _provider: Arc<LocalProvider>,
    /// Below which the sandboxes' files are on the host.
    data_dir: PathBuf,
}

/// What a probe printed, on both streams, and how it ended.
#[derive(Debug)]
struct Seen {
    text: String,
    exit: Exit,
}

impl Seen {
    /// The text, which the probe printed before it ended by itself.
    #[track_caller]
    fn text(&self) -> &str {
        assert!(matches!(self.exit, Exit::Code(_)), "{self:?}");
        self.text.trim()
    }

    #[track_caller]
    fn fails(&self, with: &str) {
        assert!(self.exit != Exit::Code(0) && self.exit != Exit::TimedOut, "{self:?}");
        assert!(self.text.contains(with), "expected {with:?}: {self:?}");
    }

    #[track_caller]
    fn succeeds(&self) -> &str {
        assert_eq!(self.exit, Exit::Code(0), "{self:?}");
        self.text.trim()
    }
}

impl Arena {
    /// `None`, said loudly, where sandboxes cannot be made.
    async fn open(attack: &str) -> Option<Self> {
        Self::open_with(attack, local_config()).await
    }

    async fn open_with(attack: &str, config: LocalConfig) -> Option<Self> {
        if !Path::new("/usr/bin/perl").exists() {
            assert!(!required(), "{attack}: there is no /usr/bin/perl");
            crate::support::not_run(&format!(
                "{attack}: the probes need /usr/bin/perl, which every Debian and Ubuntu has"
            ));
            return None;
        }
        let data_dir = config.data_dir.clone();
        let provider = local_provider_with(attack, config).await?;
        let sandbox = create(&*provider, provider.template().files).await;
        Some(Self { sandbox, _provider: provider, data_dir })
    }

    async fn run(&self, argv: &[&str]) -> Seen {
        let program = Program::Argv(argv.iter().map(|&word| word.to_owned()).collect());
        let (sender, mut chunks) = mpsc::channel(16);
        let request = ExecRequest::new(program, PROBE_TIME_MAX);
        let mut process = self.sandbox.exec(request, sender).await.expect("started");
        let mut text = String::new();
        let collect = async {
            while let Some(chunk) = chunks.recv().await {
                text += &chunk.text;
            }
            process.wait().await
        };
        let exit = timeout(PROBE_TIME_MAX * 2, collect).await.expect("a probe ends in time");
        Seen { text, exit }
    }

    async fn sh(&self, line: &str) -> Seen {
        self.run(&["sh", "-c", line]).await
    }

    async fn perl(&self, script: &str) -> Seen {
        self.run(&["perl", "-e", script]).await
    }

    /// The sandbox's project directory on the host.
    async fn host_directory(&self) -> PathBuf {
        let marker = format!("marker-{:016x}", rand::random::<u64>());
        self.sh(&format!("touch {marker}")).await.succeeds();
        let runs = self.data_dir.join("sandbox/runs");
        let children =
            |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        children(runs)
            .flat_map(children)
            .map(|sandbox| sandbox.join("project"))
            .find(|project| project.join(&marker).exists())
            .expect("the project's directory")
    }
}

/// The same probe outside, in a directory of the suite's own.
fn outside(directory: &Path, argv: &[&str]) -> Seen {
    let seconds = PROBE_TIME_MAX.as_secs().to_string();
    let output = Command::new("timeout")
        .args(["--kill-after=1", &seconds])
        .args(argv)
        .current_dir(directory)
        .output()
        .expect("started");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let exit = match (output.status.code(), output.status.signal()) {
        (Some(124), _) => Exit::TimedOut,
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    };
    Seen { text, exit }
}

fn outside_sh(directory: &Path, line: &str) -> Seen {
    outside(directory, &["sh", "-c", line])
}

fn outside_perl(directory: &Path, script: &str) -> Seen {
    outside(directory, &["perl", "-e", script])
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A process of the suite's own, ended with it.
struct Bystander(std::process::Child);

impl Bystander {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").spawn().expect("started"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().expect("asked").is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A perl script that makes a system call and prints its answer: a number, or `errno N`.
fn syscall(number: i64, arguments: &str) -> String {
    format!(
        "my $r = syscall({number}{}{arguments}); print $r < 0 ? 'errno ' . ($! + 0) : 'ok ' . $r;",
        if arguments.is_empty() { "" } else { ", " },
    )
}

const EPERM: &str = "errno 1";
const ENOSYS: &str = "errno 38";
