//! What a run's calls of models have consumed, and whether there is budget for another one. Everything in a run that asks a
//! model shares it, whatever it asks for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cobuild_protocol::value::{Usage, UsageTotal};

use super::{error::ProjectError, registry::ProjectSettings};

/// The bill of one run.
#[derive(Debug)]
pub(crate) struct Spending {
    /// What the project's calls consumed before this run.
    before: UsageTotal,
    run: Mutex<Run>,
}

#[derive(Debug, Default)]
struct Run {
    /// Calls that were begun.
    calls: u32,
    /// What those consumed that are over.
    spent: UsageTotal,
}

impl Spending {
    pub(crate) fn new(before: UsageTotal) -> Self {
        Self { before, run: Mutex::default() }
    }

    /// What the run consumed so far.
    pub(crate) fn total(&self) -> UsageTotal {
        self.run().spent.clone()
    }

    /// The number of the call that would be begun next, from 1.
    pub(crate) fn next_call(&self) -> u32 {
        self.run().calls + 1
    }

    /// Counts a call that is about to be made, and returns its number.
    ///
    /// # Errors
    ///
    /// [`ProjectError::QuotaExceeded`]: a budget is used up.
    pub(crate) fn begin_call(&self, settings: &ProjectSettings) -> Result<u32, ProjectError> {
        let mut run = self.run();
        if let Some(most) = settings.run_budget.exhausted_by(&run.spent) {
            return Err(ProjectError::QuotaExceeded(format!("this run has used up its budget of {most}")));
        }
        if let Some(most) = settings.project_budget.exhausted_by(&self.before.plus(&run.spent)) {
            return Err(ProjectError::QuotaExceeded(format!("this project has used up its budget of {most}")));
        }
        run.calls += 1;
        Ok(run.calls)
    }

    /// The call that was begun last was refused before anything was computed.
    pub(crate) fn take_back_call(&self) {
        let mut run = self.run();
        run.calls = run.calls.saturating_sub(1);
    }

    /// A call is over, and this is what it consumed.
    pub(crate) fn add(&self, call: &Usage) {
        let mut run = self.run();
        run.spent = run.spent.with(call);
    }

    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
