//! The same answer in the frames of every vendor, cut in every way: any split of the bytes gives the same chunks, and
//! what lacks its end never counts as an answer.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use cobuild::{
    model::{
        endpoint::{Endpoint, ModelSettings},
        provider::Provider,
        sse::{self, EVENT_SIZE_BYTES_MAX},
        wire,
    },
    project::model_provider::{ModelChunk, ModelError, StopReason},
};
use cobuild_protocol::value::Usage;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use proptest::prelude::*;

pub(crate) const ANSWER: &str = include_str!("../../fixtures/models/answer.txt");
pub(crate) const REASONING: &str = "The user wants a counter.";

/// Every recorded stream.
pub(crate) const STREAMS: [(Provider, &[u8]); 5] = [
    (Provider::Anthropic, include_bytes!("../../fixtures/models/anthropic.sse")),
    (Provider::Openai, include_bytes!("../../fixtures/models/openai_responses.sse")),
    (Provider::Groq, include_bytes!("../../fixtures/models/groq.sse")),
    (Provider::Openrouter, include_bytes!("../../fixtures/models/openrouter.sse")),
    (Provider::Google, include_bytes!("../../fixtures/models/gemini.sse")),
];

fn endpoint(provider: Provider) -> Endpoint {
    let mut settings = ModelSettings::default();
    settings.endpoints.entry(provider).or_default().base_url = Some("http://127.0.0.1:9/v1".to_owned());
    Endpoint::new(provider, &settings).expect("valid")
}

/// What comes of these bytes, arriving in these pieces and then ending.
fn replay(provider: Provider, pieces: Vec<Bytes>) -> Result<Vec<ModelChunk>, ModelError> {
    let bytes = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
    let events: Vec<_> =
        sse::events(bytes, EVENT_SIZE_BYTES_MAX).collect().now_or_never().expect("the bytes are there");
    let mut reader = wire::reader(&Arc::new(endpoint(provider)), "any");
    let mut chunks = Vec::new();
    for event in events {
        let event = event.map_err(|_| ModelError::Incomplete)?;
        reader.on_event(&event.event, &event.data, &mut chunks)?;
        if matches!(chunks.last(), Some(ModelChunk::Stop(_))) {
            return Ok(chunks);
        }
    }
    reader.on_end(&mut chunks)?;
    Ok(chunks)
}

fn text(chunks: &[ModelChunk]) -> String {
    chunks
        .iter()
        .filter_map(|chunk| if let ModelChunk::Text(text) = chunk { Some(text.as_str()) } else { None })
        .collect()
}

fn reasoning(chunks: &[ModelChunk]) -> String {
    chunks
        .iter()
        .filter_map(|chunk| if let ModelChunk::Reasoning(text) = chunk { Some(text.as_str()) } else { None })
        .collect()
}

fn whole(provider: Provider, bytes: &'static [u8]) -> Vec<ModelChunk> {
    replay(provider, vec![Bytes::from_static(bytes)]).expect("complete")
}

#[test]
fn every_vendor_says_the_same() {
    for (provider, bytes) in STREAMS {
        let chunks = whole(provider, bytes);
        assert_eq!((text(&chunks).as_str(), reasoning(&chunks).as_str()), (ANSWER, REASONING), "{provider}");
        assert_eq!(chunks.last(), Some(&ModelChunk::Stop(StopReason::Complete)), "{provider}");
        let written = matches!(provider, Provider::Anthropic | Provider::Openai).then_some(2048);
        let expected = Usage {
            input_tokens: Some(2560 - written.unwrap_or(0)),
            output_tokens: Some(87),
            cache_read_tokens: Some(4096),
            cache_write_tokens: written,
            reasoning_tokens: (provider != Provider::Anthropic).then_some(12),
            cost_nano_usd: (provider == Provider::Openrouter).then_some(25_100_000),
            ..Usage::default()
        };
        let last =
            chunks.iter().rev().find_map(|chunk| if let ModelChunk::Usage(usage) = chunk { Some(usage) } else { None });
        assert_eq!(last, Some(&expected), "{provider}");
    }
}

#[test]
fn a_cut_at_any_byte_is_never_a_shorter_answer() {
    for (provider, bytes) in STREAMS {
        let mut complete = 0;
        // Every byte of the end, where it matters; before it a stride that meets every place of an event sooner or later.
        let tail = bytes.len() - 400;
        for end in (0..tail).step_by(31).chain(tail..bytes.len()) {
            if let Ok(chunks) = replay(provider, vec![Bytes::from_static(&bytes[..end])]) {
                assert_eq!(text(&chunks), ANSWER, "{provider} cut at {end}");
                complete += 1;
            }
        }
        // Chat may end without its last marker, Gemini has none: the reason to finish was there.
        let lenient = matches!(provider, Provider::Groq | Provider::Openrouter | Provider::Google);
        assert!(complete == 0 || lenient, "{provider}: {complete}");
    }
}

#[test]
fn byte_by_byte_is_the_same() {
    for (provider, bytes) in STREAMS {
        let pieces = bytes.chunks(1).map(Bytes::from_static).collect();
        assert_eq!(replay(provider, pieces).expect("complete"), whole(provider, bytes), "{provider}");
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_chunks(stream in 0_usize..STREAMS.len(), mut cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..40)) {
        let (provider, bytes) = STREAMS[stream];
        let mut at: Vec<usize> = cuts.drain(..).map(|cut| cut.index(bytes.len())).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces = at.windows(2).map(|pair| Bytes::from_static(&bytes[pair[0]..pair[1]])).collect();
        prop_assert_eq!(replay(provider, pieces).expect("complete"), whole(provider, bytes));
    }

    #[test]
    fn damaged_bytes_never_panic(stream in 0_usize..STREAMS.len(), damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let (provider, bytes) = STREAMS[stream];
        let mut bytes = bytes.to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = replay(provider, vec![Bytes::from(bytes)]);
    }
}
