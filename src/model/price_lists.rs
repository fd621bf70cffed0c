//! Lists of models and prices that others publish, in the shape of the table's rows: `api.json` of models.dev, and the
//! `model_prices_and_context_window.json` of litellm.
//!
//! Both are pages of the web, so nothing in them is believed that is not a plausible number, day or name. What a list
//! does not say of a model is left open; the table may know.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;

use super::{
    catalogue::{Model, PriceTier, Sampling},
    listing,
    provider::{ModelName, Provider},
    usage::Price,
};

/// Largest list; the two known ones have some three megabytes.
pub const LIST_SIZE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most rows that are taken; the known ones have some two hundred of these vendors.
const ROWS_MAX: usize = 2000;
/// Most dollars a million tokens may cost: a hundred times the dearest model.
const DOLLARS_PER_MILLION_MAX: f64 = 10_000.0;
/// Most tokens a window may have: a hundred times the widest.
const TOKENS_MAX: f64 = 1e8;
/// Prices are kept in millionths of a dollar for a million tokens.
const MICRO: f64 = 1e6;
/// From dollars for a token, as litellm has them, to dollars for a million.
const MILLION: f64 = 1e6;

/// The vendors whose rows are read, with their names in models.dev and in litellm. OpenRouter tells its prices in its own
/// list, always fresh.
const VENDORS: [(Provider, &str, &str); 4] = [
    (Provider::Anthropic, "anthropic", "anthropic"),
    (Provider::Openai, "openai", "openai"),
    (Provider::Google, "google", "gemini"),
    (Provider::Groq, "groq", "groq"),
];

/// A list that was read.
#[derive(Debug, Clone)]
pub struct PriceList {
    /// Whose list it is.
    pub publisher: &'static str,
    /// Under which licence it comes.
    pub licence: &'static str,
    /// Its rows, by name; at least one.
    pub rows: Vec<Model>,
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceListError {
    /// More bytes than any list has.
    #[error("it has more than {LIST_SIZE_BYTES_MAX} bytes")]
    TooLarge,
    /// Not JSON.
    #[error("it is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// No list of a known shape, or none of the vendors in it.
    #[error(
        "it is neither the list of models.dev nor that of litellm: none of the models in it is one of these vendors'"
    )]
    NoRows,
}

/// Reads a list, whichever of the two it is.
///
/// # Errors
///
/// It is too large, not JSON, or has nothing to tell.
pub fn read(bytes: &[u8]) -> Result<PriceList, PriceListError> {
    if bytes.len() > LIST_SIZE_BYTES_MAX {
        return Err(PriceListError::TooLarge);
    }
    let list: BTreeMap<String, Value> = serde_json::from_slice(bytes).map_err(PriceListError::NotJson)?;
    let of_models_dev = models_dev(&list);
    let (publisher, licence, mut rows) = if of_models_dev.is_empty() {
        ("litellm", "MIT (litellm, outside its enterprise folder)", litellm(&list))
    } else {
        ("models.dev", "MIT (models.dev)", of_models_dev)
    };
    rows.retain(tells_something);
    if rows.is_empty() {
        return Err(PriceListError::NoRows);
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows.dedup_by(|a, b| a.name == b.name);
    rows.truncate(ROWS_MAX);
    Ok(PriceList { publisher, licence, rows })
}

fn tells_something(row: &Model) -> bool {
    row.price.is_some()
        || row.context_tokens_max.is_some()
        || row.output_tokens_max.is_some()
        || row.retired_on.is_some()
}

/// A model's name, if its vendor's models chat under such a one.
fn name(provider: Provider, id: &str) -> Option<ModelName> {
    // `ft:` is the price of whatever somebody trained, which has another name.
    let chats = listing::is_chat_id(id) && !id.starts_with("ft:");
    chats.then(|| ModelName { provider, id: id.to_owned() })
}

fn tokens(value: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just before")]
    (value.is_finite() && (1.0..=TOKENS_MAX).contains(&value)).then_some(value as u64)
}

fn micro_dollars(dollars_per_million: f64) -> Option<u64> {
    let is_price = dollars_per_million.is_finite() && (0.0..=DOLLARS_PER_MILLION_MAX).contains(&dollars_per_million);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just before")]
    is_price.then(|| (dollars_per_million * MICRO).round() as u64)
}

/// Prices in dollars for a million tokens.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Dollars {
    input: Option<f64>,
    output: Option<f64>,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    #[serde(skip)]
    cache_write_1h: Option<f64>,
}

impl Dollars {
    /// `None`: not both of what counts are there. A model for which nothing is asked is one whose price is not known:
    /// none of these vendors gives anything away.
    fn price(self) -> Option<Price> {
        let part = |dollars: Option<f64>| dollars.and_then(micro_dollars);
        let (input, output) = (part(self.input)?, part(self.output)?);
        (input > 0 || output > 0).then(|| Price {
            input,
            output,
            cache_read: part(self.cache_read),
            cache_write: part(self.cache_write),
            cache_write_1h: part(self.cache_write_1h),
        })
    }
}

fn tiers(of: impl Iterator<Item = (u64, Dollars)>) -> Vec<PriceTier> {
    let tier = |(above_tokens, dollars): (u64, Dollars)| Some(PriceTier { above_tokens, price: dollars.price()? });
    let mut tiers: Vec<PriceTier> = of.filter_map(tier).collect();
    tiers.sort_by_key(|tier| tier.above_tokens);
    tiers
}

/// models.dev: vendors, and their models below them.
fn models_dev(list: &BTreeMap<String, Value>) -> Vec<Model> {
    let of_vendor = |(provider, vendor, _): (Provider, &str, &str)| {
        let models = list.get(vendor).and_then(|vendor| vendor.get("models")).and_then(Value::as_object);
        let models = models.into_iter().flatten();
        models.filter_map(move |(id, entry)| models_dev_row(name(provider, id)?, entry)).collect::<Vec<_>>()
    };
    VENDORS.into_iter().flat_map(of_vendor).collect()
}

fn models_dev_row(name: ModelName, entry: &Value) -> Option<Model> {
    #[derive(Deserialize)]
    struct Entry {
        temperature: Option<bool>,
        modalities: Option<Modalities>,
        cost: Option<Value>,
        limit: Limit,
    }
    #[derive(Deserialize)]
    struct Modalities {
        input: Vec<String>,
        output: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Limit {
        context: Option<f64>,
        /// Where the window is not all for what is asked.
        input: Option<f64>,
        output: Option<f64>,
    }
    #[derive(Deserialize)]
    struct Tier {
        tier: Threshold,
        #[serde(flatten)]
        dollars: Dollars,
    }
    #[derive(Deserialize)]
    struct Threshold {
        r#type: String,
        size: f64,
    }
    let entry = Entry::deserialize(entry).ok()?;
    if entry.modalities.as_ref().is_some_and(|modalities| !modalities.output.iter().any(|kind| kind == "text")) {
        return None;
    }
    let dollars = |value: Option<&Value>| value.and_then(|value| Dollars::deserialize(value).ok());
    let cost = entry.cost.as_ref();
    let above: Vec<(u64, Dollars)> = match cost.and_then(|cost| cost.get("tiers")).and_then(Value::as_array) {
        Some(tiers) => {
            let tiers = tiers.iter().filter_map(|tier| Tier::deserialize(tier).ok());
            let of_context = tiers.filter(|tier| tier.tier.r#type == "context");
            of_context.filter_map(|tier| Some((tokens(tier.tier.size)?, tier.dollars))).collect()
        }
        None => {
            let over = dollars(cost.and_then(|cost| cost.get("context_over_200k")));
            over.into_iter().map(|dollars| (200_000, dollars)).collect()
        }
    };
    let mut model = Model::new(name);
    model.context_tokens_max = entry.limit.input.or(entry.limit.context).and_then(tokens);
    model.output_tokens_max = entry.limit.output.and_then(tokens);
    model.price = dollars(cost).and_then(Dollars::price);
    model.price_tiers = tiers(above.into_iter());
    model.sampling = sampling(entry.temperature);
    model.vision = entry.modalities.map(|modalities| modalities.input.iter().any(|kind| kind == "image"));
    Some(model)
}

/// litellm: all models of all vendors in one object, prices for a token.
fn litellm(list: &BTreeMap<String, Value>) -> Vec<Model> {
    list.iter().filter_map(|(id, entry)| litellm_row(id, entry)).collect()
}

fn litellm_row(id: &str, entry: &Value) -> Option<Model> {
    let text = |field: &str| entry.get(field).and_then(Value::as_str);
    let number = |field: &str| entry.get(field).and_then(Value::as_f64);
    let flag = |field: &str| entry.get(field).and_then(Value::as_bool);
    let vendor = text("litellm_provider")?;
    let (provider, _, prefix) = VENDORS.into_iter().find(|(_, _, name)| *name == vendor)?;
    let outputs = entry.get("supported_output_modalities").and_then(Value::as_array);
    let writes = outputs.is_none_or(|kinds| kinds.iter().any(|kind| kind == "text"));
    if !writes || !matches!(text("mode"), Some("chat" | "responses")) {
        return None;
    }
    let bare = id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')).unwrap_or(id);
    let dollars = |suffix: &str| {
        let part = |field: &str| number(&format!("{field}{suffix}")).map(|dollars| dollars * MILLION);
        Dollars {
            input: part("input_cost_per_token"),
            output: part("output_cost_per_token"),
            cache_read: part("cache_read_input_token_cost"),
            cache_write: part("cache_creation_input_token_cost"),
            cache_write_1h: part("cache_creation_input_token_cost_above_1hr").filter(|_| suffix.is_empty()),
        }
    };
    let above = entry.as_object().into_iter().flatten().filter_map(|(field, _)| {
        let suffix = field.strip_prefix("input_cost_per_token")?;
        let thousands: u32 = suffix.strip_prefix("_above_")?.strip_suffix("k_tokens")?.parse().ok()?;
        Some((u64::from(thousands) * 1000, dollars(suffix)))
    });
    let mut model = Model::new(name(provider, bare)?);
    model.context_tokens_max = number("max_input_tokens").and_then(tokens);
    model.output_tokens_max = number("max_output_tokens").and_then(tokens);
    model.price = dollars("").price();
    model.price_tiers = tiers(above);
    model.sampling = sampling(flag("supports_sampling_params"));
    model.vision = flag("supports_vision");
    model.cache_tokens_min = number("prompt_cache_min_tokens").and_then(tokens);
    model.retired_on = text("deprecation_date").and_then(|day| day.parse::<Date>().ok());
    Some(model)
}

/// No word is no permission.
fn sampling(takes: Option<bool>) -> Sampling {
    match takes {
        Some(true) => Sampling::Allowed,
        Some(false) => Sampling::Refused,
        None => Sampling::Unknown,
    }
}

#[cfg(test)]
mod tests;
