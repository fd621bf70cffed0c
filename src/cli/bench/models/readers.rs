//! How fast the bytes of each wire become chunks: server-sent events, JSON and the wire's own rules, without a network.

use std::{convert::Infallible, sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Value, json};

use crate::{
    cli::bench::BenchError,
    model::{
        endpoint::{Endpoint, EndpointSettings, ModelSettings},
        provider::Provider,
        sse::{self, EVENT_SIZE_BYTES_MAX},
        wire,
    },
    project::model_provider::ModelChunk,
};

/// Bytes of one stream; more than any cache holds.
const STREAM_SIZE_BYTES: usize = 32 * 1024 * 1024;
/// As a socket gives them.
const PIECE_SIZE_BYTES: usize = 16 * 1024;
/// The text of one piece, about what a vendor puts into one event when it hurries.
const TEXT: &str =
    "  const [items, setItems] = useState([]);\n  const left = items.filter((item) => !item.done).length;\n";

/// Megabytes a second of each wire, one sample per round.
pub(super) fn throughput(rounds: usize) -> Result<Vec<(&'static str, Vec<f64>)>, BenchError> {
    let wires = [
        ("Anthropic Messages", Provider::Anthropic),
        ("OpenAI Responses", Provider::Openai),
        ("OpenAI Chat", Provider::Groq),
        ("Gemini", Provider::Google),
    ];
    let mut measured = Vec::new();
    for (name, provider) in wires {
        let bytes = Bytes::from(stream_of(provider));
        let samples = (0..rounds).map(|_| read(provider, &bytes)).collect::<Result<_, _>>()?;
        measured.push((name, samples));
    }
    Ok(measured)
}

/// Reads all of it and checks that nothing is missing.
#[expect(clippy::cast_precision_loss, reason = "a size for a table")]
fn read(provider: Provider, bytes: &Bytes) -> Result<f64, BenchError> {
    let unexpected = |what: &str| BenchError::Unexpected(format!("the stream of {provider}: {what}"));
    let mut settings = ModelSettings::default();
    let base_url = Some("http://127.0.0.1:9/v1".to_owned());
    settings.endpoints.insert(provider, EndpointSettings { key: None, base_url });
    let endpoint = Arc::new(Endpoint::new(provider, &settings).map_err(|error| unexpected(&error.to_string()))?);
    let count = bytes.len().div_ceil(PIECE_SIZE_BYTES);
    let whole = bytes.clone();
    let pieces = stream::iter((0..count).map(move |at| {
        let end = ((at + 1) * PIECE_SIZE_BYTES).min(whole.len());
        Ok::<_, Infallible>(whole.slice(at * PIECE_SIZE_BYTES..end))
    }));
    let began = Instant::now();
    let mut reader = wire::reader(&endpoint, "any");
    let mut events = Box::pin(sse::events(pieces, EVENT_SIZE_BYTES_MAX));
    let (mut chunks, mut text, mut complete) = (Vec::new(), 0, false);
    while let Some(Some(event)) = events.next().now_or_never() {
        let event = event.map_err(|error| unexpected(&error.to_string()))?;
        reader.on_event(&event.event, &event.data, &mut chunks).map_err(|error| unexpected(&error.to_string()))?;
        for chunk in chunks.drain(..) {
            match chunk {
                ModelChunk::Text(piece) => text += piece.len(),
                ModelChunk::Stop(_) => complete = true,
                _ => {}
            }
        }
    }
    if !complete {
        reader.on_end(&mut chunks).map_err(|error| unexpected(&error.to_string()))?;
    }
    let elapsed = began.elapsed();
    if text == 0 || text % TEXT.len() != 0 {
        return Err(unexpected("text is missing"));
    }
    Ok(bytes.len() as f64 / 1e6 / elapsed.as_secs_f64())
}

/// A long answer in the frames of a vendor.
fn stream_of(provider: Provider) -> Vec<u8> {
    let (begin, piece, end) = match provider {
        Provider::Anthropic => anthropic(),
        Provider::Openai => responses(),
        Provider::Google => gemini(),
        _ => chat(),
    };
    let mut bytes = begin.into_bytes();
    while bytes.len() < STREAM_SIZE_BYTES {
        bytes.extend_from_slice(piece.as_bytes());
    }
    bytes.extend_from_slice(end.as_bytes());
    bytes
}

fn named(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or_default())
}

fn anthropic() -> (String, String, String) {
    let usage = json!({"input_tokens": 5, "output_tokens": 1});
    let message = json!({"id": "m", "role": "assistant", "content": [], "stop_reason": null, "usage": usage});
    let begin = named(&json!({"type": "message_start", "message": message}))
        + &named(&json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}));
    let delta = json!({"type": "text_delta", "text": TEXT});
    let piece = named(&json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    let stop = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}});
    (begin, piece, named(&stop) + &named(&json!({"type": "message_stop"})))
}

fn responses() -> (String, String, String) {
    let piece = json!({"type": "response.output_text.delta", "sequence_number": 4, "item_id": "msg_1",
        "output_index": 0, "content_index": 0, "delta": TEXT});
    let usage = json!({"input_tokens": 5, "output_tokens": 2, "total_tokens": 7});
    let end = json!({"type": "response.completed", "response": {"status": "completed", "usage": usage}});
    (String::new(), named(&piece), named(&end))
}

fn chat() -> (String, String, String) {
    let chunk = |delta: Value, reason: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        format!("data: {}\n\n", json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}))
    };
    let end = chunk(json!({}), Some("stop")) + "data: [DONE]\n\n";
    (chunk(json!({"role": "assistant", "content": ""}), None), chunk(json!({"content": TEXT}), None), end)
}

fn gemini() -> (String, String, String) {
    let slice = |text: &str, reason: Option<&str>| {
        let mut candidate = json!({"content": {"role": "model", "parts": [{"text": text}]}, "index": 0});
        if let Some(reason) = reason {
            candidate["finishReason"] = json!(reason);
        }
        // The counts so far come with every slice.
        let counts = json!({"promptTokenCount": 6656, "totalTokenCount": 6656,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 6656}]});
        let slice =
            json!({"candidates": [candidate], "usageMetadata": counts, "modelVersion": "m", "responseId": "r1"});
        format!("data: {slice}\n\n")
    };
    (String::new(), slice(TEXT, None), slice("", Some("STOP")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_is_read_whole() {
        for provider in [Provider::Anthropic, Provider::Openai, Provider::Groq, Provider::Google] {
            let (begin, piece, end) = match provider {
                Provider::Anthropic => anthropic(),
                Provider::Openai => responses(),
                Provider::Google => gemini(),
                _ => chat(),
            };
            let bytes = Bytes::from(format!("{begin}{}{end}", piece.repeat(50)));
            assert!(read(provider, &bytes).is_ok_and(|speed| speed > 0.0), "{provider}");
            let cut = bytes.slice(..bytes.len() - end.len());
            assert!(read(provider, &cut).is_err(), "{provider}");
        }
    }
}
