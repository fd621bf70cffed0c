//! Tokens and money. Vendors count in overlapping ways; here every wire's counts become disjoint buckets, and counts
//! become a cost.

use cobuild_protocol::value::Usage;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many bytes of text make a token, about, for estimates. English and code are near four.
const BYTES_PER_TOKEN: u64 = 4;
/// Pico-dollars (a price's unit per token) in a nano-dollar.
const PICO_PER_NANO: u128 = 1000;

/// What a model costs, in micro-dollars per million tokens, which is pico-dollars per token: small enough that every
/// published price is exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Fresh input.
    pub input: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// Input read from the cache; `None`: as fresh input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// Input written to the cache; `None`: as fresh input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// Input written to the cache for an hour; `None`: unknown, because it costs a multiple.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<u64>,
}

impl Price {
    /// The cost in nano-dollars, rounded once. `None` when the vendor has not said how much was used.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<u64> {
        let (Some(input), Some(output)) = (usage.input_tokens, usage.output_tokens) else { return None };
        let hour = match usage.cache_write_1h_tokens.unwrap_or(0) {
            0 => (0, 0),
            tokens => (tokens, self.cache_write_1h?),
        };
        let parts = [
            hour,
            (input, self.input),
            (output, self.output),
            (usage.cache_read_tokens.unwrap_or(0), self.cache_read.unwrap_or(self.input)),
            (usage.cache_write_tokens.unwrap_or(0), self.cache_write.unwrap_or(self.input)),
        ];
        let pico: u128 = parts.iter().map(|&(tokens, price)| u128::from(tokens) * u128::from(price)).sum();
        u64::try_from((pico + PICO_PER_NANO / 2) / PICO_PER_NANO).ok()
    }
}

/// All input tokens, fresh or cached: what decides the price tier.
#[must_use]
pub fn prompt_tokens(usage: &Usage) -> u64 {
    let parts = [usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens];
    parts.iter().flatten().fold(0, |sum, &tokens| sum.saturating_add(tokens))
}

/// Our own count, for an answer that broke off before the vendor's. What the vendor did say of the input is kept.
#[must_use]
pub fn estimate(said: Option<&Usage>, asked_size_bytes: usize, answered_size_bytes: usize) -> Usage {
    let tokens = |size_bytes: usize| u64::try_from(size_bytes).unwrap_or(u64::MAX).div_ceil(BYTES_PER_TOKEN);
    let mut usage = said.cloned().unwrap_or_default();
    usage.input_tokens.get_or_insert(tokens(asked_size_bytes));
    usage.output_tokens = Some(usage.output_tokens.unwrap_or(0).max(tokens(answered_size_bytes)));
    usage.cost_nano_usd = None;
    usage.prices_as_of = None;
    usage.estimated = true;
    usage
}

/// Anthropic: already disjoint. A later snapshot overwrites the fields it has; what it lacks stays.
pub(super) fn overwrite_anthropic(usage: &mut Usage, snapshot: &Value) {
    let fields = [
        (&mut usage.input_tokens, "input_tokens"),
        (&mut usage.output_tokens, "output_tokens"),
        (&mut usage.cache_read_tokens, "cache_read_input_tokens"),
        (&mut usage.cache_write_tokens, "cache_creation_input_tokens"),
    ];
    for (field, name) in fields {
        if let Some(tokens) = snapshot.get(name).and_then(Value::as_u64) {
            *field = Some(tokens);
        }
    }
    // Of the whole that is written to the cache, a part may be for an hour: the one said with it, or before.
    if let (Some(all), Some(hour)) =
        (snapshot.get("cache_creation_input_tokens").and_then(Value::as_u64), usage.cache_write_1h_tokens)
    {
        usage.cache_write_tokens = Some(all.saturating_sub(hour));
    }
    if let Some(hour) = snapshot.pointer("/cache_creation/ephemeral_1h_input_tokens").and_then(Value::as_u64) {
        let short = snapshot.pointer("/cache_creation/ephemeral_5m_input_tokens").and_then(Value::as_u64);
        let rest = usage.cache_write_tokens.map(|all| all.saturating_sub(hour));
        usage.cache_write_tokens = short.or(rest);
        usage.cache_write_1h_tokens = (hour > 0).then_some(hour);
    }
    if let Some(tokens) = snapshot.pointer("/output_tokens_details/thinking_tokens").and_then(Value::as_u64) {
        usage.reasoning_tokens = Some(tokens);
    }
}

/// OpenAI Responses: cached and written tokens are part of the input.
pub(super) fn from_responses(usage: &Value) -> Option<Usage> {
    overlapping(usage, "input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")
}

/// OpenAI Chat Completions and those like it. OpenRouter's `cost` is the true charge; with a key of one's own at the vendor
/// behind it, that vendor charges too.
pub(super) fn from_chat(usage: &Value) -> Option<Usage> {
    let details = ("prompt_tokens_details", "completion_tokens_details");
    let mut read = overlapping(usage, "prompt_tokens", "completion_tokens", details.0, details.1)?;
    let charge = |place: &str| usage.pointer(place).and_then(Value::as_f64).and_then(nano_usd);
    read.cost_nano_usd = match (charge("/cost"), usage.get("is_byok").and_then(Value::as_bool)) {
        // What is not said is not zero.
        (Some(own), Some(true)) => {
            charge("/cost_details/upstream_inference_cost").map(|upstream| own.saturating_add(upstream))
        }
        (own, _) => own,
    };
    Some(read)
}

fn overlapping(usage: &Value, input: &str, output: &str, input_details: &str, output_details: &str) -> Option<Usage> {
    let count = |holder: Option<&Value>, name: &str| holder?.get(name)?.as_u64();
    let all_input = count(Some(usage), input)?;
    let details = usage.get(input_details);
    let cache_read_tokens = count(details, "cached_tokens");
    let cache_write_tokens = count(details, "cache_write_tokens");
    let cached = cache_read_tokens.unwrap_or(0).saturating_add(cache_write_tokens.unwrap_or(0));
    Some(Usage {
        input_tokens: Some(all_input.saturating_sub(cached)),
        output_tokens: count(Some(usage), output),
        cache_read_tokens,
        cache_write_tokens,
        reasoning_tokens: count(usage.get(output_details), "reasoning_tokens"),
        ..Usage::default()
    })
}

/// Gemini's counts as they come.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GeminiCounts {
    prompt_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
}

impl GeminiCounts {
    /// Cached tokens are part of the prompt, thoughts are not part of the candidates.
    pub(super) fn usage(self) -> Option<Usage> {
        let prompt = self.prompt_token_count?;
        let output = self.candidates_token_count.unwrap_or(0).saturating_add(self.thoughts_token_count.unwrap_or(0));
        Some(Usage {
            input_tokens: Some(prompt.saturating_sub(self.cached_content_token_count.unwrap_or(0))),
            output_tokens: Some(output),
            cache_read_tokens: self.cached_content_token_count,
            reasoning_tokens: self.thoughts_token_count,
            ..Usage::default()
        })
    }
}

/// Gemini's counts in a tree of JSON; one that is no number is as good as missing.
pub(super) fn from_gemini(usage: &Value) -> Option<Usage> {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64);
    let counts = GeminiCounts {
        prompt_token_count: count("promptTokenCount"),
        candidates_token_count: count("candidatesTokenCount"),
        thoughts_token_count: count("thoughtsTokenCount"),
        cached_content_token_count: count("cachedContentTokenCount"),
    };
    counts.usage()
}

/// A charge in dollars, as JSON has it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just before")]
fn nano_usd(dollars: f64) -> Option<u64> {
    const DOLLARS_MAX: f64 = 1e9;
    (dollars.is_finite() && (0.0..DOLLARS_MAX).contains(&dollars)).then(|| (dollars * 1e9).round() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usage(input: u64, output: u64, read: u64, write: u64, reasoning: u64) -> Usage {
        let some = |tokens: u64| (tokens > 0).then_some(tokens);
        Usage {
            input_tokens: Some(input),
            output_tokens: Some(output),
            cache_read_tokens: some(read),
            cache_write_tokens: some(write),
            reasoning_tokens: some(reasoning),
            ..Usage::default()
        }
    }

    #[test]
    fn anthropic_snapshots_overwrite() {
        let mut read = Usage::default();
        overwrite_anthropic(&mut read, &json!({"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 1}));
        overwrite_anthropic(&mut read, &json!({"output_tokens": 7, "input_tokens": null}));
        assert_eq!(read, usage(5, 7, 3, 0, 0));
        let written = json!({"cache_creation_input_tokens": 9,
            "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5}});
        overwrite_anthropic(&mut read, &written);
        assert_eq!((read.cache_write_tokens, read.cache_write_1h_tokens), (Some(4), Some(5)));
        overwrite_anthropic(&mut read, &json!({"cache_creation_input_tokens": 9, "output_tokens": 8}));
        assert_eq!((read.cache_write_tokens, read.cache_write_1h_tokens), (Some(4), Some(5)), "counted once");
    }

    #[test]
    fn overlapping_counts_become_disjoint() {
        let responses = json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "output_tokens": 8, "output_tokens_details": {"reasoning_tokens": 6}});
        assert_eq!(from_responses(&responses), Some(usage(5, 8, 3, 2, 6)));
        let chat = json!({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}});
        assert_eq!(from_chat(&chat), Some(usage(2, 2, 3, 0, 0)));
        let gemini = json!({"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 1, "totalTokenCount": 10});
        assert_eq!(from_gemini(&gemini), Some(usage(4, 5, 1, 0, 2)));
        let nonsense =
            json!({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}});
        assert_eq!(from_chat(&nonsense).and_then(|usage| usage.input_tokens), Some(0));
        assert_eq!((from_chat(&Value::Null), from_gemini(&json!({}))), (None, None));
    }

    #[test]
    fn openrouter_tells_the_charge() {
        let cost = |cost: Value| {
            from_chat(&json!({"prompt_tokens": 1, "completion_tokens": 1, "cost": cost})).expect("usage").cost_nano_usd
        };
        assert_eq!(
            (cost(json!(0.000_123)), cost(json!(0)), cost(json!(-1)), cost(json!("1"))),
            (Some(123_000), Some(0), None, None)
        );
        let own_key = |details: Value| {
            let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.001, "is_byok": true, "cost_details": details});
            from_chat(&usage).expect("usage").cost_nano_usd
        };
        assert_eq!(
            own_key(json!({"upstream_inference_cost": 0.02})),
            Some(21_000_000),
            "the vendor behind it charges too"
        );
        assert_eq!(own_key(json!({"upstream_inference_cost": null})), None, "unknown, not a thousandth");
    }

    #[test]
    fn costs_are_exact_and_rounded_once() {
        let price = Price { input: 75_000, output: 300_000, cache_read: Some(37_500), ..Price::default() };
        // 1 × 75,000 + 1 × 300,000 + 1 × 37,500 + 2 × 75,000 = 562,500 pico-dollars
        assert_eq!(price.cost(&usage(1, 1, 1, 2, 0)), Some(563));
        assert_eq!(price.cost(&usage(1_000_000, 0, 0, 0, 0)), Some(75_000_000), "7.5 cents a million");
        assert_eq!(price.cost(&Usage { input_tokens: Some(1), ..Usage::default() }), None, "unknown, never 0");
        let hour = Usage { cache_write_1h_tokens: Some(2), ..usage(1, 1, 0, 0, 0) };
        assert_eq!(price.cost(&hour), None, "an hour costs a multiple that nobody has told");
        let told = Price { cache_write_1h: Some(150_000), ..price };
        assert_eq!(told.cost(&hour), Some(675));
    }

    #[test]
    fn estimates_say_so_and_keep_the_vendors_input() {
        let said = usage(50, 1, 0, 0, 0);
        let guessed = estimate(Some(&said), 4, 41);
        assert_eq!((guessed.input_tokens, guessed.output_tokens, guessed.estimated), (Some(50), Some(11), true));
        assert_eq!(estimate(None, 9, 0).input_tokens, Some(3));
    }
}
