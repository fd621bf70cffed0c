//! The helper: our own binary, re-executed, one process per sandbox. It makes the namespaces, mounts what the sandbox
//! is made of, hands its sockets to the server and starts one bubblewrap per command. It stays outside every sandbox's
//! process namespace, so that sandboxed code cannot touch it. One thread, no runtime, no environment, no logging: what
//! goes wrong is said to the server.
//!
//! It knows neither projects nor providers. When the socketpair closes, everything it started ends, and so does it.

mod namespaces;
mod serve;

use std::{
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    process::ExitCode,
};

use rustix::process::{Pid, Signal};

use super::{
    EGRESS_PORT, seccomp,
    wire::{self, FromHelper, Setup, ToHelper},
};

/// The argument by which `main` recognises that it is to be the helper.
pub const HELPER_ARGUMENT: &str = "__netns-helper";

/// Runs the helper until its server is gone. Standard input is the socketpair. Call it before any thread is started:
/// a process with threads cannot enter a user namespace.
#[must_use]
pub fn helper_main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // The server has ended: there is nobody to be told, and nothing has gone wrong.
        Err(error) if error.is_end_of_server() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cobuild {HELPER_ARGUMENT}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A step of building the sandbox that failed, for the server's diagnosis.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source}")]
struct StepError {
    step: &'static str,
    source: std::io::Error,
}

impl StepError {
    fn is_end_of_server(&self) -> bool {
        matches!(self.source.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset)
    }
}

/// Names the step an error came from.
trait Step<T> {
    fn step(self, step: &'static str) -> Result<T, StepError>;
}

impl<T, E: Into<std::io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: &'static str) -> Result<T, StepError> {
        self.map_err(|error| StepError { step, source: error.into() })
    }
}

fn run() -> Result<(), StepError> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().step("socket")?;
    let mut buffer = vec![0; wire::RECORD_SIZE_BYTES_MAX];
    let setup = match wire::receive(&socket, &mut buffer).step("receiving the set-up")? {
        Some((ToHelper::Setup(setup), _)) => setup,
        Some(_) => {
            return Err(std::io::Error::other("the first record must be the set-up")).step("receiving the set-up");
        }
        None => return Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe)).step("receiving the set-up"),
    };
    match build(&setup) {
        Ok((listener, server)) => {
            let stands = FromHelper::Listening { copied_because: server.copied_because.clone() };
            wire::send(&socket, &stands, &[listener.as_fd()]).step("handing over the listener")?;
            drop(listener);
            server.serve(&socket, &mut buffer).step("serving")
        }
        Err(error) => {
            let record = FromHelper::Failed { step: error.step.into(), reason: error.source.to_string() };
            wire::send(&socket, &record, &[]).step("reporting a failure")
        }
    }
}

/// Builds the sandbox. The order matters; each step says why.
fn build(setup: &Setup) -> Result<(OwnedFd, serve::Server), StepError> {
    die_with(setup.server_pid)?;
    for file in &setup.cgroup_files {
        // "0" stands for whoever writes it. Done while still the server's user: the sandbox's may not write there.
        std::fs::write(file, "0").step("joining the cgroup")?;
    }
    prefer_as_victim();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).step("subreaper")?;
    let filters = seccomp::filters().map_err(std::io::Error::other).step("system-call filter")?;
    namespaces::enter(setup)?;
    // The change of user cleared it.
    die_with(setup.server_pid)?;
    namespaces::raise_loopback().step("raising the loopback interface")?;
    let (writable, copied_because) = namespaces::mount_layers(setup)?;
    limit(setup)?;
    let listener = TcpListener::bind(("127.0.0.1", EGRESS_PORT)).step("binding the egress listener")?;
    listener.set_nonblocking(true).step("binding the egress listener")?;
    let server = serve::Server::new(setup.view.clone(), setup.limits, writable, filters, copied_because);
    Ok((listener.into(), server))
}

/// Dies when the server's thread that started us does.
fn die_with(server_pid: i32) -> Result<(), StepError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).step("parent-death signal")?;
    if rustix::process::getppid() == Pid::from_raw(server_pid) {
        Ok(())
    } else {
        Err(std::io::Error::other("the server is gone already")).step("parent-death signal")
    }
}

/// When the whole machine runs out of memory, a sandbox goes before the server. Everything started here inherits it.
fn prefer_as_victim() {
    // Where it cannot be set, the kernel's own choice is as good.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
}

/// Limits that the commands inherit. No limit on address space: it breaks V8 and WebAssembly.
fn limit(setup: &Setup) -> Result<(), StepError> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let limits = &setup.limits;
    for (resource, most) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NOFILE, limits.open_files_max),
        (Resource::RLIMIT_FSIZE, limits.file_size_bytes_max),
        (Resource::RLIMIT_MEMLOCK, limits.locked_memory_bytes_max),
    ] {
        // The host's own limit may be lower, and an ordinary user cannot raise it.
        let most = getrlimit(resource).map_or(most, |(_, hard)| most.min(hard));
        setrlimit(resource, most, most).step("process limits")?;
    }
    Ok(())
}
