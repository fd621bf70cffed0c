//! `cancel`: ends a run. Its terminal event is written at once; as soon as that is safe the job is stopped, and nothing
//! it still says is heard.
//!
//! Whoever may change things may stop what is changing them, whoever began it: a stop must not wait for its author. What
//! only waits changes nothing yet; that is for its author and owners.

use cobuild_protocol::{
    Event, ParticipantId, RunId, Seq, command::Cancel, event::RunFinished, state::RunState, value::Outcome,
};

use super::{Acceptance, Desk};
use crate::project::{
    batch::{After, Batch, Stamp},
    error::ProjectError,
    state::State,
};

pub(super) fn accept(desk: &mut Desk<'_>, command: &Cancel) -> Result<Acceptance, ProjectError> {
    let run = command.run;
    let known = desk.state.view.runs.iter().rev().find(|info| info.run == run);
    let Some(info) = known else {
        return Err(ProjectError::NotFound(format!("there is no run {run}")));
    };
    if info.state == RunState::Finished {
        return Ok(Acceptance { run: Some(run), seq: None });
    }
    if info.state == RunState::Queued {
        desk.may_decide_for(info.by)?;
    }
    let seq = end(desk, run);
    Ok(Acceptance { run: Some(run), seq: Some(seq) })
}

/// Ends a run as this command asks.
pub(super) fn end(desk: &mut Desk<'_>, run: RunId) -> Seq {
    let stamp = desk.stamp(Some(run));
    push_end(desk.batch, desk.state, run, desk.by, stamp)
}

/// Ends a run as part of another command.
pub(super) fn finish(batch: &mut Batch, state: &State, run: RunId, by: ParticipantId) {
    push_end(batch, state, run, by, Stamp { run: Some(run), by: Some(by), command: None });
}

fn push_end(batch: &mut Batch, state: &State, run: RunId, by: ParticipantId, stamp: Stamp) -> Seq {
    let finished = RunFinished {
        outcome: Outcome::Cancelled,
        error: Some(ProjectError::Cancelled.body()),
        usage: state.usage_of(run),
        cancelled_by: Some(by),
    };
    let seq = batch.push(Event::RunFinished(finished), stamp);
    batch.after.push(After::Stop(run));
    seq
}
