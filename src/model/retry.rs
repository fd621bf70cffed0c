//! Whether and when a failed call is made again. One place for all wires; only ever before the first content.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use rand::RngExt;
use reqwest::header::HeaderMap;

use super::vendor_error::seconds;
use crate::project::model_provider::ModelError;

/// How calls are repeated.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Calls beyond the first. The vendors' own SDKs have the same number.
    pub retries_max: u32,
    /// The first wait when the vendor names none; it doubles.
    pub first_wait: Duration,
    /// The longest wait of our own choosing.
    pub own_wait_max: Duration,
    /// The longest wait a vendor may ask for. When it wants more, people are told instead of left waiting.
    pub asked_wait_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries_max: 2,
            first_wait: Duration::from_millis(500),
            own_wait_max: Duration::from_secs(8),
            asked_wait_max: Duration::from_secs(60),
        }
    }
}

/// A failed call, with what the vendor wishes.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub error: ModelError,
    /// `x-should-retry`: the vendor knows best.
    pub should_retry: Option<bool>,
    /// How long the vendor wants us to wait.
    pub wait: Option<Duration>,
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        let wait = match &error {
            ModelError::RateLimited { retry_after } => *retry_after,
            _ => None,
        };
        Self { error, should_retry: None, wait }
    }
}

impl RetryPolicy {
    /// How long to wait before the next call; `None` when there is none. `retried` counts the calls after the first.
    #[must_use]
    pub fn wait(&self, failure: &Failure, retried: u32) -> Option<Duration> {
        let may = match &failure.error {
            // Money and keys do not change by asking again, whatever a header says.
            ModelError::QuotaExceeded(_) | ModelError::Unauthorized(_) | ModelError::NotConfigured { .. } => false,
            ModelError::RateLimited { .. } | ModelError::Unavailable(_) | ModelError::Incomplete => {
                failure.should_retry.unwrap_or(true)
            }
            ModelError::UnknownModel { .. }
            | ModelError::RetiredModel { .. }
            | ModelError::UnknownProvider { .. }
            | ModelError::InvalidRequest(_)
            | ModelError::ContextTooLong => failure.should_retry.unwrap_or(false),
        };
        if !may || retried >= self.retries_max {
            return None;
        }
        match failure.wait {
            Some(asked) => (asked <= self.asked_wait_max).then_some(asked),
            None => {
                let wait = self.first_wait.saturating_mul(1 << retried.min(16)).min(self.own_wait_max);
                // Many servers fail at once; they must not come back at once.
                Some(wait.mul_f64(1.0 - rand::rng().random_range(0.0..0.25)))
            }
        }
    }
}

/// The wait a vendor's headers ask for: `retry-after-ms`, else `retry-after` in seconds or as a date.
#[must_use]
pub fn asked_wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(millis) = header("retry-after-ms").and_then(|text| text.trim().parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(millis / 1000.0).ok();
    }
    let text = header("retry-after")?;
    seconds(text).or_else(|| {
        let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
    })
}

/// What the vendor says about another try.
#[must_use]
pub fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry")?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn waits_the_vendor_asks_for() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().expect("valid");
        let check = |pairs: &[(&'static str, &'static str)], expected: Option<u64>| {
            assert_eq!(asked_wait(&headers(pairs), now), expected.map(Duration::from_millis), "{pairs:?}");
        };
        check(&[], None);
        check(&[("retry-after", "7")], Some(7000));
        check(&[("retry-after", "1.5")], Some(1500));
        check(&[("retry-after", "7"), ("retry-after-ms", "20")], Some(20));
        check(&[("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT")], Some(30_000));
        check(&[("retry-after", "Sun, 22 Nov 2026 09:00:00 GMT")], Some(0));
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "-1")], None);
    }

    #[test]
    fn what_is_tried_again() {
        let policy = RetryPolicy::default();
        let text = String::new;
        let failure = |error: ModelError, should_retry: Option<bool>| Failure { should_retry, ..Failure::from(error) };
        let check =
            |failure: Failure, again: bool| assert_eq!(policy.wait(&failure, 0).is_some(), again, "{failure:?}");
        let limited = || ModelError::RateLimited { retry_after: None };
        check(failure(limited(), None), true);
        check(failure(limited(), Some(false)), false);
        check(failure(ModelError::Unavailable(text()), None), true);
        check(failure(ModelError::Incomplete, None), true);
        check(failure(ModelError::InvalidRequest(text()), None), false);
        check(failure(ModelError::InvalidRequest(text()), Some(true)), true);
        check(failure(ModelError::ContextTooLong, None), false);
        check(failure(ModelError::QuotaExceeded(text()), Some(true)), false);
        check(failure(ModelError::Unauthorized(text()), Some(true)), false);
        check(failure(ModelError::UnknownModel { sentence: text(), instead: Vec::new() }, None), false);
    }

    #[test]
    fn how_often_and_how_long() {
        let policy = RetryPolicy { retries_max: 9, ..RetryPolicy::default() };
        let failure = Failure::from(ModelError::Unavailable(String::new()));
        for (retried, most) in [(0, 500), (1, 1000), (2, 2000), (4, 8000), (8, 8000)] {
            let wait = policy.wait(&failure, retried).expect("again");
            let most = Duration::from_millis(most);
            assert!(wait <= most && wait >= most.mul_f64(0.75), "{retried}: {wait:?}");
        }
        assert_eq!(policy.wait(&failure, 9), None);
        let asked =
            |seconds| Failure::from(ModelError::RateLimited { retry_after: Some(Duration::from_secs(seconds)) });
        assert_eq!(policy.wait(&asked(60), 0), Some(Duration::from_mins(1)));
        assert_eq!(policy.wait(&asked(61), 0), None, "people are told instead");
    }
}
