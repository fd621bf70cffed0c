//! A prompt that joins the run under way.

use super::*;

#[tokio::test]
async fn a_prompt_joins_the_run_under_way() {
    let (mut room, mut ada) = with_app().await;
    let mut bob = room.enter("Bob").await;
    let run = ada.generate("Be polite").await;
    let call = room.call().await;
    let steer = Generate { delivery: Delivery::Steer, ..Generate::new("And loud") };
    let reply = bob.send(Command::Generate(steer)).await;
    assert_eq!(accepted_run(&reply), run, "it is the run under way");
    call.answer(&APP.replace("Hi", "Please"));
    let call = room.call().await;
    assert_eq!(call.last_turn(), "And loud");
    call.answer(&APP.replace("Hi", "PLEASE"));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>PLEASE</h1>;");
    assert_eq!(reasons(&ada), [(TurnReason::Steer, 1)]);
    let state = ada.state().await;
    let said: Vec<_> =
        state.messages.iter().rev().take(4).rev().map(|message| (message.role, message.steers)).collect();
    let (user, assistant) = (MessageRole::User, MessageRole::Assistant);
    assert_eq!(said, [(user, false), (assistant, false), (user, true), (assistant, false)]);
    assert!(state.runs.iter().all(|run| run.state == RunState::Finished));
}

#[tokio::test]
async fn what_cannot_join_waits_and_says_so() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Be polite").await;
    let call = room.call().await;
    let plan = Generate { delivery: Delivery::Steer, mode: GenerateMode::Plan, ..Generate::new("How?") };
    let waiting = accepted_run(&ada.send(Command::Generate(plan)).await);
    assert_ne!(waiting, run);
    let queued = ada.wait_for(|frame| matches!(frame.event, Event::RunQueued(_))).await;
    assert!(matches!(queued.event, Event::RunQueued(queued) if queued.not_steered));
    call.answer(APP);
    room.call().await.answer("Like this.");
    assert_eq!(ada.wait_for_end(waiting).await, Outcome::Completed);
}
