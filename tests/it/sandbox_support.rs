//! Real sandboxes for tests. All tests of one run share the template, which takes seconds to build; each has its own
//! provider.

use std::{path::PathBuf, sync::Arc, time::Duration};

use cobuild::{
    project::sandbox_provider::{Sandbox, SandboxFile, SandboxProvider, SandboxSpec},
    sandbox::local::{LocalConfig, LocalProvider},
};
use tokio::{sync::watch, time::timeout};

/// Longest the first sandbox may take: it installs the template.
const CREATE_TIME_MAX: Duration = Duration::from_secs(300);

/// Set, and not empty, where sandboxes must work: then a suite that cannot run fails. `scripts/test` decides.
const REQUIRED: &str = "TEST_SANDBOX_REQUIRED";

/// Whether tests of sandboxes must run here.
pub(crate) fn required() -> bool {
    std::env::var_os(REQUIRED).is_some_and(|value| !value.is_empty())
}

/// Where the template is kept between tests and runs: below the build's own directory.
pub(crate) fn data_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sandbox-data")
}

/// The configuration that tests use: our own binary as the helper, no pool.
pub(crate) fn local_config() -> LocalConfig {
    let mut config = LocalConfig::new(data_dir());
    config.executable = env!("CARGO_BIN_EXE_cobuild").into();
    config.pool_size = 0;
    config
}

/// A provider of real sandboxes, or `None`, said loudly, where none can be made.
pub(crate) async fn local_provider(suite: &str) -> Option<Arc<LocalProvider>> {
    local_provider_with(suite, local_config()).await
}

/// The same with another configuration.
pub(crate) async fn local_provider_with(suite: &str, config: LocalConfig) -> Option<Arc<LocalProvider>> {
    let provider = LocalProvider::new(config);
    match provider.check().await {
        Ok(()) => Some(Arc::new(provider)),
        // A machine that cannot make sandboxes is an excuse; sandboxes that do not hold are not.
        Err(error) if error.to_string().contains("not safe") || required() => {
            panic!("{suite}: {error}")
        }
        Err(error) => {
            crate::support::not_run(&format!("{suite}: {error}"));
            None
        }
    }
}

/// A sandbox with these files.
pub(crate) async fn create(provider: &dyn SandboxProvider, files: Vec<SandboxFile>) -> Arc<dyn Sandbox> {
    let progress = watch::Sender::default();
    let spec = SandboxSpec { project: "test".parse().expect("valid"), files };
    timeout(CREATE_TIME_MAX, provider.create(spec, progress)).await.expect("in time").expect("a sandbox")
}

/// Whether a process with this word on its command line runs on the host.
pub(crate) fn running(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    processes.map(|process| process.path().join("cmdline")).any(|path| {
        let line = std::fs::read(path).unwrap_or_default();
        line.split(|&byte| byte == 0).any(|argument| argument == word.as_bytes())
    })
}
