//! An app that does not work after an answer, and the way back.

use std::sync::Arc;

use cobuild_protocol::value::SandboxState;

use super::*;
use crate::{
    project::{
        preview_pages::{OpenPage, PageError},
        sandbox_provider::{SandboxError, SandboxFile},
    },
    sandbox::memory::{Ending, MemoryProgram, MemoryProvider},
    store::memory::MemoryStore,
};

#[tokio::test]
async fn a_failed_command_goes_back_until_it_works() {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Make it").await;
    room.call().await.billed(&format!("{APP}\n<command>make-it</command>"), Some(7));
    let call = room.call().await;
    assert!(call.last_turn().contains("make-it") && call.last_turn().contains("does not work"), "{}", call.last_turn());
    assert!(call.last_turn().contains("<file path=\"src/App.jsx\">"), "the touched files go along");
    call.billed("<file path=\"src/App.jsx\">\nexport default () => <h1>Mended</h1>;\n</file>", None);
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert_eq!(reasons(&ada), [(TurnReason::Repair, 1)]);
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>Mended</h1>;");
    let state = ada.state().await;
    assert_eq!((state.usage.calls, state.usage.calls_of_unknown_cost, state.usage.known_cost_nano_usd), (2, 1, 7));
    let run = state.runs.last().unwrap();
    assert_eq!(run.usage.as_ref().unwrap().input_tokens, Some(200));
    assert_eq!(run.usage.as_ref().unwrap().cost_nano_usd, None, "a sum with an unknown part is unknown");
    assert_eq!(run.turns[0].usage.as_ref().unwrap().cost_nano_usd, None);
}

/// A room in which every command fails, for there is none, and the model is asked this many times.
async fn unfixable(answers: usize, says: impl Fn(usize) -> String) -> (TestRoom, Client) {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Break it").await;
    for at in 0..answers {
        room.call().await.billed(&says(at), Some(5));
    }
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    assert!(room.calls.try_recv().is_err(), "it is not asked again");
    (room, ada)
}

#[tokio::test]
async fn after_three_rounds_the_files_are_as_they_were_and_the_cost_is_told() {
    let says =
        |at: usize| format!("{APP}\n<file path=\"src/new.js\">\nn({at});\n</file>\n<command>check-{at}</command>");
    let (_room, ada) = unfixable(4, says).await;
    let end = end(&ada);
    let error = end.error.unwrap();
    assert_eq!(error.code, ErrorCode::ModelFailed);
    assert!(error.message.contains("3 attempts") && error.message.contains("as they were before"), "{}", error.message);
    assert_eq!(end.usage.unwrap().cost_nano_usd, Some(20));
    let reverted = ada.seen.iter().find_map(|frame| match &frame.event {
        Event::Reverted(reverted) => Some(reverted.clone()),
        _ => None,
    });
    let reverted = reverted.expect("it says that it went back");
    assert_eq!((reverted.rounds, reverted.usage.cost_nano_usd, reverted.paths.len()), (3, Some(20), 2));
    assert!(reverted.problem.contains("check-3"), "{}", reverted.problem);
    assert!(!ada.state().await.files.contains_key(&"src/new.js".parse().unwrap()));
    assert!(!read(&ada, "src/App.jsx").await.contains("<h1>Hi</h1>"), "the template's page is back");
    assert_eq!(reasons(&ada), [(TurnReason::Repair, 1), (TurnReason::Repair, 2), (TurnReason::Repair, 3)]);
}

#[tokio::test]
async fn an_error_that_stays_the_same_ends_the_attempts() {
    let (_room, ada) = unfixable(2, |_| format!("{APP}\n<command>check-0</command>")).await;
    let error = end(&ada).error.unwrap();
    assert!(error.message.contains("did not change that"), "{}", error.message);
    // A model that has nothing to say about it has not mended it.
    let says =
        |at: usize| if at == 0 { format!("{APP}\n<command>check-0</command>") } else { "Looks fine to me.".into() };
    let (_room, ada) = unfixable(2, says).await;
    assert_eq!(end(&ada).error.unwrap().code, ErrorCode::ModelFailed);
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_not_mended() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Break it").await;
    room.call().await.answer(&format!("{}\n<command>check-0</command>", APP.replace("Hi", "Broken")));
    let call = room.call().await;
    room.sandboxes.refuse(Some(SandboxError::Unavailable("there is none".into())));
    room.sandboxes.lose_all();
    let is_lost =
        |event: &Event| matches!(event, Event::SandboxChanged(changed) if changed.state == SandboxState::Lost);
    ada.wait_for(|frame| is_lost(&frame.event)).await;
    call.answer(&APP.replace("Hi", "Mended, perhaps"));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    let error = end(&ada).error.unwrap();
    assert!(error.message.contains("could not be checked"), "{}", error.message);
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>Hi</h1>;");
}

#[tokio::test]
async fn what_commands_wrote_is_taken_back_too() {
    let file = |path: &str| SandboxFile { path: path.parse().unwrap(), content: "made".into() };
    let program =
        MemoryProgram::new("make-it", "", Ending::Code(1)).writing(vec![file("src/made.js"), file("src/index.css")]);
    let mut room = TestRoom::with(Arc::new(MemoryStore::new()), MemoryProvider::new(vec![program])).await;
    let mut ada = room.enter("Ada").await;
    let style = read(&ada, "src/index.css").await;
    let run = ada.generate("Break it").await;
    for _ in 0..2 {
        room.call().await.answer(&format!("{APP}\n<command>make-it</command>"));
    }
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    assert!(ada.run_events(run).contains(&"reverted"));
    assert!(!ada.state().await.files.contains_key(&"src/made.js".parse().unwrap()));
    assert_eq!(read(&ada, "src/index.css").await, style);
}

/// The states of the sandbox, as far as the room was told.
fn sandbox_states(client: &Client) -> Vec<SandboxState> {
    let state = |event: &Event| match event {
        Event::SandboxChanged(changed) => Some(changed.state),
        _ => None,
    };
    let mut states: Vec<_> = client.seen.iter().filter_map(|frame| state(&frame.event)).collect();
    states.dedup();
    states
}

/// An answer that breaks the app; the model is asked to mend it.
async fn broken(room: &mut TestRoom, ada: &mut Client) -> (cobuild_protocol::RunId, Call) {
    let run = ada.generate("Break it").await;
    room.call().await.answer(&format!("{}\n<command>check-0</command>", APP.replace("Hi", "Broken")));
    (run, room.call().await)
}

#[tokio::test]
async fn a_sandbox_that_dies_of_the_files_is_followed_by_the_next() {
    let (mut room, mut ada) = with_app().await;
    let (run, call) = broken(&mut room, &mut ada).await;
    room.sandboxes.lose_at_next_write();
    call.answer(&APP.replace("Hi", "Mended"));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert_eq!(sandbox_states(&ada), [SandboxState::Lost, SandboxState::Restoring, SandboxState::Ready]);
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>Mended</h1>;");
    let names = ada.run_events(run);
    assert!(!names.contains(&"reverted") && !names.contains(&"preview_unchecked"), "{names:?}");
    room.sandboxes.until_held("src/App.jsx", "export default () => <h1>Mended</h1>;").await;
}

#[tokio::test]
async fn where_no_sandbox_follows_the_files_are_as_they_were() {
    for (asks, says) in [("", "could not be checked"), ("\n<command>check-1</command>", "there is none")] {
        let (mut room, mut ada) = with_app().await;
        let (run, call) = broken(&mut room, &mut ada).await;
        room.sandboxes.refuse(Some(SandboxError::Unavailable("there is none".into())));
        room.sandboxes.lose_at_next_write();
        call.answer(&format!("{}{asks}", APP.replace("Hi", "Mended, perhaps")));
        assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
        let error = end(&ada).error.expect("a reason");
        assert!(error.message.contains(says), "{}", error.message);
        assert!(ada.run_events(run).contains(&"reverted"), "{asks}: it says that it went back");
        assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>Hi</h1>;");
    }
}

#[tokio::test]
async fn a_sandbox_that_dies_on_the_way_back_keeps_nothing_from_going_back() {
    let (mut room, mut ada) = with_app().await;
    let (run, call) = broken(&mut room, &mut ada).await;
    room.sandboxes.refuse(Some(SandboxError::Unavailable("there is none".into())));
    // Nothing new is written before the way back.
    room.sandboxes.lose_at_next_write();
    call.answer("<command>check-0</command>");
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    let error = end(&ada).error.expect("a reason");
    assert!(error.code == ErrorCode::ModelFailed && error.message.contains("as they were before"), "{error:?}");
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>Hi</h1>;");
    assert!(ada.run_events(run).contains(&"preview_unchecked"), "{:?}", ada.run_events(run));
}

/// A page that is open and says nothing.
fn silent_page(client: &Client) -> OpenPage {
    client.handle.pages().open().expect("there is room for one")
}

/// What was said of the preview in this run, without repetitions in a row.
fn said_of_preview(client: &Client, run: cobuild_protocol::RunId) -> Vec<&'static str> {
    client.run_events(run).into_iter().filter(|name| name.starts_with("preview_")).collect()
}

#[tokio::test]
async fn an_app_whose_page_says_nothing_is_not_called_well() {
    let (mut room, mut ada) = with_app().await;
    let _page = silent_page(&ada);
    let run = ada.generate("Be polite").await;
    room.call().await.answer(&APP.replace("Hi", "Please"));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed, "what is not known to be broken is not mended");
    assert_eq!(said_of_preview(&ada, run), ["preview_unchecked"]);
    let preview = ada.state().await.preview;
    assert!(preview.unchecked.as_deref().is_some_and(|reason| reason.contains("did not say")), "{preview:?}");
}

#[tokio::test]
async fn what_the_dev_server_no_longer_shows_is_mended_though_the_page_says_nothing() {
    let (mut room, mut ada) = with_app().await;
    let _page = silent_page(&ada);
    let run = ada.generate("With data").await;
    room.call().await.answer("<file path=\"src/data.json\">{</file>");
    let call = room.call().await;
    assert!(call.last_turn().contains("not valid JSON"), "{}", call.last_turn());
    call.answer("<file path=\"src/data.json\">{}</file>");
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert_eq!(said_of_preview(&ada, run), ["preview_error", "preview_unchecked"]);
    assert_eq!(read(&ada, "src/data.json").await, "{}");
}

#[tokio::test]
async fn what_a_page_threw_is_not_mended_by_its_silence() {
    let (mut room, mut ada) = with_app().await;
    let mut page = silent_page(&ada);
    let run = ada.generate("Break it").await;
    room.call().await.answer(&APP.replace("Hi", "Broken"));
    let question = within(page.question()).await;
    assert_eq!(page.threw(PageError { message: "it throws".into(), file: None }), None, "it is for the run");
    page.settled(question.number);
    let call = room.call().await;
    assert!(call.last_turn().contains("it throws"), "{}", call.last_turn());
    call.answer(&APP.replace("Hi", "Mended, perhaps"));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    let error = end(&ada).error.expect("a reason");
    assert!(error.message.contains("could not be checked"), "{}", error.message);
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>Hi</h1>;");
}
