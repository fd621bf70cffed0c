//! Leaving the host: user, namespaces, loopback, mounts.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use rustix::{
    fs::{Mode, OFlags},
    process::DumpableBehavior,
};

use super::{Step, StepError};
use crate::sandbox::local::{
    bubblewrap::{PROJECT_DIRECTORY, STAGED_BASE as BASE, STAGED_NODE, Writable},
    wire::{Identity, Layer, Setup},
};

/// Everything the helper mounts is below here, in its own mount namespace: a directory that every host has. What the
/// host keeps there disappears for the helper.
const STAGE: &str = "/tmp";

/// Enters the sandbox's namespaces as an ordinary user.
///
/// As root the stage is set first and the user changed before the user namespace is made: a mapping alone only
/// renames, on the host it would still be root that reads files through a read-only mount. Setting the stage as root
/// also makes the host directories reachable that the ordinary user could not walk to.
pub(super) fn enter(setup: &Setup) -> Result<(), StepError> {
    if let Some(identity) = setup.identity {
        unshare(CloneFlags::CLONE_NEWNS).step("mount namespace")?;
        set_stage(setup)?;
        become_user(identity)?;
    }
    let namespaces =
        CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC;
    let (uid, gid) = (Uid::effective(), Gid::effective());
    unshare(namespaces).step("user and network namespaces")?;
    std::fs::write("/proc/self/setgroups", "deny").step("denying setgroups")?;
    std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).step("mapping the user")?;
    std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).step("mapping the group")?;
    // Nobody who happens to be the same user may look into us.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).step("dumpable")?;
    if setup.identity.is_none() {
        set_stage(setup)?;
    }
    Ok(())
}

fn set_stage(setup: &Setup) -> Result<(), StepError> {
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).step("private mounts")?;
    // Opened first: they may be in the very directory that the stage covers.
    let base = directory(&setup.base).step("the sandboxes' directory")?;
    let node = setup.view.node.as_deref().map(directory).transpose().step("node's directory")?;
    let harmless = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("cobuild"), STAGE, Some("tmpfs"), harmless, Some("mode=755,size=1m")).step("the stage")?;
    bind(&base, Path::new(BASE)).step("the sandboxes' directory")?;
    if let Some(node) = node {
        bind(&node, Path::new(STAGED_NODE)).step("node's directory")?;
    }
    for at in 0..setup.layers.len() {
        std::fs::create_dir(stage_of(at)).step("the stage")?;
    }
    Ok(())
}

fn directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn bind(source: &OwnedFd, target: &Path) -> io::Result<()> {
    std::fs::create_dir(target)?;
    let source = format!("/proc/self/fd/{}", source.as_raw_fd());
    mount(Some(source.as_str()), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    Ok(())
}

/// Becomes the ordinary user for good, and may still write its own id maps.
fn become_user(identity: Identity) -> Result<(), StepError> {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    setgroups(&[]).step("dropping the groups")?;
    setresgid(gid, gid, gid).step("changing the group")?;
    setresuid(uid, uid, uid).step("changing the user")?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).step("dumpable")
}

/// Sets the flag "up" on the loopback interface, the only one there is, by one netlink message.
pub(super) fn raise_loopback() -> io::Result<()> {
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_AND_ACK: u16 = 1 | 4;
    const LOOPBACK_INDEX: i32 = 1;
    const IFF_UP: u32 = 1;
    /// `nlmsghdr` and `ifinfomsg`.
    const LENGTH: u32 = 16 + 16;

    let mut message = Vec::with_capacity(LENGTH as usize);
    message.extend(LENGTH.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_AND_ACK.to_ne_bytes());
    message.extend([0; 8]); // sequence number, port
    message.extend([0; 4]); // family, padding, type
    message.extend(LOOPBACK_INDEX.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes()); // which flags change

    let flags = SocketFlags::CLOEXEC;
    // No protocol is protocol 0: routes and links.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    // The answer is a header (16 bytes) and an error number, 0 for success.
    let mut answer = [0; 64];
    let (length, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    match answer.get(16..20).filter(|_| length >= 20) {
        Some(&[a, b, c, d]) => match i32::from_ne_bytes([a, b, c, d]) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(-error)),
        },
        _ => Err(io::Error::other("the kernel's answer is too short")),
    }
}

/// Mounts the layers. Returns what commands may write to, and why layers had to be copied, if they had to.
pub(super) fn mount_layers(setup: &Setup) -> Result<(Vec<Writable>, Option<String>), StepError> {
    let base = Path::new(BASE);
    let mut copied_because = None;
    let mut writable = vec![Writable { source: base.join(&setup.project), target: PathBuf::from(PROJECT_DIRECTORY) }];
    for (at, layer) in setup.layers.iter().enumerate() {
        let source = match overlay(base, layer, &stage_of(at)) {
            Ok(source) => source,
            Err(error) => {
                copied_because = Some(error.to_string());
                copy(base, layer).step("copying the template")?
            }
        };
        writable.push(Writable { source, target: layer.target.clone() });
    }
    Ok((writable, copied_because))
}

fn stage_of(layer: usize) -> PathBuf {
    Path::new(STAGE).join(format!("layer-{layer}"))
}

fn overlay(base: &Path, layer: &Layer, target: &Path) -> io::Result<PathBuf> {
    let own = base.join(&layer.own);
    let Some(lower) = &layer.lower else {
        return Ok(own);
    };
    // The paths are ours and hold neither commas nor colons. Volatile: a sandbox is never mounted again, and without
    // it the end of each would wait until the whole file system is written to disk.
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr,volatile",
        base.join(lower).display(),
        own.join("upper").display(),
        own.join("work").display(),
    );
    let harmless = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("overlay"), target, Some("overlay"), harmless, Some(options.as_str()))?;
    Ok(target.to_owned())
}

/// Where no overlay is possible. Never by hard links: writing to one would change the template.
fn copy(base: &Path, layer: &Layer) -> io::Result<PathBuf> {
    let copied = base.join(&layer.own).join("upper");
    if let Some(lower) = &layer.lower {
        let source = base.join(lower).join(".");
        let status = Command::new("cp").arg("-a").arg(source).arg(&copied).env_clear().status()?;
        if !status.success() {
            return Err(io::Error::other(format!("cp: {status}")));
        }
    }
    Ok(copied)
}
