//! 6–8, 14, 46: other processes, and becoming somebody else.

use nix::libc;

use super::*;
use crate::sandbox_support::running;

#[tokio::test]
async fn attack_06_the_hosts_processes() {
    let Some(arena) = Arena::open("attack 6").await else { return };
    let probe = "ls /proc | grep -c '^[0-9]'; cat /proc/[0-9]*/comm";
    let inside = arena.sh(probe).await;
    let count: u32 = inside.succeeds().lines().next().and_then(|line| line.parse().ok()).expect("a number");
    assert!(count <= 6, "{inside:?}");
    let mut bystander = Bystander::start();
    let own = format!("ls -d /proc/{}", bystander.pid());
    arena.sh(&own).await.fails("No such file or directory");
    outside_sh(Path::new("/"), &own).succeeds();
    assert!(bystander.lives());
}

#[tokio::test]
async fn attack_07_killing_a_process_of_the_host() {
    let Some(arena) = Arena::open("attack 7").await else { return };
    let mut bystander = Bystander::start();
    let kill = |pid: u32| format!("print kill('KILL', {pid}) ? 'killed' : 'errno ' . ($! + 0)");
    assert_eq!(arena.perl(&kill(bystander.pid())).await.succeeds(), "errno 3");
    assert!(bystander.lives());
    let mut victim = Bystander::start();
    assert_eq!(outside_perl(Path::new("/"), &kill(victim.pid())).succeeds(), "killed");
    assert!(!victim.0.wait().expect("waited").success());
}

#[tokio::test]
async fn attack_08_looking_into_other_processes() {
    let Some(arena) = Arena::open("attack 8").await else { return };
    for (name, probe) in [
        ("ptrace", syscall(libc::SYS_ptrace, "0, 0, 0, 0")),
        ("process_vm_readv", syscall(libc::SYS_process_vm_readv, "$$, 0, 0, 0, 0, 0")),
        ("process_vm_writev", syscall(libc::SYS_process_vm_writev, "$$, 0, 0, 0, 0, 0")),
        ("pidfd_getfd", syscall(libc::SYS_pidfd_getfd, "-1, 0, 0")),
    ] {
        assert_eq!(arena.perl(&probe).await.succeeds(), EPERM, "{name}");
        let twin = outside_perl(Path::new("/"), &probe);
        assert_ne!(twin.succeeds(), EPERM, "{name}");
    }
}

#[tokio::test]
async fn attack_14_becoming_root() {
    let Some(arena) = Arena::open("attack 14").await else { return };
    let su = arena.sh("su -c id root < /dev/null").await;
    assert!(su.exit != Exit::Code(0) && !su.text.contains("uid=0"), "{su:?}");
    arena.sh("command -v su").await.succeeds();
    let status = arena.sh("grep -E '^(NoNewPrivs|Cap[A-Z][a-z]+|Seccomp):' /proc/self/status").await;
    for line in status.succeeds().lines() {
        let (name, value) = line.split_once(":\t").expect("a line of the kernel's");
        let expected = match name {
            "NoNewPrivs" => "1",
            "Seccomp" => "2",
            _ => "0000000000000000",
        };
        assert_eq!(value, expected, "{name}");
    }
    assert_eq!(arena.perl("$> = 0; print $>").await.succeeds(), "1000");
    // Root of a namespace of its own, which outside anybody can become.
    let own_root = ["unshare", "-Ur", "id", "-u"];
    arena.run(&own_root).await.fails("Operation not permitted");
    assert_eq!(outside(Path::new("/"), &own_root).succeeds(), "0");
    if is_root() {
        assert!(outside_sh(Path::new("/"), "su -c id root < /dev/null").succeeds().contains("uid=0"));
    }
}

#[tokio::test]
async fn attack_46_a_daemon_outlives_its_command() {
    let Some(arena) = Arena::open("attack 46").await else { return };
    let name = format!("{}", 100_000_000 + rand::random_range(0..100_000_000u32));
    let daemon = format!("(setsid sh -c 'trap \"\" TERM HUP INT; sleep {name}' &) ; echo up; sleep 1000");
    let (sender, mut output) = mpsc::channel(16);
    let request = ExecRequest::new(Program::Shell(daemon), PROBE_TIME_MAX);
    let mut process = arena.sandbox.exec(request, sender).await.expect("started");
    assert_eq!(output.recv().await.expect("output").text, "up\n");
    until("the daemon runs", || running(&name)).await;
    process.kill();
    assert_eq!(process.wait().await, Exit::Signal(9));
    until("the daemon is gone", || !running(&name)).await;
    arena.sh("true").await.succeeds();
}

/// Waits for something on the host that nothing announces.
pub(super) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("in time: {what}"));
}
