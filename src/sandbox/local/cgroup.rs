//! Limits on what a whole sandbox uses: control groups, version 2 or 1, through their files.
//!
//! A group belongs to one helper. Its name carries the server's process id and start time, so that a later server
//! recognises and removes what a killed one left behind.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// What a whole sandbox may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResourceLimits {
    /// Memory with its page cache and temporary files. An `npm install` peaks at about 335 MB, Vite needs about 120.
    pub memory_bytes_max: u64,
    /// Processes and threads. Node has about a dozen threads, a native bundler one per core.
    pub tasks_max: u64,
    /// Processors' worth of time.
    pub cpus_max: f64,
}

/// Start of every group's name.
const PREFIX: &str = "cobuild-";
/// How long the kernel may take to let go of killed processes before their group's directory stays behind; the next
/// server's sweep gets it then.
const REMOVAL_TIME_MAX: Duration = Duration::from_secs(2);
const REMOVAL_RETRY: Duration = Duration::from_millis(5);
/// Period of the quota of processor time: the kernel's default.
const CPU_PERIOD_MICROS: u64 = 100_000;
/// Half of the kernel's default, in version 2 and 1.
const CPU_WEIGHT: &str = "50";
/// Likewise.
const CPU_SHARES: &str = "512";

/// Where groups can be made: found once.
#[derive(Debug, Clone)]
pub(super) enum Hierarchy {
    /// One directory below which every controller works.
    V2(PathBuf),
    /// A directory per controller.
    V1 { memory: PathBuf, pids: PathBuf, cpu: PathBuf },
}

/// One sandbox's group.
#[derive(Debug)]
pub(super) struct Cgroup {
    directories: Vec<PathBuf>,
}

impl Hierarchy {
    /// Finds a place where groups with limits can really be made, by making one. The error says what was tried.
    pub(super) fn find(own_name: &str) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let trial = ResourceLimits { memory_bytes_max: 1 << 30, tasks_max: 64, cpus_max: 1.0 };
        let mut tried = Vec::new();
        for candidate in candidates(&mounts, &own) {
            let made = candidate.prepare().and_then(|()| candidate.create(&format!("{own_name}-trial"), &trial));
            match made {
                Ok(group) => {
                    group.remove();
                    candidate.sweep();
                    return Ok(candidate);
                }
                Err(error) => tried.push(format!("{}: {error}", candidate.describe())),
            }
        }
        if tried.is_empty() {
            return Err("no cgroup hierarchy with the controllers memory, pids and cpu is mounted".into());
        }
        Err(tried.join("; "))
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::V2(directory) => format!("cgroup v2 at {}", directory.display()),
            Self::V1 { memory, .. } => format!("cgroup v1 at {}", memory.display()),
        }
    }

    /// Version 2 hands controllers down only when asked to.
    fn prepare(&self) -> io::Result<()> {
        if let Self::V2(directory) = self {
            const CONTROLLERS: &str = "+memory +pids +cpu";
            fs::create_dir_all(directory)?;
            if let Some(parent) = directory.parent() {
                // Often done already, by systemd, and then not allowed to us; the next line finds out.
                let _ = fs::write(parent.join("cgroup.subtree_control"), CONTROLLERS);
            }
            fs::write(directory.join("cgroup.subtree_control"), CONTROLLERS).inspect_err(|_| {
                // Of no use, then; it stays when another server has groups in it.
                let _ = fs::remove_dir(directory);
            })?;
        }
        Ok(())
    }

    /// Makes a group with its limits in force. Nothing is left behind on failure.
    pub(super) fn create(&self, name: &str, limits: &ResourceLimits) -> io::Result<Cgroup> {
        let memory = limits.memory_bytes_max.to_string();
        let tasks = limits.tasks_max.to_string();
        let quota = ((CPU_PERIOD_MICROS as f64) * limits.cpus_max) as u64;
        let plan: Vec<(PathBuf, Vec<(&str, String)>)> = match self {
            Self::V2(directory) => vec![(
                directory.join(name),
                vec![("memory.max", memory), ("pids.max", tasks), ("cpu.max", format!("{quota} {CPU_PERIOD_MICROS}"))],
            )],
            Self::V1 { memory: in_memory, pids, cpu } => vec![
                (in_memory.join(name), vec![("memory.limit_in_bytes", memory)]),
                (pids.join(name), vec![("pids.max", tasks)]),
                (
                    cpu.join(name),
                    vec![("cpu.cfs_period_us", CPU_PERIOD_MICROS.to_string()), ("cpu.cfs_quota_us", quota.to_string())],
                ),
            ],
        };
        let mut group = Cgroup { directories: Vec::new() };
        for (directory, values) in plan {
            let made = fs::create_dir(&directory);
            group.directories.push(directory.clone());
            let set =
                made.and_then(|()| values.iter().try_for_each(|(file, value)| fs::write(directory.join(file), value)));
            if let Err(error) = set {
                group.remove();
                return Err(error);
            }
            // When processors are short, the server and its people come first.
            let _ = fs::write(directory.join("cpu.weight"), CPU_WEIGHT);
            let _ = fs::write(directory.join("cpu.shares"), CPU_SHARES);
            // Swap is not always counted; where it is, it must not double the memory.
            let _ = fs::write(directory.join("memory.swap.max"), "0");
            let _ = fs::write(directory.join("memory.memsw.limit_in_bytes"), limits.memory_bytes_max.to_string());
        }
        Ok(group)
    }

    /// Removes the groups of servers that no longer live.
    fn sweep(&self) {
        let parents = match self {
            Self::V2(directory) => vec![directory],
            Self::V1 { memory, pids, cpu } => vec![memory, pids, cpu],
        };
        for directory in parents.into_iter().flat_map(fs::read_dir).flatten().flatten() {
            let name = directory.file_name();
            let Some(owner) = name.to_str().and_then(owner) else { continue };
            if start_time(owner.0) != Some(owner.1) {
                tracing::info!(group = ?name, "removing a control group of a dead server");
                Cgroup { directories: vec![directory.path()] }.remove();
            }
        }
    }
}

impl Cgroup {
    /// The files by which a process joins.
    pub(super) fn join_files(&self) -> Vec<PathBuf> {
        self.directories.iter().map(|directory| directory.join("cgroup.procs")).collect()
    }

    /// Kills whatever is left in the group and removes it. Blocks until it is empty.
    pub(super) fn remove(&self) {
        let deadline = std::time::Instant::now() + REMOVAL_TIME_MAX;
        for directory in &self.directories {
            while fs::remove_dir(directory).is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                if std::time::Instant::now() >= deadline {
                    tracing::warn!(group = %directory.display(), "a control group cannot be removed");
                    break;
                }
                kill_members(directory);
                std::thread::sleep(REMOVAL_RETRY);
            }
        }
    }
}

/// Kills the processes of a group that only sandboxes are in.
fn kill_members(directory: &Path) {
    if fs::write(directory.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for line in fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default().lines() {
        if let Some(pid) = line.parse().ok().and_then(rustix::process::Pid::from_raw) {
            // It may have ended in between.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// The name of this server's groups, up to a number for each sandbox.
pub(super) fn server_name() -> String {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    format!("{PREFIX}{pid}-{}", start_time(pid).unwrap_or_default())
}

/// Process id and start time in a group's name.
fn owner(name: &str) -> Option<(i32, u64)> {
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// When a process started, in ticks since boot: field 22 of its `stat`, the 20th behind the name in parentheses.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Where groups might be made, best first.
fn candidates(mounts: &str, own: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    if let Some(root) = mount_point(mounts, |kind, _| kind == "cgroup2") {
        // Beside our own group, when what is above it was handed to us (systemd: Delegate=yes with DelegateSubgroup=);
        // else, as root, at the top. Not below our own: a group with processes cannot hand controllers down.
        if let Some(path) = own_path(own, |controllers| controllers.is_empty()) {
            found.extend(
                join(&root, path)
                    .parent()
                    .filter(|above| above.starts_with(&root) && *above != root)
                    .map(|above| Hierarchy::V2(above.join("cobuild"))),
            );
        }
        found.push(Hierarchy::V2(root.join("cobuild")));
    }
    let of = |controller: &str| {
        let has = |list: &str| list.split(',').any(|name| name == controller);
        let root = mount_point(mounts, |kind, options| kind == "cgroup" && has(options))?;
        Some(join(&root, own_path(own, has)?))
    };
    if let (Some(memory), Some(pids), Some(cpu)) = (of("memory"), of("pids"), of("cpu")) {
        found.push(Hierarchy::V1 { memory, pids, cpu });
    }
    found
}

/// Mount point of the first file system that `wanted` takes, by its type and its own options.
fn mount_point(mounts: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (place, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        let (kind, _source, options) = (system.next()?, system.next()?, system.next()?);
        wanted(kind, options).then(|| place.split(' ').nth(4).map(PathBuf::from))?
    })
}

/// Our own group in the hierarchy whose controllers `wanted` takes.
fn own_path(own: &str, wanted: impl Fn(&str) -> bool) -> Option<&str> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        wanted(controllers).then_some(path)
    })
}

fn join(root: &Path, path: &str) -> PathBuf {
    let joined = root.join(path.trim_start_matches('/'));
    // In a container the path may be the host's while the mount shows only our own part.
    if joined.is_dir() { joined } else { root.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_hierarchies_in_the_kernels_tables() {
        let v1 = "30 24 0:26 / /cg/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                  31 24 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n\
                  32 24 0:28 / /cg/pids rw - cgroup cgroup rw,pids\n";
        let own = "4:memory:/a\n3:pids:/\n2:cpu,cpuacct:/\n0::/\n";
        let found = candidates(v1, own);
        assert!(matches!(&found[..], [Hierarchy::V1 { cpu, .. }] if cpu == Path::new("/cg/cpu,cpuacct")), "{found:?}");

        let v2 = "30 24 0:26 / /cg rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = candidates(v2, "0::/\n");
        assert!(matches!(&found[..], [Hierarchy::V2(root)] if root == Path::new("/cg/cobuild")), "{found:?}");

        assert!(candidates("", "").is_empty());
    }

    #[test]
    fn a_version_2_group_gets_all_its_limits() {
        let base = tempfile::tempdir().expect("a directory");
        let limits = ResourceLimits { memory_bytes_max: 1000, tasks_max: 10, cpus_max: 1.5 };
        let group = Hierarchy::V2(base.path().into()).create("cobuild-1-2-3", &limits).expect("made");
        let read = |file: &str| fs::read_to_string(base.path().join("cobuild-1-2-3").join(file)).expect(file);
        assert_eq!(
            (read("memory.max"), read("pids.max"), read("cpu.max")),
            ("1000".into(), "10".into(), "150000 100000".into())
        );
        assert_eq!(group.join_files(), [base.path().join("cobuild-1-2-3/cgroup.procs")]);
    }

    #[test]
    fn recognises_its_own_groups_only() {
        assert_eq!(owner("cobuild-12-345-7"), Some((12, 345)));
        for other in ["cobuild-", "cobuild-x-1-1", "cobuild-12", "user.slice", "cobuild-12-"] {
            assert_eq!(owner(other), None, "{other}");
        }
        assert!(start_time(rustix::process::getpid().as_raw_nonzero().get()).is_some());
        assert_eq!(start_time(-1), None);
    }
}
