//! Sandboxes on the server's own machine: no key, no daemon, no root. Model-written code and its dev server run in
//! namespaces of their own, with one way out. It knows neither rooms nor models. The parts:
//!
//! ```text
//! local.rs        the provider           ground    what all sandboxes stand on: host, layout, cgroup, limits
//! instance        one sandbox            link      server's end of its helper, by the records of `wire`
//! helper          the other end: namespaces, mounts, one bubblewrap (arguments, seccomp) per command
//! files disk      its files, their size  egress    its way out: the package registry only
//! process preview its commands           template_store pool   what makes it fast
//! doctor diagnosis                       proof that it holds; why it does not
//! ```

mod bubblewrap;
mod cgroup;
mod diagnosis;
mod disk;
pub mod doctor;
mod egress;
mod files;
mod ground;
mod helper;
mod host;
mod instance;
mod layout;
mod link;
mod pool;
mod preview;
mod probe;
mod process;
mod seccomp;
mod template_store;
mod wire;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use tokio::sync::OnceCell;

pub use cgroup::ResourceLimits;
pub use disk::DiskLimits;
pub use egress::{check_proxy, check_registry};
pub use files::FileLimits;
pub use helper::{HELPER_ARGUMENT, helper_main};

use self::{ground::Ground, instance::LocalSandbox, pool::Pool, template_store::TemplateStore};
use crate::{
    project::sandbox_provider::{
        FileChange, ProgressSender, Sandbox, SandboxError, SandboxProvider, SandboxSpec, Template,
    },
    sandbox::template,
};

/// The package registry when nothing else is configured.
pub const REGISTRY_DEFAULT: &str = "https://registry.npmjs.org/";
/// Where the egress proxy listens inside a sandbox.
const EGRESS_PORT: u16 = 3128;

/// How the local sandbox is set up.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Sandboxes and the template are below its `sandbox` directory.
    pub data_dir: PathBuf,
    /// Sandboxes kept ready with a running dev server; each takes about 120 MB of memory. 0 for none.
    pub pool_size: usize,
    /// The `https:` address of the only place sandboxes can connect to.
    pub registry: String,
    /// The `http://host:port` of the proxy that the server itself must go through to reach the registry, if it must.
    pub upstream_proxy: Option<String>,
    /// Certificates (PEM) that sandboxes trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Our own program; it is started again as each sandbox's helper.
    pub executable: PathBuf,
    /// bubblewrap, when it is not the `bwrap` of the search path.
    pub bubblewrap: Option<PathBuf>,
    /// What a sandbox may use.
    pub limits: LocalLimits,
}

impl LocalConfig {
    /// The defaults, with everything below `data_dir`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            pool_size: 1,
            registry: REGISTRY_DEFAULT.into(),
            upstream_proxy: None,
            ca_file: None,
            // Stays right when the file is replaced while the server runs.
            executable: "/proc/self/exe".into(),
            bubblewrap: None,
            limits: LocalLimits::default(),
        }
    }
}

/// What a sandbox may use.
#[derive(Debug, Clone, Copy)]
pub struct LocalLimits {
    /// Of all its processes together, where control groups are available.
    pub resources: ResourceLimits,
    /// Of its disk.
    pub disk: DiskLimits,
    /// Of the project's files.
    pub files: FileLimits,
    /// Open files of one process.
    pub open_files_max: u64,
    /// Largest file a process can write.
    pub file_size_bytes_max: u64,
    /// Memory one process can lock.
    pub locked_memory_bytes_max: u64,
    /// `/tmp` of one command.
    pub temporary_size_bytes_max: u64,
    /// The home directory of one command, without npm's cache.
    pub home_size_bytes_max: u64,
}

impl Default for LocalLimits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            resources: ResourceLimits { memory_bytes_max: 1024 * MIB, tasks_max: 512, cpus_max: 2.0 },
            disk: DiskLimits { size_bytes_max: 2048 * MIB, entries_max: 250_000 },
            files: FileLimits { file_size_bytes_max: 8 * MIB, files_max: 5_000, total_size_bytes_max: 256 * MIB },
            open_files_max: 8192,
            file_size_bytes_max: 2048 * MIB,
            locked_memory_bytes_max: 64 * MIB,
            temporary_size_bytes_max: 256 * MIB,
            home_size_bytes_max: 64 * MIB,
        }
    }
}

/// Makes sandboxes on this machine. Making *it* costs nothing: it looks at the machine when it is first used.
#[derive(Debug)]
pub struct LocalProvider {
    config: LocalConfig,
    ground: OnceCell<Arc<Ground>>,
    /// A probe has succeeded.
    checked: tokio::sync::Mutex<bool>,
    templates: Arc<TemplateStore>,
    pool: Arc<Pool>,
}

impl LocalProvider {
    /// A provider that has done nothing yet.
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        let pool = Arc::new(Pool::new(config.pool_size));
        Self { config, ground: OnceCell::new(), checked: Default::default(), templates: Arc::default(), pool }
    }

    /// Builds the template and fills the pool in the background. Call it once the server answers; without it the first
    /// sandbox does so.
    ///
    /// # Errors
    /// When sandboxes cannot be made here.
    pub async fn warm_up(&self) -> Result<(), SandboxError> {
        match self.check().await {
            // What the provider's end has cut off says nothing about this machine.
            Err(_) if self.ground.get().is_some_and(|ground| ground.stop.is_cancelled()) => return Ok(()),
            checked => checked?,
        }
        self.pool.refill(&self.ground().await?, &self.templates, true);
        Ok(())
    }

    /// How many sandboxes are waiting to be used.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pool.waiting()
    }

    /// Opened once, for everybody who asks meanwhile; tried again after a failure, which somebody may have repaired.
    async fn ground(&self) -> Result<Arc<Ground>, SandboxError> {
        let open = || async {
            let config = self.config.clone();
            let opened = tokio::task::spawn_blocking(move || Ground::open(&config)).await;
            opened.map_err(|error| SandboxError::Failed(error.to_string()))?.map(Arc::new)
        };
        self.ground.get_or_try_init(open).await.cloned()
    }
}

#[async_trait]
impl SandboxProvider for LocalProvider {
    fn name(&self) -> &'static str {
        "local"
    }

    fn template(&self) -> Template {
        template::react_vite()
    }

    async fn create(&self, spec: SandboxSpec, progress: ProgressSender) -> Result<Arc<dyn Sandbox>, SandboxError> {
        self.check().await?;
        let ground = self.ground().await?;
        let directory = self.templates.get(&ground, &progress).await?;
        let claimed = self.pool.claim(&spec.files).await;
        let sandbox = match claimed {
            Some(sandbox) => sandbox,
            None => {
                let sandbox = LocalSandbox::start(&ground, Some(&directory)).await?;
                sandbox.write_all(spec.files.into_iter().map(FileChange::Write).collect()).await?;
                sandbox
            }
        };
        tracing::info!(project = %spec.project, sandbox = sandbox.name, "a sandbox is made");
        self.pool.refill(&ground, &self.templates, false);
        Ok(Arc::new(sandbox))
    }

    async fn check(&self) -> Result<(), SandboxError> {
        let mut checked = self.checked.lock().await;
        if !*checked {
            let ground = self.ground().await?;
            probe::essential(&ground).await?;
            *checked = true;
        }
        Ok(())
    }

    async fn close(&self) {
        if let Some(ground) = self.ground.get() {
            ground.close().await;
        }
    }
}
