//! The system calls that sandboxed processes are refused. Everything else is allowed: the namespaces decide what a
//! call reaches, this list takes away calls that reach the kernel's rarely walked corners.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

/// Why there is no filter: no table for this processor, or a fault of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum SeccompError {
    #[error("the local sandbox has no system-call filter for this processor ({0}); it runs on x86_64 and aarch64")]
    Architecture(&'static str),
    #[error("system-call filter: {0}")]
    Filter(#[from] seccompiler::BackendError),
}

/// The filters, ready for `bwrap --add-seccomp-fd`. All apply; the strictest answer wins.
pub(super) fn filters() -> Result<Vec<Vec<u8>>, SeccompError> {
    let name = std::env::consts::ARCH;
    let arch = match name {
        "x86_64" => TargetArch::x86_64,
        "aarch64" => TargetArch::aarch64,
        other => return Err(SeccompError::Architecture(other)),
    };
    let mut programs = vec![
        program(refused()?, libc::EPERM, arch)?,
        // "Not implemented" makes libc fall back: from `clone3`, whose flags no filter can read, to `clone`; from
        // `openat2`, whose mode no filter can read, to `openat`.
        program(unknown().into_iter().map(|call| (call, Vec::new())).collect(), libc::ENOSYS, arch)?,
    ];
    if arch == TargetArch::x86_64 {
        programs.push(without_x32());
    }
    Ok(programs.iter().map(bytes).collect())
}

/// The same on both architectures; the C libraries disagree about its type.
const TIOCSTI: u64 = 0x5412;
/// Likewise.
const TIOCLINUX: u64 = 0x541C;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls answered with EPERM, some only with certain arguments.
fn refused() -> Result<Rules, SeccompError> {
    let mut rules: Rules = always_refused().into_iter().map(|call| (call, Vec::new())).collect();
    let query = 0xffff_ffff;
    rules.insert(libc::SYS_personality, vec![all([(0, SeccompCmpOp::Ne, 0), (0, SeccompCmpOp::Ne, query)])?]);
    // Typing into the terminal of whoever started us.
    let typing = [TIOCSTI, TIOCLINUX].map(|request| all([(1, SeccompCmpOp::Eq, request)]));
    rules.insert(libc::SYS_ioctl, typing.into_iter().collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_clone, namespace_flags()?);
    rules.insert(libc::SYS_socket, other_sockets()?);
    for (call, argument) in calls_with_mode() {
        rules.insert(call, set_id_modes(argument, None)?);
    }
    for (call, flags) in calls_that_open() {
        let mut modes = set_id_modes(flags + 1, Some((flags, libc::O_CREAT)))?;
        modes.extend(set_id_modes(flags + 1, Some((flags, libc::O_TMPFILE & !libc::O_DIRECTORY)))?);
        rules.insert(call, modes);
    }
    Ok(rules)
}

/// Calls nothing in a sandbox has a use for, in groups: other processes and the kernel's tracing; mounts and
/// namespaces; modules, handles and quotas; the machine as a whole; memory placement.
fn always_refused() -> Vec<i64> {
    // Same numbers on every architecture; newer than the C library's tables. They tell of mounts, and copy them.
    const SYS_STATMOUNT: i64 = 457;
    const SYS_LISTMOUNT: i64 = 458;
    const SYS_OPEN_TREE_ATTR: i64 = 467;
    let mut calls = vec![
        SYS_STATMOUNT,
        SYS_LISTMOUNT,
        SYS_OPEN_TREE_ATTR,
        libc::SYS_bpf,
        libc::SYS_userfaultfd,
        libc::SYS_perf_event_open,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_process_madvise,
        libc::SYS_kcmp,
        libc::SYS_pidfd_getfd,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsmount,
        libc::SYS_fsconfig,
        libc::SYS_fspick,
        libc::SYS_mount_setattr,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_setns,
        libc::SYS_unshare,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_open_by_handle_at,
        libc::SYS_name_to_handle_at,
        libc::SYS_quotactl,
        libc::SYS_quotactl_fd,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_syslog,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_clock_adjtime,
        libc::SYS_adjtimex,
        libc::SYS_fanotify_init,
        libc::SYS_vhangup,
        libc::SYS_mbind,
        libc::SYS_set_mempolicy,
        libc::SYS_migrate_pages,
        libc::SYS_move_pages,
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        libc::SYS_kexec_file_load,
        libc::SYS_lookup_dcookie,
        libc::SYS_iopl,
        libc::SYS_ioperm,
        libc::SYS_modify_ldt,
    ]);
    calls
}

/// Calls answered as if the kernel were too old for them.
fn unknown() -> Vec<i64> {
    vec![
        libc::SYS_clone3,
        libc::SYS_openat2,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
    ]
}

/// `clone` with any flag that makes a namespace.
fn namespace_flags() -> Result<Vec<SeccompRule>, SeccompError> {
    [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ]
    .map(|flag| all([has(0, u64::from(flag.cast_unsigned()))]))
    .into_iter()
    .collect()
}

/// Sockets but UNIX, INET, INET6, and NETLINK for routes: no packet, vsock (the host of a virtual machine), alg, xdp.
fn other_sockets() -> Result<Vec<SeccompRule>, SeccompError> {
    let allowed = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let other = all(allowed.map(|family| (0, SeccompCmpOp::Ne, family as u64)))?;
    let netlink = [(0, SeccompCmpOp::Eq, libc::AF_NETLINK as u64), (2, SeccompCmpOp::Ne, libc::NETLINK_ROUTE as u64)];
    Ok(vec![other, all(netlink)?])
}

/// Calls that take a mode, with the mode's place among the arguments.
fn calls_with_mode() -> Vec<(i64, u8)> {
    /// Same number on every architecture; newer than the C library's tables.
    const SYS_FCHMODAT2: i64 = 452;
    let mut calls = vec![
        (libc::SYS_fchmod, 1),
        (libc::SYS_fchmodat, 2),
        (SYS_FCHMODAT2, 2),
        (libc::SYS_mkdirat, 2),
        (libc::SYS_mknodat, 2),
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend([(libc::SYS_chmod, 1), (libc::SYS_creat, 1), (libc::SYS_mkdir, 1), (libc::SYS_mknod, 1)]);
    calls
}

/// Calls that take a mode only when they create, with the place of their flags; the mode comes behind them.
fn calls_that_open() -> Vec<(i64, u8)> {
    let mut calls = vec![(libc::SYS_openat, 2)];
    #[cfg(target_arch = "x86_64")]
    calls.push((libc::SYS_open, 1));
    calls
}

/// A set-user-id or set-group-id bit in the mode: such a file in the project directory would be real on the host.
fn set_id_modes(argument: u8, only_with: Option<(u8, i32)>) -> Result<Vec<SeccompRule>, SeccompError> {
    [libc::S_ISUID, libc::S_ISGID]
        .map(|bit| {
            let mut conditions = vec![has(argument, u64::from(bit))];
            conditions.extend(only_with.map(|(flags, flag)| has(flags, u64::from(flag.cast_unsigned()))));
            all(conditions)
        })
        .into_iter()
        .collect()
}

type Condition = (u8, SeccompCmpOp, u64);

fn has(argument: u8, bits: u64) -> Condition {
    (argument, SeccompCmpOp::MaskedEq(bits), bits)
}

/// Matches when every condition does. The kernel reads these arguments as 32 bits, and so does the filter.
fn all(conditions: impl IntoIterator<Item = Condition>) -> Result<SeccompRule, SeccompError> {
    let conditions = conditions
        .into_iter()
        .map(|(argument, operator, value)| SeccompCondition::new(argument, Dword, operator, value))
        .collect::<Result<_, _>>()?;
    Ok(SeccompRule::new(conditions)?)
}

fn program(rules: Rules, errno: i32, arch: TargetArch) -> Result<BpfProgram, SeccompError> {
    let refuse = SeccompAction::Errno(errno.cast_unsigned());
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()?)
}

/// x86_64 kernels may know every call a second time, with this bit set; the tables above don't name those.
fn without_x32() -> BpfProgram {
    const X32_BIT: u32 = 0x4000_0000;
    let instruction = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    vec![
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32_BIT),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned()),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

/// The program as the kernel's `struct sock_filter[]`.
fn bytes(program: &BpfProgram) -> Vec<u8> {
    program
        .iter()
        .flat_map(|line| {
            let [c0, c1] = line.code.to_ne_bytes();
            let [k0, k1, k2, k3] = line.k.to_ne_bytes();
            [c0, c1, line.jt, line.jf, k0, k1, k2, k3]
        })
        .collect()
}
