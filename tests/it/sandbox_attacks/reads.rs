//! 1–5, 13, 16, 17, 33: what of the host can be seen or written.

use super::*;

/// All that a sandboxed process's environment holds.
const ENVIRONMENT: [&str; 12] = [
    "GIT_SSL_CAINFO",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "NODE_EXTRA_CA_CERTS",
    "NODE_USE_ENV_PROXY",
    "NO_PROXY",
    "PATH",
    "PWD",
    "SSL_CERT_FILE",
    "npm_config_update_notifier",
];

#[tokio::test]
async fn attack_01_secrets_in_environments() {
    let Some(arena) = Arena::open("attack 1").await else { return };
    let secret = format!("SECRET={:032x}", rand::random::<u128>());
    let (name, value) = secret.split_once('=').expect("a variable");
    let bystander = Bystander(Command::new("sleep").arg("600").env(name, value).spawn().expect("started"));
    let probe = "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; test -r /proc/1/environ && echo readable";
    let inside = arena.sh(probe).await;
    assert!(inside.succeeds().contains("readable"), "the probe sees process 1: {inside:?}");
    assert!(!inside.text.contains(&secret), "{inside:?}");
    // Nothing of this very process either, which stands for the server.
    for (name, _) in std::env::vars().filter(|(name, _)| !ENVIRONMENT.contains(&name.as_str())) {
        assert!(!inside.text.lines().any(|line| line.starts_with(&format!("{name}="))), "{name}: {inside:?}");
    }
    let twin = format!("tr '\\0' '\\n' < /proc/{}/environ", bystander.pid());
    assert!(outside_sh(temporary().path(), &twin).succeeds().contains(&secret));
}

#[tokio::test]
async fn attack_02_host_paths_in_own_environment_and_arguments() {
    let Some(arena) = Arena::open("attack 2").await else { return };
    let names = arena.sh("env | cut -d= -f1 | sort | tr '\\n' ' '").await;
    for name in names.succeeds().split_whitespace() {
        assert!(ENVIRONMENT.contains(&name), "{name}");
    }
    let probe = "tr '\\0' ' ' < /proc/1/cmdline; tr '\\0' ' ' < /proc/self/cmdline";
    let inside = arena.sh(probe).await;
    assert!(inside.succeeds().contains("bwrap"), "{inside:?}");
    let host = arena.data_dir.to_string_lossy();
    assert!(!inside.text.contains(&*host), "{inside:?}");
    // The twin: a host path on a command line is there to be read.
    let twin = outside(temporary().path(), &["sh", "-c", probe, &host]);
    assert!(twin.succeeds().contains(&*host), "{twin:?}");
}

#[tokio::test]
async fn attack_03_home_directories_and_passwords() {
    let Some(arena) = Arena::open("attack 3").await else { return };
    let planted = temporary();
    std::fs::write(planted.path().join("secret"), "planted").expect("planted");
    let planted = planted.path().join("secret");
    for target in ["/root", "/etc/shadow", "/home/somebody", "/var", planted.to_str().expect("UTF-8")] {
        arena.run(&["ls", "-d", target]).await.fails("No such file or directory");
    }
    outside(Path::new("/"), &["ls", "-d", "/etc/shadow", planted.to_str().expect("UTF-8")]).succeeds();
    assert_eq!(arena.sh("cat /etc/passwd | wc -l").await.succeeds(), "1");
}

#[tokio::test]
async fn attack_04_writing_to_the_host() {
    let Some(arena) = Arena::open("attack 4").await else { return };
    let stand_in = temporary();
    let probe = |directory: &str| format!("touch {directory}/cobuild-attack");
    for directory in ["/usr", "/usr/bin", "/etc", "/", "/opt"] {
        let seen = arena.sh(&probe(directory)).await;
        assert!(seen.exit != Exit::Code(0), "{directory}: {seen:?}");
        assert!(seen.text.contains("Read-only file system") || seen.text.contains("No such file"), "{seen:?}");
    }
    let directory = stand_in.path().to_str().expect("UTF-8");
    arena.sh(&probe(directory)).await.fails("No such file or directory");
    outside_sh(stand_in.path(), &probe(directory)).succeeds();
    arena.sh("touch /app/own && touch /tmp/own && touch ~/own").await.succeeds();
}

#[tokio::test]
async fn attack_05_climbing_out_of_the_project() {
    let Some(arena) = Arena::open("attack 5").await else { return };
    let root = arena.sh("cd /app && ls -a ../../../../..").await;
    let known =
        ["app", "bin", "dev", "etc", "home", "lib", "lib32", "lib64", "opt", "proc", "sbin", "tmp", "usr", ".", ".."];
    for name in root.succeeds().split_whitespace() {
        assert!(known.contains(&name), "{name}");
    }
    let twin = outside_sh(&arena.host_directory().await, "ls ..");
    assert!(twin.succeeds().contains("staging"), "{twin:?}");
}

#[tokio::test]
async fn attack_13_devices() {
    let Some(arena) = Arena::open("attack 13").await else { return };
    let probe = "cd /dev && for name in *; do test -L $name || echo $name; done";
    let inside = arena.sh(probe).await;
    let known = ["full", "null", "pts", "random", "shm", "tty", "urandom", "zero", "console"];
    for name in inside.succeeds().split_whitespace() {
        assert!(known.contains(&name), "{name}");
    }
    let twin = outside_sh(Path::new("/"), probe);
    assert!(twin.succeeds().split_whitespace().any(|name| !known.contains(&name)), "{twin:?}");
}

#[tokio::test]
async fn attack_16_sys() {
    let Some(arena) = Arena::open("attack 16").await else { return };
    arena.run(&["ls", "/sys"]).await.fails("No such file or directory");
    outside(Path::new("/"), &["ls", "/sys"]).succeeds();
}

#[tokio::test]
async fn attack_17_kernel_settings() {
    let Some(arena) = Arena::open("attack 17").await else { return };
    // Opened for writing, never written to.
    let open = |path: &str| format!("open(my $f, '+<', '{path}') or print 'errno ' . ($! + 0); print 'end'");
    for path in ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/overcommit_memory"] {
        let seen = arena.perl(&open(path)).await;
        assert!(
            ["errno 13end", "errno 30end", "errno 1end", "errno 2end"].contains(&seen.succeeds()),
            "{path}: {seen:?}"
        );
    }
    let stand_in = temporary();
    std::fs::write(stand_in.path().join("setting"), "0").expect("written");
    assert_eq!(outside_perl(stand_in.path(), &open("setting")).succeeds(), "end");
    assert_eq!(arena.perl(&open("/proc/self/comm")).await.succeeds(), "end", "the probe can open what it may");
}

#[tokio::test]
async fn attack_33_sockets_of_the_hosts_services() {
    let Some(arena) = Arena::open("attack 33").await else { return };
    let directory = temporary();
    let socket = directory.path().join("agent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
    let socket = socket.to_str().expect("UTF-8");
    for path in ["/run", "/var/run/docker.sock", "/run/dbus/system_bus_socket", socket] {
        arena.run(&["ls", "-d", path]).await.fails("No such file or directory");
    }
    assert_eq!(arena.sh("echo $SSH_AUTH_SOCK$DBUS_SESSION_BUS_ADDRESS").await.succeeds(), "");
    outside(Path::new("/"), &["ls", "-d", socket]).succeeds();
}
