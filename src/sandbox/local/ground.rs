//! What all sandboxes of one provider stand on: the machine, the directories, the limits. Found when first needed.

use std::{io, path::PathBuf, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    LocalConfig, LocalLimits,
    cgroup::{self, Cgroup, Hierarchy},
    diagnosis,
    egress::Policy,
    host::Host,
    layout::{Base, SandboxDirectory},
};
use crate::project::sandbox_provider::SandboxError;

/// How long all sandboxes together may take to end at shutdown.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) host: Host,
    pub(super) base: Base,
    pub(super) limits: LocalLimits,
    pub(super) executable: PathBuf,
    pub(super) egress: Policy,
    /// Why memory and processes are not limited, if they are not.
    pub(super) hierarchy: Result<Hierarchy, String>,
    group_name: String,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Ground {
    /// Looks at the machine and prepares the directories. Blocks for some milliseconds.
    pub(super) fn open(config: &LocalConfig) -> Result<Self, SandboxError> {
        let mut host = Host::find(config)?;
        let egress =
            Policy::new(&config.registry, config.upstream_proxy.as_deref()).map_err(SandboxError::Unavailable)?;
        let base = Base::open(&config.data_dir, host.identity)
            .map_err(|error| diagnosis::explain_directory(&config.data_dir, &error))?;
        if let Some(own) = &config.ca_file {
            let bundle = base.write_certificates(host.view.certificates.as_deref(), own).map_err(|error| {
                SandboxError::Unavailable(format!("The certificates {} cannot be used: {error}", own.display()))
            })?;
            host.view.certificates = Some(bundle);
        }
        let group_name = format!("{}-{:08x}", cgroup::server_name(), rand::random::<u32>());
        let hierarchy = Hierarchy::find(&group_name);
        match &hierarchy {
            Ok(found) => tracing::debug!(hierarchy = found.describe(), "sandboxes get a control group each"),
            Err(reason) => tracing::warn!(
                reason,
                "sandboxes get no control group: their memory, processes and processor time are not limited as a whole"
            ),
        }
        Ok(Self {
            host,
            base,
            limits: config.limits,
            executable: config.executable.clone(),
            egress,
            hierarchy,
            group_name,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// The control group of a sandbox, where there can be one.
    pub(super) fn make_cgroup(&self, directory: &SandboxDirectory) -> io::Result<Option<Cgroup>> {
        let Ok(hierarchy) = &self.hierarchy else { return Ok(None) };
        let name = format!("{}-{}", self.group_name, directory.number());
        hierarchy.create(&name, &self.limits.resources).map(Some)
    }

    /// Ends every sandbox and waits for it.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(CLOSE_TIME_MAX, self.tasks.wait()).await.is_err() {
            tracing::warn!("sandboxes take long to end; they go with the server");
        }
    }
}
