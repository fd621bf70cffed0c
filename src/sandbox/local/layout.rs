//! Where sandboxes and templates are on the host's disk:
//!
//! ```text
//! <data_dir>/sandbox/                  the base; 0700, the sandbox user's
//!   template-<key>/{node_modules,cache}
//!   runs/<run>/lock                    held while its server lives
//!   runs/<run>/certificates.pem        what its sandboxes trust, where that is more than the system's
//!   runs/<run>/<number>/               one sandbox
//!     project/  staging/               the files; what is on its way to them
//!     node_modules/{upper,work}  cache/{upper,work}
//! ```
//!
//! What a killed server left behind is removed by the next.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::FlockOperation;

use super::wire::Identity;

const RUNS: &str = "runs";
const LOCK: &str = "lock";
const CERTIFICATES: &str = "certificates.pem";
/// The parts of a sandbox's directory.
pub(super) const PROJECT: &str = "project";
pub(super) const STAGING: &str = "staging";
pub(super) const NODE_MODULES: &str = "node_modules";
/// What the dev server has prepared: a directory in `node_modules`, and beside it in a template.
pub(super) const DEV_CACHE: &str = ".vite";
pub(super) const CACHE: &str = "cache";

/// The base directory and this server's run in it.
#[derive(Debug)]
pub(super) struct Base {
    path: PathBuf,
    /// Relative to the base.
    run: PathBuf,
    identity: Option<Identity>,
    number: AtomicU64,
    _lock: fs::File,
}

/// One sandbox's directory. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct SandboxDirectory {
    path: PathBuf,
    /// Relative to the base.
    relative: PathBuf,
    number: u64,
}

impl Base {
    /// Opens the base below the data directory, makes a run and removes those of dead servers.
    pub(super) fn open(data_dir: &Path, identity: Option<Identity>) -> io::Result<Self> {
        fs::create_dir_all(data_dir)?;
        let path = data_dir.canonicalize()?.join("sandbox");
        // Closed to every other user: a file that sandboxed code makes is a file of this machine.
        make_directory(&path, 0o700, identity)?;
        make_directory(&path.join(RUNS), 0o700, identity)?;
        // A run is locked before anybody else can take it for a dead one.
        let _opening = lock(&path.join(RUNS).join(LOCK), true)?;
        sweep(&path.join(RUNS))?;
        let name = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
        let run = Path::new(RUNS).join(name);
        make_directory(&path.join(&run), 0o700, identity)?;
        let lock = lock(&path.join(&run).join(LOCK), false)?;
        Ok(Self { path, run, identity, number: AtomicU64::new(1), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the system's certificates and the operator's own into one file that sandboxes can be shown; returns its place
    /// relative to the base.
    pub(super) fn write_certificates(&self, system: Option<&Path>, own: &Path) -> io::Result<PathBuf> {
        let mut bundle = system.map(fs::read).transpose()?.unwrap_or_default();
        bundle.push(b'\n');
        bundle.extend(fs::read(own)?);
        let relative = self.run.join(CERTIFICATES);
        let path = self.path.join(&relative);
        fs::write(&path, bundle)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(relative)
    }

    /// Makes the directory of a new sandbox. `layered`: its packages lie over a template's.
    pub(super) fn make_sandbox(&self, layered: bool) -> io::Result<SandboxDirectory> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let relative = self.run.join(number.to_string());
        let directory = SandboxDirectory { path: self.path.join(&relative), relative, number };
        self.make(&directory.path)?;
        for part in [PROJECT, STAGING, NODE_MODULES, CACHE] {
            self.make(&directory.path.join(part))?;
        }
        if layered {
            for (layer, part) in [(NODE_MODULES, "upper"), (NODE_MODULES, "work"), (CACHE, "upper"), (CACHE, "work")] {
                self.make(&directory.path.join(layer).join(part))?;
            }
        }
        Ok(directory)
    }

    /// Gives a layered sandbox its own copy of what the template's dev server has prepared.
    pub(super) async fn copy_dev_cache(&self, template: &Path, sandbox: &SandboxDirectory) -> io::Result<()> {
        let to = sandbox.path(NODE_MODULES).join("upper").join(DEV_CACHE);
        let mut copy = tokio::process::Command::new("cp");
        copy.arg("-a").arg(self.path.join(template).join(DEV_CACHE)).arg(to).env_clear().kill_on_drop(true);
        // Ctrl-C in the server's terminal is for the server alone: what it still finishes may need this sandbox.
        copy.process_group(0);
        let status = copy.status().await?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("cp: {status}"))) }
    }

    /// Makes a directory of the sandbox user's.
    pub(super) fn make(&self, path: &Path) -> io::Result<()> {
        make_directory(path, 0o755, self.identity)
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        remove(&self.path.join(&self.run));
    }
}

impl SandboxDirectory {
    /// Different for every sandbox of this server.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn path(&self, part: &str) -> PathBuf {
        self.path.join(part)
    }

    pub(super) fn relative(&self, part: &str) -> PathBuf {
        self.relative.join(part)
    }
}

impl Drop for SandboxDirectory {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn make_directory(path: &Path, mode: u32, identity: Option<Identity>) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if let Some(Identity { uid, gid }) = identity {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid))?;
    }
    Ok(())
}

fn lock(path: &Path, wait: bool) -> io::Result<fs::File> {
    let file = fs::File::options().create(true).truncate(false).write(true).open(path)?;
    let operation = if wait { FlockOperation::LockExclusive } else { FlockOperation::NonBlockingLockExclusive };
    rustix::fs::flock(&file, operation)?;
    Ok(file)
}

/// Waits until no other server of this base builds a template, and keeps it so.
pub(super) fn lock_templates(base: &Path) -> io::Result<fs::File> {
    lock(&base.join("template.lock"), true)
}

/// Removes the runs whose lock nobody holds.
fn sweep(runs: &Path) -> io::Result<()> {
    for run in fs::read_dir(runs)? {
        let run = run?.path();
        if run.is_dir() && lock(&run.join(LOCK), false).is_ok() {
            tracing::info!(run = %run.display(), "removing the sandboxes of a dead server");
            remove(&run);
        }
    }
    Ok(())
}

/// Removes a tree that no process uses any more, whatever permissions its directories have. Does not follow links.
pub(super) fn remove(path: &Path) {
    let removed = fs::remove_dir_all(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => {
            open_up(path);
            fs::remove_dir_all(path)
        }
    });
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "a sandbox's directory cannot be removed");
    }
}

/// Makes every directory of a tree writable for its owner: overlays leave one that is closed to all.
fn open_up(path: &Path) {
    let is_directory = fs::symlink_metadata(path).is_ok_and(|about| about.is_dir());
    if is_directory && fs::set_permissions(path, fs::Permissions::from_mode(0o700)).is_ok() {
        fs::read_dir(path).into_iter().flatten().flatten().for_each(|entry| open_up(&entry.path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_what_a_dead_server_left_and_nothing_else() {
        let data = tempfile::tempdir().expect("a directory");
        let dead = data.path().join("sandbox/runs/1-dead/1/project");
        fs::create_dir_all(&dead).expect("made");
        fs::set_permissions(&dead, fs::Permissions::from_mode(0o000)).expect("closed");
        let first = Base::open(data.path(), None).expect("opened");
        assert!(!dead.exists());
        let sandbox = first.make_sandbox(true).expect("made");
        let second = Base::open(data.path(), None).expect("opened");
        assert!(sandbox.path("node_modules/upper").is_dir(), "the first server lives");
        drop(sandbox);
        assert!(!first.path().join(&first.run).join("1").exists());
        drop(second);
        assert!(first.path().join(&first.run).exists());
    }
}
