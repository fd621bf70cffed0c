//! A real inference engine that recites a known text, over the three wires it speaks. Nobody here wrote its HTTP.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    time::Duration,
};

use cobuild::{
    model::{
        Models,
        endpoint::{EndpointSettings, ModelSettings},
        provider::Provider,
    },
    project::model_provider::{ModelError, ModelParameters, ModelProvider as _, StopReason, Turn},
};
use cobuild_protocol::value::MessageRole;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdin, Command},
};

use crate::support::not_run;

use super::{
    replay::ANSWER,
    support::{ask_with, models, request, vendors},
};

/// The engine's three wires.
const MODELS: [&str; 3] = ["compatible/recital", "anthropic/claude-haiku-4-5", "openai/gpt-6.1-sol"];
/// Where the engine goes on when the conversation holds an answer already; also where the test cuts the first one.
const CONTINUE_AT: usize = 5;

struct Recital {
    models: Models,
    pieces: Vec<String>,
    _engine: Engine,
}

/// The running engine; ends when dropped.
pub(super) struct Engine {
    /// `http://` and so on, without a path.
    pub(super) address: String,
    /// The text's tokens, in order.
    pub(super) pieces: Vec<String>,
    _input: ChildStdin,
    _process: Child,
}

impl Engine {
    /// Recites this file of the fixtures. `None`, with a line that says so, where the engine cannot be installed.
    pub(super) async fn start(text: &str, continue_at: usize, context: usize) -> Option<Self> {
        let python = python()?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python);
        command.arg(root.join("tests/fakes/models/recital.py")).arg(root.join("tests/fixtures/models").join(text));
        command.args([continue_at.to_string(), context.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().expect("python runs");
        let input = process.stdin.take().expect("piped");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.expect("text") {
                if line.starts_with('{') {
                    return serde_json::from_str::<Value>(&line).expect("JSON");
                }
            }
            panic!("the engine ended");
        };
        let ready = tokio::time::timeout(Duration::from_secs(60), ready).await.expect("the engine starts in time");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let address = ready["address"].as_str().expect("an address").to_owned();
        let pieces = serde_json::from_value(ready["pieces"].clone()).expect("texts");
        Some(Self { address, pieces, _input: input, _process: process })
    }
}

impl Recital {
    async fn start() -> Option<Self> {
        let engine = Engine::start("answer.txt", CONTINUE_AT, 1024).await?;
        let address = &engine.address;
        let mut settings = ModelSettings::default();
        for (provider, path) in [(Provider::Compatible, "/v1"), (Provider::Anthropic, ""), (Provider::Openai, "/v1")] {
            let base_url = Some(format!("{address}{path}"));
            settings.endpoints.insert(provider, EndpointSettings { key: None, base_url });
        }
        Some(Self { models: models(&vendors(settings)), pieces: engine.pieces.clone(), _engine: engine })
    }
}

/// A Python with the engine, made on first use.
fn python() -> Option<PathBuf> {
    static READY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = || {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("recital");
        let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/models/requirements.txt");
        let (python, stamp) = (folder.join("bin/python"), folder.join("requirements.txt"));
        // Tests may run in processes of their own; only one of them installs.
        let lock = std::fs::File::create(folder.with_extension("lock")).expect("a lock file");
        lock.lock().expect("the lock");
        let wanted = std::fs::read(&requirements).expect("requirements");
        if std::fs::read(&stamp).is_ok_and(|have| have == wanted) {
            return Some(python);
        }
        let run = |program: &Path, arguments: &[&str]| {
            let mut command = std::process::Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let text = |path: &Path| path.to_str().expect("a path of text").to_owned();
        let made = run(Path::new("python3"), &["-m", "venv", &text(&folder)])
            && run(&python, &["-m", "pip", "install", "-q", "-r", &text(&requirements)]);
        if !made {
            not_run("models: the reciting engine needs python3 with venv, and its packages");
            return None;
        }
        std::fs::write(stamp, wanted).expect("a stamp");
        Some(python)
    };
    READY.get_or_init(install).clone()
}

#[tokio::test]
async fn an_engine_recites_over_every_wire() {
    let Some(recital) = Recital::start().await else { return };
    for model in MODELS {
        let outcome = ask_with(&recital.models, request(model, "A counter, please")).await;
        assert_eq!((outcome.text.as_str(), outcome.stop), (ANSWER, Some(StopReason::Complete)), "{model}");
        let usage = outcome.usage.expect("usage");
        let pieces = u64::try_from(recital.pieces.len()).expect("few");
        assert!(!usage.estimated && usage.output_tokens >= Some(pieces), "{model} {usage:?}");

        // The engine calls a truncated response completed, so there is nothing to see on that wire.
        if !model.starts_with("openai/") {
            cut_and_continued(&recital, model).await;
        }

        // Given up in the middle: the engine takes the next question at once.
        let mut chunks = recital.models.stream(request(model, "Another one"));
        chunks.next().await.expect("a chunk").expect("no error");
        drop(chunks);

        let long = ask_with(&recital.models, request(model, &"way too long ".repeat(400))).await;
        assert!(matches!(long.error, Some(ModelError::ContextTooLong)), "{model} {long:?}");
    }
}

async fn cut_and_continued(recital: &Recital, model: &str) {
    let mut first = request(model, "A counter, please");
    first.parameters = ModelParameters { output_tokens_max: Some(5), ..ModelParameters::default() };
    let first = ask_with(&recital.models, first).await;
    assert_eq!(first.stop, Some(StopReason::Truncated), "{model} {first:?}");
    assert_eq!(first.text, recital.pieces[..CONTINUE_AT].concat(), "{model}");
    let mut second = request(model, "A counter, please");
    second.turns.push(Turn { role: MessageRole::Assistant, text: first.text.clone() });
    second.turns.push(Turn { role: MessageRole::User, text: "Continue exactly there.".to_owned() });
    let second = ask_with(&recital.models, second).await;
    assert_eq!(format!("{}{}", first.text, second.text), ANSWER, "{model}");
}
