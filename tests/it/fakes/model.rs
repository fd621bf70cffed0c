//! A model whose answer is written in the prompt.
//!
//! `words 20`: twenty words, one chunk each. `file src/App.jsx <text>`: a reply with that file. `hang`: some words, then
//! nothing more until it is cancelled. Everything else is repeated.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cobuild::project::model_provider::{ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest, StopReason};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};

#[derive(Debug, Clone, Default)]
pub(crate) struct ScriptedModel {
    pause: Duration,
    calls: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
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
        let prompt = request.turns.last().map(|turn| turn.text.clone()).unwrap_or_default();
        let pause = self.pause;
        let (chunks, hangs) = script(&prompt);
        let chunks = stream::iter(chunks).then(move |chunk| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            Ok(ModelChunk::Text(chunk))
        });
        let end = stream::once(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            drop(open);
            Ok(ModelChunk::Stop(StopReason::Complete))
        });
        chunks.chain(end).boxed()
    }
}

fn script(prompt: &str) -> (Vec<String>, bool) {
    let words = |count: usize| (0..count).map(|n| format!("wörd{n} ")).collect();
    let mut parts = prompt.splitn(3, ' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("words"), Some(count), None) => (words(count.parse().expect("a number")), false),
        (Some("file"), Some(path), Some(text)) => {
            (vec![format!("Here:\n<file path=\"{path}\">\n"), format!("{text}\n"), "</file>\n".into()], false)
        }
        (Some("hang"), None, None) => (words(3), true),
        _ => (vec![prompt.to_owned()], false),
    }
}
