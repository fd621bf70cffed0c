//! `demo/test`: a model whose answers a test writes, piece by piece. An ordinary provider, so that a run cannot tell.
//!
//! ```
//! use cobuild::model::demo::script::{Gate, Script, ScriptedModel};
//!
//! let gate = Gate::new();
//! let model = ScriptedModel::new([
//!     Script::new().text("<file path=\"src/App.jsx\">").wait(&gate).text("x</file>").complete(),
//!     Script::new().text("half an ans"), // ends without the terminal marker
//! ]);
//! gate.open(); // lets the first answer go on, now or later
//! assert_eq!(model.open_streams(), 0);
//! ```

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use cobuild_protocol::value::Usage;
use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::sync::Semaphore;

use crate::{
    model::unknown_model,
    project::model_provider::{ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest, StopReason},
};

/// The name of the model.
pub const TEST_MODEL: &str = "demo/test";

/// Answers every request with the next script. A request without a script fails as unavailable.
#[derive(Debug)]
pub struct ScriptedModel {
    scripts: Mutex<VecDeque<Script>>,
    requests: Mutex<Vec<ModelRequest>>,
    open: Arc<AtomicUsize>,
}

impl ScriptedModel {
    /// A model that gives these answers, in this order.
    #[must_use]
    pub fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self { scripts: Mutex::new(scripts.into_iter().collect()), requests: Mutex::default(), open: Arc::default() }
    }

    /// Adds an answer.
    pub fn push(&self, script: Script) {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner).push_back(script);
    }

    /// What the model was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ModelRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many answers are being read: 0 after a cancel, or the cancel did not reach the model.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// One answer.
#[derive(Debug, Clone, Default)]
pub struct Script {
    steps: VecDeque<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Chunk(ModelChunk),
    Fail(ModelError),
    Wait(Gate),
}

impl Script {
    /// An answer that ends at once, without the terminal marker.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says this, in one chunk.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.chunk(ModelChunk::Text(text.to_owned()))
    }

    /// Thinks this, in one chunk.
    #[must_use]
    pub fn reasoning(self, text: &str) -> Self {
        self.chunk(ModelChunk::Reasoning(text.to_owned()))
    }

    /// Reports usage.
    #[must_use]
    pub fn usage(self, usage: Usage) -> Self {
        self.chunk(ModelChunk::Usage(usage))
    }

    /// Ends properly.
    #[must_use]
    pub fn complete(self) -> Self {
        self.chunk(ModelChunk::Stop(StopReason::Complete))
    }

    /// Ends at the output limit.
    #[must_use]
    pub fn truncated(self) -> Self {
        self.chunk(ModelChunk::Stop(StopReason::Truncated))
    }

    /// Sends any chunk.
    #[must_use]
    pub fn chunk(mut self, chunk: ModelChunk) -> Self {
        self.steps.push_back(Step::Chunk(chunk));
        self
    }

    /// Fails.
    #[must_use]
    pub fn fail(mut self, error: ModelError) -> Self {
        self.steps.push_back(Step::Fail(error));
        self
    }

    /// Says nothing until the gate is opened once more; a gate nobody opens is a model that hangs.
    #[must_use]
    pub fn wait(mut self, gate: &Gate) -> Self {
        self.steps.push_back(Step::Wait(gate.clone()));
        self
    }
}

/// Something an answer waits for. Each [`Gate::open`] lets one wait pass, whichever comes first.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one wait pass.
    pub fn open(&self) {
        self.0.add_permits(1);
    }

    async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

/// Counts a stream for as long as it lives.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ModelProvider for ScriptedModel {
    fn default_model(&self) -> ModelInfo {
        ModelInfo { notice: Some(super::DEMO_NOTICE.to_owned()), ..ModelInfo::new(TEST_MODEL) }
    }

    fn models(&self) -> Vec<ModelInfo> {
        vec![self.default_model()]
    }

    fn resolve(&self, name: &str) -> Result<ModelInfo, ModelError> {
        let models = self.models();
        models.iter().find(|model| model.name == name).cloned().ok_or_else(|| unknown_model(name, &models))
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let script = self.scripts.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let script = script
            .unwrap_or_else(|| Script::new().fail(ModelError::Unavailable("the test has no more answers".to_owned())));
        stream::unfold((script.steps, Open::new(&self.open)), |(mut steps, open)| async move {
            loop {
                match steps.pop_front()? {
                    Step::Wait(gate) => gate.pass().await,
                    Step::Chunk(chunk) => return Some((Ok(chunk), (steps, open))),
                    Step::Fail(error) => return Some((Err(error), (VecDeque::new(), open))),
                }
            }
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn request() -> ModelRequest {
        ModelRequest { model: TEST_MODEL.to_owned(), ..ModelRequest::default() }
    }

    #[tokio::test]
    async fn follows_the_script() {
        let gate = Gate::new();
        let model = ScriptedModel::new([Script::new().text("a").wait(&gate).text("b").complete()]);
        let mut stream = model.stream(request());
        assert!(matches!(stream.next().await, Some(Ok(ModelChunk::Text(text))) if text == "a"));
        assert!(stream.next().now_or_never().is_none(), "it waits at the gate");
        assert_eq!((model.requests().len(), model.open_streams()), (1, 1));
        gate.open();
        let rest: Vec<_> = stream.by_ref().map(Result::ok).collect().await;
        assert_eq!(rest, [Some(ModelChunk::Text("b".to_owned())), Some(ModelChunk::Stop(StopReason::Complete))]);
        assert_eq!(model.open_streams(), 0);
    }

    #[tokio::test]
    async fn a_dropped_answer_is_not_open() {
        let model = ScriptedModel::new([Script::new().wait(&Gate::new())]);
        let mut stream = model.stream(request());
        assert!(stream.next().now_or_never().is_none());
        assert_eq!(model.open_streams(), 1);
        drop(stream);
        assert_eq!(model.open_streams(), 0);
    }

    #[tokio::test]
    async fn fails_as_told_and_when_nothing_is_left() {
        let model = ScriptedModel::new([Script::new().fail(ModelError::Incomplete).text("never")]);
        let answer: Vec<_> = model.stream(request()).collect().await;
        assert!(matches!(answer.as_slice(), [Err(ModelError::Incomplete)]));
        let answer: Vec<_> = model.stream(request()).collect().await;
        assert!(matches!(answer.as_slice(), [Err(ModelError::Unavailable(_))]));
    }
}
