//! The loop of turns, with a model the test speaks for and a preview in memory.

mod answers;
mod budgets;
mod edits;
mod joining;
mod repairs;
mod windows;

use cobuild_protocol::{
    Command, ErrorCode, Event, MessageId,
    command::{Apply, Delivery, Generate},
    event::{RunFinished, TurnStarted, UsageUpdated},
    frame::ControlFrame,
    model::ModelPrice,
    state::RunState,
    value::{GenerateMode, ImageData, ImageType, MessageRole, Outcome, TurnReason, Usage},
};

use crate::project::{
    Budget, ProjectSettings,
    model_provider::{ModelChunk, ModelError, ModelInfo, StopReason, Switch},
    testing::{Call, Client, TestRoom, accepted_run, within},
};

const APP: &str = "Here it is.\n<file path=\"src/App.jsx\">\nexport default () => <h1>Hi</h1>;\n</file>\nDone.";

fn usage(cost: Option<u64>) -> Usage {
    Usage { input_tokens: Some(100), output_tokens: Some(10), cost_nano_usd: cost, ..Usage::default() }
}

impl Call {
    fn answer(&self, text: &str) {
        self.text(text);
        self.stop();
    }

    fn billed(&self, text: &str, cost: Option<u64>) {
        self.text(text);
        self.send(Ok(ModelChunk::Usage(usage(cost))));
        self.stop();
    }

    fn cut(&self, text: &str) {
        self.text(text);
        self.send(Ok(ModelChunk::Stop(StopReason::Truncated)));
    }

    fn last_turn(&self) -> &str {
        &self.request.turns.last().unwrap().text
    }

    /// The model that was asked failed, and this one takes over.
    fn switch(&self, to: &ModelInfo) {
        let error = ModelError::Unavailable("full".into());
        let switch = Switch { from: self.request.model.clone(), to: to.clone(), error };
        self.send(Ok(ModelChunk::Switched(Box::new(switch))));
    }

    /// How much text was sent.
    fn size_bytes(&self) -> usize {
        let files = self.request.files.iter().filter_map(|file| file.text.as_ref()).map(String::len).sum::<usize>();
        let turns = self.request.turns.iter().map(|turn| turn.text.len()).sum::<usize>();
        self.request.system.len() + files + turns
    }
}

async fn read(client: &Client, path: &str) -> String {
    let (_, content) = within(client.handle.read_file(&path.parse().unwrap())).await.unwrap();
    String::from_utf8(content.to_vec()).unwrap()
}

fn turns(client: &Client) -> Vec<TurnStarted> {
    let turn = |event: &Event| match event {
        Event::TurnStarted(turn) => Some(turn.clone()),
        _ => None,
    };
    client.seen.iter().filter_map(|frame| turn(&frame.event)).collect()
}

fn reasons(client: &Client) -> Vec<(TurnReason, u32)> {
    turns(client).into_iter().map(|turn| (turn.reason, turn.round)).collect()
}

fn end(client: &Client) -> RunFinished {
    let finished = client.seen.iter().rev().find_map(|frame| match &frame.event {
        Event::RunFinished(finished) => Some(finished.clone()),
        _ => None,
    });
    finished.expect("a run has ended")
}

fn usages(client: &Client) -> Vec<UsageUpdated> {
    let usage = |event: &Event| match event {
        Event::UsageUpdated(updated) => Some((**updated).clone()),
        _ => None,
    };
    client.seen.iter().filter_map(|frame| usage(&frame.event)).collect()
}

fn edit(search: &str, replace: &str) -> String {
    format!("<edit path=\"src/App.jsx\">\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n</edit>")
}

/// A room with an app that says hi.
async fn with_app() -> (TestRoom, Client) {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Say hi").await;
    room.call().await.answer(APP);
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    ada.seen.clear();
    (room, ada)
}
