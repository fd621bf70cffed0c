//! What this process takes of the machine, under the names that Prometheus' own clients use. Measured when asked for.

use std::{
    fs,
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use metrics::Unit;
use nix::time::{ClockId, clock_gettime};
use rustix::process::{Resource, getrlimit};

const RESIDENT_MEMORY: &str = "process_resident_memory_bytes";
const VIRTUAL_MEMORY: &str = "process_virtual_memory_bytes";
const THREADS: &str = "process_threads";
const OPEN_FDS: &str = "process_open_fds";
const MAX_FDS: &str = "process_max_fds";
const CPU_SECONDS: &str = "process_cpu_seconds_total";
const START_TIME: &str = "process_start_time_seconds";

pub(super) fn describe() {
    static STARTED: OnceLock<Duration> = OnceLock::new();
    metrics::describe_gauge!(RESIDENT_MEMORY, Unit::Bytes, "Memory in use");
    metrics::describe_gauge!(VIRTUAL_MEMORY, Unit::Bytes, "Address space in use");
    metrics::describe_gauge!(THREADS, "Threads");
    metrics::describe_gauge!(OPEN_FDS, "Open files and sockets");
    metrics::describe_gauge!(MAX_FDS, "Most open files and sockets");
    metrics::describe_counter!(CPU_SECONDS, Unit::Seconds, "Processor time, user and system, in whole seconds");
    metrics::describe_gauge!(START_TIME, Unit::Seconds, "When the server was started, since 1970");
    let started = STARTED.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    metrics::gauge!(START_TIME).set(started.as_secs_f64());
}

/// What cannot be read keeps its last value: a figure is no reason to fail.
pub(super) fn measure() {
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        let set = |name: &'static str, value: Option<f64>| value.into_iter().for_each(|v| metrics::gauge!(name).set(v));
        set(RESIDENT_MEMORY, number("VmRSS:").map(|kilobytes| kilobytes * 1024.0));
        set(VIRTUAL_MEMORY, number("VmSize:").map(|kilobytes| kilobytes * 1024.0));
        set(THREADS, number("Threads:"));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        metrics::gauge!(OPEN_FDS).set(open.count() as f64);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        metrics::gauge!(MAX_FDS).set(most as f64);
    }
    if let Ok(used) = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID) {
        metrics::counter!(CPU_SECONDS).absolute(Duration::from(used).as_secs());
    }
}
