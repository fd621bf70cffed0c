//! What model calls consume, and how it is summed up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What a model call consumed. Buckets are disjoint; `None` means the vendor did not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Usage {
    /// Fresh input tokens, without those read from or written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Output tokens, reasoning included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Input tokens read from the vendor's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Input tokens written to the vendor's cache for its usual, short time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Input tokens written to the vendor's cache for an hour, which costs more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_tokens: Option<u64>,
    /// The part of `output_tokens` that was reasoning; for information only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Cost in 10⁻⁹ US dollars. Absent means unknown, never free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<u64>,
    /// The date of the table of prices that the cost was computed with; absent where the vendor told the charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices_as_of: Option<String>,
    /// True when the stream broke before the vendor reported usage and these are our own counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub estimated: bool,
}

/// What all model calls of a project consumed together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct UsageTotal {
    /// The sum. Its cost is absent – unknown – as soon as one call's cost is unknown.
    pub usage: Usage,
    /// How many calls.
    pub calls: u64,
    /// How many of them have an unknown cost.
    pub calls_of_unknown_cost: u64,
    /// What the others cost together, in 10⁻⁹ US dollars. This is what a budget is held against.
    pub known_cost_nano_usd: u64,
}

impl Usage {
    /// Two calls' consumption. A cost that is unknown for one of them is unknown for both; so begin a sum with the first
    /// call, not with an empty `Usage`.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (one, None) | (None, one) => one,
        };
        let dates = (self.prices_as_of.as_ref(), other.prices_as_of.as_ref());
        Self {
            input_tokens: sum(self.input_tokens, other.input_tokens),
            output_tokens: sum(self.output_tokens, other.output_tokens),
            cache_read_tokens: sum(self.cache_read_tokens, other.cache_read_tokens),
            cache_write_tokens: sum(self.cache_write_tokens, other.cache_write_tokens),
            cache_write_1h_tokens: sum(self.cache_write_1h_tokens, other.cache_write_1h_tokens),
            reasoning_tokens: sum(self.reasoning_tokens, other.reasoning_tokens),
            cost_nano_usd: self.cost_nano_usd.zip(other.cost_nano_usd).map(|(a, b)| a.saturating_add(b)),
            prices_as_of: dates.0.max(dates.1).cloned(),
            estimated: self.estimated || other.estimated,
        }
    }
    /// All tokens that count: fresh and cached input, and output.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        [
            self.input_tokens,
            self.output_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.cache_write_1h_tokens,
        ]
        .into_iter()
        .flatten()
        .fold(0, u64::saturating_add)
    }
}

impl UsageTotal {
    /// Two totals together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let usage = match (self.calls, other.calls) {
            (0, _) => other.usage.clone(),
            (_, 0) => self.usage.clone(),
            _ => self.usage.plus(&other.usage),
        };
        Self {
            usage,
            calls: self.calls + other.calls,
            calls_of_unknown_cost: self.calls_of_unknown_cost + other.calls_of_unknown_cost,
            known_cost_nano_usd: self.known_cost_nano_usd.saturating_add(other.known_cost_nano_usd),
        }
    }

    /// The total with one more call.
    #[must_use]
    pub fn with(&self, call: &Usage) -> Self {
        self.plus(&Self {
            usage: call.clone(),
            calls: 1,
            calls_of_unknown_cost: u64::from(call.cost_nano_usd.is_none()),
            known_cost_nano_usd: call.cost_nano_usd.unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_what_is_unknown_unknown() {
        let tokens = Usage { input_tokens: Some(1), output_tokens: Some(2), ..Usage::default() };
        let known = Usage { cost_nano_usd: Some(2), prices_as_of: Some("2026-11-22".into()), ..tokens.clone() };
        let unknown = Usage { cache_read_tokens: Some(3), ..tokens };
        let twice = Usage { input_tokens: Some(2), output_tokens: Some(4), ..Usage::default() };
        let both = Usage { cost_nano_usd: Some(4), prices_as_of: known.prices_as_of.clone(), ..twice.clone() };
        assert_eq!(known.plus(&known), both);
        let mixed = Usage { cache_read_tokens: Some(3), prices_as_of: known.prices_as_of.clone(), ..twice };
        assert_eq!((known.plus(&unknown), unknown.plus(&known)), (mixed.clone(), mixed));
    }
}
