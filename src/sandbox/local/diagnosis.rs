//! Turns the failures of a machine that cannot make sandboxes into sentences that name the cause and the fix. It
//! explains what was tried and failed; it never predicts.

use std::{io, path::Path};

use super::link::StartError;
use crate::project::sandbox_provider::SandboxError;

const APPARMOR: &str = "AppArmor keeps ordinary programs from making user namespaces here \
    (kernel.apparmor_restrict_unprivileged_userns=1, Ubuntu 23.10 and newer). Either run the server as root, or \
    switch the restriction off (sysctl kernel.apparmor_restrict_unprivileged_userns=0), or give the server's program \
    an AppArmor profile with the rule 'userns'";
const NO_NAMESPACES: &str = "The kernel allows no user namespaces (user.max_user_namespaces is 0). Allow some: sysctl \
    user.max_user_namespaces=15000";
const DEBIAN_SWITCH: &str = "The kernel allows no user namespaces to ordinary users \
    (kernel.unprivileged_userns_clone is 0). Allow them: sysctl kernel.unprivileged_userns_clone=1";
const FORBIDDEN: &str = "The server may not make user namespaces here, as in most containers. Run it on the host, or \
    in a container that allows them (Docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined)";

/// Why a helper could not build its sandbox.
pub(super) fn explain_start(error: &StartError) -> SandboxError {
    match error {
        StartError::Step { step, reason } => {
            let cause = cause_of(reason, &Switches::read());
            let what = format!("Sandboxes cannot be made on the server's machine. {step}: {reason}.");
            SandboxError::Unavailable(cause.map_or(what.clone(), |cause| format!("{what} {cause}.")))
        }
        StartError::TimedOut => SandboxError::TimedOut(error.to_string()),
        StartError::Io(_) => SandboxError::Failed(error.to_string()),
    }
}

/// Why the first command in a sandbox failed; `printed` is what bubblewrap said.
pub(super) fn explain_command(printed: &str) -> SandboxError {
    let printed = printed.trim();
    let what = format!("Sandboxes cannot be made on the server's machine. {printed}.");
    let cause = if printed.contains("Unknown option") {
        Some("This bubblewrap is too old; 0.8 or newer is needed")
    } else if printed.contains("proc") {
        Some("Parts of /proc are covered, as in most containers. Run the server on the host")
    } else {
        cause_of(printed, &Switches::read())
    };
    SandboxError::Unavailable(cause.map_or(what.clone(), |cause| format!("{what} {cause}.")))
}

/// Why the data directory cannot hold sandboxes.
pub(super) fn explain_directory(directory: &Path, error: &io::Error) -> SandboxError {
    let directory = directory.join("sandbox");
    SandboxError::Unavailable(format!(
        "The directory of the sandboxes, {}, cannot be used: {error}",
        directory.display()
    ))
}

/// The kernel's switches that are known to forbid what sandboxes need.
#[derive(Debug, Clone, Copy, Default)]
struct Switches {
    apparmor_restricts: bool,
    no_namespaces: bool,
    debian_forbids: bool,
}

impl Switches {
    fn read() -> Self {
        let is = |file: &str, value: &str| std::fs::read_to_string(file).is_ok_and(|text| text.trim() == value);
        Self {
            apparmor_restricts: is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
            no_namespaces: is("/proc/sys/user/max_user_namespaces", "0"),
            debian_forbids: is("/proc/sys/kernel/unprivileged_userns_clone", "0"),
        }
    }
}

fn cause_of(reason: &str, switches: &Switches) -> Option<&'static str> {
    let is = |error: &str, name: &str| reason.contains(error) || reason.contains(name);
    let forbidden = is("Operation not permitted", "EPERM") || is("Permission denied", "EACCES");
    let used_up = is("No space left on device", "ENOSPC");
    match switches {
        Switches { no_namespaces: true, .. } if used_up || forbidden => Some(NO_NAMESPACES),
        Switches { debian_forbids: true, .. } if forbidden => Some(DEBIAN_SWITCH),
        Switches { apparmor_restricts: true, .. } if forbidden => Some(APPARMOR),
        _ if forbidden => Some(FORBIDDEN),
        _ if used_up => Some("The machine has no user namespaces left (user.max_user_namespaces)"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_cause_it_can_prove() {
        let none = Switches::default();
        let apparmor = Switches { apparmor_restricts: true, ..none };
        let zero = Switches { no_namespaces: true, ..none };
        for (reason, switches, expected) in [
            ("No space left on device (os error 28)", zero, Some(NO_NAMESPACES)),
            ("Permission denied (os error 13)", apparmor, Some(APPARMOR)),
            ("Operation not permitted (os error 1)", none, Some(FORBIDDEN)),
            ("Invalid argument (os error 22)", apparmor, None),
        ] {
            assert_eq!(cause_of(reason, &switches), expected, "{reason}");
        }
    }
}
