//! `start_sandbox`, `stop_sandbox`: the actor does the work when the reply is on its way; `sandbox_changed` tells how it
//! goes.

use super::{Acceptance, Desk, SandboxWish};
use crate::project::error::ProjectError;

pub(super) fn start(desk: &mut Desk<'_>) -> Result<Acceptance, ProjectError> {
    *desk.sandbox_wanted = SandboxWish::Start;
    Ok(Acceptance { run: None, seq: None })
}

pub(super) fn stop(desk: &mut Desk<'_>) -> Result<Acceptance, ProjectError> {
    if !desk.runs.is_idle() {
        return Err(ProjectError::Conflict("a run is using the sandbox; cancel it first".into()));
    }
    *desk.sandbox_wanted = SandboxWish::Stop;
    Ok(Acceptance { run: None, seq: None })
}
