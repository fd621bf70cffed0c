//! 9–12, 15, 30, 34–37, 60: system calls.

use std::os::unix::fs::MetadataExt;

use nix::libc;

use super::*;

#[tokio::test]
async fn attack_09_mounting() {
    let Some(arena) = Arena::open("attack 9").await else { return };
    let mount = syscall(libc::SYS_mount, "my $a = 'x', my $b = '/tmp', my $c = 'tmpfs', 0, 0");
    for (name, probe) in [
        ("mount", mount.clone()),
        ("umount2", syscall(libc::SYS_umount2, "my $a = '/tmp', 0")),
        ("fsopen", syscall(libc::SYS_fsopen, "my $a = 'tmpfs', 0")),
        ("open_tree", syscall(libc::SYS_open_tree, "-100, my $a = '/', 1")),
        ("open_tree_attr", syscall(467, "-100, my $a = '/', 1, 0, 0")),
        ("statmount", syscall(457, "0, 0, 0, 0")),
        ("listmount", syscall(458, "0, 0, 0, 0")),
        ("move_mount", syscall(libc::SYS_move_mount, "-1, my $a = '', -1, my $b = '', 0")),
        ("pivot_root", syscall(libc::SYS_pivot_root, "my $a = '/', my $b = '/'")),
        ("chroot", syscall(libc::SYS_chroot, "my $a = '/tmp'")),
    ] {
        assert_eq!(arena.perl(&probe).await.succeeds(), EPERM, "{name}");
    }
    // In a mount namespace of its own, which ends with the probe.
    let twin = outside(Path::new("/"), &["unshare", "-Urm", "perl", "-e", &mount]);
    assert_eq!(twin.succeeds(), "ok 0");
    // With nonsense for arguments: to the kernel itself a fault, or a call it does not know yet.
    for (name, number) in [("statmount", 457), ("listmount", 458)] {
        assert_ne!(outside_perl(Path::new("/"), &syscall(number, "0, 0, 0, 0")).succeeds(), EPERM, "{name}");
    }
}

#[tokio::test]
async fn attack_10_namespaces() {
    let Some(arena) = Arena::open("attack 10").await else { return };
    arena.run(&["unshare", "-Ur", "true"]).await.fails("Operation not permitted");
    outside(Path::new("/"), &["unshare", "-Ur", "true"]).succeeds();
    let clone = |flag: i32| {
        let flags = flag | libc::SIGCHLD;
        format!(
            "my $r = syscall({}, {flags}, 0, 0, 0, 0); exit 0 if $r == 0; print $r < 0 ? 'errno ' . ($! + 0) : 'ok';",
            libc::SYS_clone
        )
    };
    for flag in [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ] {
        assert_eq!(arena.perl(&clone(flag)).await.succeeds(), EPERM, "{flag:#x}");
    }
    assert_eq!(arena.perl(&clone(0)).await.succeeds(), "ok", "an ordinary process can be made");
    assert_eq!(outside_perl(Path::new("/"), &clone(libc::CLONE_NEWUSER)).succeeds(), "ok");
    assert_eq!(arena.perl(&syscall(libc::SYS_clone3, "0, 0")).await.succeeds(), ENOSYS);
}

#[tokio::test]
async fn attack_11_entering_namespaces() {
    let Some(arena) = Arena::open("attack 11").await else { return };
    let probe = |pid: &str| {
        let enter = syscall(libc::SYS_setns, "fileno($f), 0");
        format!("open(my $f, '<', '/proc/{pid}/ns/net') or print 'no '; {enter}")
    };
    let inside = arena.perl(&probe("1")).await;
    assert!(inside.succeeds().ends_with(EPERM), "{inside:?}");
    assert_eq!(arena.perl(&probe("self")).await.succeeds(), EPERM, "its own, which it can open");
    // A network of its own, which its owner may enter again.
    let twin = outside(Path::new("/"), &["unshare", "-Urn", "perl", "-e", &probe("self")]);
    assert_eq!(twin.succeeds(), "ok 0");
}

#[tokio::test]
async fn attack_12_making_devices() {
    let Some(arena) = Arena::open("attack 12").await else { return };
    for kind in ["c 1 3", "b 7 200"] {
        let probe = format!("mknod device {kind}");
        arena.sh(&probe).await.fails("Operation not permitted");
        if is_root() {
            outside_sh(temporary().path(), &probe).succeeds();
        } else {
            crate::support::not_run("attack 12: its twin, for only root makes devices");
        }
    }
    arena.sh("mkfifo fifo").await.succeeds();
    outside_sh(temporary().path(), "mkfifo fifo").succeeds();
}

#[tokio::test]
async fn attack_15_set_id_files_in_the_project() {
    let Some(arena) = Arena::open("attack 15").await else { return };
    let project = arena.host_directory().await;
    arena.sh("printf 'int main;' > plain && chmod 755 plain").await.succeeds();
    let stand_in = temporary();
    std::fs::write(stand_in.path().join("plain"), "x").expect("written");
    for mode in [0o4755, 0o2755, 0o6755] {
        for (name, probe) in calls_with_mode(mode) {
            let inside = arena.perl(&probe).await;
            assert!([EPERM, ENOSYS].contains(&inside.succeeds()), "{name} {mode:o}: {inside:?}");
            let twin = outside_perl(stand_in.path(), &probe);
            assert!(twin.succeeds().starts_with("ok") || twin.text == ENOSYS, "{name} {mode:o}: {twin:?}");
        }
    }
    for entry in std::fs::read_dir(&project).expect("listed").flatten() {
        let mode = entry.metadata().expect("there").mode();
        assert_eq!(mode & 0o6000, 0, "{:?} {mode:o}", entry.path());
    }
    assert_ne!(std::fs::metadata(stand_in.path().join("plain")).expect("there").mode() & 0o6000, 0, "the twins' bits");
    for (name, probe) in calls_with_mode(0o755) {
        let inside = arena.perl(&probe).await;
        assert!(inside.succeeds().starts_with("ok") || inside.text == ENOSYS, "ordinary modes, {name}: {inside:?}");
    }
}

/// Every call that takes a mode, with one.
fn calls_with_mode(mode: u32) -> Vec<(&'static str, String)> {
    let create = libc::O_CREAT | libc::O_WRONLY;
    let temporary = libc::O_TMPFILE | libc::O_WRONLY;
    // Struct open_how: flags, mode, resolve.
    let how = format!("my $how = pack('QQQ', {create}, {mode}, 0)");
    let mut calls = vec![
        ("fchmod", format!("open(my $f, '<', 'plain'); {}", syscall(libc::SYS_fchmod, &format!("fileno($f), {mode}")))),
        ("fchmodat", syscall(libc::SYS_fchmodat, &format!("-100, my $a = 'plain', {mode}"))),
        ("fchmodat2", syscall(452, &format!("-100, my $a = 'plain', {mode}, 0"))),
        ("openat", syscall(libc::SYS_openat, &format!("-100, my $a = \"a$$\", {create}, {mode}"))),
        ("openat tmpfile", syscall(libc::SYS_openat, &format!("-100, my $a = '.', {temporary}, {mode}"))),
        ("openat2", format!("{how}; {}", syscall(libc::SYS_openat2, "-100, my $a = \"b$$\", $how, 24"))),
        ("mknodat", syscall(libc::SYS_mknodat, &format!("-100, my $a = \"c$$\", {}, 0", mode | libc::S_IFREG))),
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        ("chmod", syscall(libc::SYS_chmod, &format!("my $a = 'plain', {mode}"))),
        ("open", syscall(libc::SYS_open, &format!("my $a = \"d$$\", {create}, {mode}"))),
        ("creat", syscall(libc::SYS_creat, &format!("my $a = \"e$$\", {mode}"))),
        ("mknod", syscall(libc::SYS_mknod, &format!("my $a = \"f$$\", {}, 0", mode | libc::S_IFREG))),
    ]);
    calls
}

#[tokio::test]
async fn attack_30_other_kinds_of_sockets() {
    let Some(arena) = Arena::open("attack 30").await else { return };
    let socket =
        |family: i32, kind: i32, protocol: i32| syscall(libc::SYS_socket, &format!("{family}, {kind}, {protocol}"));
    let (stream, raw, datagram) = (libc::SOCK_STREAM, libc::SOCK_RAW, libc::SOCK_DGRAM);
    for (name, family, kind, protocol) in [
        ("raw", libc::AF_INET, raw, 1),
        ("packet", libc::AF_PACKET, raw, 0),
        ("vsock", libc::AF_VSOCK, stream, 0),
        ("alg", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
        ("xdp", libc::AF_XDP, raw, 0),
        ("bluetooth", libc::AF_BLUETOOTH, raw, 0),
        ("netlink uevent", libc::AF_NETLINK, raw, 15),
        ("netlink netfilter", libc::AF_NETLINK, raw, 12),
    ] {
        assert_eq!(arena.perl(&socket(family, kind, protocol)).await.succeeds(), EPERM, "{name}");
    }
    for (name, family, kind) in [
        ("tcp", libc::AF_INET, stream),
        ("tcp6", libc::AF_INET6, stream),
        ("udp", libc::AF_INET, datagram),
        ("unix", libc::AF_UNIX, stream),
        ("netlink route", libc::AF_NETLINK, raw),
    ] {
        let seen = arena.perl(&socket(family, kind, 0)).await;
        assert!(seen.succeeds().starts_with("ok"), "{name}: {seen:?}");
    }
    assert!(outside_perl(Path::new("/"), &socket(libc::AF_NETLINK, raw, 15)).succeeds().starts_with("ok"));
    if is_root() {
        assert!(outside_perl(Path::new("/"), &socket(libc::AF_INET, raw, 1)).succeeds().starts_with("ok"));
    }
}

#[tokio::test]
async fn attack_34_the_kernels_keys() {
    let Some(arena) = Arena::open("attack 34").await else { return };
    for (name, probe) in [
        ("keyctl", syscall(libc::SYS_keyctl, "0, -3, 0, 0, 0")),
        ("add_key", syscall(libc::SYS_add_key, "my $a = 'user', my $b = 'x', my $c = 'x', 1, -1")),
        ("request_key", syscall(libc::SYS_request_key, "my $a = 'user', my $b = 'x', 0, 0")),
    ] {
        assert_eq!(arena.perl(&probe).await.succeeds(), EPERM, "{name}");
        // To a keyring that there is not: nothing is added, and the answer is another.
        assert_ne!(outside_perl(Path::new("/"), &probe).succeeds(), EPERM, "{name}");
    }
}

#[tokio::test]
async fn attack_36_typing_into_a_terminal() {
    let Some(arena) = Arena::open("attack 36").await else { return };
    // TIOCSTI and TIOCLINUX, on a terminal of the probe's own where there is a program that makes one.
    let probe = |request: u32| {
        format!(
            "my $t; open($t, '+<', '/dev/tty') or open($t, '<', '/dev/null'); my $c = 'x'; \
             print ioctl($t, {request}, $c) ? 'typed' : 'errno ' . ($! + 0);"
        )
    };
    for request in [0x5412, 0x541c] {
        assert_eq!(arena.perl(&probe(request)).await.succeeds(), EPERM, "without a terminal");
        assert_ne!(outside_perl(Path::new("/"), &probe(request)).succeeds(), EPERM, "the twin, without a terminal");
        if Path::new("/usr/bin/script").exists() {
            let line = format!(
                "cat > probe.pl <<'END'\n{}\nEND\nscript -qec 'perl probe.pl' /dev/null < /dev/null",
                probe(request)
            );
            let seen = arena.sh(&line).await;
            assert!(seen.text.contains(EPERM), "with a terminal: {seen:?}");
        }
    }
}

#[tokio::test]
async fn attack_37_the_kernels_log_and_addresses() {
    let Some(arena) = Arena::open("attack 37").await else { return };
    // SYSLOG_ACTION_SIZE_BUFFER, which reads nothing.
    let log = syscall(libc::SYS_syslog, "10, 0, 0");
    assert_eq!(arena.perl(&log).await.succeeds(), EPERM);
    let addresses = "cut -d ' ' -f 1 /proc/kallsyms 2>/dev/null | sort -u | head -2";
    let seen = arena.sh(addresses).await;
    assert!(["", "0000000000000000"].contains(&seen.succeeds()), "{seen:?}");
    if is_root() {
        assert!(outside_perl(Path::new("/"), &log).succeeds().starts_with("ok"));
    }
}

#[tokio::test]
async fn attack_60_file_systems_of_its_own() {
    let Some(arena) = Arena::open("attack 60").await else { return };
    arena.run(&["ls", "/dev/fuse"]).await.fails("No such file or directory");
    let nested = ["bwrap", "--ro-bind", "/", "/", "true"];
    if Path::new("/usr/bin/bwrap").exists() {
        let seen = arena.run(&nested).await;
        assert!(seen.exit != Exit::Code(0) && seen.exit != Exit::TimedOut, "{seen:?}");
        outside(Path::new("/"), &nested).succeeds();
    }
}

#[tokio::test]
async fn attack_35_rarely_walked_calls() {
    let Some(arena) = Arena::open("attack 35").await else { return };
    for (name, number, arguments, answer) in [
        ("io_uring_setup", libc::SYS_io_uring_setup, "0, 0", ENOSYS),
        ("userfaultfd", libc::SYS_userfaultfd, "-1", EPERM),
        ("bpf", libc::SYS_bpf, "-1, 0, 0", EPERM),
        ("perf_event_open", libc::SYS_perf_event_open, "0, 0, 0, 0, 0", EPERM),
        ("keyctl", libc::SYS_keyctl, "-1, 0, 0, 0, 0", EPERM),
        ("personality", libc::SYS_personality, "0x0040000", EPERM),
        ("kexec_load", libc::SYS_kexec_load, "0, 0, 0, 0", EPERM),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, "-1, 0, 0", EPERM),
    ] {
        let probe = syscall(number, arguments);
        assert_eq!(arena.perl(&probe).await.succeeds(), answer, "{name}");
        // With nonsense for arguments the kernel itself answers otherwise, for some calls only to root; nothing happens.
        // Not so for `kexec_load`, which has no harmless arguments.
        let twin_may = match name {
            "kexec_load" => false,
            "bpf" | "open_by_handle_at" => is_root(),
            _ => true,
        };
        if twin_may {
            let twin = outside_perl(Path::new("/"), &probe);
            assert_ne!(twin.succeeds(), answer, "{name}");
        }
    }
    assert_eq!(arena.perl(&syscall(libc::SYS_personality, "0xffffffff")).await.succeeds(), "ok 0");
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn calls_by_their_second_number_are_unknown() {
    let Some(arena) = Arena::open("x32 calls").await else { return };
    assert_eq!(arena.perl(&syscall(0x4000_0000 | libc::SYS_getpid, "")).await.succeeds(), ENOSYS);
    assert!(outside_perl(Path::new("/"), &syscall(libc::SYS_getpid, "")).succeeds().starts_with("ok"));
}
