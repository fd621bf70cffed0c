//! `start_sandbox`, `stop_sandbox`, `restart_preview`: the actor does the work when the reply is on its way;
//! `sandbox_changed` and `preview_changed` tell how it goes.

use cobuild_protocol::{
    Event, Seq,
    command::StopSandbox,
    event::SandboxChanged,
    value::{SandboxInfo, SandboxState},
};

use super::{Acceptance, Desk, SandboxWish, cancel};
use crate::project::{batch::Stamp, error::ProjectError};

pub(super) fn start(desk: &mut Desk<'_>) -> Result<Acceptance, ProjectError> {
    *desk.sandbox_wanted = SandboxWish::Start;
    Ok(Acceptance { run: None, seq: None })
}

pub(super) fn stop(desk: &mut Desk<'_>, command: &StopSandbox) -> Result<Acceptance, ProjectError> {
    if !command.end_run && desk.runs.is_sandbox_needed() {
        return Err(ProjectError::Conflict("a run is using the sandbox; cancel it first".into()));
    }
    // In one step: between a cancel and a stop the next one of the queue could begin.
    let run = desk.runs.using_sandbox();
    let parked = park(desk, run.is_none());
    let seq = run.map(|run| cancel::end(desk, run)).or(parked);
    *desk.sandbox_wanted = SandboxWish::Stop;
    // As in the event, from which the same command gets its reply when it is sent again.
    Ok(Acceptance { run, seq })
}

/// Puts on record that the sandbox is to go, while it is still there: whoever asks for one from now on must not be told
/// that this one will do.
fn park(desk: &mut Desk<'_>, is_reply: bool) -> Option<Seq> {
    let SandboxInfo { state, provider, sandbox, detail, error, .. } = desk.state.view.sandbox.clone();
    sandbox.as_ref()?;
    let stamp = if is_reply { desk.stamp(None) } else { Stamp { command: None, ..desk.stamp(None) } };
    let parked = SandboxChanged { state, provider, sandbox, parked: true, detail, error };
    Some(desk.batch.push(Event::SandboxChanged(parked), stamp))
}

pub(super) fn restart_preview(desk: &mut Desk<'_>) -> Result<Acceptance, ProjectError> {
    let sandbox = &desk.state.view.sandbox;
    if sandbox.parked || sandbox.state != SandboxState::Ready {
        return Err(ProjectError::Conflict("there is no sandbox whose dev server could be restarted".into()));
    }
    *desk.sandbox_wanted = SandboxWish::RestartPreview;
    Ok(Acceptance { run: None, seq: None })
}
