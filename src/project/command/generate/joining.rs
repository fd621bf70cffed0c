//! Prompts that join the run under way.

use tokio::sync::mpsc;

use crate::project::run::Steered;

/// The run's end of the line.
#[derive(Debug)]
pub(super) struct Joining(Option<mpsc::Receiver<Steered>>);

impl Joining {
    pub(super) fn new(steers: Option<mpsc::Receiver<Steered>>) -> Self {
        Self(steers)
    }

    /// The next prompt that has joined, if there is one by now.
    pub(super) fn next(&mut self) -> Option<Steered> {
        self.0.as_mut()?.try_recv().ok()
    }

    /// The same for a run that is about to end: nobody can join after this. A prompt that was promised a place and is
    /// still on its way through the log is waited for.
    pub(super) async fn last(&mut self) -> Option<Steered> {
        let steers = self.0.as_mut()?;
        steers.close();
        steers.recv().await
    }
}
