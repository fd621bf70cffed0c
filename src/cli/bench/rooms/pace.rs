//! How fast to speak, for the model and the floor alike.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What to say. Travels as JSON: to the model as the prompt, to the floor as its first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) events: u64,
    pub(super) text_size_bytes: usize,
    /// Zero: as fast as the window allows.
    pub(super) interval_us: u64,
    /// Most events that are not yet with everybody. Without it a fast speaker measures its buffers.
    pub(super) window: u64,
}

impl Plan {
    pub(super) const fn paced(per_second: u64, seconds: u64, text_size_bytes: usize) -> Self {
        Self { events: per_second * seconds, text_size_bytes, interval_us: 1_000_000 / per_second, window: u64::MAX }
    }

    pub(super) const fn saturated(events: u64, window: u64, text_size_bytes: usize) -> Self {
        Self { events, text_size_bytes, interval_us: 0, window }
    }

    /// Enough to warm up.
    pub(super) fn shortened(&self) -> Self {
        Self { events: (self.events / 8).max(1), ..self.clone() }
    }

    pub(super) const fn interval(&self) -> Duration {
        Duration::from_micros(self.interval_us)
    }

    /// Whether the speaker should hear that `complete` events are with everybody: four times per window.
    pub(super) const fn wants_word(&self, told: u64, complete: u64) -> bool {
        self.window != u64::MAX && complete - told >= self.window / 4
    }

    /// One event's text: when it was said, and filling. It ends in no space: that would come with the next event, in front
    /// of its time.
    pub(super) fn text(&self, said_at_ns: u64) -> String {
        let mut text = format!("{said_at_ns} ");
        while text.len() + 1 < self.text_size_bytes {
            text.push_str("word ");
        }
        text.truncate(self.text_size_bytes - 1);
        text.push('.');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_size_and_ends_in_no_space() {
        let plan = Plan::paced(1, 1, 40);
        for said_at_ns in [1, 123_456_789_012, 1_234_567_890_123, 12_345_678_901_234, u64::MAX] {
            let text = plan.text(said_at_ns);
            assert_eq!((text.len(), text.trim_end().len()), (40, 40), "{text}");
            assert!(text.starts_with(&format!("{said_at_ns} ")), "{text}");
        }
    }
}
