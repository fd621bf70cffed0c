//! `cancel`: ends a run. Its terminal event is written at once; as soon as that is safe the job is stopped, and nothing
//! it still says is heard.

use cobuild_protocol::{Event, command::Cancel, event::RunFinished, state::RunState, value::Outcome};

use super::{Acceptance, Desk};
use crate::project::{batch::After, error::ProjectError};

pub(super) fn accept(desk: &mut Desk<'_>, command: &Cancel) -> Result<Acceptance, ProjectError> {
    let run = command.run;
    let known = desk.state.view.runs.iter().rev().find(|info| info.run == run);
    let Some(info) = known else {
        return Err(ProjectError::NotFound(format!("there is no run {run}")));
    };
    if info.state == RunState::Finished {
        return Ok(Acceptance { run: Some(run), seq: None });
    }
    let finished = RunFinished {
        outcome: Outcome::Cancelled,
        error: Some(ProjectError::Cancelled.body()),
        usage: None,
        cancelled_by: Some(desk.by),
    };
    let seq = desk.batch.push(Event::RunFinished(finished), desk.stamp(Some(run)));
    desk.batch.after.push(After::Stop(run));
    Ok(Acceptance { run: Some(run), seq: Some(seq) })
}
