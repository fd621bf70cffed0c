//! How much one participant may ask for, over all their connections together. Connections have limits of their own; this
//! one is for whoever opens many.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Commands per second a participant may send for ever: what three connections may.
pub const PARTICIPANT_COMMANDS_PER_SECOND_MAX: u32 = 300;
/// Commands at once: what three connections may, such as three pages that send their outboxes after a reconnect.
pub const PARTICIPANT_COMMANDS_BURST_MAX: u32 = 900;

/// What a participant may still ask for now. What is refused costs nothing, or one page that runs wild would silence
/// the others for long.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: Mutex<Left>,
}

#[derive(Debug)]
struct Left {
    commands: f64,
    at: Instant,
}

impl Allowance {
    pub(crate) fn new(now: Instant) -> Self {
        Self { left: Mutex::new(Left { commands: f64::from(PARTICIPANT_COMMANDS_BURST_MAX), at: now }) }
    }

    /// Takes one command.
    ///
    /// # Errors
    ///
    /// It is one too many; how long until there is room for it.
    pub(crate) fn take(&self, now: Instant) -> Result<(), Duration> {
        let per_second = f64::from(PARTICIPANT_COMMANDS_PER_SECOND_MAX);
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(left.at).as_secs_f64();
        left.at = now;
        left.commands = elapsed.mul_add(per_second, left.commands).min(f64::from(PARTICIPANT_COMMANDS_BURST_MAX));
        if left.commands >= 1.0 {
            left.commands -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - left.commands) / per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_steady_rate() {
        let start = Instant::now();
        let allowance = Allowance::new(start);
        let taken = (0..2_000).filter(|_| allowance.take(start).is_ok()).count();
        assert_eq!(taken, PARTICIPANT_COMMANDS_BURST_MAX as usize);
        let wait = allowance.take(start).unwrap_err();
        assert!(wait < Duration::from_millis(4), "refusals cost nothing: {wait:?}");
        assert_eq!(allowance.take(start + wait + Duration::from_micros(1)), Ok(()), "waiting as told helps");
        let later = start + Duration::from_secs(2);
        let taken = (0..2_000).filter(|_| allowance.take(later).is_ok()).count();
        assert!((595..=600).contains(&taken), "{taken}");
    }
}
