//! The models a vendor itself says it has: one list per provider, read over HTTP, in the shape of the table's rows.
//!
//! Lists are the truth about which names exist; the table knows more about each.

use std::time::Duration;

use jiff::civil::Date;
use reqwest::Url;
use serde_json::Value;

use super::{
    catalogue::{Model, Sampling},
    endpoint::Endpoint,
    http::{Connections, Refusal},
    provider::{ModelName, Provider, WireKind},
    usage::Price,
    wire,
};

/// Most pages of one list: far more than any vendor has models.
const PAGES_MAX: usize = 10;
/// Most models of one list; OpenRouter has some hundreds.
const MODELS_MAX: usize = 5000;
/// What Ollama gives a model that is not loaded yet, unless it is set otherwise there.
const OLLAMA_CONTEXT_TOKENS: u64 = 4096;
/// Longest id that is believed to be one.
const ID_SIZE_BYTES_MAX: usize = 200;
/// Vendors list everything they serve; these parts of a name mark what does not chat.
const NOT_CHAT: [&str; 14] = [
    "embed",
    "whisper",
    "tts",
    "dall-e",
    "image",
    "moderation",
    "realtime",
    "transcribe",
    "audio",
    "guard",
    "veo",
    "lyria",
    "sora",
    "rerank",
];

/// Asks a provider for its models.
///
/// # Errors
///
/// It cannot be reached, refuses, or answers with something else than a list.
pub async fn list(connections: &Connections, endpoint: &Endpoint, within: Duration) -> Result<Vec<Model>, Refusal> {
    let headers = wire::key_headers(endpoint)?;
    let mut models: Vec<Model> = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let url = list_url(endpoint, after.as_deref());
        let page = connections.json(endpoint, url, headers.clone(), within).await?;
        models.extend(read_page(endpoint.provider, &page));
        after = next_page(endpoint.provider, &page);
        if after.is_none() || models.len() >= MODELS_MAX {
            break;
        }
    }
    models.truncate(MODELS_MAX);
    learn_windows(connections, endpoint, within / 2, &mut models).await;
    Ok(models)
}

/// What a server on this machine says beside its list of how much its models take: as they run, which is often a small part
/// of what they could. Whoever sends more is cut off at the beginning by some, without a word.
async fn learn_windows(connections: &Connections, endpoint: &Endpoint, within: Duration, models: &mut [Model]) {
    let path = match endpoint.provider {
        Provider::Ollama => "/api/ps",
        Provider::Lmstudio => "/api/v0/models",
        Provider::Llamacpp => "/props",
        _ => return,
    };
    let mut url = endpoint.base_url.clone();
    url.set_path(path);
    let asked = connections.json(endpoint, url, Default::default(), within);
    // An older one does not tell.
    let told = tokio::time::timeout(within, asked).await.ok().and_then(Result::ok).unwrap_or_default();
    for model in models {
        model.context_tokens_max = window(endpoint.provider, &model.name.id, &told).or(model.context_tokens_max);
    }
}

/// The window of a model as its server runs it.
fn window(provider: Provider, id: &str, told: &Value) -> Option<u64> {
    let of = |list: &str, name: &str| {
        told.get(list)?.as_array()?.iter().find(|item| item.get(name).and_then(Value::as_str) == Some(id))
    };
    match provider {
        Provider::Ollama => {
            let loaded = of("models", "name").and_then(|model| model.get("context_length")?.as_u64());
            Some(loaded.unwrap_or(OLLAMA_CONTEXT_TOKENS))
        }
        Provider::Lmstudio => of("data", "id")?.get("loaded_context_length")?.as_u64(),
        Provider::Llamacpp => told.pointer("/default_generation_settings/n_ctx")?.as_u64(),
        _ => None,
    }
}

fn list_url(endpoint: &Endpoint, after: Option<&str>) -> Url {
    match endpoint.provider.wire() {
        WireKind::Anthropic => {
            let mut url = endpoint.url(&["v1", "models"]);
            url.query_pairs_mut().append_pair("limit", "1000").extend_pairs(after.map(|id| ("after_id", id)));
            url
        }
        WireKind::Gemini => {
            let mut url = endpoint.url(&["v1beta", "models"]);
            url.query_pairs_mut().append_pair("pageSize", "1000").extend_pairs(after.map(|id| ("pageToken", id)));
            url
        }
        // Ollama's own list is beside the compatible part of its address.
        WireKind::OpenaiChat if endpoint.provider == Provider::Ollama => {
            let mut url = endpoint.base_url.clone();
            url.set_path("/api/tags");
            url
        }
        WireKind::OpenaiChat | WireKind::OpenaiResponses => endpoint.url(&["models"]),
    }
}

fn next_page(provider: Provider, page: &Value) -> Option<String> {
    match provider.wire() {
        WireKind::Anthropic if page["has_more"].as_bool() == Some(true) => wire::text(page.get("last_id")),
        WireKind::Gemini => wire::text(page.get("nextPageToken")),
        _ => None,
    }
}

fn read_page(provider: Provider, page: &Value) -> Vec<Model> {
    let list = page.get("data").or_else(|| page.get("models")).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|item| read_model(provider, item)).collect()
}

fn read_model(provider: Provider, item: &Value) -> Option<Model> {
    let id = wire::text(item.get("id")).or_else(|| wire::text(item.get("name")))?;
    let id = if provider == Provider::Google { id.trim_start_matches("models/").to_owned() } else { id };
    let methods = item.get("supportedGenerationMethods").and_then(Value::as_array);
    let generates = methods.is_none_or(|methods| methods.iter().any(|method| method == "generateContent"));
    if !generates || !is_chat_id(&id) {
        return None;
    }
    let count = |names: &[&str]| names.iter().find_map(|name| item.pointer(name)?.as_u64());
    let mut model = Model::new(ModelName { provider, id });
    model.context_tokens_max = count(&["/context_length", "/context_window", "/max_model_len", "/inputTokenLimit"]);
    model.output_tokens_max =
        count(&["/top_provider/max_completion_tokens", "/max_completion_tokens", "/outputTokenLimit"]);
    model.retired_on = item.get("shutdown_date").and_then(day);
    model.price = item.get("pricing").and_then(price);
    if let Some(parameters) = item.get("supported_parameters").and_then(Value::as_array) {
        let takes = parameters.iter().any(|parameter| parameter == "temperature");
        model.sampling = if takes { Sampling::Allowed } else { Sampling::Refused };
    }
    if let Some(inputs) = item.pointer("/architecture/input_modalities").and_then(Value::as_array) {
        model.vision = Some(inputs.iter().any(|input| input == "image"));
    }
    Some(model)
}

/// Whether this may be the id of a model that chats.
pub(super) fn is_chat_id(id: &str) -> bool {
    let is_id = (1..=ID_SIZE_BYTES_MAX).contains(&id.len()) && !id.chars().any(|c| c.is_control() || c.is_whitespace());
    let lower = id.to_ascii_lowercase();
    is_id && !NOT_CHAT.iter().any(|part| lower.contains(part))
}

fn day(value: &Value) -> Option<Date> {
    value.as_str()?.get(..10)?.parse().ok()
}

/// OpenRouter's prices: dollars per token, as text.
fn price(pricing: &Value) -> Option<Price> {
    let part = |name: &str| pricing.get(name).and_then(Value::as_str).and_then(pico_per_token);
    Some(Price {
        input: part("prompt")?,
        output: part("completion")?,
        cache_read: part("input_cache_read"),
        cache_write: part("input_cache_write"),
        cache_write_1h: None,
    })
}

/// Reads a decimal number of dollars exactly, to 10⁻¹² of one. Variable prices are listed as −1.
fn pico_per_token(text: &str) -> Option<u64> {
    const DIGITS: usize = 12;
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let part = part.trim_end_matches('0');
    if part.len() > DIGITS || whole.is_empty() || whole.len() > 6 {
        return None;
    }
    let digits = format!("{whole}{part:0<DIGITS$}");
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::testing;

    fn names(provider: Provider, page: &Value) -> Vec<String> {
        read_page(provider, page).into_iter().map(|model| model.name.to_string()).collect()
    }

    #[test]
    fn every_vendors_list() {
        let openai = json!({"data": [{"id": "gpt-6-astra", "shutdown_date": "2027-02-03"}, {"id": "text-embedding-3"}, {"id": 7}]});
        assert_eq!(names(Provider::Openai, &openai), ["openai/gpt-6-astra"]);
        assert_eq!(read_page(Provider::Openai, &openai)[0].retired_on, "2027-02-03".parse().ok());
        let google = json!({"models": [
            {"name": "models/gemini-4-argon", "inputTokenLimit": 10, "supportedGenerationMethods": ["generateContent"]},
            {"name": "models/x", "supportedGenerationMethods": ["predict"]}]});
        assert_eq!(names(Provider::Google, &google), ["google/gemini-4-argon"]);
        assert_eq!(read_page(Provider::Google, &google)[0].context_tokens_max, Some(10));
        assert_eq!(names(Provider::Ollama, &json!({"models": [{"name": "qwen3:8b"}]})), ["ollama/qwen3:8b"]);
        assert_eq!(names(Provider::Vllm, &json!({"object": "list", "data": [{"id": "a b"}, {"id": "m"}]})), ["vllm/m"]);
        assert!(names(Provider::Vllm, &json!("nonsense")).is_empty());
    }

    #[test]
    fn openrouter_lists_prices_and_parameters() {
        let page = json!({"data": [{"id": "anthropic/claude-opus-5.5", "context_length": 1_000_000,
            "pricing": {"prompt": "0.000004", "completion": "0.00002", "input_cache_read": "0.0000002"},
            "top_provider": {"max_completion_tokens": 128_000}, "supported_parameters": ["max_tokens"],
            "architecture": {"input_modalities": ["text", "image"]}}]});
        let model = &read_page(Provider::Openrouter, &page)[0];
        let price = Price { input: 4_000_000, output: 20_000_000, cache_read: Some(200_000), ..Price::default() };
        assert_eq!((model.price, model.sampling, model.vision), (Some(price), Sampling::Refused, Some(true)));
        assert_eq!((model.context_tokens_max, model.output_tokens_max), (Some(1_000_000), Some(128_000)));
    }

    #[test]
    fn prices_are_read_exactly() {
        for (text, expected) in [
            ("0.0000000375", Some(37_500)),
            ("0", Some(0)),
            ("1.5", Some(1_500_000_000_000)),
            ("-1", None),
            ("", None),
            ("0.0000000000001", None),
            ("1e-6", None),
        ] {
            assert_eq!(pico_per_token(text), expected, "{text}");
        }
    }

    #[test]
    fn windows_are_those_of_the_running_server() {
        let loaded = json!({"models": [{"name": "a:8b", "context_length": 32_768}, {"name": "b"}]});
        for (provider, id, told, expected) in [
            (Provider::Ollama, "a:8b", &loaded, Some(32_768)),
            (Provider::Ollama, "b", &loaded, Some(OLLAMA_CONTEXT_TOKENS)),
            (Provider::Ollama, "c", &Value::Null, Some(OLLAMA_CONTEXT_TOKENS)),
            (Provider::Lmstudio, "m", &json!({"data": [{"id": "m", "loaded_context_length": 8192}]}), Some(8192)),
            (Provider::Lmstudio, "m", &json!({"data": [{"id": "m", "max_context_length": 131_072}]}), None),
            (Provider::Llamacpp, "m", &json!({"default_generation_settings": {"n_ctx": 2048}}), Some(2048)),
            (Provider::Llamacpp, "m", &json!({"error": "off"}), None),
            (Provider::Vllm, "m", &loaded, None),
        ] {
            assert_eq!(window(provider, id, told), expected, "{provider} {id} {told}");
        }
    }

    #[test]
    fn where_the_lists_are() {
        let url = |provider, after| list_url(&testing::endpoint(provider), after).to_string();
        assert_eq!(url(Provider::Anthropic, Some("x")), "https://api.anthropic.com/v1/models?limit=1000&after_id=x");
        let google = "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000";
        assert_eq!(url(Provider::Google, None), google);
        assert_eq!(url(Provider::Ollama, None), "http://127.0.0.1:11434/api/tags");
        assert_eq!(url(Provider::Openrouter, None), "https://openrouter.ai/api/v1/models");
        assert_eq!(next_page(Provider::Anthropic, &json!({"has_more": true, "last_id": "x"})).as_deref(), Some("x"));
        assert_eq!(next_page(Provider::Anthropic, &json!({"has_more": false, "last_id": "x"})), None);
        assert_eq!(next_page(Provider::Google, &json!({"nextPageToken": "t"})).as_deref(), Some("t"));
    }
}
