//! Python programs that tests are examined by, at pinned versions, in an environment of their own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::not_run;

/// The folder of programs of an environment with these packages, made on first use. `None`, with a line that says so,
/// where it cannot be made.
pub(crate) fn python_programs(name: &str, requirements: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (programs, stamp) = (folder.join("bin"), folder.join("requirements.txt"));
    // Tests run in processes of their own; only one of them installs.
    let lock = std::fs::File::create(folder.with_extension("lock")).expect("a lock file");
    lock.lock().expect("the lock");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == requirements) {
        return Some(programs);
    }
    let run = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let text = folder.to_str().expect("a path of text");
    let pip =
        |arguments: &[&str]| run(&programs.join("python"), &[&["-m", "pip", "install", "-q"], arguments].concat());
    let packages: Vec<&str> = requirements.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if !run(Path::new("python3"), &["-m", "venv", text]) || !pip(&packages) {
        not_run(&format!("{name}: needs python3 with venv, and its packages from PyPI"));
        return None;
    }
    std::fs::write(stamp, requirements).expect("a stamp");
    Some(programs)
}
