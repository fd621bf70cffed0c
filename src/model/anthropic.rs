//! Anthropic Messages, version header `2023-06-01` and later (platform.claude.com, "Messages" and "Streaming").
//!
//! Complete only after `message_stop`. Usage comes in cumulative snapshots that overwrite each other.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use cobuild_protocol::value::{MessageRole, Usage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ask::Ask,
    endpoint::{ANTHROPIC_VERSION, Endpoint},
    usage,
    vendor_error::VendorError,
    wire::{self, Call, Wire},
};
use crate::project::model_provider::{ModelChunk, ModelError, StopReason};

/// Builds `POST /v1/messages`.
///
/// Two cache breakpoints: after the instructions, which never change, and after the files, which change when the
/// model edits them but not while one reply is continued or repaired.
pub(super) fn call(endpoint: &Endpoint, ask: &Ask) -> Result<Call, ModelError> {
    let mut body = json!({
        "model": ask.model.id,
        "max_tokens": ask.output_tokens_max,
        "stream": true,
        "messages": messages(ask),
    });
    if !ask.system.is_empty() {
        body["system"] = json!([cached(&ask.system)]);
    }
    if ask.show_reasoning {
        body["thinking"] = json!({"type": "adaptive", "display": "summarized"});
    }
    if let Some(effort) = ask.effort {
        body["output_config"] = json!({"effort": effort});
    }
    // Versions since the first refuse sampling parameters for every model.
    if endpoint.anthropic_version == ANTHROPIC_VERSION {
        for (name, value) in [
            ("temperature", ask.temperature.map(Value::from)),
            ("top_p", ask.top_p.map(Value::from)),
            ("top_k", ask.top_k.map(Value::from)),
        ] {
            if let Some(value) = value {
                body[name] = value;
            }
        }
    }
    Ok(Call { url: endpoint.url(&["v1", "messages"]), headers: wire::headers(endpoint)?, body })
}

fn messages(ask: &Ask) -> Vec<Value> {
    let last = ask.turns.len().saturating_sub(1);
    let message = |(at, turn): (usize, &crate::project::model_provider::Turn)| {
        let mut content = Vec::new();
        if at == 0
            && let Some(files) = &ask.files
        {
            content.push(cached(files));
        }
        if at == last {
            content.extend(ask.images.iter().map(|image| {
                let data = STANDARD.encode(&image.data);
                json!({"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": data}})
            }));
        }
        content.push(json!({"type": "text", "text": turn.text}));
        json!({"role": role(turn.role), "content": content})
    };
    ask.turns.iter().enumerate().map(message).collect()
}

fn cached(text: &str) -> Value {
    json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}})
}

fn role(role: MessageRole) -> &'static str {
    match role {
        MessageRole::User => "user",
        MessageRole::Assistant => "assistant",
    }
}

/// Reads one answer.
#[derive(Debug)]
pub struct State {
    endpoint: Arc<Endpoint>,
    usage: Usage,
    stop: Option<StopReason>,
    over: bool,
}

impl State {
    /// At the beginning of an answer.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, usage: Usage::default(), stop: None, over: false }
    }

    fn take_usage(&mut self, snapshot: Option<&Value>, out: &mut Vec<ModelChunk>) {
        if let Some(snapshot) = snapshot.filter(|snapshot| snapshot.is_object()) {
            usage::overwrite_anthropic(&mut self.usage, snapshot);
            out.push(ModelChunk::Usage(self.usage.clone()));
        }
    }
}

impl Wire for State {
    fn on_event(&mut self, _event: &str, data: &str, out: &mut Vec<ModelChunk>) -> Result<(), ModelError> {
        if self.over || data.is_empty() {
            return Ok(());
        }
        if let Some(text) = plain_text(data) {
            out.push(ModelChunk::Text(text));
            return Ok(());
        }
        let value = wire::parse(data, &self.endpoint)?;
        match value["type"].as_str().unwrap_or_default() {
            "message_start" => self.take_usage(value.pointer("/message/usage"), out),
            "content_block_start" => out.extend(block_text(&value["content_block"])),
            "content_block_delta" => out.extend(delta_text(&value["delta"])),
            "message_delta" => {
                self.take_usage(value.get("usage"), out);
                if let Some(reason) = value.pointer("/delta/stop_reason").and_then(Value::as_str) {
                    self.stop = Some(stop_reason(reason, &value["delta"], &self.endpoint));
                }
            }
            "message_stop" => {
                // Without a reason the answer may be anything; some proxies end a broken one like this.
                let stop = self.stop.take().ok_or(ModelError::Incomplete)?;
                self.over = true;
                out.push(ModelChunk::Stop(stop));
            }
            "error" => return Err(VendorError::read(None, &value).into_model_error(&self.endpoint)),
            // `ping`, `content_block_stop` and whatever comes to be: nothing to tell.
            _ => {}
        }
        Ok(())
    }
}

/// The text of an event that holds nothing else: nearly all do, and reading them this way is three times as fast.
fn plain_text(data: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Event<'a> {
        r#type: &'a str,
        #[serde(borrow)]
        delta: Delta<'a>,
    }
    #[derive(Deserialize)]
    struct Delta<'a> {
        r#type: &'a str,
        text: String,
    }
    let event: Event<'_> = serde_json::from_str(data).ok()?;
    let plain = event.r#type == "content_block_delta" && event.delta.r#type == "text_delta";
    (plain && !event.delta.text.is_empty()).then_some(event.delta.text)
}

fn block_text(block: &Value) -> Option<ModelChunk> {
    match block["type"].as_str()? {
        "text" => wire::text(block.get("text")).map(ModelChunk::Text),
        "thinking" => wire::text(block.get("thinking")).map(ModelChunk::Reasoning),
        _ => None,
    }
}

fn delta_text(delta: &Value) -> Option<ModelChunk> {
    match delta["type"].as_str()? {
        "text_delta" => wire::text(delta.get("text")).map(ModelChunk::Text),
        "thinking_delta" => wire::text(delta.get("thinking")).map(ModelChunk::Reasoning),
        _ => None,
    }
}

fn stop_reason(reason: &str, delta: &Value, endpoint: &Endpoint) -> StopReason {
    match reason {
        // A paused turn is one the vendor cut to keep a connection short.
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" => StopReason::Truncated,
        "refusal" => wire::refused(delta.pointer("/stop_details/category").and_then(Value::as_str), endpoint),
        // `end_turn` and `stop_sequence`; a `tool_use` cannot be, as we offer no tools.
        _ => StopReason::Complete,
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
        let endpoint = testing::endpoint(Provider::Anthropic);
        let call = call(&endpoint, &ask("anthropic/claude-sonnet-5-5")).expect("valid");
        assert_eq!(call.url.as_str(), "https://api.anthropic.com/v1/messages");
        assert_eq!(call.headers["x-api-key"], "test-key");
        assert_eq!(call.headers["anthropic-version"], "2023-06-01");
        assert_eq!(call.headers["accept"], "text/event-stream");
        let expected = json!({
            "model": "claude-sonnet-5-5", "max_tokens": 32000, "stream": true,
            "thinking": {"type": "adaptive", "display": "summarized"},
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": testing::FILES, "cache_control": {"type": "ephemeral"}},
                    {"type": "text", "text": "one"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
                {"role": "user", "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AQI="}},
                    {"type": "text", "text": "three"}]},
            ],
        });
        assert_eq!(call.body, expected);
    }

    #[test]
    fn the_newer_version_refuses_sampling_for_every_model() {
        let mut ask = ask("anthropic/claude-haiku-4-5");
        ask.temperature = Some(0.5);
        let mut endpoint = testing::endpoint(Provider::Anthropic);
        assert_eq!(call(&endpoint, &ask).expect("valid").body["temperature"], 0.5);
        endpoint.anthropic_version = "2026-10-21".to_owned();
        assert_eq!(call(&endpoint, &ask).expect("valid").body.get("temperature"), None);
    }

    fn read(frames: &[Value]) -> Result<Vec<ModelChunk>, ModelError> {
        chunks(Provider::Anthropic, frames)
    }

    fn delta(reason: &str) -> Value {
        json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 7}})
    }

    #[test]
    fn an_answer() {
        let frames = [
            json!({"type": "message_start", "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 1}}}),
            json!({"type": "ping"}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x"}}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}}),
            json!({"type": "something_new", "delta": 1}),
            delta("end_turn"),
            json!({"type": "message_stop"}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "after the end"}}),
        ];
        let first =
            Usage { input_tokens: Some(5), output_tokens: Some(1), cache_read_tokens: Some(3), ..Usage::default() };
        let last = Usage { output_tokens: Some(7), ..first.clone() };
        let expected = [
            ModelChunk::Usage(first),
            ModelChunk::Reasoning("hm".into()),
            ModelChunk::Text("Hello".into()),
            ModelChunk::Usage(last),
            ModelChunk::Stop(StopReason::Complete),
        ];
        assert_eq!(read(&frames).expect("complete"), expected);
    }

    #[test]
    fn reasons_to_stop() {
        let check = |delta: Value, expected: StopReason| {
            let chunks = read(&[delta, json!({"type": "message_stop"})]).expect("complete");
            assert_eq!(chunks.last(), Some(&ModelChunk::Stop(expected)));
        };
        check(delta("end_turn"), StopReason::Complete);
        check(delta("stop_sequence"), StopReason::Complete);
        check(delta("max_tokens"), StopReason::Truncated);
        check(delta("model_context_window_exceeded"), StopReason::Truncated);
        check(delta("refusal"), StopReason::Refused(None));
        let refusal =
            json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": {"category": "bio"}}});
        check(refusal, StopReason::Refused(Some("bio".into())));
    }

    #[test]
    fn only_message_stop_completes() {
        let text = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}});
        for frames in
            [vec![], vec![text.clone()], vec![text.clone(), delta("end_turn")], vec![json!({"type": "message_stop"})]]
        {
            assert!(matches!(read(&frames), Err(ModelError::Incomplete)), "{frames:?}");
        }
    }

    #[test]
    fn errors_inside_the_stream() {
        let check =
            |kind: &str| read(&[json!({"type": "error", "error": {"type": kind, "message": "m"}})]).expect_err("error");
        assert!(matches!(check("overloaded_error"), ModelError::Unavailable(_)));
        assert!(matches!(check("rate_limit_error"), ModelError::RateLimited { .. }));
        assert!(matches!(check("invalid_request_error"), ModelError::InvalidRequest(_)));
    }
}
