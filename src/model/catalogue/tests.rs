use super::*;

fn name(text: &str) -> ModelName {
    ModelName::parse(text).expect("valid")
}

fn day(text: &str) -> Date {
    text.parse().expect("valid")
}

fn used(input: u64) -> Usage {
    Usage { input_tokens: Some(input), output_tokens: Some(0), ..Usage::default() }
}

#[test]
fn the_table_is_whole() {
    let catalogue = Catalogue::built_in();
    let today = catalogue.as_of();
    assert!(catalogue.models().count() >= 60);
    for model in catalogue.models().filter(|model| model.role.is_some()) {
        assert!(model.price.is_some() && model.output_tokens_max.is_some(), "{}", model.name);
        assert!(!model.is_retired(today), "{}", model.name);
        assert!(model.price_tiers.is_sorted_by_key(|tier| tier.above_tokens), "{}", model.name);
        assert!(model.price_changes.is_sorted_by_key(|change| change.from), "{}", model.name);
    }
    for provider in [Provider::Anthropic, Provider::Openai, Provider::Google] {
        assert!(catalogue.default_of(provider, today).is_some(), "{provider}");
    }
}

#[test]
fn retired_names_are_answered_with_what_exists() {
    let catalogue = Catalogue::built_in();
    let check = |name: &str, expected: &str| {
        assert_eq!(catalogue.unusable(name, &[], day("2026-11-22")).to_string(), expected);
    };
    check(
        "anthropic/claude-3-5-sonnet-20241022",
        "`anthropic/claude-3-5-sonnet-20241022` was retired on 2025-10-28. Current: `anthropic/claude-sonnet-5-5`, \
         `anthropic/claude-haiku-5-5`, `anthropic/claude-opus-5-5`. Set DEFAULT_AI_MODEL or send `model`.",
    );
    check(
        "gemini/gemini-1.5-pro",
        "`gemini/gemini-1.5-pro` was retired. Current: `google/gemini-3.8-flash`, `google/gemini-3.5-flash-lite`, \
         `google/gemini-4-argon`. Set DEFAULT_AI_MODEL or send `model`.",
    );
    check(
        "groq/made-up",
        "`groq/made-up` is not a model that Groq has. Current: `groq/openai/gpt-oss-120b`, \
         `groq/openai/gpt-oss-20b`, `groq/qwen/qwen3.8-27b`. Set DEFAULT_AI_MODEL or send `model`.",
    );
    check(
        "gpt-5",
        "`gpt-5` is not a model's name, which is `provider/model`. Current: `anthropic/claude-sonnet-5-5`, \
         `openai/gpt-6.1-sol`, `google/gemini-3.8-flash`. Set DEFAULT_AI_MODEL or send `model`.",
    );
    check("ollama/x", "`ollama/x` is not a model that Ollama has. Set DEFAULT_AI_MODEL or send `model`.");
}

#[test]
fn errors_tell_retired_from_unknown_and_list_what_exists() {
    let catalogue = Catalogue::built_in();
    let today = day("2026-11-22");
    let retired = catalogue.unusable("anthropic/claude-3-5-sonnet-20241022", &[], today);
    let ModelError::RetiredModel { instead, .. } = retired else { panic!("{retired:?}") };
    assert_eq!(instead, ["anthropic/claude-sonnet-5-5", "anthropic/claude-haiku-5-5", "anthropic/claude-opus-5-5"]);
    assert!(matches!(catalogue.unusable("groq/made-up", &[], today), ModelError::UnknownModel { .. }));
    let endless = catalogue.unusable(&"x\n".repeat(5000), &[], today).to_string();
    assert!(endless.len() < 400 && !endless.contains('\n'), "{endless}");
}

#[test]
fn what_the_vendor_lists_wins() {
    let catalogue = Catalogue::built_in();
    let listed = [name("groq/new"), name("groq/openai/gpt-oss-20b")];
    let suggested = catalogue.suggestions(Some(Provider::Groq), &listed, day("2026-11-22"));
    assert_eq!(suggested, [name("groq/openai/gpt-oss-20b"), name("groq/new")]);
}

#[test]
fn a_retirement_comes_on_its_day() {
    let catalogue = Catalogue::built_in();
    let model = catalogue.model(&name("anthropic/claude-sonnet-4-5")).expect("row");
    assert_eq!((model.is_retired(day("2026-11-29")), model.is_retired(day("2026-11-30"))), (false, true));
}

#[test]
fn prices_follow_size_and_day() {
    let catalogue = Catalogue::built_in();
    let cost =
        |model: &str, input: u64, on: &str| catalogue.model(&name(model)).expect("row").cost(&used(input), day(on));
    assert_eq!(cost("openai/gpt-6-astra", 272_000, "2026-11-22"), Some(2_720_000_000));
    assert_eq!(cost("openai/gpt-6-astra", 272_001, "2026-11-22"), Some(5_440_020_000), "the whole request");
    assert_eq!(cost("google/gemini-4-argon", 1000, "2026-11-30"), Some(2_000_000));
    assert_eq!(cost("google/gemini-4-argon", 1000, "2026-12-01"), Some(4_000_000));
    assert_eq!(Model::new(name("openai/new")).cost(&used(1), day("2026-11-22")), None, "unknown, never free");
}

#[test]
fn a_users_rows_win() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("models.json");
    let table = r#"{"source": "me", "as_of": "2027-01-01", "models": [
        {"name": "openai/gpt-6-astra", "price": {"input": 1, "output": 2}, "sampling": "allowed"},
        {"name": "compatible/mine", "context_tokens_max": 8192}]}"#;
    std::fs::write(&path, table).expect("written");
    let catalogue = Catalogue::built_in().with_user_file(&path).expect("valid");
    let row = catalogue.model(&name("openai/gpt-6-astra")).expect("row");
    assert_eq!((row.sampling, row.price_tiers.len(), catalogue.as_of()), (Sampling::Allowed, 0, day("2027-01-01")));
    assert!(catalogue.model(&name("compatible/mine")).is_some());
    for wrong in ["{", r#"{"source": "", "as_of": "2027-01-01", "models": [{"name": "nobody/x"}]}"#] {
        std::fs::write(&path, wrong).expect("written");
        assert!(matches!(Catalogue::built_in().with_user_file(&path), Err(CatalogueError::Parse(_))));
    }
    assert!(matches!(
        Catalogue::built_in().with_user_file(folder.path().join("no").as_path()),
        Err(CatalogueError::Read(_))
    ));
}
