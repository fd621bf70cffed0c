//! How fast a vendor's bytes become chunks: the event parser and each wire's state machine, on recorded answers.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use nix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use crate::{
    cli::bench::{
        BenchError,
        report::{Measure, Report},
    },
    model::{
        endpoint::{Endpoint, EndpointSettings, ModelSettings},
        provider::Provider,
        sse, wire,
    },
    project::model_provider::ModelChunk,
    secret::Secret,
};

/// Whose answer, as it was recorded.
const RECORDED: [(Provider, &str); 5] = [
    (Provider::Anthropic, include_str!("../../../../tests/fixtures/models/anthropic.sse")),
    (Provider::Openai, include_str!("../../../../tests/fixtures/models/openai_responses.sse")),
    (Provider::Google, include_str!("../../../../tests/fixtures/models/gemini.sse")),
    (Provider::Groq, include_str!("../../../../tests/fixtures/models/groq.sse")),
    (Provider::Openrouter, include_str!("../../../../tests/fixtures/models/openrouter.sse")),
];
/// As sockets hand them over.
const PIECE_SIZE_BYTES: usize = 16 * 1024;
/// Parsed per sample.
const SAMPLE_SIZE_BYTES: usize = 64 * 1024 * 1024;
/// What we hold ourselves to, in megabytes per second.
const MEGABYTES_PER_SECOND_MIN: f64 = 200.0;

pub(super) fn measure(runtime: &Runtime, rounds: usize, report: &mut Report) -> Result<(), BenchError> {
    for (provider, recorded) in RECORDED {
        let mut samples = Vec::with_capacity(rounds);
        // The first warms up.
        for round in 0..=rounds {
            let sample = runtime.block_on(parse(provider, recorded))?;
            if round > 0 {
                samples.push(sample);
            }
        }
        let name = format!("parsing {}", provider.title());
        report.add(Measure::new(name, "MB/s", samples).at_least(MEGABYTES_PER_SECOND_MIN));
    }
    Ok(())
}

/// Parses one recorded answer again and again; returns megabytes per CPU second.
async fn parse(provider: Provider, recorded: &'static str) -> Result<f64, BenchError> {
    let unexpected = |error: &dyn std::fmt::Display| BenchError::Unexpected(error.to_string());
    let set = EndpointSettings { key: Some(Secret::new("bench")), base_url: None };
    let settings = ModelSettings { endpoints: [(provider, set)].into(), ..ModelSettings::default() };
    let endpoint = Arc::new(Endpoint::new(provider, &settings).map_err(|error| unexpected(&error))?);
    let pieces: Vec<Bytes> = recorded.as_bytes().chunks(PIECE_SIZE_BYTES).map(Bytes::from_static).collect();
    let answers = SAMPLE_SIZE_BYTES / recorded.len();
    let before = thread_cpu()?;
    for _ in 0..answers {
        let (mut reader, mut chunks) = (wire::reader(&endpoint), Vec::new());
        let bytes = stream::iter(pieces.iter().cloned().map(Ok::<_, Infallible>));
        let mut events = std::pin::pin!(sse::events(bytes, sse::EVENT_SIZE_BYTES_MAX));
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| unexpected(&error))?;
            reader.on_event(&event.event, &event.data, &mut chunks).map_err(|error| unexpected(&error))?;
        }
        if !chunks.iter().any(|chunk| matches!(chunk, ModelChunk::Stop(_))) {
            return Err(BenchError::Unexpected(format!("the recorded answer of {} has no end", provider.title())));
        }
    }
    let spent = thread_cpu()?.saturating_sub(before);
    Ok((answers * recorded.len()) as f64 / 1e6 / spent.as_secs_f64())
}

fn thread_cpu() -> Result<Duration, BenchError> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_err(std::io::Error::from)?.into())
}
