//! What the stand-in says on each wire: the frames of one good answer, and their faulty variants.
//!
//! The vendors' own SDKs read the good answer (see `sdks.mjs`), so it is the wire and not our idea of it.

use serde_json::{Value, json};

/// The text of the good answer; the pieces are its deltas.
pub(crate) const PIECES: [&str; 4] = ["Hello ", "wörld ", "😀", "!\n"];

/// The wires, as paths tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FakeWire {
    Anthropic,
    Responses,
    Chat,
    Gemini,
}

/// One event, with the name it has on the wire.
pub(crate) struct Frame {
    pub(crate) event: Option<String>,
    pub(crate) data: String,
}

impl Frame {
    fn json(value: &Value) -> Self {
        Self { event: None, data: value.to_string() }
    }

    pub(crate) fn json_named(value: &Value) -> Self {
        if value["type"].is_string() { Self::named(value) } else { Self::json(value) }
    }

    fn named(value: &Value) -> Self {
        Self { event: value["type"].as_str().map(str::to_owned), data: value.to_string() }
    }

    pub(crate) fn text(&self, line_end: &str) -> String {
        let event = self.event.as_ref().map(|event| format!("event: {event}{line_end}")).unwrap_or_default();
        format!("{event}data: {}{line_end}{line_end}", self.data)
    }
}

/// The good answer in three parts: before the text, the text, and what makes it complete.
pub(crate) struct Answer {
    pub(crate) begin: Vec<Frame>,
    pub(crate) text: Vec<Frame>,
    pub(crate) end: Vec<Frame>,
}

pub(crate) fn answer(wire: FakeWire, stop: Stop) -> Answer {
    match wire {
        FakeWire::Anthropic => anthropic(stop),
        FakeWire::Responses => responses(stop),
        FakeWire::Chat => chat(stop),
        FakeWire::Gemini => gemini(stop),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Complete,
    Truncated,
    Refused,
}

fn anthropic(stop: Stop) -> Answer {
    let usage =
        json!({"input_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 0, "output_tokens": 1});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5",
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage});
    let begin = vec![
        json!({"type": "message_start", "message": message}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    ];
    let text =
        |piece| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}});
    let reason = match stop {
        Stop::Complete => "end_turn",
        Stop::Truncated => "max_tokens",
        Stop::Refused => "refusal",
    };
    let end = vec![
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 7}}),
        json!({"type": "message_stop"}),
    ];
    let frames = |values: Vec<Value>| values.iter().map(Frame::named).collect();
    Answer { begin: frames(begin), text: frames(PIECES.into_iter().map(text).collect()), end: frames(end) }
}

fn responses(stop: Stop) -> Answer {
    let mut number = 0;
    let mut event = |value: Value| {
        let mut value = value;
        value["sequence_number"] = json!(number);
        number += 1;
        Frame::named(&value)
    };
    let response = |status: &str| {
        json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-6.1-sol", "status": status,
            "error": null, "incomplete_details": null, "output": [], "tools": [], "metadata": {}})
    };
    let begin = vec![
        event(json!({"type": "response.created", "response": response("in_progress")})),
        event(json!({"type": "response.output_item.added", "output_index": 0, "item":
            {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}})),
        event(json!({"type": "response.content_part.added", "item_id": "msg_1", "output_index": 0, "content_index": 0,
            "part": {"type": "output_text", "text": "", "annotations": []}})),
    ];
    let at = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0});
    let kind = if stop == Stop::Refused { "response.refusal.delta" } else { "response.output_text.delta" };
    let mut text = Vec::new();
    for piece in PIECES {
        let mut delta = at.clone();
        delta["type"] = json!(kind);
        delta["delta"] = json!(piece);
        text.push(event(delta));
    }
    let (kind, mut last) = match stop {
        Stop::Complete | Stop::Refused => ("response.completed", response("completed")),
        Stop::Truncated => ("response.incomplete", response("incomplete")),
    };
    if stop == Stop::Truncated {
        last["incomplete_details"] = json!({"reason": "max_output_tokens"});
    }
    let content = json!([{"type": "output_text", "text": PIECES.concat(), "annotations": []}]);
    last["output"] =
        json!([{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}]);
    last["usage"] = json!({"input_tokens": 8, "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15});
    let end = vec![event(json!({"type": kind, "response": last}))];
    Answer { begin, text, end }
}

pub(crate) fn chat_chunk(delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})
}

pub(crate) fn chat_usage() -> Value {
    json!({"prompt_tokens": 8, "completion_tokens": 7, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 3}})
}

fn chat(stop: Stop) -> Answer {
    let begin = vec![chat_chunk(&json!({"role": "assistant", "content": null}), None)];
    let text = |piece| chat_chunk(&json!({"content": piece}), None);
    let reason = match stop {
        Stop::Complete => "stop",
        Stop::Truncated => "length",
        Stop::Refused => "content_filter",
    };
    let mut usage = chat_chunk(&json!({}), None);
    usage["choices"] = json!([]);
    usage["usage"] = chat_usage();
    let end = vec![chat_chunk(&json!({}), Some(reason)), usage];
    let frames = |values: Vec<Value>| values.iter().map(Frame::json).collect::<Vec<_>>();
    let mut end = frames(end);
    end.push(Frame { event: None, data: "[DONE]".to_owned() });
    Answer { begin: frames(begin), text: frames(PIECES.into_iter().map(text).collect()), end }
}

fn gemini(stop: Stop) -> Answer {
    let slice = |parts: Value, reason: Option<&str>| {
        let mut slice = json!({"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}]});
        if let Some(reason) = reason {
            slice["candidates"][0]["finishReason"] = json!(reason);
            slice["usageMetadata"] = json!({"promptTokenCount": 8, "candidatesTokenCount": 5, "thoughtsTokenCount": 2,
                "cachedContentTokenCount": 3, "totalTokenCount": 15});
        }
        slice
    };
    let reason = match stop {
        Stop::Complete => "STOP",
        Stop::Truncated => "MAX_TOKENS",
        Stop::Refused => "SAFETY",
    };
    let begin = vec![json!({"candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 8}, "modelVersion": "m"})];
    let text = |piece| slice(json!([{"text": piece}]), None);
    let end = vec![slice(json!([{"text": ""}]), Some(reason))];
    let frames = |values: Vec<Value>| values.iter().map(Frame::json).collect();
    Answer { begin: frames(begin), text: frames(PIECES.into_iter().map(text).collect()), end: frames(end) }
}

/// An error in the middle of the stream, after HTTP 200.
pub(crate) fn in_band_error(wire: FakeWire) -> Frame {
    match wire {
        FakeWire::Anthropic => Frame::named(
            &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"}),
        ),
        FakeWire::Responses => Frame::named(
            &json!({"type": "error", "code": "server_error", "message": "Overloaded", "param": null, "sequence_number": 9}),
        ),
        FakeWire::Chat => {
            Frame::json(&json!({"error": {"message": "Overloaded", "type": "server_error", "code": 503}}))
        }
        FakeWire::Gemini => {
            Frame::json(&json!({"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}))
        }
    }
}

/// An answer that is a refusal for this reason.
pub(crate) fn refusal(wire: FakeWire, reason: &str) -> Vec<Frame> {
    let (refusal, end) = match wire {
        FakeWire::Anthropic => {
            let details = json!({"category": reason});
            let delta = json!({"stop_reason": "refusal", "stop_details": details});
            (json!({"type": "message_delta", "delta": delta}), Some(json!({"type": "message_stop"})))
        }
        FakeWire::Responses => {
            let response = json!({"status": "incomplete", "incomplete_details": {"reason": reason}});
            (json!({"type": "response.incomplete", "response": response}), None)
        }
        FakeWire::Chat => (chat_chunk(&json!({}), Some(reason)), None),
        FakeWire::Gemini => (json!({"candidates": [{"index": 0, "finishReason": reason}]}), None),
    };
    std::iter::once(refusal).chain(end).map(|value| Frame::json_named(&value)).collect()
}

/// The body of a refused call, dressed as the vendor does.
pub(crate) fn error_body(wire: FakeWire, status: u16, kind: &str, message: &str) -> Value {
    match wire {
        FakeWire::Anthropic => json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}),
        FakeWire::Gemini => json!({"error": {"code": status, "message": message, "status": kind}}),
        FakeWire::Responses | FakeWire::Chat => {
            json!({"error": {"message": message, "type": kind, "param": null, "code": kind}})
        }
    }
}
