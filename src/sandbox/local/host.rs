//! What the local sandbox needs of the machine, found by looking: bubblewrap, node, certificates, a user.

use std::{
    env,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{LocalConfig, bubblewrap, wire};
use crate::project::sandbox_provider::SandboxError;

/// User and group of all sandboxes when the server is root: outside the ranges that Debian, Fedora, systemd and
/// container engines hand out. It owns nothing else.
const SANDBOX_ID: u32 = 60_600;

/// Where distributions keep the certificates as one file.
const CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

const BUBBLEWRAP_MISSING: &str = "Sandboxes need bubblewrap, and there is no bwrap on the server's machine. Install it \
    (Debian, Ubuntu: apt install bubblewrap · Fedora: dnf install bubblewrap · Arch: pacman -S bubblewrap)";
const NODE_MISSING: &str = "Sandboxes need Node.js 20.19 or newer, and there is no node in the server's PATH. Install \
    it from https://nodejs.org or your distribution";

/// What was found.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) identity: Option<wire::Identity>,
    pub(super) view: wire::View,
    /// The node program, as the server sees it.
    pub(super) node: PathBuf,
}

impl Host {
    /// Looks at the machine. Cheap: a few directory look-ups.
    pub(super) fn find(config: &LocalConfig) -> Result<Self, SandboxError> {
        let refuse = |sentence: &str| SandboxError::Unavailable(sentence.into());
        let bubblewrap = match &config.bubblewrap {
            Some(path) if is_program(path) => path.clone(),
            Some(path) => return Err(refuse(&format!("{} is not a program. {BUBBLEWRAP_MISSING}", path.display()))),
            None => program("bwrap").ok_or_else(|| refuse(BUBBLEWRAP_MISSING))?,
        };
        let node = program("node").and_then(|path| path.canonicalize().ok()).ok_or_else(|| refuse(NODE_MISSING))?;
        // An installation is `<directory>/bin/node`, with npm beside it.
        let elsewhere = node.parent().and_then(Path::parent).filter(|directory| !directory.starts_with("/usr"));
        let certificates =
            CERTIFICATES.iter().find_map(|path| Path::new(path).canonicalize().ok()).filter(|path| path.is_file());
        let root = rustix::process::geteuid().is_root();
        let view = wire::View {
            bubblewrap,
            node: elsewhere.map(Path::to_owned),
            environment: environment(config, elsewhere.is_some(), certificates.is_some() || config.ca_file.is_some()),
            certificates,
        };
        let identity = root.then_some(wire::Identity { uid: SANDBOX_ID, gid: SANDBOX_ID });
        Ok(Self { identity, view, node })
    }
}

/// The whole environment of a sandboxed process. Nothing of the server's is in it.
fn environment(config: &LocalConfig, own_node: bool, certificates: bool) -> Vec<(String, String)> {
    let proxy = format!("http://127.0.0.1:{}", super::EGRESS_PORT);
    let system = "/usr/local/bin:/usr/bin:/bin";
    let path = if own_node { format!("{}/bin:{system}", bubblewrap::NODE_DIRECTORY) } else { system.to_owned() };
    let mut variables = vec![
        ("HOME", bubblewrap::HOME_DIRECTORY.to_owned()),
        ("PATH", path),
        ("LANG", "C.UTF-8".to_owned()),
        ("HTTPS_PROXY", proxy.clone()),
        ("HTTP_PROXY", proxy),
        // A program's own servers are not reached through the proxy.
        ("NO_PROXY", "localhost,127.0.0.1,::1".to_owned()),
        ("NODE_USE_ENV_PROXY", "1".to_owned()),
        ("npm_config_update_notifier", "false".to_owned()),
    ];
    if certificates {
        variables.push(("NODE_EXTRA_CA_CERTS", bubblewrap::CERTIFICATES_FILE.to_owned()));
        variables.push(("SSL_CERT_FILE", bubblewrap::CERTIFICATES_FILE.to_owned()));
        variables.push(("GIT_SSL_CAINFO", bubblewrap::CERTIFICATES_FILE.to_owned()));
    }
    if config.registry != super::REGISTRY_DEFAULT {
        variables.push(("npm_config_registry", config.registry.clone()));
    }
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A program in the server's own search path.
fn program(name: &str) -> Option<PathBuf> {
    // The one look at the environment outside `config.rs`: where programs are is the machine's matter.
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}
