//! Several models for one answer: where one fails before its first byte, the next is asked, in the open.
//!
//! After the first byte nothing is tried again, because people have seen it. What failed attempts consumed counts.

use std::{collections::VecDeque, sync::Arc};

use cobuild_protocol::value::Usage;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};

use crate::project::model_provider::{ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest, Switch};

/// A model that may answer.
pub(super) struct Candidate {
    /// Its name, as it was given.
    pub(super) name: String,
    /// Who has it, or why it cannot be asked.
    pub(super) found: Result<(ModelInfo, Arc<dyn ModelProvider>), ModelError>,
}

/// Asks the first candidate, and the others where those before fail. Dropping the stream closes the connection.
pub(super) fn answer(
    request: ModelRequest,
    candidates: Vec<Candidate>,
) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
    let failover = Failover {
        request,
        waiting: candidates.into(),
        asked: String::new(),
        open: None,
        ready: VecDeque::new(),
        delivered: false,
        spent: None,
        said: None,
        over: false,
    };
    stream::unfold(failover, |mut failover| async move {
        let next = failover.next().await?;
        Some((next, failover))
    })
    .boxed()
}

struct Failover {
    request: ModelRequest,
    waiting: VecDeque<Candidate>,
    /// The name of the model that is asked.
    asked: String,
    open: Option<BoxStream<'static, Result<ModelChunk, ModelError>>>,
    ready: VecDeque<Result<ModelChunk, ModelError>>,
    /// Whether text or reasoning went out: then nothing is tried again.
    delivered: bool,
    /// Consumption of the models before.
    spent: Option<Usage>,
    /// Consumption of the one that is asked, as far as it said.
    said: Option<Usage>,
    over: bool,
}

impl Failover {
    async fn next(&mut self) -> Option<Result<ModelChunk, ModelError>> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            if self.over {
                return None;
            }
            let Some(open) = &mut self.open else {
                self.ask_next(None);
                continue;
            };
            match open.next().await {
                Some(Ok(chunk)) => return Some(Ok(self.take(chunk))),
                Some(Err(error)) => self.fail(error),
                None => self.fail(ModelError::Incomplete),
            }
        }
    }

    fn take(&mut self, chunk: ModelChunk) -> ModelChunk {
        match chunk {
            ModelChunk::Usage(said) => {
                self.said = Some(said);
                ModelChunk::Usage(self.consumed().unwrap_or_default())
            }
            ModelChunk::Stop(_) => {
                self.open = None;
                self.over = true;
                chunk
            }
            ModelChunk::Text(_) | ModelChunk::Reasoning(_) => {
                self.delivered = true;
                chunk
            }
            ModelChunk::Switched(_) | ModelChunk::Retried(_) => chunk,
        }
    }

    fn fail(&mut self, error: ModelError) {
        self.open = None;
        self.spent = self.consumed();
        self.said = None;
        if self.delivered {
            self.end(error);
        } else {
            self.ask_next(Some(error));
        }
    }

    /// Goes on to the next model that can be asked. `failed` is what the one before it ended with, if there was one.
    fn ask_next(&mut self, mut failed: Option<ModelError>) {
        while let Some(Candidate { name, found }) = self.waiting.pop_front() {
            let from = std::mem::replace(&mut self.asked, name.clone());
            if let Some(error) = failed.take() {
                tracing::info!(from, to = name, %error, "another model is asked");
                let to = found.as_ref().map_or_else(|_| ModelInfo::new(name), |(info, _)| info.clone());
                self.ready.push_back(Ok(ModelChunk::Switched(Box::new(Switch { from, to, error }))));
            }
            match found {
                Ok((info, provider)) => {
                    let request = self.request.clone();
                    self.open =
                        Some(provider.stream(ModelRequest { model: info.name, fallbacks: Vec::new(), ..request }));
                    return;
                }
                Err(error) => failed = Some(error),
            }
        }
        self.end(failed.unwrap_or(ModelError::Incomplete));
    }

    fn end(&mut self, error: ModelError) {
        self.ready.push_back(Err(error));
        self.over = true;
    }

    /// What all models have consumed so far.
    fn consumed(&self) -> Option<Usage> {
        match (&self.spent, &self.said) {
            (Some(spent), Some(said)) => Some(spent.plus(said)),
            (spent, said) => said.clone().or_else(|| spent.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::demo::script::{Script, ScriptedModel},
        project::model_provider::StopReason,
    };

    fn overloaded() -> ModelError {
        ModelError::Unavailable("full".to_owned())
    }

    fn candidate(name: &str, script: Script) -> Candidate {
        let provider: Arc<dyn ModelProvider> = Arc::new(ScriptedModel::new([script]));
        Candidate { name: name.to_owned(), found: Ok((ModelInfo::new(name), provider)) }
    }

    fn unusable(name: &str) -> Candidate {
        let sentence = "no key".to_owned();
        Candidate { name: name.to_owned(), found: Err(ModelError::NotConfigured { variable: "X_API_KEY", sentence }) }
    }

    async fn all(candidates: Vec<Candidate>) -> Vec<Result<ModelChunk, ModelError>> {
        answer(ModelRequest::default(), candidates).collect().await
    }

    fn text(text: &str) -> Result<ModelChunk, ModelError> {
        Ok(ModelChunk::Text(text.to_owned()))
    }

    fn switched(from: &str, to: &str, error: ModelError) -> Result<ModelChunk, ModelError> {
        Ok(ModelChunk::Switched(Box::new(Switch { from: from.to_owned(), to: ModelInfo::new(to), error })))
    }

    const STOP: Result<ModelChunk, ModelError> = Ok(ModelChunk::Stop(StopReason::Complete));

    #[tokio::test]
    async fn the_next_one_answers_when_one_fails_before_its_first_byte() {
        let said = all(vec![
            candidate("a/1", Script::new().fail(overloaded())),
            candidate("b/2", Script::new()),
            candidate("c/3", Script::new().text("hi").complete()),
        ]);
        let expected =
            [switched("a/1", "b/2", overloaded()), switched("b/2", "c/3", ModelError::Incomplete), text("hi"), STOP];
        assert_eq!(said.await, expected);
    }

    #[tokio::test]
    async fn after_the_first_byte_nothing_is_tried_again() {
        let said = all(vec![
            candidate("a/1", Script::new().text("half").fail(overloaded())),
            candidate("b/2", Script::new().text("hi").complete()),
        ]);
        assert_eq!(said.await, [text("half"), Err(overloaded())]);
    }

    #[tokio::test]
    async fn one_that_cannot_be_asked_is_passed_over_in_the_open() {
        let Err(no_key) = unusable("a/1").found else { panic!("unusable") };
        let said = all(vec![unusable("a/1"), candidate("b/2", Script::new().text("hi").complete())]);
        assert_eq!(said.await, [switched("a/1", "b/2", no_key.clone()), text("hi"), STOP]);
        let said = all(vec![candidate("b/2", Script::new().fail(overloaded())), unusable("a/1")]);
        assert_eq!(said.await, [switched("b/2", "a/1", overloaded()), Err(no_key)]);
    }

    #[tokio::test]
    async fn what_failed_attempts_consumed_counts() {
        let used = |tokens: u64, cost: u64| Usage {
            input_tokens: Some(tokens),
            output_tokens: Some(0),
            cost_nano_usd: Some(cost),
            ..Usage::default()
        };
        let said = all(vec![
            candidate("a/1", Script::new().usage(used(5, 100)).fail(overloaded())),
            candidate("b/2", Script::new().text("hi").usage(used(7, 10)).complete()),
        ]);
        let expected = [
            Ok(ModelChunk::Usage(used(5, 100))),
            switched("a/1", "b/2", overloaded()),
            text("hi"),
            Ok(ModelChunk::Usage(used(12, 110))),
            STOP,
        ];
        assert_eq!(said.await, expected);
    }
}
