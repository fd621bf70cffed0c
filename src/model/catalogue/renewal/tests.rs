use super::*;
use crate::model::{
    catalogue::{PriceChange, PriceTier, Role, today},
    provider::ModelName,
};

fn row(name: &str) -> Model {
    Model::new(ModelName::parse(name).expect("valid"))
}

fn day(text: &str) -> Date {
    text.parse().expect("valid")
}

fn price(input: u64) -> Price {
    Price { input, output: 2 * input, ..Price::default() }
}

fn list(rows: Vec<Model>) -> PriceList {
    PriceList { publisher: "somebody", licence: "MIT", rows }
}

#[test]
fn what_is_said_counts_and_what_is_known_stays() {
    let known = Model {
        role: Some(Role::Cheap),
        default: true,
        context_tokens_max: Some(10),
        output_tokens_max: Some(5),
        price: Some(Price { cache_write_1h: Some(9), ..price(1) }),
        price_tiers: vec![PriceTier { above_tokens: 7, price: price(3) }],
        price_changes: ["2026-12-01", "2027-12-01"].map(|from| PriceChange { from: day(from), price: price(8) }).into(),
        sampling: Sampling::Ignored,
        show_reasoning: true,
        vision: Some(true),
        ..row("openai/m")
    };
    let today = day("2027-01-01");
    let silent = joined(Some(&known), row("openai/m"), today);
    assert_eq!(silent, known, "no word changes nothing");
    let said = Model {
        context_tokens_max: Some(20),
        price: Some(price(2)),
        sampling: Sampling::Refused,
        retired_on: Some(day("2028-01-01")),
        ..row("openai/m")
    };
    let joined = joined(Some(&known), said, today);
    assert_eq!((joined.context_tokens_max, joined.output_tokens_max), (Some(20), Some(5)));
    assert_eq!(
        (joined.price, joined.price_tiers.len()),
        (Some(price(2)), 0),
        "tiers and hours of another price are gone"
    );
    assert_eq!(joined.price_changes.len(), 1, "a price of today is not changed by one of yesterday");
    assert_eq!(joined.price_on(today), Some(price(2)));
    assert_eq!((joined.role, joined.default, joined.sampling), (Some(Role::Cheap), true, Sampling::Ignored));
    assert_eq!((joined.retired_on, joined.show_reasoning), (Some(day("2028-01-01")), true));
}

#[test]
fn a_refusal_is_believed_and_a_permission_only_where_nothing_is_known() {
    use Sampling::{Allowed, Ignored, OnlyWithoutReasoning, Refused, Unknown};
    for (known, said, expected) in [
        (Unknown, Allowed, Allowed),
        (Unknown, Refused, Refused),
        (Allowed, Refused, Refused),
        (Allowed, Unknown, Allowed),
        (Refused, Allowed, Refused),
        (OnlyWithoutReasoning, Allowed, OnlyWithoutReasoning),
        (Ignored, Refused, Ignored),
    ] {
        assert_eq!(sampling(known, said), expected, "{known:?} {said:?}");
    }
}

#[test]
fn it_is_kept_and_read_and_older_than_the_next_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("below/models.json");
    let built_in = Catalogue::built_in();
    let sonnet = Model { price: Some(price(77)), ..row("anthropic/claude-sonnet-5-5") };
    let rows = vec![sonnet.clone(), row("anthropic/claude-brand-new")];
    let renewal = built_in.renewed(list(rows.clone()), "https://example.com/api.json", today());
    let kinds: Vec<_> = renewal.changes.iter().map(|change| change.before.is_none()).collect();
    assert_eq!((renewal.models(), kinds), (2, vec![false, true]));
    renewal.write(&path).expect("written");
    let renewed = Catalogue::built_in().with_renewed_file(&path).expect("read");
    let known = renewed.model(&sonnet.name).expect("there");
    assert_eq!((known.price, known.default, renewed.as_of()), (Some(price(77)), true, today()));
    assert_eq!(renewed.models().count(), built_in.models().count() + 1, "the others stay");
    // Said again, nothing is new.
    assert!(renewed.renewed(list(rows.clone()), "", today()).changes.is_empty());
    // A file from before this server's own table says nothing new.
    built_in.renewed(list(rows), "", day("2026-01-01")).write(&path).expect("written over the other");
    let older = Catalogue::built_in().with_renewed_file(&path).expect("read");
    assert_eq!(older.model(&sonnet.name), built_in.model(&sonnet.name));
    assert_eq!(std::fs::read_dir(folder.path().join("below")).expect("read").count(), 1, "no litter");
    // None is fine, a broken one is said.
    assert!(Catalogue::built_in().with_renewed_file(&folder.path().join("none.json")).is_ok());
    std::fs::write(&path, "{").expect("written");
    assert!(Catalogue::built_in().with_renewed_file(&path).is_err());
}
