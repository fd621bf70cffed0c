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
        let elsewhere = installation(&node, &private_directories(config)).map_err(SandboxError::Unavailable)?;
        let certificates =
            CERTIFICATES.iter().find_map(|path| Path::new(path).canonicalize().ok()).filter(|path| path.is_file());
        let root = rustix::process::geteuid().is_root();
        let view = wire::View {
            bubblewrap,
            environment: environment(config, elsewhere.is_some(), certificates.is_some() || config.ca_file.is_some()),
            node: elsewhere,
            certificates,
        };
        let identity = root.then_some(wire::Identity { uid: SANDBOX_ID, gid: SANDBOX_ID });
        Ok(Self { identity, view, node })
    }
}

/// The directory of the installation that `node` belongs to, `<directory>/bin/node` with npm in `lib`; `None` when it is
/// part of the system. The error says why sandboxes must not see it.
fn installation(node: &Path, private: &[PathBuf]) -> Result<Option<PathBuf>, String> {
    if node.starts_with("/usr") {
        return Ok(None);
    }
    let program = node.display();
    let is_whole = |directory: &&Path| node.ends_with("bin/node") && directory.join("lib/node_modules/npm").is_dir();
    let Some(directory) = node.parent().and_then(Path::parent).filter(is_whole) else {
        return Err(format!(
            "Sandboxes cannot use {program}: it is no installation of Node.js, there is no npm beside it. {NODE_MISSING}"
        ));
    };
    match private.iter().find(|private| private.starts_with(directory)) {
        Some(private) => Err(format!(
            "Sandboxes cannot use {program}: its directory holds {} as well, which is not theirs to see. Install \
             Node.js in a directory of its own, or from your distribution",
            private.display()
        )),
        None => Ok(Some(directory.to_owned())),
    }
}

/// What no sandbox may see, whatever it is part of.
fn private_directories(config: &LocalConfig) -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(PathBuf::from);
    let found = [home, env::current_dir().ok(), Some(config.data_dir.clone())].into_iter().flatten();
    let real = |path: PathBuf| path.canonicalize().or_else(|_| std::path::absolute(&path)).unwrap_or(path);
    found.map(real).chain([PathBuf::from("/")]).collect()
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
    // A look at the environment outside `config.rs`: where programs are is the machine's matter.
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_installation_of_its_own_is_shown_to_sandboxes() {
        let machine = tempfile::tempdir().expect("a directory");
        let home = machine.path().join("home");
        let own = home.join(".nvm/v22");
        for directory in [&home, &own] {
            std::fs::create_dir_all(directory.join("bin")).expect("made");
            std::fs::write(directory.join("bin/node"), "").expect("written");
        }
        let private = [home.clone(), PathBuf::from("/")];
        let found = |directory: &Path| installation(&directory.join("bin/node"), &private);
        let error = found(&own).expect_err("no npm");
        assert!(error.contains("no npm beside it"), "{error}");
        std::fs::create_dir_all(own.join("lib/node_modules/npm")).expect("made");
        assert_eq!(found(&own), Ok(Some(own)));
        // A home directory, even where npm was told to install into it.
        std::fs::create_dir_all(home.join("lib/node_modules/npm")).expect("made");
        let error = found(&home).expect_err("it is private");
        assert!(error.contains("directory of its own"), "{error}");
        assert_eq!(installation(Path::new("/usr/bin/node"), &private), Ok(None));
        assert!(installation(Path::new("/bin/node"), &private).is_err());
    }
}
