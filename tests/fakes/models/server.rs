//! A stand-in for the model vendors on raw TCP, because no HTTP library lets itself be broken this well: cut, stalled,
//! reset and malformed answers. The mode is picked by a marker in the prompt: `mode:reset`.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use super::script::{self, FakeWire, Frame, Stop};

/// A field of this size in every event: more than any buffer on the way takes at once.
const GIANT_SIZE_BYTES: usize = 200 * 1024;

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Value,
}

/// The running stand-in; stops when dropped.
#[derive(Debug)]
pub(crate) struct FaultServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    hang_ups: watch::Sender<usize>,
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FaultServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let of_task = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&of_task);
                tokio::spawn(async move {
                    // A test that hangs up in the middle is no error here.
                    let _ = serve(socket, &shared).await;
                });
            }
        });
        Self { address, shared, task }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("not poisoned").clone()
    }

    /// Waits until clients have hung up on a slow answer this often.
    pub(crate) async fn hung_up(&self, times: usize) {
        let mut hang_ups = self.shared.hang_ups.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(5), hang_ups.wait_for(|count| *count >= times)).await;
        waited.expect("the client hangs up").expect("the server lives");
    }
}

async fn serve(mut socket: TcpStream, shared: &Shared) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    while let Some(seen) = read_request(&mut socket).await? {
        let mode = mode_of(&seen.body);
        let attempt = {
            let mut all = shared.seen.lock().expect("not poisoned");
            let before =
                all.iter().filter(|earlier| mode_of(&earlier.body) == mode && earlier.path == seen.path).count();
            all.push(seen.clone());
            before
        };
        let mut reply = Reply { socket: &mut socket, shared };
        match wire_of(&seen.path) {
            Some(wire) => {
                if !reply.answer(wire, &mode, attempt, &seen).await? {
                    return Ok(());
                }
            }
            None => reply.list(&seen.path).await?,
        }
    }
    Ok(())
}

async fn read_request(socket: &mut TcpStream) -> std::io::Result<Option<Seen>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let size: usize = headers.get("content-length").and_then(|size| size.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < size {
        if socket.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Seen { path, headers, body: serde_json::from_slice(&body).unwrap_or_default() }))
}

/// The key that came with a request, without the word before it.
fn key_of(seen: &Seen) -> String {
    let key = ["x-api-key", "x-goog-api-key", "authorization"].iter().find_map(|name| seen.headers.get(*name));
    key.map_or("", |key| key.trim_start_matches("Bearer ")).to_owned()
}

fn mode_of(body: &Value) -> String {
    let text = body.to_string();
    let rest = text.split_once("mode:").map(|(_, rest)| rest).unwrap_or("normal");
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

fn wire_of(path: &str) -> Option<FakeWire> {
    if path.contains("/messages") {
        Some(FakeWire::Anthropic)
    } else if path.contains("/responses") {
        Some(FakeWire::Responses)
    } else if path.contains("/chat/completions") {
        Some(FakeWire::Chat)
    } else if path.contains(":streamGenerateContent") {
        Some(FakeWire::Gemini)
    } else {
        None
    }
}

/// The recorded stream of the vendor that is asked at this path.
fn recorded(path: &str) -> &'static [u8] {
    if path.starts_with("/openai/v1") {
        include_bytes!("../../fixtures/models/groq.sse")
    } else if path.starts_with("/api/v1") || path.contains("/chat/completions") {
        include_bytes!("../../fixtures/models/openrouter.sse")
    } else if path.contains("/messages") {
        include_bytes!("../../fixtures/models/anthropic.sse")
    } else if path.contains("/responses") {
        include_bytes!("../../fixtures/models/openai_responses.sse")
    } else {
        include_bytes!("../../fixtures/models/gemini.sse")
    }
}

struct Reply<'a> {
    socket: &'a mut TcpStream,
    shared: &'a Shared,
}

impl Reply<'_> {
    /// Answers one call. Says whether the connection can be used again.
    async fn answer(&mut self, wire: FakeWire, mode: &str, attempt: usize, seen: &Seen) -> std::io::Result<bool> {
        let Seen { path, body, .. } = seen;
        let good = script::answer(wire, Stop::Complete);
        let partial = || good.begin.iter().chain(&good.text[..2]).collect::<Vec<_>>();
        let error = script::in_band_error(wire);
        let first = attempt == 0;
        match mode {
            "no_terminal" => {
                self.head().await?;
                self.frames(partial()).await?;
                return self.finish().await;
            }
            "no_terminal_all_text" => {
                self.head().await?;
                self.frames(good.begin.iter().chain(&good.text).collect()).await?;
                return self.finish().await;
            }
            "error" => {
                self.head().await?;
                let mut frames = partial();
                frames.push(&error);
                self.frames(frames).await?;
                return self.finish().await;
            }
            // As Gemini does: no event, but a document in the middle of the stream.
            "bare_error" => {
                let kind = if wire == FakeWire::Gemini { "RESOURCE_EXHAUSTED" } else { "rate_limit_exceeded" };
                let body = script::error_body(wire, 429, kind, "slow down");
                self.head().await?;
                self.frames(partial()).await?;
                self.chunk(format!("{body:#}\n").as_bytes()).await?;
                return self.finish().await;
            }
            "error_first" if first => {
                self.head().await?;
                self.frames(good.begin.iter().chain([&error]).collect()).await?;
                return self.finish().await;
            }
            "reset" => {
                self.head().await?;
                self.frames(partial()).await?;
                return self.reset().await;
            }
            "reset_first" | "no_terminal_first" if first => {
                self.head().await?;
                self.frames(good.begin.iter().collect()).await?;
                return if mode == "reset_first" { self.reset().await } else { self.finish().await };
            }
            "reset_after_end" => {
                self.head().await?;
                self.frames(good.begin.iter().chain(&good.text).chain(&good.end).collect()).await?;
                return self.reset().await;
            }
            "closed" if first => return Ok(false),
            "slow" => return self.slow(partial()).await,
            "stall" => {
                self.head().await?;
                self.frames(partial()).await?;
                self.until_gone().await;
                return Ok(false);
            }
            "silent" => {
                self.until_gone().await;
                return Ok(false);
            }
            "rate_limited" => {
                let kind = if wire == FakeWire::Gemini { "RESOURCE_EXHAUSTED" } else { "rate_limit_exceeded" };
                let body = script::error_body(wire, 429, kind, "slow down");
                return self.refuse(429, "retry-after: 7\r\n", &body).await;
            }
            "rate_limited_once" if first => {
                let body = script::error_body(wire, 429, "rate_limit_exceeded", "slow down");
                return self.refuse(429, "retry-after-ms: 5\r\n", &body).await;
            }
            "overloaded" => {
                return self.refuse(529, "", &script::error_body(wire, 529, "overloaded_error", "Overloaded")).await;
            }
            "overloaded_once" if first => {
                return self.refuse(529, "", &script::error_body(wire, 529, "overloaded_error", "Overloaded")).await;
            }
            "overloaded_final" => {
                let body = script::error_body(wire, 529, "overloaded_error", "Overloaded");
                return self.refuse(529, "x-should-retry: false\r\n", &body).await;
            }
            "invalid_retry" if first => {
                let body = script::error_body(wire, 400, "invalid_request_error", "once more");
                return self.refuse(400, "x-should-retry: true\r\n", &body).await;
            }
            "money" => {
                let body = script::error_body(wire, 429, "insufficient_quota", "pay");
                return self.refuse(429, "x-should-retry: true\r\n", &body).await;
            }
            "bad_key" => {
                // Vendors do quote keys.
                let message = format!("no such key: {}", key_of(seen));
                let body = script::error_body(wire, 401, "authentication_error", &message);
                return self.refuse(401, "", &body).await;
            }
            "quoting" => {
                let key = key_of(seen);
                let mut body = script::error_body(wire, 400, &key, &format!("what is {key}?"));
                body["error"]["param"] = json!(key);
                body["error"]["details"] = json!([{"reason": key}]);
                return self.refuse(400, &format!("x-request-id: {key}\r\n"), &body).await;
            }
            "quoting_inside" => {
                let key = key_of(seen);
                let error = script::error_body(wire, 400, &key, &format!("what is {key}?"));
                self.head().await?;
                self.frames(vec![&Frame::json_named(&error)]).await?;
                return self.finish().await;
            }
            "quoting_reason" => {
                let key = key_of(seen);
                self.head().await?;
                self.frames(script::refusal(wire, &key).iter().collect()).await?;
                return self.finish().await;
            }
            "quoting_type" => {
                let key = key_of(seen);
                self.raw(&format!("HTTP/1.1 200 OK\r\ncontent-type: {key}\r\ncontent-length: 2\r\n\r\nno")).await?;
            }
            "unknown_model" => {
                let body = script::error_body(wire, 404, "model_not_found", "the model does not exist");
                return self.refuse(404, "", &body).await;
            }
            "too_long" => {
                let body = json!({"error": {"code": 400, "type": "exceed_context_size_error", "message": "too long",
                    "n_prompt_tokens": 9, "n_ctx": 8}});
                return self.refuse(400, "", &body).await;
            }
            "no_temperature" if body.to_string().contains("\"temperature\"") => {
                let body = script::error_body(wire, 400, "invalid_request_error", "temperature is not supported");
                return self.refuse(400, "", &body).await;
            }
            "moved" => {
                return self.refuse(307, "location: http://127.0.0.1:1/stolen\r\n", &json!({})).await;
            }
            "html" => {
                let page = "<html>Welcome to the hotel</html>";
                self.raw(&format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}",
                    page.len()
                ))
                .await?;
            }
            "json" => {
                return self.refuse(200, "", &script::error_body(wire, 503, "server_error", "Overloaded")).await;
            }
            "oversized" => return self.oversized().await,
            "truncated" => self.whole(&script::answer(wire, Stop::Truncated)).await?,
            "refused" => self.whole(&script::answer(wire, Stop::Refused)).await?,
            "continuation" => self.continuation(body).await?,
            "groq_usage" | "usage_twice" | "groq_error" | "no_done" | "no_usage" => self.chat_variant(mode).await?,
            "crlf" | "bom" | "comments" | "ping" | "bytewise" | "cr" | "giant" => {
                self.head().await?;
                self.spelled(&good, mode).await?;
                return self.finish().await;
            }
            "recorded" => {
                self.head().await?;
                for piece in recorded(path).chunks(100) {
                    self.chunk(piece).await?;
                }
                return self.finish().await;
            }
            "pooled" => {
                // Keeps the connection open by its head, and then does not.
                self.whole(&good).await?;
                return Ok(false);
            }
            _ => self.whole(&good).await?,
        }
        Ok(true)
    }

    async fn raw(&mut self, text: &str) -> std::io::Result<()> {
        self.socket.write_all(text.as_bytes()).await
    }

    async fn head(&mut self) -> std::io::Result<()> {
        self.raw(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.socket.write_all(&chunk).await
    }

    async fn frames(&mut self, frames: Vec<&Frame>) -> std::io::Result<()> {
        for frame in frames {
            self.chunk(frame.text("\n").as_bytes()).await?;
        }
        Ok(())
    }

    /// A clean end of the body.
    async fn finish(&mut self) -> std::io::Result<bool> {
        self.raw("0\r\n\r\n").await?;
        Ok(true)
    }

    async fn whole(&mut self, answer: &script::Answer) -> std::io::Result<()> {
        self.head().await?;
        self.frames(answer.begin.iter().chain(&answer.text).chain(&answer.end).collect()).await?;
        self.finish().await.map(|_| ())
    }

    async fn reset(&mut self) -> std::io::Result<bool> {
        // The client has read what came so far before the reset destroys it.
        tokio::time::sleep(Duration::from_millis(30)).await;
        self.socket.set_zero_linger()?;
        Ok(false)
    }

    async fn refuse(&mut self, status: u16, headers: &str, body: &Value) -> std::io::Result<bool> {
        let body = body.to_string();
        self.raw(&format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await?;
        Ok(true)
    }

    /// Goes on until the client hangs up, and tells that it did.
    async fn slow(&mut self, frames: Vec<&Frame>) -> std::io::Result<bool> {
        self.head().await?;
        self.frames(frames).await?;
        self.until_gone().await;
        self.shared.hang_ups.send_modify(|count| *count += 1);
        Ok(false)
    }

    async fn until_gone(&mut self) {
        let mut byte = [0];
        while !matches!(self.socket.read(&mut byte).await, Ok(0) | Err(_)) {}
    }

    async fn oversized(&mut self) -> std::io::Result<bool> {
        self.head().await?;
        self.chunk(b"data: ").await?;
        let part = vec![b'x'; 64 * 1024];
        // Ends when the client has had enough.
        loop {
            self.chunk(&part).await?;
        }
    }

    /// The good answer in another spelling of the same events.
    async fn spelled(&mut self, good: &script::Answer, mode: &str) -> std::io::Result<()> {
        let frames = good.begin.iter().chain(&good.text).chain(&good.end);
        let texts = frames.map(|frame| match mode {
            "crlf" => frame.text("\r\n"),
            "cr" => frame.text("\r"),
            "comments" => format!(": OPENROUTER PROCESSING\n\n{}:\n", frame.text("\n")),
            // A field that nobody knows, in front of those that everybody needs.
            "giant" => {
                frame.text("\n").replacen('{', &format!("{{\"padding\":\"{}\",", "x".repeat(GIANT_SIZE_BYTES)), 1)
            }
            _ => frame.text("\n"),
        });
        let texts: Vec<String> = texts.collect();
        match mode {
            "bom" => self.chunk(format!("\u{feff}{}", texts.concat()).as_bytes()).await,
            "bytewise" => {
                for byte in texts.concat().bytes() {
                    self.chunk(&[byte]).await?;
                }
                Ok(())
            }
            "ping" => {
                // Each pause is short of the tests' idle limit, all together are longer.
                for text in texts {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    self.chunk(b": still here\n\n").await?;
                    self.chunk(text.as_bytes()).await?;
                }
                Ok(())
            }
            _ => self.chunk(texts.concat().as_bytes()).await,
        }
    }

    /// Gemini stops at its own default and goes on with the token.
    async fn continuation(&mut self, body: &Value) -> std::io::Result<()> {
        let slice = |text: &str, reason: &str, token: Option<&str>| {
            Frame {
            event: None,
            data: json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": reason}],
                "continuationToken": token,
                "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2}})
            .to_string(),
        }
        };
        let frame = match body["continuationToken"].as_str() {
            None => slice("one ", "CONTINUATION", Some("t1")),
            Some("t1") => slice("two ", "CONTINUATION", Some("t2")),
            Some(_) => slice("three", "STOP", None),
        };
        self.head().await?;
        self.frames(vec![&frame]).await?;
        self.finish().await.map(|_| ())
    }

    /// What only Chat servers do.
    async fn chat_variant(&mut self, mode: &str) -> std::io::Result<()> {
        let good = script::answer(FakeWire::Chat, Stop::Complete);
        let mut last = script::chat_chunk(&json!({}), Some("stop"));
        let mut frames: Vec<Value> = Vec::new();
        match mode {
            "groq_usage" => last["x_groq"] = json!({"id": "r", "usage": script::chat_usage()}),
            "groq_error" => {
                last = json!({"choices": [], "x_groq": {"error": {"message": "m", "code": "rate_limit_exceeded"}}});
            }
            "usage_twice" => {
                last["usage"] = script::chat_usage();
                let mut again = last.clone();
                again["choices"] = json!([]);
                frames.push(again);
            }
            _ => {}
        }
        frames.insert(0, last);
        let mut frames: Vec<Frame> =
            frames.iter().map(|value| Frame { event: None, data: value.to_string() }).collect();
        if mode != "no_done" {
            frames.push(Frame { event: None, data: "[DONE]".to_owned() });
        }
        self.head().await?;
        self.frames(good.begin.iter().chain(&good.text).chain(&frames).collect()).await?;
        self.finish().await.map(|_| ())
    }

    /// Lists of models.
    async fn list(&mut self, path: &str) -> std::io::Result<()> {
        let body = if path.starts_with("/api/tags") {
            json!({"models": [{"name": "qwen3:8b"}, {"name": "llama4:70b"}]})
        } else if path.starts_with("/api/ps") {
            json!({"models": [{"name": "qwen3:8b", "context_length": 8192}]})
        } else if path.starts_with("/v1beta/models") {
            json!({"models": [{"name": "models/gemini-4-argon", "supportedGenerationMethods": ["generateContent"]}]})
        } else if path.starts_with("/v1/models?") && !path.contains("after_id") {
            json!({"data": [{"id": "claude-sonnet-5-5"}], "has_more": true, "last_id": "claude-sonnet-5-5"})
        } else if path.starts_with("/v1/models?") {
            json!({"data": [{"id": "claude-brand-new"}], "has_more": false})
        } else if path.starts_with("/api.json") {
            // Nobody's vendor, but models.dev.
            let row = |cost: Value| json!({"cost": cost, "limit": {"context": 1_000_000, "output": 128_000}});
            json!({"anthropic": {"models": {
                "claude-sonnet-5-5": row(json!({"input": 3, "output": 15, "cache_read": 0.3})),
                "claude-brand-new": row(json!({"input": 0.0375, "output": 1})),
            }}})
        } else if path.starts_with("/empty") {
            json!({"data": []})
        } else if path.starts_with("/wants_key") {
            return self.refuse(401, "", &json!({"error": {"message": "who?"}})).await.map(|_| ());
        } else if path.ends_with("/v1/models") {
            json!({"data": [{"id": "gpt-6-astra"}, {"id": "gpt-7-new", "shutdown_date": "2999-01-01"}]})
        } else {
            return self.refuse(404, "", &json!({"detail": "Not Found"})).await.map(|_| ());
        };
        self.refuse(200, "", &body).await.map(|_| ())
    }
}
