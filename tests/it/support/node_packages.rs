//! Node packages for tests, installed from their lockfile by whoever needs them first.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use super::not_run;

/// This folder of the repository with its packages; `None`, with a line that says so, where they cannot be installed.
pub(crate) fn node_packages(folder: &str, who: &str) -> Option<PathBuf> {
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    if !node.is_ok_and(|status| status.success()) {
        not_run(&format!("{who}: Node is not installed"));
        return None;
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    // Tests may run in processes of their own; only one of them installs.
    let lock = format!("npm-{}.lock", folder.replace('/', "-"));
    let lock = std::fs::File::create(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(lock)).expect("a lock file");
    lock.lock().expect("the lock");
    // npm writes this file last, so a broken installation is made again.
    let stamp = path.join("node_modules/.package-lock.json");
    let changed = |path: PathBuf| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    if changed(stamp) < changed(path.join("package-lock.json")) {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--silent"]).current_dir(&path).stdin(Stdio::null());
        if !npm.status().is_ok_and(|status| status.success()) {
            not_run(&format!("{who}: `npm ci` in {folder} failed"));
            return None;
        }
    }
    Some(path)
}
