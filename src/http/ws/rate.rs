//! How many frames a connection may send. Pure: the caller says what time it is.

use std::time::{Duration, Instant};

/// Frames per second a connection may send for ever. An editor that saves on every key, a terminal and a cursor
/// together stay below it.
pub(in crate::http) const FRAMES_PER_SECOND_MAX: u32 = 100;
/// Frames at once: an outbox sent after a reconnect.
pub(in crate::http) const FRAMES_BURST_MAX: u32 = 300;
/// Refused frames after which the client is not merely fast but broken: it ignored this many refusals in a row.
const REFUSED_MAX: f64 = 500.0;

/// A token bucket that may go into debt: each refused frame costs too, so that a flood ends.
#[derive(Debug)]
pub(super) struct RateLimit {
    tokens: f64,
    at: Instant,
}

/// What becomes of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is taken.
    Pass,
    /// It is answered with `rate_limited`.
    Refuse {
        /// When frames are taken again.
        retry_after: Duration,
    },
    /// The connection ends.
    Close,
}

impl RateLimit {
    pub(super) fn new(now: Instant) -> Self {
        Self { tokens: f64::from(FRAMES_BURST_MAX), at: now }
    }

    pub(super) fn take(&mut self, now: Instant) -> Verdict {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        let per_second = f64::from(FRAMES_PER_SECOND_MAX);
        self.tokens = elapsed.mul_add(per_second, self.tokens).min(f64::from(FRAMES_BURST_MAX)) - 1.0;
        if self.tokens >= 0.0 {
            Verdict::Pass
        } else if self.tokens >= -REFUSED_MAX {
            Verdict::Refuse { retry_after: Duration::from_secs_f64(-self.tokens / per_second) }
        } else {
            Verdict::Close
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_is_refused_then_ends() {
        let now = Instant::now();
        let mut limit = RateLimit::new(now);
        let verdicts: Vec<Verdict> = (0..801).map(|_| limit.take(now)).collect();
        assert!(verdicts[..300].iter().all(|v| *v == Verdict::Pass));
        assert!(verdicts[300..800].iter().all(|v| matches!(v, Verdict::Refuse { .. })));
        assert_eq!(verdicts[800], Verdict::Close);
    }

    #[test]
    fn waiting_as_told_helps() {
        let now = Instant::now();
        let mut limit = RateLimit::new(now);
        for _ in 0..310 {
            limit.take(now);
        }
        let Verdict::Refuse { retry_after } = limit.take(now) else { panic!("must refuse") };
        assert_eq!(limit.take(now + retry_after + Duration::from_millis(11)), Verdict::Pass);
    }

    #[test]
    fn the_steady_rate_passes_for_ever() {
        let start = Instant::now();
        let mut limit = RateLimit::new(start);
        for frame in 0..10_000 {
            assert_eq!(limit.take(start + Duration::from_millis(10) * frame), Verdict::Pass, "{frame}");
        }
    }
}
