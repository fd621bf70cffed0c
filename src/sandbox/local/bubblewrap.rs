//! The arguments of one bubblewrap process: what a command sees, and nothing else.

use std::{
    ffi::OsString,
    io::{self, Seek, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    process::Command,
};

use rustix::fs::MemfdFlags;

use super::wire::{ProcessLimits, View};

/// Where a project's files are in its sandbox. Part of the dev server's cache keys: the template must be built at the
/// same place it is used at.
pub(super) const PROJECT_DIRECTORY: &str = "/app";
/// The home directory in a sandbox.
pub(super) const HOME_DIRECTORY: &str = "/home/user";
/// npm's cache in a sandbox, its default place in the home directory.
pub(super) const CACHE_DIRECTORY: &str = "/home/user/.npm";
/// Where node is in a sandbox when the host's is not under `/usr`.
pub(super) const NODE_DIRECTORY: &str = "/opt/node";
/// Where the helper mounts it, for bubblewrap to find: its own place may be closed to an ordinary user.
pub(super) const STAGED_NODE: &str = "/tmp/node";
/// The same for the directory of all sandboxes.
pub(super) const STAGED_BASE: &str = "/tmp/base";
/// Where the certificates are in a sandbox.
pub(super) const CERTIFICATES_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The user and group in a sandbox.
const INNER_ID: &str = "1000";
/// Size of the shared-memory directory: browsers' and databases' default in containers.
const SHARED_MEMORY_SIZE_BYTES_MAX: u64 = 64 * 1024 * 1024;

const PASSWD: &str = "user:x:1000:1000::/home/user:/bin/sh\n";
const GROUP: &str = "user:x:1000:\n";
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";
/// No name service but the file above: there is no resolver to ask.
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files\n";

/// A host directory that appears writable in the sandbox.
#[derive(Debug, Clone)]
pub(super) struct Writable {
    pub(super) source: std::path::PathBuf,
    pub(super) target: std::path::PathBuf,
}

/// A command ready to be started, with the descriptors it inherits: keep them until it is.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) command: Command,
    /// Held open for the child; closed on drop.
    #[expect(dead_code, reason = "held only to be inherited")]
    inherited: Vec<OwnedFd>,
}

/// Prepares `argv` to run in a sandbox with this view. The caller sets the standard streams.
pub(super) fn prepare(
    view: &View,
    limits: &ProcessLimits,
    writable: &[Writable],
    filters: &[Vec<u8>],
    argv: &[String],
) -> io::Result<Prepared> {
    let mut arguments = Arguments::default();
    arguments.namespaces();
    arguments.system(view);
    arguments.configuration(view)?;
    arguments.temporary(limits);
    for Writable { source, target } in writable {
        arguments.add([Path::new("--bind"), source, target]);
    }
    arguments.add(["--remount-ro", "/", "--chdir", PROJECT_DIRECTORY, "--clearenv"]);
    for (name, value) in &view.environment {
        arguments.add(["--setenv", name, value]);
    }
    for filter in filters {
        let descriptor = arguments.inherit(filter)?;
        arguments.add(["--add-seccomp-fd", &descriptor]);
    }

    // Through a descriptor: the command line is readable in the sandbox as that of process 1. So is the environment
    // that bubblewrap itself was started with, whatever it gives to its child.
    let list = arguments.list.join(std::ffi::OsStr::new("\0"));
    let descriptor = arguments.inherit(list.as_encoded_bytes())?;
    let mut command = Command::new(&view.bubblewrap);
    command.env_clear().current_dir("/").args(["--args", &descriptor, "--"]).args(argv);
    Ok(Prepared { command, inherited: arguments.inherited })
}

#[derive(Default)]
struct Arguments {
    list: Vec<OsString>,
    inherited: Vec<OwnedFd>,
}

impl Arguments {
    fn add<T: AsRef<std::ffi::OsStr>>(&mut self, words: impl IntoIterator<Item = T>) {
        self.list.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
    }

    fn namespaces(&mut self) {
        self.add(["--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]);
        self.add(["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
        self.add(["--hostname", "sandbox", "--uid", INNER_ID, "--gid", INNER_ID]);
    }

    /// `/usr` and what leads into it, `/proc` and `/dev`. No `/sys`, `/run`, `/var`, `/home`.
    fn system(&mut self, view: &View) {
        self.add(["--ro-bind", "/usr", "/usr"]);
        for name in ["/bin", "/sbin", "/lib", "/lib32", "/lib64"] {
            match std::fs::read_link(name) {
                Ok(target) => self.add([Path::new("--symlink"), &target, Path::new(name)]),
                // Hosts that keep these apart from /usr; absent ones are skipped.
                Err(_) => self.add(["--ro-bind-try", name, name]),
            }
        }
        if view.node.is_some() {
            self.node();
        }
        self.add(["--proc", "/proc", "--dev", "/dev"]);
        self.tmpfs("/dev/shm", SHARED_MEMORY_SIZE_BYTES_MAX, "1777");
    }

    /// Of an installation outside the system only node and npm: what else is beside them is not for sandboxes.
    fn node(&mut self) {
        for part in ["bin/node", "lib/node_modules/npm"] {
            self.add(["--ro-bind", &format!("{STAGED_NODE}/{part}"), &format!("{NODE_DIRECTORY}/{part}")]);
        }
        for name in ["npm", "npx"] {
            let program = format!("../lib/node_modules/npm/bin/{name}-cli.js");
            self.add(["--symlink", &program, &format!("{NODE_DIRECTORY}/bin/{name}")]);
        }
    }

    /// The few files of `/etc` that programs cannot do without.
    fn configuration(&mut self, view: &View) -> io::Result<()> {
        for name in ["/etc/alternatives", "/etc/ld.so.cache"] {
            self.add(["--ro-bind-try", name, name]);
        }
        if let Some(certificates) = &view.certificates {
            let source = Path::new(STAGED_BASE).join(certificates);
            self.add([Path::new("--ro-bind"), &source, Path::new(CERTIFICATES_FILE)]);
        }
        let files =
            [(PASSWD, "/etc/passwd"), (GROUP, "/etc/group"), (HOSTS, "/etc/hosts"), (NSSWITCH, "/etc/nsswitch.conf")];
        for (text, name) in files {
            let descriptor = self.inherit(text.as_bytes())?;
            self.add(["--perms", "0444", "--ro-bind-data", &descriptor, name]);
        }
        Ok(())
    }

    fn temporary(&mut self, limits: &ProcessLimits) {
        self.tmpfs("/tmp", limits.temporary_size_bytes_max, "1777");
        self.tmpfs(HOME_DIRECTORY, limits.home_size_bytes_max, "0755");
    }

    fn tmpfs(&mut self, target: &str, size_bytes: u64, permissions: &str) {
        self.add(["--perms", permissions, "--size", &size_bytes.to_string(), "--tmpfs", target]);
    }

    /// Puts bytes into a descriptor that the child inherits, and returns its number.
    fn inherit(&mut self, bytes: &[u8]) -> io::Result<String> {
        let mut file = std::fs::File::from(rustix::fs::memfd_create("cobuild", MemfdFlags::empty())?);
        file.write_all(bytes)?;
        file.rewind()?;
        let descriptor = OwnedFd::from(file);
        let number = descriptor.as_raw_fd().to_string();
        self.inherited.push(descriptor);
        Ok(number)
    }
}
