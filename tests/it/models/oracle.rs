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
    support::{ask, models, settings, vendors},
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

#[tokio::test]
async fn both_read_the_recorded_streams_alike() {
    let server = FaultServer::start().await;
    let ours = models(&vendors(settings(server.address)));
    for (provider, id, kind, path) in CASES {
        let mine = ask(&ours, &format!("{provider}/{id}"), "recorded").await;
        let theirs = ask_genai(&server, id, kind, path, "recorded").await;
        assert_eq!((mine.text.as_str(), theirs.text.as_str()), (ANSWER, ANSWER), "{provider} {theirs:?}");
        assert_eq!((mine.reasoning.as_str(), theirs.reasoning.as_str()), (REASONING, REASONING), "{provider}");
        assert_eq!(mine.stop, Some(StopReason::Complete), "{provider}");
        let end = theirs.end.expect("an end");
        assert!(matches!(end.captured_stop_reason, Some(TheirStop::Completed(_))), "{provider} {end:?}");
        let (Some(mine), Some(theirs)) = (&mine.usage, &end.captured_usage) else {
            panic!("{provider} {mine:?} {end:?}")
        };
        // They count the whole prompt, we its disjoint parts.
        let parts = [mine.input_tokens, mine.cache_read_tokens, mine.cache_write_tokens];
        let prompt: u64 = parts.into_iter().flatten().sum();
        let count = |tokens: Option<i32>| tokens.and_then(|tokens| u64::try_from(tokens).ok());
        assert_eq!(Some(prompt), count(theirs.prompt_tokens), "{provider} {theirs:?}");
        assert_eq!(mine.output_tokens, count(theirs.completion_tokens), "{provider} {theirs:?}");
        let details = theirs.prompt_tokens_details.as_ref().expect("details");
        assert_eq!(mine.cache_read_tokens, count(details.cached_tokens), "{provider}");
    }
}

/// An answer that the model's limit ended: the same text, and the same word for it.
#[tokio::test]
async fn both_see_that_an_answer_is_truncated() {
    let server = FaultServer::start().await;
    let ours = models(&vendors(settings(server.address)));
    for (provider, id, kind, path) in CASES {
        let mine = ask(&ours, &format!("{provider}/{id}"), "truncated").await;
        let theirs = ask_genai(&server, id, kind, path, "truncated").await;
        assert_eq!((mine.text.as_str(), mine.stop), (theirs.text.as_str(), Some(StopReason::Truncated)), "{provider}");
        let reason = theirs.end.expect("an end").captured_stop_reason;
        assert!(matches!(reason, Some(TheirStop::MaxTokens(_))), "{provider} {reason:?}");
    }
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
