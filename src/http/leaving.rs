//! When the clients of a server that stops should come back: not all at once, and not before there is somebody again.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tokio_util::task::TaskTracker;

/// A server that was replaced is there again after about this long.
const RETURN_MIN: Duration = Duration::from_millis(250);
/// For each connection of the server, its clients' return is spread over this much more: what a thousand of them ask
/// for at once – a place in a room, a replay – is then half a second of work spread over four.
const SPREAD_PER_CONNECTION: Duration = Duration::from_millis(4);
/// A handful of clients come back about together; nobody waits longer than this for others.
const SPREAD_MIN: Duration = Duration::from_millis(500);
const SPREAD_MAX: Duration = Duration::from_secs(10);

/// Knows how many there are, and until when the server waits for runs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Leaving {
    /// Everything HTTP has started: about two tasks for each connection.
    tasks: TaskTracker,
    until: Arc<OnceLock<Instant>>,
}

impl Leaving {
    pub(crate) fn new(tasks: TaskTracker) -> Self {
        Self { tasks, until: Arc::default() }
    }

    /// The server stops, at the latest after `at_most`.
    pub(crate) fn begin(&self, at_most: Duration) {
        // A second beginning changes nothing.
        let _ = self.until.set(Instant::now() + at_most);
    }

    /// For somebody whose room closes now.
    pub(crate) fn retry_after(&self) -> Duration {
        after(self.tasks.len(), rand::random())
    }

    /// For somebody who comes while the server waits for runs: they come back when it is over.
    pub(crate) fn retry_after_drain(&self) -> Duration {
        let left = self.until.get().map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        left + self.retry_after()
    }
}

/// `chance` is from 0 to 1.
fn after(connections: usize, chance: f64) -> Duration {
    let connections = u32::try_from(connections).unwrap_or(u32::MAX);
    let spread = SPREAD_PER_CONNECTION.saturating_mul(connections).clamp(SPREAD_MIN, SPREAD_MAX);
    RETURN_MIN + spread.mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_there_are_the_longer_their_return_takes() {
        for (connections, chance, expected_ms) in [
            (0, 0.0, 250),
            (1, 1.0, 750),
            (1000, 0.0, 250),
            (1000, 0.5, 2250),
            (1000, 1.0, 4250),
            (usize::MAX, 1.0, 10_250),
        ] {
            let expected = Duration::from_millis(expected_ms);
            assert_eq!(after(connections, chance), expected, "{connections} {chance}");
        }
    }

    #[test]
    fn who_comes_meanwhile_waits_for_the_end() {
        let leaving = Leaving::new(TaskTracker::new());
        assert!(leaving.retry_after_drain() < Duration::from_secs(1));
        leaving.begin(Duration::from_secs(60));
        assert!(leaving.retry_after_drain() > Duration::from_secs(50));
        assert!(leaving.retry_after() < Duration::from_secs(1));
    }
}
