//! OpenAI Responses (developers.openai.com, "Responses" and "Streaming events").
//!
//! Complete only after `response.completed`, `.incomplete` or `.failed`; there is no `[DONE]`. Events are told apart by
//! `type` in the data. Nothing is stored with the vendor.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use cobuild_protocol::value::MessageRole;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ask::Ask,
    endpoint::Endpoint,
    usage,
    vendor_error::VendorError,
    wire::{self, Call, Wire},
};
use crate::project::model_provider::{ModelChunk, ModelError, StopReason, Turn};

/// Builds `POST /responses`. Caching is automatic: the order of the parts is what keeps it warm.
pub(super) fn call(endpoint: &Endpoint, ask: &Ask) -> Result<Call, ModelError> {
    let mut body = json!({
        "model": ask.model.id,
        "stream": true,
        "store": false,
        "input": input(ask),
    });
    let mut reasoning = json!({});
    if let Some(effort) = ask.effort {
        reasoning["effort"] = json!(effort);
    }
    if ask.show_reasoning {
        reasoning["summary"] = json!("auto");
    }
    for (name, value) in [
        ("instructions", (!ask.system.is_empty()).then(|| json!(ask.system))),
        ("max_output_tokens", ask.output_tokens_max.map(Value::from)),
        ("reasoning", (reasoning != json!({})).then_some(reasoning)),
        ("temperature", ask.temperature.map(Value::from)),
        ("top_p", ask.top_p.map(Value::from)),
    ] {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    Ok(Call { url: endpoint.url(&["responses"]), headers: wire::headers(endpoint)?, body })
}

fn input(ask: &Ask) -> Vec<Value> {
    let last = ask.turns.len().saturating_sub(1);
    let item = |(at, turn): (usize, &Turn)| match turn.role {
        MessageRole::Assistant => {
            json!({"role": "assistant", "content": [{"type": "output_text", "text": turn.text}]})
        }
        MessageRole::User => {
            let mut content = Vec::new();
            if at == 0
                && let Some(files) = &ask.files
            {
                content.push(json!({"type": "input_text", "text": files}));
            }
            if at == last {
                content.extend(ask.images.iter().map(|image| {
                    let url = format!("data:{};base64,{}", image.media_type, STANDARD.encode(&image.data));
                    json!({"type": "input_image", "image_url": url})
                }));
            }
            content.push(json!({"type": "input_text", "text": turn.text}));
            json!({"role": "user", "content": content})
        }
    };
    ask.turns.iter().enumerate().map(item).collect()
}

/// Reads one answer.
#[derive(Debug)]
pub struct State {
    endpoint: Arc<Endpoint>,
    refused: bool,
    over: bool,
}

impl State {
    /// At the beginning of an answer.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, refused: false, over: false }
    }

    fn finish(&mut self, response: &Value, stop: StopReason, out: &mut Vec<ModelChunk>) {
        self.over = true;
        let used = response.get("usage").and_then(usage::from_responses);
        out.extend(used.map(ModelChunk::Usage));
        out.push(ModelChunk::Stop(if self.refused { StopReason::Refused(None) } else { stop }));
    }
}

impl Wire for State {
    fn on_event(&mut self, _event: &str, data: &str, out: &mut Vec<ModelChunk>) -> Result<(), ModelError> {
        // Proxies that speak Chat at heart add the other wire's marker; it says nothing here.
        if self.over || data.is_empty() || data == "[DONE]" {
            return Ok(());
        }
        if let Some(text) = plain_text(data) {
            out.push(ModelChunk::Text(text));
            return Ok(());
        }
        let value = wire::parse(data, &self.endpoint)?;
        let response = &value["response"];
        match value["type"].as_str().unwrap_or_default() {
            "response.output_text.delta" => out.extend(wire::text(value.get("delta")).map(ModelChunk::Text)),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                out.extend(wire::text(value.get("delta")).map(ModelChunk::Reasoning));
            }
            "response.refusal.delta" => {
                self.refused = true;
                out.extend(wire::text(value.get("delta")).map(ModelChunk::Text));
            }
            terminal @ ("response.completed" | "response.incomplete" | "response.failed") => {
                // Some servers name every end `completed` and tell the truth in the status.
                let status = response["status"].as_str().unwrap_or(terminal.trim_start_matches("response."));
                match (terminal, status) {
                    ("response.failed", _) | (_, "failed" | "cancelled") => {
                        out.extend(response.get("usage").and_then(usage::from_responses).map(ModelChunk::Usage));
                        return Err(VendorError::read(None, response).into_model_error(&self.endpoint));
                    }
                    ("response.incomplete", _) | (_, "incomplete") => self.finish(response, incomplete(response), out),
                    _ => self.finish(response, StopReason::Complete, out),
                }
            }
            "error" => return Err(VendorError::read(None, &value).into_model_error(&self.endpoint)),
            _ => {
                if let Some(error) = wire::reported_error(&value, &self.endpoint) {
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// The text of an event that holds nothing else: nearly all do, and reading them this way is three times as fast.
fn plain_text(data: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Event<'a> {
        r#type: &'a str,
        delta: String,
    }
    let event: Event<'_> = serde_json::from_str(data).ok()?;
    (event.r#type == "response.output_text.delta" && !event.delta.is_empty()).then_some(event.delta)
}

fn incomplete(response: &Value) -> StopReason {
    match response.pointer("/incomplete_details/reason").and_then(Value::as_str) {
        Some("content_filter") => StopReason::Refused(Some("content_filter".into())),
        _ => StopReason::Truncated,
    }
}

#[cfg(test)]
mod tests {
    use cobuild_protocol::value::Usage;

    use super::*;
    use crate::model::{
        provider::Provider,
        testing::{self, ask, chunks},
    };

    #[test]
    fn the_request() {
        let endpoint = testing::endpoint(Provider::Openai);
        let call = call(&endpoint, &ask("openai/gpt-6.1-sol")).expect("valid");
        assert_eq!(call.url.as_str(), "https://api.openai.com/v1/responses");
        assert_eq!(call.headers["authorization"], "Bearer test-key");
        let expected = json!({
            "model": "gpt-6.1-sol", "stream": true, "store": false, "instructions": "Be brief.",
            "max_output_tokens": 32000,
            "input": [
                {"role": "user", "content": [
                    {"type": "input_text", "text": testing::FILES}, {"type": "input_text", "text": "one"}]},
                {"role": "assistant", "content": [{"type": "output_text", "text": "two"}]},
                {"role": "user", "content": [
                    {"type": "input_image", "image_url": "data:image/png;base64,AQI="},
                    {"type": "input_text", "text": "three"}]},
            ],
        });
        assert_eq!(call.body, expected);
    }

    #[test]
    fn parameters_are_sent_when_the_ask_has_them() {
        let mut ask = ask("openai/gpt-6-luna");
        ask.effort = Some(crate::project::model_provider::ReasoningEffort::None);
        ask.temperature = Some(0.5);
        ask.show_reasoning = true;
        let body = call(&testing::endpoint(Provider::Openai), &ask).expect("valid").body;
        assert_eq!(
            (&body["reasoning"], &body["temperature"]),
            (&json!({"effort": "none", "summary": "auto"}), &json!(0.5))
        );
    }

    fn read(frames: &[Value]) -> Result<Vec<ModelChunk>, ModelError> {
        chunks(Provider::Openai, frames)
    }

    fn text(delta: &str) -> Value {
        json!({"type": "response.output_text.delta", "sequence_number": 4, "delta": delta})
    }

    #[test]
    fn an_answer() {
        let used = json!({"input_tokens": 5, "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
            "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 7});
        let frames = [
            json!({"type": "response.created", "response": {"status": "in_progress", "error": null}}),
            json!({"type": "response.reasoning_summary_text.delta", "delta": "hm"}),
            text("Hel"),
            text("lo"),
            json!({"type": "response.completed", "response": {"status": "completed", "usage": used}}),
        ];
        let usage = Usage {
            input_tokens: Some(2),
            output_tokens: Some(2),
            cache_read_tokens: Some(3),
            cache_write_tokens: Some(0),
            reasoning_tokens: Some(1),
            ..Usage::default()
        };
        let expected = [
            ModelChunk::Reasoning("hm".into()),
            ModelChunk::Text("Hel".into()),
            ModelChunk::Text("lo".into()),
            ModelChunk::Usage(usage),
            ModelChunk::Stop(StopReason::Complete),
        ];
        assert_eq!(read(&frames).expect("complete"), expected);
    }

    #[test]
    fn reasons_to_stop() {
        let check = |frames: &[Value], expected: StopReason| {
            assert_eq!(read(frames).expect("over").last(), Some(&ModelChunk::Stop(expected)));
        };
        let incomplete = |reason: &str| json!({"type": "response.incomplete", "response": {"incomplete_details": {"reason": reason}}});
        check(&[incomplete("max_output_tokens")], StopReason::Truncated);
        check(&[incomplete("content_filter")], StopReason::Refused(Some("content_filter".into())));
        let status = json!({"type": "response.completed", "response": {"status": "incomplete"}});
        check(&[status], StopReason::Truncated);
        let refusal = json!({"type": "response.refusal.delta", "delta": "I can't"});
        check(&[refusal, json!({"type": "response.completed", "response": {}})], StopReason::Refused(None));
    }

    #[test]
    fn only_a_terminal_event_completes() {
        for frames in [vec![], vec![text("Hel")], vec![json!({"type": "response.output_text.done", "text": "Hello"})]] {
            assert!(matches!(read(&frames), Err(ModelError::Incomplete)), "{frames:?}");
        }
    }

    #[test]
    fn errors_inside_the_stream() {
        let failed = json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "m"}}});
        assert!(matches!(read(&[failed]), Err(ModelError::RateLimited { .. })));
        let error = json!({"type": "error", "code": "server_error", "message": "m", "param": null});
        assert!(matches!(read(&[text("Hel"), error]), Err(ModelError::Unavailable(_))));
    }
}
