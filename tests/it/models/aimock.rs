//! The wires against `@copilotkit/aimock`, a mock of the vendors that others wrote. Its journal tells what we sent.

use std::{process::Stdio, time::Duration};

use cobuild::{
    model::{Models, provider::Provider},
    project::model_provider::{ModelError, ModelParameters, StopReason},
    secret::Secret,
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::{
    node,
    support::{ask_with, models, request, settings, vendors},
};

const MODELS: [&str; 5] = [
    "anthropic/claude-sonnet-5-5",
    "openai/gpt-6.1-sol",
    "google/gemini-4-argon",
    "groq/openai/gpt-oss-120b",
    "openrouter/anthropic/claude-opus-5.5",
];
const TEXT: &str = "I'll build it.\n<file path=\"src/App.jsx\">naïve — 😀</file>\nDone.";

/// The running mock; ends when dropped.
struct Aimock {
    address: std::net::SocketAddr,
    http: reqwest::Client,
    _process: Child,
}

impl Aimock {
    /// `None`, with a line that says so, where there is no Node.
    async fn start() -> Option<Self> {
        let folder = node::packages()?;
        let mut command = Command::new("node");
        command.args(["node_modules/.bin/llmock", "-p", "0", "-f", "aimock.json", "--chunk-size", "10", "--strict"]);
        command.env("AIMOCK_API_KEYS", "test-key").current_dir(folder);
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("node runs");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.expect("text") {
                if let Some((_, address)) = line.split_once("listening on http://") {
                    return address.trim().parse().expect("an address");
                }
            }
            panic!("aimock ended");
        };
        let address = tokio::time::timeout(Duration::from_secs(20), listening).await.expect("aimock starts in time");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Some(Self { address, http, _process: process })
    }

    fn models(&self) -> Models {
        models(&vendors(settings(self.address)))
    }

    async fn control(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("http://{}/__aimock/{path}", self.address));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.bearer_auth("test-key").send().await.expect("aimock answers");
        assert!(response.status().is_success(), "{path}");
        response.json().await.unwrap_or_default()
    }

    async fn journal(&self) -> Vec<Value> {
        self.control(reqwest::Method::GET, "journal", None).await.as_array().expect("a list").clone()
    }
}

#[tokio::test]
async fn streams_on_every_wire() {
    let Some(aimock) = Aimock::start().await else { return };
    let models = aimock.models();
    for model in MODELS {
        let outcome = ask_with(&models, request(model, "build it")).await;
        assert_eq!(outcome.text, TEXT, "{model} {outcome:?}");
        assert_eq!(outcome.reasoning, "The user wants an app.", "{model}");
        assert_eq!(outcome.stop, Some(StopReason::Complete), "{model}");
        let usage = outcome.usage.expect("usage");
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.estimated), (Some(11), Some(7), false), "{model}");
    }
}

#[tokio::test]
async fn the_journal_shows_what_was_sent() {
    let Some(aimock) = Aimock::start().await else { return };
    let models = aimock.models();
    for model in MODELS {
        // Set by the user, but flagships refuse it: of these only Groq and OpenRouter take it.
        let mut request = request(model, "build it");
        request.parameters = ModelParameters { temperature: Some(0.5), ..ModelParameters::default() };
        ask_with(&models, request).await;
    }
    let journal = aimock.journal().await;
    assert_eq!(journal.len(), MODELS.len());
    let sent = |path: &str| {
        let entry = journal.iter().find(|entry| entry["path"].as_str().is_some_and(|sent| sent.contains(path)));
        entry.unwrap_or_else(|| panic!("{path} in {journal:?}"))
    };
    // The journal spells three of the four wires' caps as `max_tokens`.
    for (path, cap) in [
        ("/v1/messages", "max_tokens"),
        ("/v1/responses", "max_tokens"),
        (":streamGenerateContent", "max_tokens"),
        ("/openai/v1/chat/completions", "max_completion_tokens"),
    ] {
        let (headers, body) = (&sent(path)["headers"], &sent(path)["body"]);
        assert_eq!(headers["accept"], "text/event-stream", "{path}");
        assert_eq!((&body[cap], &body["stream"]), (&json!(32_000), &json!(true)), "{path} {body}");
    }
    assert_eq!(sent("/v1/messages")["headers"]["anthropic-version"], "2023-06-01");
    let groq = &sent("/openai/v1/chat/completions")["body"];
    assert_eq!((&groq["model"], &groq["temperature"]), (&json!("openai/gpt-oss-120b"), &json!(0.5)));
    assert_eq!(sent("/api/v1/chat/completions")["body"]["model"], "anthropic/claude-opus-5.5");
    for path in ["/v1/messages", "/v1/responses", ":streamGenerateContent"] {
        let body = sent(path)["body"].to_string();
        assert!(!body.contains("temperature"), "{path} {body}");
        assert!(body.contains("Be brief.") && body.contains("build it"), "{path} {body}");
    }
}

#[tokio::test]
async fn truncated_cut_and_refused_answers() {
    let Some(aimock) = Aimock::start().await else { return };
    let models = aimock.models();
    for model in MODELS {
        let outcome = ask_with(&models, request(model, "a long one")).await;
        assert_eq!(outcome.stop, Some(StopReason::Truncated), "{model} {outcome:?}");
        for cut in ["cutoff", "gone"] {
            let outcome = ask_with(&models, request(model, cut)).await;
            assert!(outcome.stop.is_none() && outcome.error.is_some(), "{model} {cut} {outcome:?}");
            assert!("a long answer that is cut off by the connection".starts_with(&outcome.text), "{outcome:?}");
        }
        let busy = ask_with(&models, request(model, "busy")).await;
        assert!(matches!(busy.error, Some(ModelError::Unavailable(_))), "{model} {busy:?}");
        let limited = ask_with(&models, request(model, "limited")).await;
        let expected = Some(Duration::from_secs(7));
        let waits = matches!(limited.error, Some(ModelError::RateLimited { retry_after }) if retry_after == expected);
        assert!(waits, "{model} {limited:?}");
    }
    let busy = aimock.journal().await.iter().filter(|entry| entry["response"]["status"] == 529).count();
    assert_eq!(busy, 3 * MODELS.len(), "two retries each");
}

#[tokio::test]
async fn a_wrong_key_is_named_and_not_shown() {
    let Some(aimock) = Aimock::start().await else { return };
    let mut settings = settings(aimock.address);
    for endpoint in settings.endpoints.values_mut() {
        endpoint.key = Some(Secret::new("sk-wrong"));
    }
    let variables = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "GROQ_API_KEY", "OPENROUTER_API_KEY"];
    assert!(settings.endpoints.contains_key(&Provider::Compatible));
    let models = models(&vendors(settings));
    for (model, variable) in MODELS.into_iter().zip(variables) {
        let error = ask_with(&models, request(model, "build it")).await.error.expect("an error");
        assert!(matches!(error, ModelError::Unauthorized(_)), "{model} {error:?}");
        let sentence = error.to_string();
        assert!(sentence.contains(variable) && !sentence.contains("sk-wrong"), "{sentence}");
    }
}

#[tokio::test]
async fn chaos_ends_in_errors_and_passes() {
    let Some(aimock) = Aimock::start().await else { return };
    let models = aimock.models();
    for chaos in
        [json!({"rateLimitRate": 1}), json!({"disconnectRate": 1}), json!({"malformedRate": 1}), json!({"dropRate": 1})]
    {
        aimock.control(reqwest::Method::POST, "chaos", Some(chaos.clone())).await;
        let outcomes = join_all(MODELS.map(|model| ask_with(&models, request(model, "build it")))).await;
        for outcome in outcomes {
            assert!(outcome.stop.is_none() && outcome.error.is_some(), "{chaos} {outcome:?}");
        }
        aimock.control(reqwest::Method::DELETE, "chaos", None).await;
    }
    let outcome = ask_with(&models, request(MODELS[0], "build it")).await;
    assert_eq!(outcome.stop, Some(StopReason::Complete));
}
