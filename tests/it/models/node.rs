//! Node packages for tests: the vendors' SDKs and a mock of their servers.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::support::not_run;

/// The folder with the packages, installed on first use; `None`, with a line that says so, where there is no Node.
pub(crate) fn packages() -> Option<PathBuf> {
    static READY: OnceLock<Option<PathBuf>> = OnceLock::new();
    READY.get_or_init(install).clone()
}

fn install() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/models");
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    if !node.is_ok_and(|status| status.success()) {
        not_run("models: the vendors' SDKs and aimock need Node");
        return None;
    }
    // Tests may run in processes of their own; only one of them installs.
    let lock = std::fs::File::create(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("npm.lock")).expect("a lock file");
    lock.lock().expect("the lock");
    // npm writes this file last, so a broken installation is made again.
    let stamp = folder.join("node_modules/.package-lock.json");
    let fresh = |path: PathBuf| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    if fresh(stamp) < fresh(folder.join("package-lock.json")) {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--silent"]).current_dir(&folder).stdin(Stdio::null());
        assert!(npm.status().expect("npm comes with Node").success(), "npm ci in tests/fakes/models");
    }
    Some(folder)
}
