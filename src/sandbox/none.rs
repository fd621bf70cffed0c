//! No sandboxes: for machines that cannot have them, and for whoever wants everything but running.

use std::sync::Arc;

use async_trait::async_trait;

use super::template;
use crate::project::sandbox_provider::{ProgressSender, Sandbox, SandboxError, SandboxProvider, SandboxSpec, Template};

/// Refuses to make sandboxes, and says why.
#[derive(Debug, Clone)]
pub struct NoSandboxes {
    reason: String,
}

impl NoSandboxes {
    /// With the cause and the fix, for people.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    fn refusal(&self) -> SandboxError {
        SandboxError::Unavailable(self.reason.clone())
    }
}

#[async_trait]
impl SandboxProvider for NoSandboxes {
    fn name(&self) -> &'static str {
        "none"
    }

    fn template(&self) -> Template {
        template::react_vite()
    }

    async fn create(&self, _: SandboxSpec, _: ProgressSender) -> Result<Arc<dyn Sandbox>, SandboxError> {
        Err(self.refusal())
    }

    async fn check(&self) -> Result<(), SandboxError> {
        Err(self.refusal())
    }

    async fn close(&self) {}
}
