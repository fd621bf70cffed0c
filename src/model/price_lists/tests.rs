use serde_json::json;

use super::*;

fn row(list: &Value, name: &str) -> Model {
    let list = read(&serde_json::to_vec(list).expect("JSON")).expect("a list");
    list.rows.into_iter().find(|row| row.name.to_string() == name).unwrap_or_else(|| panic!("no {name}"))
}

fn price(input: u64, output: u64) -> Price {
    Price { input, output, ..Price::default() }
}

#[test]
fn models_dev_is_read() {
    let list = json!({
        "anthropic": {"id": "anthropic", "models": {
            "claude-x": {
                "id": "claude-x", "temperature": false, "status": "beta", "something": "new",
                "modalities": {"input": ["text", "image", "pdf"], "output": ["text"]},
                "cost": {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75,
                    "context_over_200k": {"input": 6, "output": 22.5}},
                "limit": {"context": 400_000, "input": 272_000, "output": 128_000},
            },
            "claude-tiers": {
                "cost": {"input": 0.0375, "output": 0.1, "context_over_200k": {"input": 9, "output": 9}, "tiers": [
                    {"input": 2, "output": 3, "tier": {"type": "context", "size": 500_000}},
                    {"input": 1, "output": 2, "cache_read": 0.5, "tier": {"type": "context", "size": 272_000}},
                    {"input": 7, "output": 7, "tier": {"type": "hour", "size": 3}}]},
                "limit": {"context": 1000, "output": 0},
            },
        }},
        "google": {"models": {"gemini-speaks": {"modalities": {"input": ["text"], "output": ["audio"]}, "limit": {}}}},
        "acme": {"models": {"m": {"limit": {"context": 1, "output": 1}}}},
    });
    let model = row(&list, "anthropic/claude-x");
    let expected = Price { cache_read: Some(300_000), cache_write: Some(3_750_000), ..price(3_000_000, 15_000_000) };
    assert_eq!(model.price, Some(expected));
    assert_eq!(model.price_tiers, [PriceTier { above_tokens: 200_000, price: price(6_000_000, 22_500_000) }]);
    assert_eq!((model.context_tokens_max, model.output_tokens_max), (Some(272_000), Some(128_000)));
    assert_eq!((model.sampling, model.vision), (Sampling::Refused, Some(true)));
    let model = row(&list, "anthropic/claude-tiers");
    assert_eq!(model.price, Some(price(37_500, 100_000)), "exact");
    let tiers: Vec<_> = model.price_tiers.iter().map(|tier| (tier.above_tokens, tier.price.input)).collect();
    assert_eq!(tiers, [(272_000, 1_000_000), (500_000, 2_000_000)]);
    assert_eq!((model.output_tokens_max, model.sampling, model.vision), (None, Sampling::Unknown, None));
    let list = read(&serde_json::to_vec(&list).expect("JSON")).expect("a list");
    assert_eq!((list.publisher, list.rows.len()), ("models.dev", 2), "nothing that speaks, nobody else's");
}

#[test]
fn litellm_is_read() {
    let list = json!({
        "sample_spec": {"mode": "one of: chat, embedding", "litellm_provider": "one of many"},
        "gpt-x": {
            "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 922_000, "max_output_tokens": 128_000.0,
            "input_cost_per_token": 2e-6, "output_cost_per_token": 1e-5, "cache_read_input_token_cost": 3.75e-8,
            "cache_creation_input_token_cost": 2.5e-6, "cache_creation_input_token_cost_above_1hr": 4e-6,
            "input_cost_per_token_above_272k_tokens": 4e-6, "output_cost_per_token_above_272k_tokens": 1.5e-5,
            "input_cost_per_token_above_272k_tokens_batches": 9.0, "input_cost_per_token_priority": 9.0,
            "supports_sampling_params": false, "supports_vision": true, "prompt_cache_min_tokens": 1024.0,
            "deprecation_date": "2027-04-01",
        },
        "gemini/gemini-x": {"litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 1e-7,
            "max_output_tokens": 9},
        "groq/openai/oss": {"litellm_provider": "groq", "mode": "responses", "deprecation_date": "soon", "max_input_tokens": 5},
        "container": {"litellm_provider": "openai", "mode": "chat"},
        "ft:gpt-x": {"litellm_provider": "openai", "mode": "chat"},
        "gpt-image": {"litellm_provider": "openai", "mode": "chat"},
        "text-embedding": {"litellm_provider": "openai", "mode": "embedding"},
        "azure/gpt-x": {"litellm_provider": "azure", "mode": "chat"},
    });
    let model = row(&list, "openai/gpt-x");
    let expected = Price {
        cache_read: Some(37_500),
        cache_write: Some(2_500_000),
        cache_write_1h: Some(4_000_000),
        ..price(2_000_000, 10_000_000)
    };
    assert_eq!(model.price, Some(expected));
    assert_eq!(model.price_tiers, [PriceTier { above_tokens: 272_000, price: price(4_000_000, 15_000_000) }]);
    assert_eq!((model.context_tokens_max, model.output_tokens_max), (Some(922_000), Some(128_000)));
    assert_eq!((model.sampling, model.vision, model.cache_tokens_min), (Sampling::Refused, Some(true), Some(1024)));
    assert_eq!(model.retired_on.map(|day| day.to_string()).as_deref(), Some("2027-04-01"));
    let half = row(&list, "google/gemini-x");
    assert_eq!((half.price, half.sampling), (None, Sampling::Unknown), "half a price is none, no word no permission");
    assert_eq!(row(&list, "groq/openai/oss").retired_on, None);
    let list = read(&serde_json::to_vec(&list).expect("JSON")).expect("a list");
    assert_eq!((list.publisher, list.rows.len()), ("litellm", 3));
}

#[test]
fn what_is_not_plausible_is_not_believed() {
    let check = |cost: Value, expected: Option<u64>| {
        let list = json!({"openai": {"models": {"m": {"cost": cost, "limit": {"input": 1e30, "output": 5}}}}});
        let model = row(&list, "openai/m");
        assert_eq!(model.price.map(|price| price.input), expected, "{list}");
        assert_eq!((model.context_tokens_max, model.output_tokens_max), (None, Some(5)));
    };
    check(json!({"input": 1, "output": 1}), Some(1_000_000));
    for cost in [
        json!({"input": -1, "output": 1}),
        json!({"input": 1e9, "output": 1}),
        json!({"input": 0, "output": 0}),
        json!({"input": "1", "output": 1}),
        json!([1]),
        json!(null),
    ] {
        check(cost, None);
    }
    let limit = json!({"limit": {"context": 1, "output": -5}});
    let hidden = json!({"openai": {"models": {"a\u{1b}[2J": limit, "": limit, "m": limit, "n": {"limit": {}}}}});
    assert_eq!(read(hidden.to_string().as_bytes()).expect("a list").rows.len(), 1);
}

#[test]
fn what_is_no_list_is_refused() {
    let error = |bytes: &[u8]| read(bytes).expect_err("no list").to_string();
    assert_eq!(error(b"<html>Welcome to the hotel</html>"), "it is not JSON");
    assert_eq!(error(b"[1]"), "it is not JSON");
    assert!(error(b"{}").starts_with("it is neither the list of models.dev"));
    assert!(error(br#"{"acme": {"models": {"m": {"limit": {"context": 1}}}}}"#).starts_with("it is neither"));
    assert!(error(&vec![b' '; LIST_SIZE_BYTES_MAX + 1]).contains("more than"));
}
