//! OpenAI Chat Completions as Groq, OpenRouter and the many compatible servers speak it.
//!
//! Complete only after a `finish_reason` that is not `error`; then reading goes on to `[DONE]`, because usage comes in
//! between. OpenAI itself is asked on the Responses wire.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use cobuild_protocol::value::{MessageRole, Usage};
use reqwest::header::HeaderValue;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{
    ask::Ask,
    endpoint::Endpoint,
    provider::Provider,
    think_tags::ThinkTags,
    usage,
    vendor_error::VendorError,
    wire::{self, Call, Wire},
};
use crate::project::model_provider::{ModelChunk, ModelError, StopReason};

/// Builds `POST {base}/chat/completions`.
pub(super) fn call(endpoint: &Endpoint, ask: &Ask) -> Result<Call, ModelError> {
    let mut body = json!({
        "model": ask.model.id,
        "stream": true,
        "stream_options": {"include_usage": true},
        "messages": messages(ask),
    });
    // Groq calls the older name deprecated; most local servers know no other.
    let cap = if endpoint.provider == Provider::Groq { "max_completion_tokens" } else { "max_tokens" };
    for (name, value) in [
        (cap, ask.output_tokens_max.map(Value::from)),
        ("temperature", ask.temperature.map(Value::from)),
        ("top_p", ask.top_p.map(Value::from)),
        ("top_k", ask.top_k.filter(|_| endpoint.provider != Provider::Groq).map(Value::from)),
    ] {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    if let Some(effort) = ask.effort {
        match endpoint.provider {
            Provider::Openrouter => body["reasoning"] = json!({"effort": effort}),
            _ => body["reasoning_effort"] = json!(effort),
        }
    }
    let mut headers = wire::headers(endpoint)?;
    if endpoint.provider == Provider::Openrouter {
        headers.insert("x-title", HeaderValue::from_static("Cobuild"));
    }
    Ok(Call { url: endpoint.url(&["chat", "completions"]), headers, body })
}

fn messages(ask: &Ask) -> Vec<Value> {
    // Sticky routing keeps other caches warm by itself; Claude behind OpenRouter needs to be told where.
    let marked = ask.model.provider == Provider::Openrouter && ask.model.id.starts_with("anthropic/");
    let mut messages = Vec::new();
    if !ask.system.is_empty() {
        let content = if marked { json!([text_part(&ask.system, true)]) } else { json!(ask.system) };
        messages.push(json!({"role": "system", "content": content}));
    }
    let last = ask.turns.len().saturating_sub(1);
    for (at, turn) in ask.turns.iter().enumerate() {
        let role = match turn.role {
            MessageRole::User => "user",
            MessageRole::Assistant => "assistant",
        };
        let mut parts = Vec::new();
        if at == 0
            && let Some(files) = &ask.files
        {
            parts.push(text_part(files, marked));
        }
        if at == last {
            parts.extend(ask.images.iter().map(|image| {
                let url = format!("data:{};base64,{}", image.media_type, STANDARD.encode(&image.data));
                json!({"type": "image_url", "image_url": {"url": url}})
            }));
        }
        // Older templates take a plain text only, so parts are for what needs them.
        let content = match (parts.as_slice(), &ask.files) {
            ([], _) => json!(turn.text),
            ([_], Some(files)) if at == 0 && !marked && ask.images.is_empty() => {
                json!(format!("{files}\n{}", turn.text))
            }
            _ => {
                parts.push(text_part(&turn.text, false));
                json!(parts)
            }
        };
        messages.push(json!({"role": role, "content": content}));
    }
    messages
}

fn text_part(text: &str, marked: bool) -> Value {
    let mut part = json!({"type": "text", "text": text});
    if marked {
        part["cache_control"] = json!({"type": "ephemeral"});
    }
    part
}

/// Reads one answer.
#[derive(Debug)]
pub struct State {
    endpoint: Arc<Endpoint>,
    stop: Option<StopReason>,
    usage: Option<Usage>,
    think: ThinkTags,
    /// Whether a chunk has said which model answers.
    named: bool,
    refused: bool,
    over: bool,
}

impl State {
    /// At the beginning of this model's answer.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, model: &str) -> Self {
        let mut think = ThinkTags::default();
        think.answer_of(model);
        Self { endpoint, stop: None, usage: None, think, named: false, refused: false, over: false }
    }

    fn finish(&mut self, out: &mut Vec<ModelChunk>) -> Result<(), ModelError> {
        self.think.finish(self.stop == Some(StopReason::Complete), out);
        let stop = self.stop.take().ok_or(ModelError::Incomplete)?;
        self.over = true;
        out.push(ModelChunk::Stop(if self.refused { StopReason::Refused(None) } else { stop }));
        Ok(())
    }

    /// Groq has put usage into `x_groq`, others at the top; a server may send it more than once.
    fn take_usage(&mut self, value: &Value, out: &mut Vec<ModelChunk>) {
        let places = [value.get("usage"), value.pointer("/x_groq/usage")];
        let Some(read) = places.into_iter().flatten().find_map(usage::from_chat) else { return };
        if self.usage.as_ref() != Some(&read) {
            self.usage = Some(read.clone());
            out.push(ModelChunk::Usage(read));
        }
    }

    fn take_choice(&mut self, choice: &Value, out: &mut Vec<ModelChunk>) -> Result<(), ModelError> {
        let delta = &choice["delta"];
        let reasoning = wire::text(delta.get("reasoning")).or_else(|| wire::text(delta.get("reasoning_content")));
        if let Some(reasoning) = reasoning {
            self.reason(reasoning, out);
        }
        match delta.get("content") {
            Some(Value::Array(parts)) => parts.iter().for_each(|part| self.take_part(part, out)),
            content => {
                if let Some(content) = wire::text(content) {
                    self.think.push(content, out);
                }
            }
        }
        if let Some(refusal) = wire::text(delta.get("refusal")) {
            self.refused = true;
            out.push(ModelChunk::Text(refusal));
        }
        match choice.get("finish_reason").and_then(Value::as_str) {
            // Some gateways send an empty one with every piece.
            None | Some("") => {}
            Some("error") => return Err(VendorError::default().into_model_error(&self.endpoint)),
            Some("length") => self.stop = Some(StopReason::Truncated),
            Some("content_filter") => self.stop = Some(StopReason::Refused(Some("content_filter".into()))),
            Some(_) => self.stop = Some(StopReason::Complete),
        }
        Ok(())
    }
}

impl State {
    /// One part of a content that is a list, as Mistral's reasoning models send it: `{"type": "text", "text": …}` or
    /// `{"type": "thinking", "thinking": [{"type": "text", "text": …}]}`. Others (references, say) have no text.
    fn take_part(&mut self, part: &Value, out: &mut Vec<ModelChunk>) {
        let thinking = part.get("thinking");
        let thoughts = thinking.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for thought in thoughts.iter().map(|thought| thought.get("text")).chain([thinking]) {
            if let Some(thought) = wire::text(thought) {
                self.reason(thought, out);
            }
        }
        if let Some(text) = wire::text(part.get("text")).or_else(|| wire::text(Some(part))) {
            self.think.push(text, out);
        }
    }

    fn reason(&mut self, reasoning: String, out: &mut Vec<ModelChunk>) {
        self.think.told_apart();
        out.push(ModelChunk::Reasoning(reasoning));
    }
}

impl Wire for State {
    fn on_event(&mut self, _event: &str, data: &str, out: &mut Vec<ModelChunk>) -> Result<(), ModelError> {
        if self.over || data.is_empty() {
            return Ok(());
        }
        if data == "[DONE]" {
            return self.finish(out);
        }
        // The first chunks are read whole: they say which model it is, where the server says it at all.
        if (self.named || self.think.has_begun())
            && let Some(text) = plain_text(data)
        {
            self.think.push(text, out);
            return Ok(());
        }
        let value = wire::parse(data, &self.endpoint)?;
        let groq = value.get("x_groq").and_then(|groq| wire::reported_error(groq, &self.endpoint));
        if let Some(error) = wire::reported_error(&value, &self.endpoint).or(groq) {
            return Err(error);
        }
        if let Some(model) = value.get("model").and_then(Value::as_str)
            && !self.named
            && !model.is_empty()
        {
            self.named = true;
            self.think.answer_of(model);
        }
        // We ask for one choice; should more come, they are other answers.
        if let Some(choice) = value.pointer("/choices/0")
            && choice["index"].as_u64().unwrap_or(0) == 0
        {
            self.take_choice(choice, out)?;
        }
        self.take_usage(&value, out);
        Ok(())
    }

    fn on_end(&mut self, out: &mut Vec<ModelChunk>) -> Result<(), ModelError> {
        self.finish(out)
    }
}

/// The text of a chunk that holds nothing else: nearly all do, and reading them this way is three times as fast.
fn plain_text(data: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Chunk {
        choices: [Choice; 1],
        error: Option<IgnoredAny>,
        usage: Option<IgnoredAny>,
        x_groq: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Choice {
        #[serde(default)]
        index: u64,
        delta: Delta,
        finish_reason: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Delta {
        content: String,
        reasoning: Option<IgnoredAny>,
        reasoning_content: Option<IgnoredAny>,
        refusal: Option<IgnoredAny>,
    }
    let Chunk { choices: [choice], error: None, usage: None, x_groq: None } = serde_json::from_str(data).ok()? else {
        return None;
    };
    let Choice { index: 0, finish_reason: None, delta } = choice else { return None };
    let Delta { content, reasoning: None, reasoning_content: None, refusal: None } = delta else { return None };
    (!content.is_empty()).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{self, ask, chunks};

    fn body(provider: Provider, model: &str) -> Value {
        let mut ask = ask(model);
        ask.images.clear();
        call(&testing::endpoint(provider), &ask).expect("valid").body
    }

    #[test]
    fn the_request() {
        let endpoint = testing::endpoint(Provider::Groq);
        let call = call(&endpoint, &ask("groq/openai/gpt-oss-120b")).expect("valid");
        assert_eq!(call.url.as_str(), "https://api.groq.com/openai/v1/chat/completions");
        assert_eq!(call.headers["authorization"], "Bearer test-key");
        let expected = json!({
            "model": "openai/gpt-oss-120b", "stream": true, "stream_options": {"include_usage": true},
            "max_completion_tokens": 32000,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": testing::FILES}, {"type": "text", "text": "one"}]},
                {"role": "assistant", "content": "two"},
                {"role": "user", "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQI="}},
                    {"type": "text", "text": "three"}]},
            ],
        });
        assert_eq!(call.body, expected);
    }

    #[test]
    fn servers_differ() {
        let local = body(Provider::Ollama, "ollama/qwen3:8b");
        assert_eq!(local["messages"][1]["content"], format!("{}\none", testing::FILES), "plain text only");
        assert_eq!(local["max_tokens"], 32000);
        let claude = body(Provider::Openrouter, "openrouter/anthropic/claude-opus-5.5");
        let mark = json!({"type": "ephemeral"});
        assert_eq!(claude["messages"][0]["content"][0]["cache_control"], mark);
        assert_eq!(claude["messages"][1]["content"][0]["cache_control"], mark);
        assert_eq!(claude["messages"][1]["content"][1], json!({"type": "text", "text": "one"}));
        let mut endpoint = testing::endpoint(Provider::Ollama);
        endpoint.key = None;
        let call = call(&endpoint, &ask("ollama/x")).expect("valid");
        assert!(!call.headers.contains_key("authorization"), "no key, no header");
    }

    #[test]
    fn efforts_have_two_spellings() {
        let mut ask = ask("groq/openai/gpt-oss-20b");
        ask.effort = Some(crate::project::model_provider::ReasoningEffort::Low);
        let body = |provider| call(&testing::endpoint(provider), &ask).expect("valid").body;
        assert_eq!(body(Provider::Groq)["reasoning_effort"], "low");
        assert_eq!(body(Provider::Openrouter)["reasoning"], json!({"effort": "low"}));
    }

    fn read(frames: &[Value]) -> Result<Vec<ModelChunk>, ModelError> {
        chunks(Provider::Groq, frames)
    }

    fn text(delta: &str) -> Value {
        json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": delta}, "finish_reason": null}]})
    }

    fn finish(reason: &str) -> Value {
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    }

    fn done() -> Value {
        json!("[DONE]")
    }

    fn used() -> Usage {
        Usage { input_tokens: Some(2), output_tokens: Some(2), cache_read_tokens: Some(3), ..Usage::default() }
    }

    fn usage_json() -> Value {
        json!({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}})
    }

    #[test]
    fn an_answer() {
        let frames = [
            json!({"choices": [{"index": 0, "delta": {"content": null, "reasoning": "hm"}}]}),
            json!({"choices": [{"index": 0, "delta": {"reasoning_content": "m"}}]}),
            text("Hel"),
            text("lo"),
            finish("stop"),
            json!({"choices": [], "usage": usage_json()}),
            done(),
        ];
        let expected = [
            ModelChunk::Reasoning("hm".into()),
            ModelChunk::Reasoning("m".into()),
            ModelChunk::Text("Hel".into()),
            ModelChunk::Text("lo".into()),
            ModelChunk::Usage(used()),
            ModelChunk::Stop(StopReason::Complete),
        ];
        assert_eq!(read(&frames).expect("complete"), expected);
    }

    #[test]
    fn reasoning_inside_the_content_is_no_answer() {
        let frames = [text("<th"), text("ink>hm</think>\n"), text("\nHel"), text("lo"), finish("stop"), done()];
        let expected = [
            ModelChunk::Reasoning("hm".into()),
            ModelChunk::Text("Hel".into()),
            ModelChunk::Text("lo".into()),
            ModelChunk::Stop(StopReason::Complete),
        ];
        assert_eq!(read(&frames).expect("complete"), expected);
        let cut = read(&[text("<"), finish("length"), done()]).expect("complete");
        assert_eq!(cut, [ModelChunk::Text("<".into()), ModelChunk::Stop(StopReason::Truncated)]);
    }

    #[test]
    fn content_may_be_a_list() {
        let list = |parts: Value| json!({"choices": [{"index": 0, "delta": {"content": parts}}]});
        let frames = [
            list(
                json!([{"type": "thinking", "thinking": [{"type": "text", "text": "h"}, {"type": "text", "text": "m"}]}]),
            ),
            list(json!([{"type": "thinking", "thinking": "."}, {"type": "text", "text": "Hel"}])),
            list(json!([{"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "l"}, "o"])),
            text("!"),
            finish("stop"),
            done(),
        ];
        let expected = [
            ModelChunk::Reasoning("h".into()),
            ModelChunk::Reasoning("m".into()),
            ModelChunk::Reasoning(".".into()),
            ModelChunk::Text("Hel".into()),
            ModelChunk::Text("l".into()),
            ModelChunk::Text("o".into()),
            ModelChunk::Text("!".into()),
            ModelChunk::Stop(StopReason::Complete),
        ];
        assert_eq!(read(&frames).expect("complete"), expected);
    }

    #[test]
    fn reasoning_that_the_prompt_began_is_no_answer() {
        let said = |model: &str, frames: &[Value]| {
            let role =
                json!({"model": model, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]});
            read(&[&[role], frames].concat()).expect("complete")
        };
        let text_of = |chunks: &[ModelChunk]| {
            let text = |chunk: &ModelChunk| match chunk {
                ModelChunk::Text(text) => Some(text.clone()),
                _ => None,
            };
            chunks.iter().filter_map(text).collect::<String>()
        };
        let begun =
            [text("<file path=\"a.js\">"), text("no</file></th"), text("ink>\n\nHello"), finish("stop"), done()];
        for model in ["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "qwq:32b", "Qwen3-30B-A3B-Thinking-2507"] {
            let chunks = said(model, &begun);
            assert_eq!(text_of(&chunks), "Hello", "{model}");
            assert_eq!(chunks[0], ModelChunk::Reasoning("<file path=\"a.js\">".into()), "{model}: as it comes");
        }
        assert_eq!(text_of(&said("gpt-oss:20b", &[text("a</think>b"), finish("stop"), done()])), "a</think>b");
        // A server that tells them apart, or leaves the reasoning out.
        let apart = json!({"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]});
        let chunks = said("deepseek-r1", &[apart, text("Hel"), text("lo"), finish("stop"), done()]);
        assert_eq!(chunks[1..3], [ModelChunk::Text("Hel".into()), ModelChunk::Text("lo".into())]);
        assert_eq!(text_of(&said("deepseek-r1", &[text("Hel"), text("lo"), finish("stop"), done()])), "Hello");
        // Some name it after a first chunk without a name, others never.
        let unnamed = json!({"model": "", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]});
        let late = json!({"model": "qwq:32b", "choices": [{"index": 0, "delta": {"content": ""}}]});
        let frames = [&[unnamed.clone(), late][..], &begun].concat();
        assert_eq!(text_of(&read(&frames).expect("complete")), "Hello");
        let asked = testing::chunks_of(Provider::Groq, "qwen/qwq-32b", &[&[unnamed][..], &begun].concat());
        assert_eq!(text_of(&asked.expect("complete")), "Hello");
        // Cut off in the middle of it: there is no answer.
        assert_eq!(text_of(&said("deepseek-r1", &[text("Hel"), text("lo"), finish("length"), done()])), "");
    }

    #[test]
    fn usage_may_come_in_two_places_and_twice() {
        let groq =
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": usage_json()}});
        let twice = [groq, json!({"choices": [], "usage": usage_json()}), done()];
        let expected = [ModelChunk::Usage(used()), ModelChunk::Stop(StopReason::Complete)];
        assert_eq!(read(&twice).expect("complete"), expected);
    }

    #[test]
    fn reasons_to_stop() {
        let check = |frames: &[Value], expected: StopReason| {
            assert_eq!(read(frames).expect("complete").last(), Some(&ModelChunk::Stop(expected)));
        };
        check(&[finish("stop"), done()], StopReason::Complete);
        check(&[finish("length"), done()], StopReason::Truncated);
        check(&[finish("content_filter"), done()], StopReason::Refused(Some("content_filter".into())));
        let refusal = json!({"choices": [{"index": 0, "delta": {"refusal": "no"}}]});
        check(&[refusal, finish("stop"), done()], StopReason::Refused(None));
        check(&[text("Hello"), finish("stop")], StopReason::Complete);
    }

    #[test]
    fn only_a_finish_reason_completes() {
        for frames in [
            vec![],
            vec![text("Hel")],
            vec![text("Hel"), done()],
            vec![json!({"choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": ""}]})],
            vec![json!({"choices": [], "usage": usage_json()}), done()],
        ] {
            assert!(matches!(read(&frames), Err(ModelError::Incomplete)), "{frames:?}");
        }
    }

    #[test]
    fn errors_inside_the_stream() {
        let check = |frame: Value| read(&[text("Hel"), frame, finish("stop"), done()]).expect_err("error");
        let openrouter = json!({"error": {"code": 502, "message": "m"}, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]});
        assert!(matches!(check(openrouter), ModelError::Unavailable(_)));
        assert!(matches!(check(finish("error")), ModelError::Unavailable(_)));
        let groq = json!({"choices": [], "x_groq": {"error": {"code": "rate_limit_exceeded", "message": "m"}}});
        assert!(matches!(check(groq), ModelError::RateLimited { .. }));
        assert!(matches!(check(json!({"error": "text"})), ModelError::Unavailable(_)));
        assert!(matches!(read(&[json!("<html>")]), Err(ModelError::Unavailable(_))));
    }
}
