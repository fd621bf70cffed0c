//! Whether a client still lives, as far as one can tell.
//!
//! A client that reads slowly answers a ping when it gets to it, and that is after everything that was written before.
//! So the time it may be silent grows with what it has been sent since it was heard of.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long the answer to a heartbeat may be under way before it counts as silence.
const ANSWER_DELAY: Duration = Duration::from_millis(500);
/// The slowest a client may read and still be waited for.
const READING_BYTES_PER_SECOND: u64 = 1024;
/// How long it is waited for at most: that a client is gone should show some time.
const READING_MAX: Duration = Duration::from_secs(120);

/// When the client was last heard of; reader and writer write it, the writer judges by it.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    since: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Heard {
    pub(super) fn now() -> Self {
        Self { since: Instant::now(), last_ms: Arc::default() }
    }

    pub(super) fn mark(&self) {
        self.last_ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Judges at each heartbeat.
#[derive(Debug)]
pub(super) struct Pulse {
    heard: Heard,
    /// When the client had last been heard of at the beat before, and what it had been sent by then.
    last_ms: u64,
    written: u64,
    /// Everything up to this byte has been read for sure.
    read: u64,
}

impl Pulse {
    pub(super) const fn new(heard: Heard) -> Self {
        Self { heard, last_ms: 0, written: 0, read: 0 }
    }

    /// The socket took something only after the client had read.
    pub(super) fn mark(&self) {
        self.heard.mark();
    }

    /// At a heartbeat, when the socket has taken `written` bytes so far: whether the client has been silent for too long.
    pub(super) fn is_gone(&mut self, written: u64, heartbeat: Duration) -> bool {
        let last_ms = self.heard.last_ms.load(Ordering::Relaxed);
        let silence = Duration::from_millis(self.heard.elapsed_ms().saturating_sub(last_ms));
        silence > self.silence_max(last_ms, written, heartbeat)
    }

    fn silence_max(&mut self, last_ms: u64, written: u64, heartbeat: Duration) -> Duration {
        if last_ms != self.last_ms {
            // What was written since the beat before may still be on its way.
            (self.last_ms, self.read) = (last_ms, self.written);
        }
        self.written = written;
        let unread = written.saturating_sub(self.read);
        let reading = Duration::from_millis(unread.saturating_mul(1000) / READING_BYTES_PER_SECOND);
        heartbeat * 2 + ANSWER_DELAY + reading.min(READING_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Duration = Duration::from_secs(10);

    fn silences(beats: &[(u64, u64)]) -> Vec<u64> {
        let mut pulse = Pulse::new(Heard::now());
        beats.iter().map(|(last_ms, written)| pulse.silence_max(*last_ms, *written, HEARTBEAT).as_secs()).collect()
    }

    #[test]
    fn whoever_has_much_to_read_may_be_silent_for_longer() {
        assert_eq!(silences(&[(0, 0), (0, 100)]), [20, 20], "nothing but heartbeats");
        assert_eq!(silences(&[(0, 50 * 1024), (0, 60 * 1024)]), [70, 80]);
        assert_eq!(silences(&[(0, 1 << 30)]), [140], "but not for ever");
    }

    #[test]
    fn an_answer_means_that_what_came_before_the_ping_was_read() {
        // Heard of between the second and the third beat: all that was sent up to the second has been read.
        assert_eq!(silences(&[(0, 50 * 1024), (0, 60 * 1024), (25_000, 61 * 1024)]), [70, 80, 21]);
    }
}
