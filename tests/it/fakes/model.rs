//! A model whose answer is written in the prompt.
//!
//! `words 20`: twenty words, one chunk each. `file src/App.jsx <text>`: a reply with that file. `hang`: some words, then
//! nothing more until it is cancelled. `cut <text>`: that text, and then the output limit, however often it may go on.
//! `break <text>`: that text, and then the stream breaks off. `refuse`: a vendor that fails before its first word; so does
//! an edit to merge that says only that. `think <text>`: that text as reasoning, then as the answer.
//! `again <text>`: that text, once the model was asked again.
//! Everything else is repeated.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use cobuild::project::model_provider::{
    ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest, Retry, StopReason,
};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};

#[derive(Debug, Clone, Default)]
pub(crate) struct ScriptedModel {
    pause: Duration,
    calls: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    /// Nothing is said.
    pub(crate) held: Arc<AtomicBool>,
}

/// Counts a stream as open for as long as it is not dropped.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ScriptedModel {
    pub(crate) const NAME: &str = "test/scripted";

    /// With a pause before each chunk.
    pub(crate) fn new(pause: Duration) -> Self {
        Self { pause, ..Self::default() }
    }

    /// How often the model was asked.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// How many answers are under way.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl ModelProvider for ScriptedModel {
    fn default_model(&self) -> ModelInfo {
        ModelInfo { notice: Some("a test".into()), ..ModelInfo::new(Self::NAME) }
    }

    fn models(&self) -> Vec<ModelInfo> {
        vec![self.default_model()]
    }

    fn resolve(&self, name: &str) -> Result<ModelInfo, ModelError> {
        if name == Self::NAME {
            Ok(self.default_model())
        } else {
            let sentence = format!("there is no model {name}; there is {}", Self::NAME);
            Err(ModelError::UnknownModel { sentence, instead: vec![Self::NAME.into()] })
        }
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        let open = Open(Arc::clone(&self.open));
        let text_before = |turns: usize| request.turns.iter().rev().nth(turns).map(|turn| turn.text.clone());
        let prompt = text_before(0).unwrap_or_default();
        let (pause, held) = (self.pause, Arc::clone(&self.held));
        let (chunks, end) = match text_before(2) {
            // Asked to go on, behind what it has said.
            Some(cut) if cut.starts_with("cut ") && prompt.contains("cut off") => (Vec::new(), End::Limit),
            _ => script(&prompt),
        };
        let chunks = stream::iter(chunks).zip(stream::repeat(held)).then(move |(chunk, held)| async move {
            while held.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            Ok(match (chunk.strip_prefix(THOUGHT), chunk.strip_prefix(AGAIN)) {
                (Some(thought), _) => ModelChunk::Reasoning(thought.to_owned()),
                (None, Some(reason)) => {
                    let error = ModelError::Unavailable(reason.to_owned());
                    ModelChunk::Retried(Box::new(Retry { attempt: 1, wait: Duration::from_millis(1_500), error }))
                }
                (None, None) => ModelChunk::Text(chunk),
            })
        });
        let end = stream::once(async move {
            if end == End::Never {
                std::future::pending::<()>().await;
            }
            drop(open);
            match end {
                End::Complete | End::Never => Ok(ModelChunk::Stop(StopReason::Complete)),
                End::Limit => Ok(ModelChunk::Stop(StopReason::Truncated)),
                End::Broken => Err(ModelError::Incomplete),
                End::Refused => Err(ModelError::QuotaExceeded("the account has no credit".into())),
            }
        });
        chunks.chain(end).boxed()
    }
}

/// Marks a chunk of a script that is reasoning.
const THOUGHT: &str = "(thinks) ";
/// Marks one that is a failure after which the model is asked again.
const AGAIN: &str = "(again) ";

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Never,
    Limit,
    Broken,
    Refused,
}

fn script(prompt: &str) -> (Vec<String>, End) {
    let words = |count: usize| (0..count).map(|n| format!("wörd{n} ")).collect();
    let mut parts = prompt.splitn(3, ' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("words"), Some(count), None) => (words(count.parse().expect("a number")), End::Complete),
        (Some("file"), Some(path), Some(text)) => {
            (vec![format!("Here:\n<file path=\"{path}\">\n"), format!("{text}\n"), "</file>\n".into()], End::Complete)
        }
        (Some("cut"), Some(_), _) => (vec![prompt["cut ".len()..].to_owned()], End::Limit),
        (Some("break"), Some(_), _) => (vec![prompt["break ".len()..].to_owned()], End::Broken),
        (Some("think"), Some(text), None) => (vec![format!("{THOUGHT}{text}"), text.to_owned()], End::Complete),
        (Some("again"), Some(_), _) => {
            (vec![format!("{AGAIN}it is busy"), prompt["again ".len()..].to_owned()], End::Complete)
        }
        _ if prompt.contains("<update>refuse</update>") => (Vec::new(), End::Refused),
        (Some("refuse"), None, None) => (Vec::new(), End::Refused),
        (Some("hang"), None, None) => (words(3), End::Never),
        _ => (vec![prompt.to_owned()], End::Complete),
    }
}
