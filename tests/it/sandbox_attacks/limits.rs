//! 38–45: using up the machine. Bombs only where a control group is in force.

use cobuild::sandbox::local::{DiskLimits, LocalLimits};

use super::*;
use cobuild::project::sandbox_provider::SandboxHealth;

const MIB: u64 = 1024 * 1024;

/// An arena whose control group is proved to be in force; `None`, said loudly, otherwise.
async fn limited(attack: &str, change: impl FnOnce(&mut LocalLimits)) -> Option<Arena> {
    let mut config = local_config();
    change(&mut config.limits);
    let arena = Arena::open_with(attack, config).await?;
    let groups = arena.sh("cat /proc/self/cgroup").await.succeeds().to_owned();
    let own = std::fs::read_to_string("/proc/self/cgroup").expect("read");
    // Inside, the group's namespace hides its path; on the host the suite sees the group itself.
    let found =
        ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"].iter().any(|root| has_group(root, &own));
    if !found {
        // Root makes groups wherever the kernel's directory of them can be written.
        let can = is_root() && rustix::fs::access("/sys/fs/cgroup", rustix::fs::Access::WRITE_OK).is_ok();
        assert!(!(required() && can), "{attack}: no control group limits sandboxes ({groups:?})");
        crate::support::not_run(&format!("{attack}: no control group limits sandboxes on this machine ({groups:?})"));
        return None;
    }
    Some(arena)
}

fn has_group(root: &str, own: &str) -> bool {
    let paths = own.lines().filter_map(|line| line.rsplit(':').next()).chain(["/", "/cobuild"]);
    let name = format!("cobuild-{}-", std::process::id());
    paths.flat_map(|path| [format!("{root}{path}"), format!("{root}{path}/cobuild")]).any(|directory| {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&name))
    })
}

#[tokio::test]
async fn attack_38_fork_bomb() {
    let Some(arena) = limited("attack 38", |limits| limits.resources.tasks_max = 100).await else { return };
    // Ends by itself after 400, should no limit hold.
    let bomb = |most: u32| {
        format!(
            "my $n = 0; while ($n < {most}) {{ my $p = fork; last unless defined $p; if (!$p) {{ sleep 20; exit }} $n++ }} \
             print $n < {most} ? \"stopped errno \" . ($! + 0) . \" at $n\" : \"all\"; kill 'KILL', -getpgrp if $n < {most};"
        )
    };
    let seen = arena.perl(&bomb(400)).await;
    let at: u32 = seen.text.strip_prefix("stopped errno 11 at ").and_then(|n| n.trim().parse().ok()).expect(&seen.text);
    assert!((50..100).contains(&at), "{seen:?}");
    arena.sh("true").await.succeeds();
    let twin = "my $n = 0; for (1..3) { my $p = fork; if (!$p) { exit } $n++ } print qq(all $n)";
    assert_eq!(outside_perl(Path::new("/"), twin).succeeds(), "all 3");
}

#[tokio::test]
async fn attack_39_memory_bomb() {
    let Some(arena) = limited("attack 39", |limits| limits.resources.memory_bytes_max = 256 * MIB).await else {
        return;
    };
    let bomb = |mib: u32| format!("my @all; for (1..{mib}) {{ push @all, 'x' x 1048576 }} print scalar @all");
    let seen = arena.perl(&bomb(800)).await;
    assert_eq!(seen.exit, Exit::Signal(9), "{seen:?}");
    assert_eq!(arena.perl(&bomb(10)).await.succeeds(), "10", "only that process was killed");
    assert_eq!(*arena.sandbox.health().borrow(), SandboxHealth::Ready);
    assert_eq!(outside_perl(Path::new("/"), &bomb(10)).succeeds(), "10");
}

#[tokio::test]
async fn attack_40_spinning() {
    let Some(arena) = limited("attack 40", |limits| limits.resources.cpus_max = 0.5).await else { return };
    // Two that spin for three seconds of the clock, and what both used of the processor.
    let spin = "my $end = time + 3; my $p = fork; 1 while time < $end; exit unless $p; waitpid($p, 0); \
                my @used = times; my $sum = 0; $sum += $_ for @used; print $sum";
    let seen = arena.perl(spin).await;
    let used: f64 = seen.succeeds().parse().expect("seconds");
    // Half a processor for at most four seconds: the clock's seconds are whole.
    assert!(used < 2.4, "{used}");
    let twin: f64 = outside_perl(Path::new("/"), spin).succeeds().parse().expect("seconds");
    assert!(twin > 0.1, "{twin}");
}

#[tokio::test]
async fn attack_43_one_huge_file() {
    let mut config = local_config();
    config.limits.file_size_bytes_max = 4 * MIB;
    let Some(arena) = Arena::open_with("attack 43", config).await else { return };
    let write = "perl -e '$| = 1; print q(x) x 1048576 for 1..8' > big; echo ended $?; stat -c %s big";
    let seen = arena.sh(write).await;
    // 128 and SIGXFSZ.
    assert!(seen.text().contains("ended 153"), "{seen:?}");
    assert!(seen.text().ends_with(&(4 * MIB).to_string()), "{seen:?}");
    let twin = outside_sh(temporary().path(), write);
    assert_eq!(twin.succeeds(), format!("ended 0\n{}", 8 * MIB));
}

#[tokio::test]
async fn attack_44_descriptors() {
    let mut config = local_config();
    config.limits.open_files_max = 200;
    let Some(arena) = Arena::open_with("attack 44", config).await else { return };
    let open = "my @all; for (1..300) { open(my $f, '<', '/dev/null') or die 'errno ' . ($! + 0) . ' at ' . @all; \
                push @all, $f } print scalar @all";
    arena.perl(open).await.fails("errno 24 at 1");
    arena.sh("true").await.succeeds();
    assert_eq!(outside_perl(Path::new("/"), open).succeeds(), "300");
}

#[tokio::test]
async fn attack_41_filling_temporary_storage() {
    let mut config = local_config();
    config.limits.temporary_size_bytes_max = 16 * MIB;
    let Some(arena) = Arena::open_with("attack 41", config).await else { return };
    let fill = |directory: &str, mib: u64| {
        format!("head -c {} /dev/zero > {directory}/fill; stat -c %s {directory}/fill", mib * MIB)
    };
    let seen = arena.sh(&fill("/tmp", 64)).await;
    assert!(seen.text().contains("No space left on device"), "{seen:?}");
    assert!(seen.text().ends_with(&(16 * MIB).to_string()), "{seen:?}");
    let home = arena.sh(&fill("$HOME", 128)).await;
    assert!(home.text().ends_with(&(64 * MIB).to_string()), "{home:?}");
    let directory = temporary();
    assert_eq!(outside_sh(directory.path(), &fill(".", 1)).succeeds(), MIB.to_string());
}

#[tokio::test]
async fn attack_42_filling_the_project_directory() {
    let mut config = local_config();
    config.limits.disk = DiskLimits { size_bytes_max: 64 * MIB, entries_max: 5_000 };
    for (name, probe) in [
        // Bounded, should no limit hold.
        ("bytes", "head -c 400M /dev/zero > fill; sleep 60"),
        ("entries", "perl -e 'for (1..20000) { open(my $f, q(>), qq(f$_)) }'; head -c 40M /dev/zero > fill; sleep 60"),
    ] {
        let Some(arena) = Arena::open_with("attack 42", config.clone()).await else { return };
        let mut health = arena.sandbox.health();
        let seen = arena.sh(probe).await;
        assert_eq!(seen.exit, Exit::Lost, "{name}: {seen:?}");
        let lost = timeout(PROBE_TIME_MAX, health.wait_for(|health| matches!(health, SandboxHealth::Lost(_)))).await;
        let lost = format!("{:?}", *lost.expect("in time").expect("told"));
        assert!(lost.contains("more than"), "{name}: {lost}");
    }
    assert_eq!(outside_sh(temporary().path(), "head -c 1M /dev/zero > fill; stat -c %s fill").succeeds(), "1048576");
}

#[tokio::test]
async fn attack_45_core_dumps() {
    let Some(arena) = Arena::open("attack 45").await else { return };
    assert_eq!(arena.sh("ulimit -H -c; ulimit -S -c").await.succeeds(), "0\n0");
    let crash = arena.sh("sh -c 'kill -SEGV $$'; ls | grep -c core").await;
    assert!(crash.text().ends_with('0'), "{crash:?}");
    // The twins: the shell's limit is the process's own, and a crash where it allows it is a dump.
    let own = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_CORE).expect("read").1;
    let blocks = if own == nix::libc::RLIM_INFINITY { "unlimited".to_owned() } else { (own / 512).to_string() };
    let directory = temporary();
    assert_eq!(outside_sh(directory.path(), "ulimit -H -c").succeeds(), blocks);
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("read");
    if own > 0 && pattern.trim_end().chars().all(|c| c.is_ascii_alphanumeric() || ".%_".contains(c)) {
        let dumped =
            outside_sh(directory.path(), "ulimit -S -c $(ulimit -H -c); sh -c 'kill -SEGV $$'; ls | grep -c core");
        assert_ne!(dumped.text().lines().last(), Some("0"), "{dumped:?}");
    } else {
        crate::support::not_run("attack 45: its twin, for this machine keeps core dumps elsewhere or makes none");
    }
    // Descriptors and file size, while we are at it (43, 44).
    assert_eq!(arena.sh("ulimit -H -n").await.succeeds(), "8192");
    assert_eq!(arena.sh("ulimit -H -f").await.succeeds(), (2048 * MIB / 512).to_string());
}
