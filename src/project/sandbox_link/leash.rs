//! The processes of jobs. A job ends by being dropped, and with it its process; what comes after must be able to wait
//! until that is really gone.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::oneshot, time::timeout};
use tokio_util::task::TaskTracker;

use crate::project::sandbox_provider::{ExecRequest, Exit, OutputSender, Process, Sandbox, SandboxError};

/// How long a killed process may take to be gone: it takes milliseconds, or seconds on a machine that swaps. Whoever
/// waits goes on after it.
const KILL_TIME_MAX: Duration = Duration::from_secs(10);

/// Knows what is being started and what is being killed.
#[derive(Debug, Clone, Default)]
pub(super) struct Leashes(TaskTracker);

/// A process of a job. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Leash {
    /// `None` once it has ended.
    process: Option<Box<dyn Process>>,
    leashes: Leashes,
}

impl Leashes {
    /// Starts a process. When this future is dropped, the process is killed as soon as it stands.
    pub(super) async fn start(
        &self,
        sandbox: Arc<dyn Sandbox>,
        request: ExecRequest,
        output: OutputSender,
    ) -> Result<Leash, SandboxError> {
        let (report, started) = oneshot::channel();
        let leashes = self.clone();
        self.0.spawn(async move {
            let process = sandbox.exec(request, output).await;
            // What nobody waits for is dropped here, and so killed, before this task counts as done.
            let _ = report.send(process.map(|process| Leash { process: Some(process), leashes }));
        });
        started.await.unwrap_or_else(|_| Err(SandboxError::Failed("a process could not be started".into())))
    }

    /// Waits until nothing is being started or killed.
    pub(super) async fn until_dead(&self) {
        // Closed means only that waiting may end; more can still be started.
        self.0.close();
        self.0.wait().await;
    }
}

impl Leash {
    /// Waits for its end. Cancel-safe.
    pub(crate) async fn wait(&mut self) -> Exit {
        let Some(process) = &mut self.process else { return Exit::Lost };
        let exit = process.wait().await;
        self.process = None;
        exit
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        process.kill();
        // Without a runtime the whole server is going, and the process with it.
        let Ok(runtime) = Handle::try_current() else { return };
        let dying = async move {
            if timeout(KILL_TIME_MAX, process.wait()).await.is_err() {
                tracing::warn!("a killed process is still there");
            }
        };
        self.leashes.0.spawn_on(dying, &runtime);
    }
}
