//! Where figures come from: the machine, its load, and what a process of it consumes.

use std::{
    fs, io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use serde::Serialize;

/// What a reader must know to compare.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) memory_gib: f64,
    pub(super) kernel: String,
    /// Of the last minute, before anything was measured.
    pub(super) load: f64,
    pub(super) version: &'static str,
    pub(super) build: &'static str,
    pub(super) measured_at_unix_s: u64,
}

impl Machine {
    pub(super) fn read() -> io::Result<Self> {
        let cpu_info = fs::read_to_string("/proc/cpuinfo")?;
        let cpu = cpu_info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        let memory = fs::read_to_string("/proc/meminfo")?;
        Ok(Self {
            cpu: cpu.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: (kilobytes(&memory, "MemTotal:") / 1024.0 / 1024.0 * 10.0).round() / 10.0,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load: load()?,
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            measured_at_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        })
    }
}

/// Average of the last minute.
pub(super) fn load() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    text.split(' ').next().and_then(|first| first.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Memory of one process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) rss_mib: f64,
    /// Pages shared with others counted by their share.
    pub(super) pss_mib: f64,
}

impl Memory {
    pub(super) fn of(process: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        Ok(Self { rss_mib: kilobytes(&text, "Rss:") / 1024.0, pss_mib: kilobytes(&text, "Pss:") / 1024.0 })
    }
}

fn kilobytes(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN)
}

/// CPU time of another process, user and system, of all its threads, those that ended too.
#[derive(Debug, Clone, Copy)]
pub(super) struct CpuClock(ClockId);

impl CpuClock {
    pub(super) fn of(process: u32) -> io::Result<Self> {
        Ok(Self(clock_getcpuclockid(pid(process)?)?))
    }

    pub(super) fn now(self) -> io::Result<Duration> {
        Ok(clock_gettime(self.0)?.into())
    }
}

/// Nanoseconds of the one clock that all processes of a machine read alike.
pub(super) fn monotonic_ns() -> u64 {
    let now: Duration = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Into::into).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn pid(process: u32) -> io::Result<Pid> {
    i32::try_from(process).map(Pid::from_raw).map_err(io::Error::other)
}

/// The cores this thread may use. Dropping them lets it use all of them again.
#[derive(Debug)]
pub(super) struct Cores {
    all: CpuSet,
    numbers: Vec<usize>,
}

impl Cores {
    pub(super) fn own() -> io::Result<Self> {
        let all = sched_getaffinity(Pid::from_raw(0))?;
        let numbers = (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap_or(false)).collect();
        Ok(Self { all, numbers })
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.numbers.len()
    }

    /// Keeps this thread, and the processes it starts from now on, on the `index`th of them. Without a second core there
    /// is nothing to choose.
    pub(super) fn pin_to(&self, index: usize) -> io::Result<()> {
        if self.count() < 2 {
            return Ok(());
        }
        let mut set = CpuSet::new();
        set.set(self.numbers[index])?;
        Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        // The next part of a measurement begins as this one did. What was allowed before still is.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.all);
    }
}

/// Lets nobody else's work in between, where that is allowed.
pub(super) fn raise_priority() {
    /// As in the measurements this design rests on.
    const NICE: i32 = -15;
    if rustix::process::setpriority_process(None, NICE).is_err() {
        eprintln!("not root: measured at ordinary priority, so other work shows more");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pinned_is_free_again_for_the_next_part() {
        let before = Cores::own().expect("known").count();
        let cores = Cores::own().expect("known");
        cores.pin_to(0).expect("allowed");
        drop(cores);
        assert_eq!(Cores::own().expect("known").count(), before);
    }
}
