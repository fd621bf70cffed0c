//! Gemini's native wire, `streamGenerateContent?alt=sse` (ai.google.dev, "Generating content").
//!
//! Complete only after a candidate with `finishReason`, or refused by `promptFeedback.blockReason`. The body's
//! `usageMetadata` may come on every chunk; the last one counts. There is no marker after the last chunk, so the answer
//! is over when the bytes end.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use cobuild_protocol::value::{MessageRole, Usage};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{
    ask::Ask,
    endpoint::Endpoint,
    usage::{self, GeminiCounts},
    wire::{self, Call, Wire},
};
use crate::project::model_provider::{ModelChunk, ModelError, ReasoningEffort, StopReason, Turn};

/// Builds `POST /v1beta/models/{id}:streamGenerateContent?alt=sse`. Caching is implicit.
pub(super) fn call(endpoint: &Endpoint, ask: &Ask) -> Result<Call, ModelError> {
    let mut thinking = json!({});
    if let Some(level) = ask.effort.and_then(level) {
        thinking["thinkingLevel"] = json!(level);
    }
    if ask.show_reasoning {
        thinking["includeThoughts"] = json!(true);
    }
    let mut config = json!({});
    for (name, value) in [
        ("maxOutputTokens", ask.output_tokens_max.map(Value::from)),
        ("temperature", ask.temperature.map(Value::from)),
        ("topP", ask.top_p.map(Value::from)),
        ("topK", ask.top_k.map(Value::from)),
        ("thinkingConfig", (thinking != json!({})).then_some(thinking)),
    ] {
        if let Some(value) = value {
            config[name] = value;
        }
    }
    let mut body = json!({"contents": contents(ask), "generationConfig": config});
    if !ask.system.is_empty() {
        body["systemInstruction"] = json!({"parts": [{"text": ask.system}]});
    }
    let mut url = endpoint.url(&["v1beta", "models", &format!("{}:streamGenerateContent", ask.model.id)]);
    url.set_query(Some("alt=sse"));
    Ok(Call { url, headers: wire::headers(endpoint)?, body })
}

/// The vendor knows four levels.
fn level(effort: ReasoningEffort) -> Option<&'static str> {
    match effort {
        ReasoningEffort::Minimal => Some("MINIMAL"),
        ReasoningEffort::Low => Some("LOW"),
        ReasoningEffort::Medium => Some("MEDIUM"),
        ReasoningEffort::High => Some("HIGH"),
        ReasoningEffort::None | ReasoningEffort::Xhigh | ReasoningEffort::Max => None,
    }
}

fn contents(ask: &Ask) -> Vec<Value> {
    let last = ask.turns.len().saturating_sub(1);
    let content = |(at, turn): (usize, &Turn)| {
        let role = match turn.role {
            MessageRole::User => "user",
            MessageRole::Assistant => "model",
        };
        let mut parts = Vec::new();
        if at == 0
            && let Some(files) = &ask.files
        {
            parts.push(json!({"text": files}));
        }
        if at == last {
            parts.extend(ask.images.iter().map(
                |image| json!({"inlineData": {"mimeType": image.media_type, "data": STANDARD.encode(&image.data)}}),
            ));
        }
        parts.push(json!({"text": turn.text}));
        json!({"role": role, "parts": parts})
    };
    ask.turns.iter().enumerate().map(content).collect()
}

/// Reads one answer.
#[derive(Debug)]
pub struct State {
    endpoint: Arc<Endpoint>,
    stop: Option<StopReason>,
    usage: Option<Usage>,
    continuation: Option<String>,
    continues: bool,
}

impl State {
    /// At the beginning of an answer.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, stop: None, usage: None, continuation: None, continues: false }
    }

    /// The counts come with nearly every slice and mostly say the same again.
    fn take_usage(&mut self, read: Option<Usage>, out: &mut Vec<ModelChunk>) {
        if let Some(read) = read
            && self.usage.as_ref() != Some(&read)
        {
            self.usage = Some(read.clone());
            out.push(ModelChunk::Usage(read));
        }
    }

    /// Any slice, as a tree of JSON.
    fn take_slice(&mut self, data: &str, out: &mut Vec<ModelChunk>) -> Result<(), ModelError> {
        let value = wire::parse(data, &self.endpoint)?;
        if let Some(error) = wire::reported_error(&value, &self.endpoint) {
            return Err(error);
        }
        if let Some(candidate) = value.pointer("/candidates/0") {
            self.take_candidate(candidate, out);
            // A token without a reason to finish is a checkpoint, not the end.
            let token = wire::text(value.get("continuationToken"));
            self.continuation =
                token.or_else(|| wire::text(candidate.get("continuationToken"))).or(self.continuation.take());
        }
        if let Some(reason) = value.pointer("/promptFeedback/blockReason").and_then(Value::as_str) {
            self.stop = Some(wire::refused(Some(reason), &self.endpoint));
        }
        self.take_usage(value.get("usageMetadata").and_then(usage::from_gemini), out);
        Ok(())
    }

    fn take_candidate(&mut self, candidate: &Value, out: &mut Vec<ModelChunk>) {
        for part in candidate.pointer("/content/parts").and_then(Value::as_array).into_iter().flatten() {
            let Some(text) = wire::text(part.get("text")) else { continue };
            let thought = part.get("thought").and_then(Value::as_bool).unwrap_or(false);
            out.push(if thought { ModelChunk::Reasoning(text) } else { ModelChunk::Text(text) });
        }
        if let Some(reason) = candidate.get("finishReason").and_then(Value::as_str) {
            self.continues = reason == "CONTINUATION";
            self.stop = Some(match reason {
                "STOP" => StopReason::Complete,
                "MAX_TOKENS" | "CONTINUATION" => StopReason::Truncated,
                filtered => wire::refused(Some(filtered), &self.endpoint),
            });
        }
    }
}

impl Wire for State {
    fn on_event(&mut self, _event: &str, data: &str, out: &mut Vec<ModelChunk>) -> Result<(), ModelError> {
        if data.is_empty() {
            return Ok(());
        }
        match plain_text(data) {
            Some((parts, counts)) => {
                out.extend(parts.into_iter().filter_map(Part::chunk));
                self.take_usage(counts.and_then(|counts| counts.usage()), out);
                Ok(())
            }
            None => self.take_slice(data, out),
        }
    }

    fn on_end(&mut self, out: &mut Vec<ModelChunk>) -> Result<(), ModelError> {
        let stop = self.stop.take().ok_or(ModelError::Incomplete)?;
        out.push(ModelChunk::Stop(stop));
        Ok(())
    }

    fn continuation(&self) -> Option<String> {
        self.continuation.clone().filter(|_| self.continues)
    }
}

/// The parts and counts of a slice that holds nothing else: nearly all do, and reading them this way is twice as
/// fast.
fn plain_text(data: &str) -> Option<(Vec<Part>, Option<GeminiCounts>)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Slice {
        candidates: [Candidate; 1],
        usage_metadata: Option<GeminiCounts>,
        error: Option<IgnoredAny>,
        prompt_feedback: Option<IgnoredAny>,
        continuation_token: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Candidate {
        content: Content,
        finish_reason: Option<IgnoredAny>,
        continuation_token: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Content {
        parts: Vec<Part>,
    }
    let slice: Slice = serde_json::from_str(data).ok()?;
    let Slice { candidates, usage_metadata, error: None, prompt_feedback: None, continuation_token: None } = slice
    else {
        return None;
    };
    let [Candidate { content, finish_reason: None, continuation_token: None }] = candidates else { return None };
    Some((content.parts, usage_metadata))
}

/// A part of a plain slice; what else it may hold (signatures, calls) is nothing to tell.
#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
    #[serde(default)]
    thought: bool,
}

impl Part {
    fn chunk(self) -> Option<ModelChunk> {
        let of_kind = if self.thought { ModelChunk::Reasoning } else { ModelChunk::Text };
        (!self.text.is_empty()).then(|| of_kind(self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        provider::Provider,
        testing::{self, ask, chunks},
    };

    #[test]
    fn the_request() {
        let endpoint = testing::endpoint(Provider::Google);
        let mut ask = ask("google/gemini-4-argon");
        ask.effort = Some(ReasoningEffort::Low);
        let call = call(&endpoint, &ask).expect("valid");
        let url =
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-4-argon:streamGenerateContent?alt=sse";
        assert_eq!(call.url.as_str(), url);
        assert_eq!(call.headers["x-goog-api-key"], "test-key");
        let expected = json!({
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "generationConfig": {"maxOutputTokens": 32000,
                "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": true}},
            "contents": [
                {"role": "user", "parts": [{"text": testing::FILES}, {"text": "one"}]},
                {"role": "model", "parts": [{"text": "two"}]},
                {"role": "user", "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": "AQI="}}, {"text": "three"}]},
            ],
        });
        assert_eq!(call.body, expected);
    }

    fn read(frames: &[Value]) -> Result<Vec<ModelChunk>, ModelError> {
        chunks(Provider::Google, frames)
    }

    fn text(text: &str) -> Value {
        json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}]})
    }

    fn finish(reason: &str) -> Value {
        json!({"candidates": [{"index": 0, "finishReason": reason}]})
    }

    #[test]
    fn an_answer() {
        let frames = [
            json!({"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}, {"text": "Hel"}]}}],
                "usageMetadata": {"promptTokenCount": 5}}),
            json!({"candidates": [{"content": {"parts": [{"text": "lo"}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 2,
                    "cachedContentTokenCount": 1, "totalTokenCount": 10}}),
        ];
        let first = Usage { input_tokens: Some(5), output_tokens: Some(0), ..Usage::default() };
        let last = Usage {
            input_tokens: Some(4),
            output_tokens: Some(5),
            cache_read_tokens: Some(1),
            reasoning_tokens: Some(2),
            ..Usage::default()
        };
        let expected = [
            ModelChunk::Reasoning("hm".into()),
            ModelChunk::Text("Hel".into()),
            ModelChunk::Usage(first),
            ModelChunk::Text("lo".into()),
            ModelChunk::Usage(last),
            ModelChunk::Stop(StopReason::Complete),
        ];
        assert_eq!(read(&frames).expect("complete"), expected);
    }

    #[test]
    fn reasons_to_stop() {
        let check = |frame: Value, expected: StopReason| {
            assert_eq!(read(&[frame]).expect("complete").last(), Some(&ModelChunk::Stop(expected)));
        };
        check(finish("STOP"), StopReason::Complete);
        check(finish("MAX_TOKENS"), StopReason::Truncated);
        check(finish("CONTINUATION"), StopReason::Truncated);
        for reason in ["SAFETY", "RECITATION", "MALFORMED_FUNCTION_CALL", "SOMETHING_NEW"] {
            check(finish(reason), StopReason::Refused(Some(reason.into())));
        }
        check(json!({"promptFeedback": {"blockReason": "SAFETY"}}), StopReason::Refused(Some("SAFETY".into())));
    }

    #[test]
    fn a_token_continues_only_after_its_reason() {
        let token = |frames: &[Value]| {
            let mut state = State::new(Arc::new(testing::endpoint(Provider::Google)));
            for frame in frames {
                state.on_event("message", &frame.to_string(), &mut Vec::new()).expect("valid");
            }
            state.continuation()
        };
        let checkpoint = json!({"candidates": [{"index": 0}], "continuationToken": "t1"});
        let end = json!({"candidates": [{"finishReason": "CONTINUATION"}], "continuationToken": "t2"});
        assert_eq!(token(std::slice::from_ref(&checkpoint)), None);
        assert_eq!(token(&[checkpoint.clone(), finish("STOP")]), None);
        assert_eq!(token(&[checkpoint.clone(), end]).as_deref(), Some("t2"));
        assert_eq!(token(&[checkpoint, finish("CONTINUATION")]).as_deref(), Some("t1"));
    }

    #[test]
    fn a_plain_slice_is_read_as_any_other() {
        let parts = [
            json!([{"text": "a"}]),
            json!([{"text": "a\n\"ü😀\u{0}", "thought": false}, {"text": ""}, {"text": "b", "thought": true}]),
            json!([{"text": "a", "thoughtSignature": "x"}, {"functionCall": {"name": "f", "args": {}}}]),
            json!([{"text": null}, {"text": 1, "thought": "yes"}, 3, null]),
            json!([]),
            json!("none"),
        ];
        let counts = [
            json!(null),
            json!({"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 2, "cachedContentTokenCount": 9}),
            json!({"candidatesTokenCount": 3}),
            json!({"promptTokenCount": -1}),
            json!({"promptTokenCount": 5.5, "candidatesTokenCount": null}),
            json!([1]),
        ];
        let others = [
            json!({}),
            json!({"modelVersion": "m", "responseId": "r", "usageMetadata": null, "error": null}),
            json!({"promptFeedback": {"blockReason": "SAFETY"}}),
            json!({"promptFeedback": {}}),
            json!({"continuationToken": "t"}),
            json!({"error": {"code": 503, "status": "UNAVAILABLE"}}),
        ];
        let mut plain = 0;
        for ((parts, counts), other) in parts
            .iter()
            .flat_map(|p| counts.iter().map(move |c| (p, c)))
            .flat_map(|pair| others.iter().map(move |other| (pair, other)))
        {
            for candidate in [json!({}), json!({"finishReason": "STOP"}), json!({"finishReason": null, "index": 0})] {
                let mut candidate = candidate;
                candidate["content"] = json!({"parts": parts, "role": "model"});
                let mut slice = other.clone();
                slice["candidates"] = json!([candidate]);
                if !counts.is_null() {
                    slice["usageMetadata"] = counts.clone();
                }
                let data = slice.to_string();
                plain += usize::from(plain_text(&data).is_some());
                let read = |read: fn(&mut State, &str, &mut Vec<ModelChunk>) -> Result<(), ModelError>| {
                    let mut state = State::new(Arc::new(testing::endpoint(Provider::Google)));
                    let mut out = Vec::new();
                    let outcome = read(&mut state, &data, &mut out).map_err(|error| error.to_string());
                    (outcome, out, state.stop, state.usage, state.continuation, state.continues)
                };
                let any = read(|state, data, out| state.take_slice(data, out));
                assert_eq!(read(|state, data, out| state.on_event("message", data, out)), any, "{data}");
            }
        }
        assert!(plain > 40, "{plain} of them are plain");
    }

    #[test]
    fn only_a_finish_reason_completes() {
        for frames in [vec![], vec![text("Hel")], vec![json!({"usageMetadata": {"promptTokenCount": 5}})]] {
            assert!(matches!(read(&frames), Err(ModelError::Incomplete)), "{frames:?}");
        }
    }

    #[test]
    fn errors_inside_the_stream() {
        let error = json!({"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}});
        assert!(matches!(read(&[text("Hel"), error]), Err(ModelError::Unavailable(_))));
    }
}
