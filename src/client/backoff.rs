//! How long to wait before coming back.

use std::time::Duration;

/// The wait after a first loss.
const DELAY_MIN: Duration = Duration::from_millis(400);
/// The longest: a server that comes back is noticed soon, and a room of clients does not storm it.
const DELAY_MAX: Duration = Duration::from_secs(15);
/// How long a server may ask to be left alone. Beyond that it is asked again anyway.
const DELAY_ASKED_MAX: Duration = Duration::from_secs(60);

/// How long to wait before attempt `attempt` (from 0): doubling, with half of it left to `chance` (0 to 1), so that many
/// clients that were cut off together don't come back together.
pub(super) fn delay(attempt: u32, chance: f64) -> Duration {
    let ceiling = DELAY_MIN.saturating_mul(2_u32.saturating_pow(attempt)).min(DELAY_MAX);
    ceiling / 2 + (ceiling / 2).mul_f64(chance.clamp(0.0, 1.0))
}

/// When a server that goes away wants to see its clients again: `going away; retry_after_ms=700`.
pub(super) fn asked_for(reason: &str) -> Option<Duration> {
    let (_, rest) = reason.split_once("retry_after_ms=")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(|wait| Duration::from_millis(wait).min(DELAY_ASKED_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_up_to_a_limit() {
        for (attempt, chance, expected_ms) in
            [(0, 0.0, 200), (0, 1.0, 400), (1, 1.0, 800), (3, 0.5, 2400), (6, 1.0, 15_000), (u32::MAX, 0.0, 7500)]
        {
            assert_eq!(delay(attempt, chance), Duration::from_millis(expected_ms), "{attempt} {chance}");
        }
    }

    #[test]
    fn a_server_may_say_when() {
        for (reason, expected) in [
            ("going away; retry_after_ms=700", Some(700)),
            ("retry_after_ms=5; more", Some(5)),
            ("retry_after_ms=99999999", Some(60_000)),
            ("retry_after_ms=", None),
            ("slow", None),
        ] {
            assert_eq!(asked_for(reason), expected.map(Duration::from_millis), "{reason}");
        }
    }
}
