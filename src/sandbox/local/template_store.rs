//! The frozen template: its packages installed once, inside a sandbox, and its dev server's dependencies prepared.
//! Every sandbox lies over it and none can change it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};

use super::{
    ground::Ground,
    instance::LocalSandbox,
    layout::{self, CACHE, DEV_CACHE, NODE_MODULES},
};
use crate::{
    project::sandbox_provider::{
        ExecRequest, Exit, FileChange, OutputChunk, Program, ProgressSender, Sandbox, SandboxError,
    },
    sandbox::template,
};

/// Changes when what is frozen changes in another way than the lockfile says.
const FORMAT: &str = "2";
/// How long the installation may take: seconds, or minutes on a slow line.
const INSTALL_TIME_MAX: Duration = Duration::from_secs(600);
/// How long the dev server may take to prepare its dependencies.
const PREPARE_TIME_MAX: Duration = Duration::from_secs(60);
/// Output of the installation waiting to be looked at: it is read at once.
const OUTPUT_QUEUE: usize = 16;
/// Kept of the installation's output, for the error.
const QUOTED_SIZE_BYTES: usize = 2_000;
/// What the dev server writes when its dependencies are prepared.
const PREPARED: &str = ".vite/deps/_metadata.json";
/// What it is asked for so that it prepares everything.
const WARM_PATHS: [&str; 4] = ["/", "/src/main.jsx", "/src/App.jsx", "/src/index.css"];
const PREFIX: &str = "template-";

/// Builds the template when it is first needed; one build at a time, however many ask.
#[derive(Debug, Default)]
pub(super) struct TemplateStore {
    build: Mutex<Option<watch::Receiver<Build>>>,
}

#[derive(Debug, Clone)]
enum Build {
    /// What it is doing.
    Running(String),
    /// Its directory, relative to the base.
    Done(PathBuf),
    Failed(SandboxError),
}

impl TemplateStore {
    /// The template's directory, relative to the base. The build goes on when this future is dropped.
    pub(super) async fn get(&self, ground: &Arc<Ground>, progress: &ProgressSender) -> Result<PathBuf, SandboxError> {
        let mut build = self.current(ground);
        loop {
            let state = build.borrow_and_update().clone();
            match state {
                Build::Done(directory) => return Ok(directory),
                Build::Failed(error) => return Err(error),
                Build::Running(sentence) => {
                    if !sentence.is_empty() {
                        // Whoever made the sender may not care.
                        progress.send_replace(sentence);
                    }
                }
            }
            if build.changed().await.is_err() {
                return Err(SandboxError::Failed("building the template was given up".into()));
            }
        }
    }

    /// The build that runs or succeeded; a new one after a failure.
    fn current(&self, ground: &Arc<Ground>) -> watch::Receiver<Build> {
        let mut current = self.build.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = current.as_ref().filter(|build| {
            !matches!(*build.borrow(), Build::Failed(_))
                && (build.has_changed().is_ok() || matches!(*build.borrow(), Build::Done(_)))
        });
        if let Some(build) = usable {
            return build.clone();
        }
        let (report, build) = watch::channel(Build::Running(String::new()));
        let ground = ground.clone();
        tokio::spawn(async move {
            let outcome = tokio::select! {
                outcome = find_or_build(&ground, &report) => outcome,
                () = ground.stop.cancelled() => Err(SandboxError::Unavailable("the server is shutting down".into())),
            };
            report.send_replace(outcome.map_or_else(Build::Failed, Build::Done));
        });
        current.insert(build).clone()
    }
}

async fn find_or_build(ground: &Arc<Ground>, report: &watch::Sender<Build>) -> Result<PathBuf, SandboxError> {
    let version = node_version(&ground.host.node).await?;
    let directory = PathBuf::from(format!("{PREFIX}{}", key(template::LOCKFILE_TEXT, &version)));
    let there = ground.base.path().join(&directory);
    if there.is_dir() {
        return Ok(directory);
    }
    // Usually at once. Servers that share a data directory build one after the other.
    let lock = ground.base.path().to_owned();
    let _turn = tokio::task::spawn_blocking(move || layout::lock_templates(&lock))
        .await
        .map_err(io::Error::from)
        .flatten()
        .map_err(|error| SandboxError::Failed(format!("the template's lock: {error}")))?;
    if !there.is_dir() {
        let started = Instant::now();
        build(ground, &directory, report).await?;
        tracing::info!(duration_ms = started.elapsed().as_millis() as u64, "the sandboxes' template is built");
    }
    Ok(directory)
}

/// Packages may differ between versions of node, and its caches do.
async fn node_version(node: &Path) -> Result<String, SandboxError> {
    let failed = |reason: String| SandboxError::Unavailable(format!("{} --version: {reason}", node.display()));
    let mut command = tokio::process::Command::new(node);
    command.arg("--version").env_clear().kill_on_drop(true).process_group(0);
    let output = command.output().await.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(failed(output.status.to_string()))
    }
}

fn key(lockfile: &str, node_version: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [FORMAT, node_version, std::env::consts::ARCH, lockfile] {
        hasher.update(part);
        hasher.update([0]);
    }
    hex::encode(&hasher.finalize()[..8])
}

async fn build(ground: &Arc<Ground>, directory: &Path, report: &watch::Sender<Build>) -> Result<(), SandboxError> {
    let say = |sentence: String| report.send_replace(Build::Running(sentence));
    say("Setting up the app template (only the first time)".into());
    let sandbox = LocalSandbox::start(ground, None).await?;
    let files = template::react_vite().files.into_iter().map(FileChange::Write).collect();
    sandbox.write_all(files).await?;
    install(&sandbox, |seconds| {
        say(format!("Installing the template's packages (only the first time): {seconds} s"));
    })
    .await?;
    say("Preparing the template's dev server (only the first time)".into());
    prepare(&sandbox).await?;
    let base = ground.base.path();
    freeze(ground, &sandbox, &base.join(directory))
        .map_err(|error| SandboxError::Failed(format!("the template cannot be kept: {error}")))?;
    sandbox.stop().await;
    remove_others(base, directory);
    Ok(())
}

async fn install(sandbox: &LocalSandbox, mut tick: impl FnMut(u64)) -> Result<(), SandboxError> {
    // Install scripts stay off: the template needs none.
    let argv = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"];
    let program = Program::Argv(argv.map(str::to_owned).to_vec());
    let (output, mut printed) = mpsc::channel::<OutputChunk>(OUTPUT_QUEUE);
    let mut process = sandbox.exec(ExecRequest::new(program, INSTALL_TIME_MAX), output).await?;
    let started = Instant::now();
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    let mut text = String::new();
    loop {
        tokio::select! {
            chunk = printed.recv() => match chunk {
                Some(chunk) => text += &chunk.text,
                None => break,
            },
            _ = every_second.tick() => tick(started.elapsed().as_secs()),
        }
    }
    match process.wait().await {
        Exit::Code(0) => Ok(()),
        Exit::TimedOut => Err(SandboxError::TimedOut("installing the template's packages takes too long".into())),
        exit => {
            let end = &text[text.floor_char_boundary(text.len().saturating_sub(QUOTED_SIZE_BYTES))..];
            tracing::warn!(?exit, printed = end, "the template's packages cannot be installed");
            Err(SandboxError::Unavailable(format!("The template's packages cannot be installed. npm says:\n{end}")))
        }
    }
}

/// Runs the dev server once, so that every later one finds its dependencies prepared.
async fn prepare(sandbox: &LocalSandbox) -> Result<(), SandboxError> {
    sandbox.start_preview().await?;
    for path in WARM_PATHS {
        sandbox.preview.get(path).await?;
    }
    let prepared = sandbox.own(NODE_MODULES).join(PREPARED);
    let wait = async {
        while !prepared.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PREPARE_TIME_MAX, wait)
        .await
        .map_err(|_| SandboxError::TimedOut("the template's dev server does not get ready".into()))?;
    sandbox.preview.stop().await;
    Ok(())
}

/// Moves the packages to their place, whole or not at all.
fn freeze(ground: &Ground, sandbox: &LocalSandbox, to: &Path) -> io::Result<()> {
    let unfinished = to.with_extension(format!("new-{:08x}", rand::random::<u32>()));
    ground.base.make(&unfinished)?;
    for part in [NODE_MODULES, CACHE] {
        std::fs::rename(sandbox.own(part), unfinished.join(part))?;
    }
    // Not a layer: the dev server renames its directory when a package is added, which an overlay does not allow for
    // what lies in its lower layer. Each sandbox gets a copy instead.
    std::fs::rename(unfinished.join(NODE_MODULES).join(DEV_CACHE), unfinished.join(DEV_CACHE))?;
    let frozen = std::fs::rename(&unfinished, to);
    if frozen.is_err() {
        layout::remove(&unfinished);
    }
    // Another server may have been faster.
    frozen.or_else(|error| if to.is_dir() { Ok(()) } else { Err(error) })
}

/// Templates of other versions are of no use to this server.
fn remove_others(base: &Path, kept: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(PREFIX) && name != kept.as_os_str() {
            layout::remove(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_changes_with_everything_that_matters() {
        let keys = [key("a", "v20"), key("b", "v20"), key("a", "v22"), key("av", "20")];
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(key("a", "v20"), key("a", "v20"));
    }
}
