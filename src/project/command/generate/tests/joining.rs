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

/// Somebody joins the run under way.
async fn steer(client: &mut Client, prompt: Generate) {
    let steer = Generate { delivery: Delivery::Steer, ..prompt };
    accepted_run(&client.send(Command::Generate(steer)).await);
}

#[tokio::test]
async fn what_a_joined_prompt_breaks_is_taken_back_and_nothing_else() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Be polite").await;
    let call = room.call().await;
    steer(&mut ada, Generate::new("And loud")).await;
    call.answer(&APP.replace("Hi", "Please"));
    for at in 0..4 {
        let loud = APP.replace("Hi", &format!("PLEASE {at}"));
        room.call().await.answer(&format!("{loud}\n<command>check-{at}</command>"));
    }
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>Please</h1>;");
}

#[tokio::test]
async fn a_problem_is_not_forgotten_when_somebody_joins() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Be polite").await;
    let call = room.call().await;
    steer(&mut ada, Generate::new("And loud")).await;
    call.answer(&format!("{}\n<command>check</command>", APP.replace("Hi", "Please")));
    let call = room.call().await;
    assert!(call.last_turn().starts_with("And loud\n\nBesides, the app does not work"), "{}", call.last_turn());
    call.answer("All right.");
    let call = room.call().await;
    assert!(call.last_turn().contains("check"), "{}", call.last_turn());
    call.answer(&APP.replace("Hi", "PLEASE"));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert_eq!(reasons(&ada), [(TurnReason::Steer, 1), (TurnReason::Repair, 1)]);
}

#[tokio::test]
async fn a_page_that_cannot_be_read_does_not_end_the_run_it_joins() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Be polite").await;
    let call = room.call().await;
    let page = Generate { url: Some("https://example.com/gone".into()), ..Generate::new("Like this") };
    steer(&mut ada, page).await;
    call.answer(&APP.replace("Hi", "Please"));
    let call = room.call().await;
    let said = call.last_turn();
    assert!(said.starts_with("Like this") && said.contains("could not be read"), "{said}");
    assert!(said.contains("there is no page https://example.com/gone"), "{said}");
    call.answer("I cannot see it.");
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    let detail = turns(&ada)[0].detail.clone().expect("the room is told");
    assert!(detail.contains("https://example.com/gone"), "{detail}");
}

#[tokio::test]
async fn that_an_answer_was_cut_off_is_not_forgotten_when_somebody_joins() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Be polite").await;
    let call = room.call().await;
    steer(&mut ada, Generate::new("And loud")).await;
    call.cut(&APP.replace("Hi", "Please"));
    for _ in 0..3 {
        room.call().await.cut(" on");
    }
    room.call().await.answer(&APP.replace("Hi", "PLEASE"));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    let error = end(&ada).error.expect("a reason");
    assert!(error.output_limit && error.message.starts_with("an earlier answer reached"), "{error:?}");
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>PLEASE</h1>;", "and nothing is taken back");
}
