//! One sandbox: a helper, a directory, a control group, and the tasks around them.

use std::{io, path::Path, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cobuild_protocol::FilePath;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    EGRESS_PORT, LocalLimits,
    bubblewrap::{CACHE_DIRECTORY, PROJECT_DIRECTORY},
    cgroup::Cgroup,
    diagnosis,
    disk::{self, DiskLimits},
    egress,
    files::ProjectFiles,
    ground::Ground,
    layout::{CACHE, NODE_MODULES, PROJECT, STAGING, SandboxDirectory},
    link::{Link, Standing},
    preview::Preview,
    process::LocalProcess,
    wire::{Layer, ProcessLimits, Setup},
};
use crate::project::sandbox_provider::{
    ByteStream, ExecRequest, FileChange, OutputSender, Process, RefusedChange, Sandbox, SandboxEntry, SandboxError,
    SandboxHealth,
};

/// A sandbox of the local provider. Dropping it ends it.
#[derive(Debug)]
pub(super) struct LocalSandbox {
    /// For the log.
    pub(super) name: String,
    link: Arc<Link>,
    files: Arc<ProjectFiles>,
    pub(super) preview: Arc<Preview>,
    health: watch::Sender<SandboxHealth>,
    grants: egress::Grants,
    directory: PathBuf,
    limits: LocalLimits,
}

/// What a sandbox leaves on the host. Dropped, and thereby removed, after its helper has ended.
#[derive(Debug)]
struct Belongings {
    cgroup: Option<Cgroup>,
    /// Removed after the group: its processes end before their files vanish.
    _directory: SandboxDirectory,
}

impl Drop for Belongings {
    fn drop(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
    }
}

impl LocalSandbox {
    /// Makes an empty sandbox. Its packages lie over those of `template`, a directory relative to the base; without
    /// one it has none.
    pub(super) async fn start(ground: &Ground, template: Option<&Path>) -> Result<Self, SandboxError> {
        let failed = |error: io::Error| SandboxError::Failed(format!("a sandbox cannot be made: {error}"));
        if ground.stop.is_cancelled() {
            return Err(SandboxError::Unavailable("the server is shutting down".into()));
        }
        let directory = ground.base.make_sandbox(template.is_some()).map_err(failed)?;
        if let Some(template) = template {
            ground.base.copy_dev_cache(template, &directory).await.map_err(failed)?;
        }
        let cgroup = ground.make_cgroup(&directory).map_err(failed)?;
        let setup = setup(ground, template, &directory, cgroup.as_ref());
        let own = directory.path("");
        // Those without a template run nobody's code but ours.
        let kind = if template.is_some() { "sandbox" } else { "probe" };
        let name = format!("{kind}-{}", directory.number());
        let files = ProjectFiles::open(
            &directory.path(PROJECT),
            &directory.path(STAGING),
            ground.host.identity,
            ground.limits.files,
        );
        let written = [PROJECT, NODE_MODULES, CACHE].map(|part| directory.path(part)).to_vec();
        let belongings = Belongings { cgroup, _directory: directory };
        let Standing { link, egress, copied_because } =
            Link::start(&ground.executable, setup, move || drop(belongings))
                .await
                .map_err(|error| diagnosis::explain_start(&error))?;
        if let Some(reason) = copied_because {
            tracing::debug!(reason, "no overlay here: the template is copied");
        }

        let health = watch::Sender::new(SandboxHealth::Ready);
        let sandbox = Self {
            preview: Preview::new(link.clone(), health.clone()),
            files: Arc::new(files.map_err(failed)?),
            health: health.clone(),
            grants: egress::Grants::default(),
            name,
            directory: own,
            limits: ground.limits,
            link: link.clone(),
        };
        let egress = tokio::net::TcpListener::from_std(egress).map_err(failed)?;
        let stop = ground.stop.child_token();
        let (policy, grants, name) = (ground.egress.clone(), sandbox.grants.clone(), sandbox.name.as_str().into());
        tokio::spawn(egress::serve(egress, policy, grants, name, stop.clone()));
        tokio::spawn(disk::watch(written, ground.limits.disk, link.clone()));
        ground.tasks.spawn(until_ended(link, health, stop));
        Ok(sandbox)
    }

    /// Where a part of it is on the host.
    pub(super) fn own(&self, part: &str) -> PathBuf {
        self.directory.join(part)
    }

    /// A connection to its own way out, for probes.
    pub(super) async fn connect_egress(&self) -> Result<tokio::net::TcpStream, SandboxError> {
        self.link.connect(EGRESS_PORT).await
    }

    /// Changes files, all of them.
    pub(super) async fn write_all(&self, changes: Vec<FileChange>) -> Result<(), SandboxError> {
        match self.write(changes).await?.into_iter().next() {
            Some(refused) => Err(SandboxError::Refused(refused.reason)),
            None => Ok(()),
        }
    }

    async fn with_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ProjectFiles) -> Result<T, SandboxError> + Send + 'static,
    ) -> Result<T, SandboxError> {
        self.link.check()?;
        let files = self.files.clone();
        tokio::task::spawn_blocking(move || work(&files))
            .await
            .map_err(|error| SandboxError::Failed(format!("the sandbox's files: {error}")))?
    }
}

fn setup(ground: &Ground, template: Option<&Path>, directory: &SandboxDirectory, cgroup: Option<&Cgroup>) -> Setup {
    let layer = |target: String, part: &str| Layer {
        target: PathBuf::from(target),
        lower: template.map(|template| template.join(part)),
        own: directory.relative(part),
    };
    let limits = &ground.limits;
    Setup {
        server_pid: rustix::process::getpid().as_raw_nonzero().get(),
        identity: ground.host.identity,
        cgroup_files: cgroup.map(Cgroup::join_files).unwrap_or_default(),
        base: ground.base.path().to_owned(),
        project: directory.relative(PROJECT),
        layers: vec![
            layer(format!("{PROJECT_DIRECTORY}/node_modules"), NODE_MODULES),
            layer(CACHE_DIRECTORY.to_owned(), CACHE),
        ],
        view: ground.host.view.clone(),
        limits: ProcessLimits {
            open_files_max: limits.open_files_max,
            file_size_bytes_max: limits.file_size_bytes_max,
            locked_memory_bytes_max: limits.locked_memory_bytes_max,
            temporary_size_bytes_max: limits.temporary_size_bytes_max,
            home_size_bytes_max: limits.home_size_bytes_max,
        },
    }
}

/// Ends the sandbox with the provider, and everything around the sandbox with the sandbox.
async fn until_ended(link: Arc<Link>, health: watch::Sender<SandboxHealth>, stop: CancellationToken) {
    let reason = tokio::select! {
        reason = link.gone() => reason,
        () = stop.cancelled() => {
            link.close("the server is shutting down");
            link.gone().await
        }
    };
    stop.cancel();
    health.send_replace(SandboxHealth::Lost(reason));
    link.ended().await;
}

impl Drop for LocalSandbox {
    fn drop(&mut self) {
        self.link.close("nobody uses it any more");
    }
}

#[async_trait]
impl Sandbox for LocalSandbox {
    async fn write(&self, changes: Vec<FileChange>) -> Result<Vec<RefusedChange>, SandboxError> {
        let (project, limits) = (self.own(PROJECT), self.limits.files);
        self.with_files(move |files| {
            let new = changes.iter().map(|change| match change {
                FileChange::Write(file) => file.content.len() as u64,
                FileChange::Delete(_) => 0,
            });
            let room = limits.total_size_bytes_max.saturating_sub(new.sum());
            let entries_max = (limits.files_max * 2) as u64;
            match disk::exceeded(&[project], DiskLimits { size_bytes_max: room, entries_max }) {
                Some(_) => Err(SandboxError::Refused("the project would be too large".into())),
                None => files.change(&changes),
            }
        })
        .await
    }

    async fn list(&self) -> Result<Vec<SandboxEntry>, SandboxError> {
        self.with_files(ProjectFiles::list).await
    }

    async fn read(&self, path: &FilePath) -> Result<Bytes, SandboxError> {
        let path = path.clone();
        self.with_files(move |files| files.read(&path)).await
    }

    async fn exec(&self, request: ExecRequest, output: OutputSender) -> Result<Box<dyn Process>, SandboxError> {
        let granted = self.grants.add(&request.network)?;
        Ok(Box::new(LocalProcess::exec(self.link.clone(), granted, request, output).await?))
    }

    async fn start_preview(&self) -> Result<(), SandboxError> {
        self.preview.start().await
    }

    async fn stop_preview(&self) {
        self.preview.stop().await;
    }

    async fn connect_preview(&self) -> Result<Box<dyn ByteStream>, SandboxError> {
        Ok(Box::new(self.preview.connect().await?))
    }

    fn preview_log(&self) -> String {
        self.preview.log()
    }

    fn health(&self) -> watch::Receiver<SandboxHealth> {
        self.health.subscribe()
    }

    async fn stop(&self) {
        self.link.close("it was stopped");
        self.link.ended().await;
    }
}
