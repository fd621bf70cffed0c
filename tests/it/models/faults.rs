//! Good answers in every spelling, and everything that can go wrong with one, on every wire.

use std::time::Duration;

use cobuild::project::model_provider::{ModelError, ModelParameters, ModelProvider as _, StopReason};
use cobuild_protocol::value::Usage;
use futures_util::{StreamExt as _, future::join_all};

use super::{
    fake_vendors::{script::PIECES, server::FaultServer},
    support::{MODELS, Outcome, ask, ask_with, impatient_vendors, models, request, settings, vendors},
};

async fn each_wire(mode: &str, check: impl Fn(&str, &Outcome)) -> FaultServer {
    let server = FaultServer::start().await;
    let silent = matches!(mode, "stall" | "silent" | "ping");
    let vendors = if silent { impatient_vendors } else { vendors };
    let models = models(&vendors(settings(server.address)));
    let outcomes = join_all(MODELS.map(|model| ask(&models, model, mode))).await;
    for (model, outcome) in MODELS.iter().zip(&outcomes) {
        check(model, outcome);
    }
    server
}

fn assert_complete(model: &str, outcome: &Outcome) {
    assert_eq!(outcome.text, PIECES.concat(), "{model} {outcome:?}");
    assert_eq!(outcome.stop, Some(StopReason::Complete), "{model} {outcome:?}");
    assert!(outcome.error.is_none());
}

fn assert_partial(model: &str, outcome: &Outcome) {
    assert_eq!(outcome.text, PIECES[..2].concat(), "{model} {outcome:?}");
    assert!(outcome.stop.is_none(), "{model} {outcome:?}");
    let usage = outcome.usage.as_ref().expect("our own count");
    assert!(usage.estimated && usage.output_tokens > Some(0), "{model} {usage:?}");
}

#[tokio::test]
async fn a_good_answer_in_every_spelling() {
    for mode in ["normal", "crlf", "cr", "bom", "comments", "bytewise", "giant"] {
        each_wire(mode, assert_complete).await;
    }
}

#[tokio::test]
async fn usage_is_disjoint_and_priced() {
    each_wire("normal", |model, outcome| {
        let usage = outcome.usage.as_ref().expect("usage");
        let counts = (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens, usage.estimated);
        assert_eq!(counts, (Some(5), Some(3), Some(7), false), "{model}");
        let expected = match model {
            // 5 × $2 + 3 × $0.1 + 7 × $10 a million
            "anthropic/claude-sonnet-5-5" | "openai/gpt-6.1-sol" => Some(80_300),
            "groq/openai/gpt-oss-120b" => Some(5 * 150 + 3 * 75 + 7 * 600),
            "openrouter/anthropic/claude-opus-5.5" | "compatible/anything" => None,
            _ => usage.cost_nano_usd,
        };
        assert_eq!(usage.cost_nano_usd, expected, "{model}");
    })
    .await;
}

#[tokio::test]
async fn a_stream_without_its_marker_is_a_failure() {
    each_wire("no_terminal", |model, outcome| {
        assert_partial(model, outcome);
        assert!(matches!(outcome.error, Some(ModelError::Incomplete)), "{model}");
    })
    .await;
    each_wire("no_terminal_all_text", |model, outcome| {
        assert!(matches!(outcome.error, Some(ModelError::Incomplete)), "{model} {outcome:?}");
    })
    .await;
}

#[tokio::test]
async fn an_error_in_the_stream_that_is_no_event_is_read_all_the_same() {
    each_wire("bare_error", |model, outcome| {
        assert_partial(model, outcome);
        assert!(matches!(outcome.error, Some(ModelError::RateLimited { .. })), "{model} {outcome:?}");
    })
    .await;
}

#[tokio::test]
async fn errors_after_content_are_not_tried_again() {
    for mode in ["error", "reset", "no_terminal", "stall"] {
        let server = each_wire(mode, |model, outcome| {
            assert_partial(model, outcome);
            assert!(outcome.error.is_some(), "{model}");
        })
        .await;
        assert_eq!(server.seen().len(), MODELS.len(), "{mode}: one call each");
    }
}

#[tokio::test]
async fn failures_before_content_are_tried_again() {
    for mode in [
        "error_first",
        "reset_first",
        "no_terminal_first",
        "closed",
        "rate_limited_once",
        "overloaded_once",
        "invalid_retry",
    ] {
        let server = FaultServer::start().await;
        let models = models(&vendors(settings(server.address)));
        for (count, model) in
            ["anthropic/claude-sonnet-5-5", "openai/gpt-6.1-sol", "google/gemini-4-argon", "groq/openai/gpt-oss-120b"]
                .into_iter()
                .enumerate()
        {
            let outcome = ask(&models, model, mode).await;
            assert_complete(model, &outcome);
            let attempts: Vec<u32> = outcome.retries.iter().map(|retry| retry.attempt).collect();
            assert_eq!(attempts, [1], "{mode} {model}: {:?}", outcome.retries);
            assert_eq!(server.seen().len(), 2 * (count + 1), "{mode} {model}");
        }
    }
}

#[tokio::test]
async fn tokens_of_a_failed_attempt_count() {
    let server = FaultServer::start().await;
    let models = models(&vendors(settings(server.address)));
    let outcome = ask(&models, "anthropic/claude-sonnet-5-5", "error_first").await;
    let usage = outcome.usage.expect("usage");
    // The failed attempt had reported 5 fresh, 3 cached and 1 output tokens.
    assert_eq!((usage.input_tokens, usage.cache_read_tokens, usage.output_tokens), (Some(10), Some(6), Some(8)));
}

#[tokio::test]
async fn tries_are_counted_and_wishes_respected() {
    for (mode, calls) in [("overloaded", 3), ("overloaded_final", 1), ("rate_limited", 1), ("money", 1), ("bad_key", 1)]
    {
        let server = each_wire(mode, |model, outcome| {
            assert!(outcome.text.is_empty() && outcome.usage.is_none(), "{mode} {model}");
            assert_eq!(outcome.retries.len(), calls - 1, "{mode} {model}");
            let error = outcome.error.as_ref().expect("an error");
            let expected = match mode {
                "rate_limited" => {
                    matches!(error, ModelError::RateLimited { retry_after: Some(wait) } if *wait == Duration::from_secs(7))
                }
                "money" => matches!(error, ModelError::QuotaExceeded(_)),
                "bad_key" => matches!(error, ModelError::Unauthorized(_)),
                _ => matches!(error, ModelError::Unavailable(_)),
            };
            assert!(expected, "{mode} {model} {error:?}");
            assert!(!format!("{error} {error:?}").contains("test-key"), "{error:?}");
        })
        .await;
        assert_eq!(server.seen().len(), calls * MODELS.len(), "{mode}");
    }
}

#[tokio::test]
async fn answers_that_end_early_say_why() {
    each_wire("truncated", |model, outcome| {
        assert_eq!(
            (outcome.text.as_str(), &outcome.stop),
            (PIECES.concat().as_str(), &Some(StopReason::Truncated)),
            "{model}"
        );
    })
    .await;
    each_wire("refused", |model, outcome| {
        assert!(matches!(outcome.stop, Some(StopReason::Refused(_))), "{model} {outcome:?}");
    })
    .await;
    each_wire("too_long", |model, outcome| {
        assert!(matches!(outcome.error, Some(ModelError::ContextTooLong)), "{model} {outcome:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_stream_is_refused() {
    each_wire("html", |model, outcome| {
        let error = outcome.error.as_ref().expect("an error").to_string();
        assert!(error.contains("text/html instead of a stream"), "{model} {error}");
    })
    .await;
    each_wire("json", |model, outcome| {
        assert!(matches!(outcome.error, Some(ModelError::Unavailable(_))), "{model} {outcome:?}");
    })
    .await;
    let server = each_wire("moved", |model, outcome| {
        let error = outcome.error.as_ref().expect("a redirect is not followed").to_string();
        assert!(error.contains("has no such address (307") && error.contains("_BASE_URL"), "{model} {error}");
    })
    .await;
    assert!(server.seen().iter().all(|seen| !seen.path.contains("stolen")));
    assert_eq!(server.seen().len(), MODELS.len(), "it would be there again");
    each_wire("oversized", |model, outcome| {
        assert!(matches!(outcome.error, Some(ModelError::Incomplete)), "{model} {outcome:?}");
    })
    .await;
}

#[tokio::test]
async fn silence_has_a_limit_but_not_the_whole() {
    each_wire("silent", |model, outcome| {
        let error = outcome.error.as_ref().expect("an error").to_string();
        assert!(error.contains("does not answer in time"), "{model} {error}");
    })
    .await;
    // Longer than the idle limit in all, but never silent for as long.
    each_wire("ping", assert_complete).await;
}

#[tokio::test]
async fn a_break_after_the_end_changes_nothing() {
    each_wire("reset_after_end", assert_complete).await;
}

#[tokio::test]
async fn a_pooled_connection_that_the_server_closed_is_no_failure() {
    let server = FaultServer::start().await;
    let models = models(&vendors(settings(server.address)));
    for _ in 0..5 {
        assert_complete("pooled", &ask(&models, "anthropic/claude-sonnet-5-5", "pooled").await);
    }
}

#[tokio::test]
async fn dropping_the_answer_closes_the_connection_at_once() {
    let server = FaultServer::start().await;
    let models = models(&vendors(settings(server.address)));
    for (count, model) in MODELS.into_iter().enumerate() {
        let mut chunks = models.stream(request(model, "mode:slow"));
        chunks.next().await.expect("a chunk").expect("no error");
        drop(chunks);
        server.hung_up(count + 1).await;
    }
}

#[tokio::test]
async fn chat_servers_differ_in_where_usage_is() {
    let server = FaultServer::start().await;
    let models = models(&vendors(settings(server.address)));
    let reported =
        Usage { input_tokens: Some(5), output_tokens: Some(7), cache_read_tokens: Some(3), ..Usage::default() };
    for mode in ["groq_usage", "usage_twice"] {
        let outcome = ask(&models, "compatible/anything", mode).await;
        assert_complete(mode, &outcome);
        assert_eq!(outcome.usage, Some(reported.clone()), "{mode}");
    }
    for mode in ["no_usage", "no_done"] {
        let outcome = ask(&models, "compatible/anything", mode).await;
        assert_complete(mode, &outcome);
        assert!(outcome.usage.expect("our own count").estimated, "{mode}");
    }
    let outcome = ask(&models, "groq/openai/gpt-oss-120b", "groq_error").await;
    assert!(matches!(outcome.error, Some(ModelError::RateLimited { .. })), "{outcome:?}");
}

#[tokio::test]
async fn gemini_goes_on_with_its_token() {
    let server = FaultServer::start().await;
    let models = models(&vendors(settings(server.address)));
    let outcome = ask(&models, "gemini/gemini-4-argon", "continuation").await;
    assert_eq!((outcome.text.as_str(), outcome.stop), ("one two three", Some(StopReason::Complete)));
    let usage = outcome.usage.expect("usage");
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(12), Some(6)), "every leg is billed");
    let tokens: Vec<_> =
        server.seen().iter().map(|seen| seen.body["continuationToken"].as_str().map(str::to_owned)).collect();
    assert_eq!(tokens, [None, Some("t1".to_owned()), Some("t2".to_owned())]);
}

#[tokio::test]
async fn a_refused_parameter_is_dropped_once_and_for_all() {
    let server = FaultServer::start().await;
    let models = models(&vendors(settings(server.address)));
    let question = || {
        let mut request = request("compatible/anything", "mode:no_temperature");
        request.parameters = ModelParameters { temperature: Some(0.5), top_p: Some(0.5), ..ModelParameters::default() };
        request
    };
    assert_complete("first", &ask_with(&models, question()).await);
    assert_complete("second", &ask_with(&models, question()).await);
    let sent: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| (seen.body.get("temperature").is_some(), seen.body.get("top_p").is_some()))
        .collect();
    assert_eq!(sent, [(true, true), (false, true), (false, true)]);
}

#[tokio::test]
async fn keys_go_into_headers_of_their_own_vendor_only() {
    let server = each_wire("normal", |_, _| {}).await;
    for seen in server.seen() {
        let names: Vec<_> = ["authorization", "x-api-key", "x-goog-api-key"]
            .into_iter()
            .filter(|name| seen.headers.get(*name).is_some_and(|value| value.contains("test-key")))
            .collect();
        assert_eq!(names.len(), 1, "{seen:?}");
        assert!(!seen.path.contains("key") && !seen.body.to_string().contains("test-key"));
    }
}
