//! `genai`, a client that others wrote, reads the same streams: text, reasoning, stop reason and usage must agree.
//! Where the two differ on purpose, a test here says so.

use cobuild::{model::provider::Provider, project::model_provider::StopReason};
use futures_util::StreamExt as _;
use genai::{
    Client, ModelIden, ServiceTarget,
    adapter::AdapterKind,
    chat::{ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent, StopReason as TheirStop, StreamEnd},
    resolver::{AuthData, Endpoint, ServiceTargetResolver},
};

use super::{
    fake_vendors::server::FaultServer,
    replay::{ANSWER, REASONING},
    support::{Outcome, ask, models, settings, vendors},
};

/// A model, how `genai` calls its wire, and where the stand-in has it.
const CASES: [(Provider, &str, AdapterKind, &str); 5] = [
    (Provider::Anthropic, "claude-sonnet-5-5", AdapterKind::Anthropic, "/v1/"),
    (Provider::Openai, "gpt-6.1-sol", AdapterKind::OpenAIResp, "/v1/"),
    (Provider::Google, "gemini-3.8-flash", AdapterKind::Gemini, "/v1beta/"),
    (Provider::Groq, "openai/gpt-oss-120b", AdapterKind::Groq, "/openai/v1/"),
    (Provider::Openrouter, "anthropic/claude-opus-5.5", AdapterKind::OpenRouter, "/api/v1/"),
];

/// What `genai` made of an answer.
#[derive(Debug, Default)]
struct Theirs {
    text: String,
    reasoning: String,
    end: Option<StreamEnd>,
    error: Option<String>,
}

async fn ask_genai(server: &FaultServer, model: &'static str, kind: AdapterKind, path: &str, mode: &str) -> Theirs {
    let base = format!("http://{}{path}", server.address);
    let resolver = ServiceTargetResolver::from_resolver_fn(move |_: ServiceTarget| {
        Ok::<_, genai::resolver::Error>(ServiceTarget {
            endpoint: Endpoint::from_owned(base.clone()),
            auth: AuthData::from_single("test-key"),
            model: ModelIden::new(kind, model),
        })
    });
    let client = Client::builder().with_service_target_resolver(resolver).build().expect("a client");
    let options = ChatOptions::default().with_capture_usage(true).with_capture_content(true);
    let request = ChatRequest::new(vec![ChatMessage::user(format!("mode:{mode}"))]);
    let mut theirs = Theirs::default();
    let mut stream = match client.exec_chat_stream(model, request, Some(&options)).await {
        Ok(response) => response.stream,
        Err(error) => return Theirs { error: Some(error.to_string()), ..theirs },
    };
    while let Some(event) = stream.next().await {
        match event {
            Ok(ChatStreamEvent::Chunk(chunk)) => theirs.text.push_str(&chunk.content),
            Ok(ChatStreamEvent::ReasoningChunk(chunk)) => theirs.reasoning.push_str(&chunk.content),
            Ok(ChatStreamEvent::End(end)) => theirs.end = Some(end),
            Ok(_) => {}
            Err(error) => theirs.error = Some(error.to_string()),
        }
    }
    theirs
}

/// Where an answer that both read to its end is not the same for both, and why.
struct Difference {
    whose: &'static str,
    streams: &'static [&'static str],
    what: &'static str,
    ours: &'static str,
    theirs: &'static str,
    #[expect(dead_code, reason = "it is for whoever reads the list")]
    why: &'static str,
}

const fn unpriced(whose: &'static str) -> Difference {
    let why = "they know no prices";
    Difference { whose, streams: &ALL_MODES, what: "cost", ours: "by our table", theirs: "", why }
}

/// Whatever is not here must be equal.
const DIFFERENCES: [Difference; 8] = [
    Difference {
        whose: "openrouter",
        streams: &["recorded"],
        what: "cost",
        ours: "25100000",
        theirs: "",
        why: "OpenRouter says what it charges; they have no place for money",
    },
    unpriced("anthropic"),
    unpriced("openai"),
    unpriced("google"),
    unpriced("groq"),
    Difference {
        whose: "groq",
        streams: &["normal", "truncated", "refused"],
        what: "usage",
        ours: "8 3 7",
        theirs: "",
        why: "of Groq they read `x_groq.usage` alone, we the usual place of `usage`, too: which one it uses is not established",
    },
    Difference {
        whose: "openai",
        streams: &["refused"],
        what: "stop",
        ours: "refused",
        theirs: "complete",
        why: "a refusal that is said in words ends with `completed` on this wire; we go by what it was",
    },
    Difference {
        whose: "openai",
        streams: &["refused"],
        what: "text",
        ours: "Hello wörld 😀!\n",
        theirs: "",
        why: "we show the words of a refusal, `response.refusal.delta`; they pass over them",
    },
];
/// The streams that are compared: the recorded ones, and three short ones.
const ALL_MODES: [&str; 4] = ["recorded", "normal", "truncated", "refused"];

/// An answer in one shape, by field. Nothing said and a zero are the same: they make no difference between them.
type Fields = Vec<(&'static str, String)>;

fn field(name: &'static str, value: Option<u64>) -> (&'static str, String) {
    (name, value.filter(|value| *value > 0).map(|value| value.to_string()).unwrap_or_default())
}

fn our_fields(mine: &Outcome) -> Fields {
    let usage = mine.usage.clone().unwrap_or_default();
    // They count the whole prompt, we its disjoint parts.
    let parts = [usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens];
    let stop = match &mine.stop {
        Some(StopReason::Complete) => "complete",
        Some(StopReason::Truncated) => "truncated",
        Some(StopReason::Refused(_)) => "refused",
        None => "none",
    };
    let cost = match (usage.cost_nano_usd, &usage.prices_as_of) {
        (Some(_), Some(_)) => "by our table".to_owned(),
        (cost, _) => cost.map(|cost| cost.to_string()).unwrap_or_default(),
    };
    vec![
        ("text", mine.text.clone()),
        ("reasoning", mine.reasoning.clone()),
        ("stop", stop.to_owned()),
        field("prompt tokens", mine.usage.as_ref().map(|_| parts.into_iter().flatten().sum())),
        field("tokens read from the cache", usage.cache_read_tokens),
        field("tokens written to the cache", usage.cache_write_tokens),
        field("answer tokens", usage.output_tokens),
        field("reasoning tokens", usage.reasoning_tokens),
        ("cost", cost),
    ]
}

fn their_fields(theirs: &Theirs) -> Fields {
    let end = theirs.end.as_ref();
    let usage = end.and_then(|end| end.captured_usage.clone()).unwrap_or_default();
    let count = |tokens: Option<i32>| tokens.and_then(|tokens| u64::try_from(tokens).ok());
    let (of_prompt, of_answer) = (usage.prompt_tokens_details, usage.completion_tokens_details);
    let stop = match end.and_then(|end| end.captured_stop_reason.as_ref()) {
        Some(TheirStop::Completed(_)) => "complete".to_owned(),
        Some(TheirStop::MaxTokens(_)) => "truncated".to_owned(),
        Some(TheirStop::ContentFilter(_)) => "refused".to_owned(),
        other => format!("{other:?}"),
    };
    vec![
        ("text", theirs.text.clone()),
        ("reasoning", theirs.reasoning.clone()),
        ("stop", stop),
        field("prompt tokens", count(usage.prompt_tokens)),
        field("tokens read from the cache", count(of_prompt.as_ref().and_then(|details| details.cached_tokens))),
        field("tokens written to the cache", count(of_prompt.and_then(|details| details.cache_creation_tokens))),
        field("answer tokens", count(usage.completion_tokens)),
        field("reasoning tokens", count(of_answer.and_then(|details| details.reasoning_tokens))),
        ("cost", String::new()),
    ]
}

/// Fields that differ, with both values. Counts that one of the two has none of at all are one difference.
fn differences(mine: &Fields, theirs: &Fields) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let counts = |fields: &Fields| -> Vec<String> {
        let is_count = |name: &str| name.ends_with("tokens") || name.starts_with("tokens");
        fields
            .iter()
            .filter(|(name, value)| is_count(name) && !value.is_empty())
            .map(|(_, value)| value.clone())
            .collect()
    };
    let (our_counts, their_counts) = (counts(mine), counts(theirs));
    let is_missing = our_counts.is_empty() != their_counts.is_empty();
    if is_missing {
        found.push(("usage".to_owned(), our_counts.join(" "), their_counts.join(" ")));
    }
    for ((name, mine), (_, theirs)) in mine.iter().zip(theirs) {
        let is_counted = is_missing && (name.ends_with("tokens") || name.starts_with("tokens"));
        if mine != theirs && !is_counted {
            found.push(((*name).to_owned(), mine.clone(), theirs.clone()));
        }
    }
    found
}

/// Text, reasoning, why it ended and every count, on every wire. What differs is in [`DIFFERENCES`], and nothing else.
#[tokio::test]
async fn both_read_the_same_out_of_every_stream() {
    let server = FaultServer::start().await;
    let ours = models(&vendors(settings(server.address)));
    let mut found = Vec::new();
    for mode in ALL_MODES {
        for (provider, id, kind, path) in CASES {
            let mine = ask(&ours, &format!("{provider}/{id}"), mode).await;
            let theirs = ask_genai(&server, id, kind, path, mode).await;
            assert_eq!((&mine.error, &theirs.error), (&None, &None), "{provider} {mode}");
            for (what, mine, theirs) in differences(&our_fields(&mine), &their_fields(&theirs)) {
                found.push((provider.to_string(), mode.to_owned(), what, mine, theirs));
            }
            if mode == "recorded" {
                assert_eq!((mine.text.as_str(), mine.reasoning.as_str()), (ANSWER, REASONING), "{provider}");
            }
        }
    }
    let listed = |Difference { whose, streams, what, ours, theirs, why: _ }: &Difference| -> Vec<_> {
        let of = |stream: &&str| {
            let [whose, stream, what, ours, theirs] = [*whose, *stream, *what, *ours, *theirs].map(str::to_owned);
            (whose, stream, what, ours, theirs)
        };
        streams.iter().map(of).collect()
    };
    let mut known: Vec<_> = DIFFERENCES.iter().flat_map(listed).collect();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

/// Where Groq's SDK has it, both see the usage.
#[tokio::test]
async fn groqs_own_place_for_usage_is_known_to_both() {
    let server = FaultServer::start().await;
    let ours = models(&vendors(settings(server.address)));
    let mine = ask(&ours, "groq/openai/gpt-oss-120b", "groq_usage").await;
    let theirs = ask_genai(&server, "openai/gpt-oss-120b", AdapterKind::Groq, "/openai/v1/", "groq_usage").await;
    let found = differences(&our_fields(&mine), &their_fields(&theirs));
    assert_eq!(found, [("cost".to_owned(), "by our table".to_owned(), String::new())], "{theirs:?}");
}

/// A cut stream: they end without an error (Gemini even with an end), we fail. Ours is stricter on purpose: a half
/// file must never be taken for a whole one.
#[tokio::test]
async fn a_cut_stream_is_where_we_differ() {
    let server = FaultServer::start().await;
    let ours = models(&vendors(settings(server.address)));
    for (provider, id, kind, path) in CASES {
        let mine = ask(&ours, &format!("{provider}/{id}"), "no_terminal").await;
        let theirs = ask_genai(&server, id, kind, path, "no_terminal").await;
        assert_eq!(mine.text, theirs.text, "{provider}");
        assert!(mine.error.is_some() && theirs.error.is_none(), "{provider} {theirs:?}");
        let reason = theirs.end.as_ref().and_then(|end| end.captured_stop_reason.as_ref());
        assert!(reason.is_none(), "{provider}: {theirs:?}");
    }
}

/// An overloaded vendor: they report the first refusal, we ask twice more before we do.
#[tokio::test]
async fn errors_are_errors_for_both() {
    let server = FaultServer::start().await;
    let ours = models(&vendors(settings(server.address)));
    for mode in ["error", "reset", "overloaded"] {
        for (provider, id, kind, path) in CASES {
            let mine = ask(&ours, &format!("{provider}/{id}"), mode).await;
            let theirs = ask_genai(&server, id, kind, path, mode).await;
            assert!(mine.error.is_some() && theirs.error.is_some(), "{mode} {provider} {theirs:?}");
        }
    }
}
