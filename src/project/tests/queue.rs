//! Prompts that wait, and who may do what with them.

use super::*;

#[tokio::test]
async fn prompts_wait_their_turn_and_a_waiting_one_can_be_cancelled() {
    let mut room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter("Bob").await);
    let first = ada.generate("1").await;
    let (second, third) = (ada.generate("2").await, ada.generate("3").await);
    let fourth = bob.generate("4").await;
    ada.cancel(third).await;
    for expected in ["1", "4", "2"] {
        let call = room.call().await;
        assert_eq!(call.request.turns.last().unwrap().text, expected);
        call.stop();
    }
    assert_eq!(ada.wait_for_end(second).await, Outcome::Completed);
    let ended: Vec<_> =
        ada.seen.iter().filter(|f| matches!(f.event, Event::RunFinished(_))).filter_map(|f| f.run).collect();
    assert_eq!(ended, [third, first, fourth, second]);
}

#[tokio::test]
async fn a_full_queue_says_so_and_forgets_the_refusal() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let first = ada.generate("first").await;
    for number in 0..crate::project::QUEUE_SHARE_MAX {
        ada.generate(&format!("{number}")).await;
    }
    let full = ada.send_as("late", generate("late")).await;
    assert_eq!(rejected(&full), ErrorCode::QueueFull);
    assert_eq!(rejected(&ada.send(urgent("now")).await), ErrorCode::QueueFull);
    // One person's line is not everybody's.
    let (mut bob, mut eve) = (room.enter("Bob").await, room.enter("Eve").await);
    for number in 0..crate::project::QUEUE_MAX - crate::project::QUEUE_SHARE_MAX {
        bob.generate(&format!("{number}")).await;
    }
    assert_eq!(rejected(&eve.send(generate("too many")).await), ErrorCode::QueueFull);
    assert_eq!(rejected(&eve.send(urgent("now")).await), ErrorCode::QueueFull);
    ada.cancel(first).await;
    // It is Bob's turn, and then Ada's.
    let (bob, me) = (bob.member.participant(), ada.member.participant());
    let begins = |by| move |frame: &EventFrame| matches!(frame.event, Event::RunStarted(_)) && frame.by == Some(by);
    let bobs = ada.wait_for(begins(bob)).await.run.unwrap();
    ada.cancel(bobs).await;
    ada.wait_for(begins(me)).await;
    accepted_run(&ada.send_as("late", generate("late")).await);
}

#[tokio::test]
async fn an_interruption_ends_the_run_and_is_next() {
    let mut room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter_as("Bob", Role::Editor, None).await);
    let first = ada.generate("1").await;
    let _first_call = room.call().await;
    let waiting = ada.generate("2").await;
    assert_eq!(rejected(&bob.send(urgent("3")).await), ErrorCode::Forbidden, "neither author nor owner");
    let next = accepted_run(&ada.send(urgent("3")).await);
    let call = room.call().await;
    assert_eq!(call.request.turns.last().unwrap().text, "3");
    call.stop();
    room.call().await.stop();
    ada.wait_for_end(waiting).await;
    let ends: Vec<_> = ada
        .seen
        .iter()
        .filter_map(|frame| match &frame.event {
            Event::RunFinished(finished) => Some((frame.run.unwrap(), finished.outcome)),
            _ => None,
        })
        .collect();
    let expected = [(first, Outcome::Cancelled), (next, Outcome::Completed), (waiting, Outcome::Completed)];
    assert_eq!(ends, expected);
}

/// While a cancelled run's job is still putting its things away, the run is over, but nobody else may jump the line.
#[tokio::test]
async fn only_one_interruption_of_a_person_waits_and_only_where_they_may() {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter_as("Ada", Role::Editor, None).await;
    let mut bob = room.enter_as("Bob", Role::Editor, None).await;
    ada.generate("1").await;
    let _call = room.call().await;
    bob.generate("2").await;
    // Handed over together, so that the cancelled job has no chance to end in between.
    let (first, bobs, second) =
        tokio::join!(ada.send_as("3", urgent("3")), bob.send_as("4", urgent("4")), ada.send_as("5", urgent("5")));
    let (first, second) = (accepted_run(&first), accepted_run(&second));
    assert_eq!(rejected(&bobs), ErrorCode::Forbidden, "what is over is still Ada's");
    assert_eq!(ada.wait_for_end(first).await, Outcome::Cancelled, "the later wish takes its place");
    for expected in ["5", "2"] {
        let call = room.call().await;
        assert_eq!(call.request.turns.last().unwrap().text, expected);
        call.stop();
    }
    assert_eq!(ada.wait_for_end(second).await, Outcome::Completed);
}

#[tokio::test]
async fn a_waiting_run_is_cancelled_by_its_author_and_owners_only() {
    let mut room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter_as("Bob", Role::Editor, None).await);
    let running = ada.generate("1").await;
    let _call = room.call().await;
    let (adas, bobs) = (ada.generate("2").await, bob.generate("3").await);
    assert_eq!(rejected(&bob.cancel(adas).await), ErrorCode::Forbidden);
    assert!(matches!(ada.cancel(bobs).await, ControlFrame::Accepted(_)), "an owner may");
    assert!(matches!(bob.cancel(running).await, ControlFrame::Accepted(_)), "what runs, every editor may stop");
    assert_eq!(room.call().await.request.turns.last().unwrap().text, "2");
}

#[tokio::test]
async fn waiting_runs_can_be_moved_and_removed_by_their_author_and_owners() {
    let mut room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter_as("Bob", Role::Editor, None).await);
    ada.generate("now").await;
    let (second, third) = (ada.generate("2").await, ada.generate("3").await);
    let position = 1;
    let to_front = Command::MoveQueued(MoveQueued { run: third, position });
    assert_eq!(rejected(&bob.send(to_front.clone()).await), ErrorCode::Forbidden);
    assert!(matches!(ada.send(to_front).await, ControlFrame::Accepted(_)));
    let waiting: Vec<_> =
        ada.state().await.runs.iter().filter(|info| info.state == RunState::Queued).map(|info| info.run).collect();
    assert_eq!(waiting, [third, second]);
    assert!(matches!(ada.send(Command::RemoveQueued(RemoveQueued { run: second })).await, ControlFrame::Accepted(_)));
    room.call().await.stop();
    assert_eq!(room.call().await.request.turns.last().unwrap().text, "3");
    assert_eq!(rejected(&ada.send(Command::RemoveQueued(RemoveQueued { run: second })).await), ErrorCode::NotFound);
}

/// Whoever moved a prompt finds it where they put it: an interruption goes before all that waits and changes nothing else,
/// and a restart keeps the line as it was.
#[tokio::test]
async fn what_was_moved_stays_in_its_place_through_an_interruption_and_a_crash() {
    let mut room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter_as("Bob", Role::Editor, None).await);
    ada.generate("1").await;
    let _first = room.call().await;
    let (second, third) = (ada.generate("2").await, ada.generate("3").await);
    let (fourth, fifth) = (bob.generate("4").await, bob.generate("5").await);
    assert_eq!(line(&ada).await, [fourth, second, fifth, third], "by turns");
    let to = |run, position| Command::MoveQueued(MoveQueued { run, position });
    let first = ada.send_as("to-the-front", to(third, 1)).await;
    assert!(matches!(first, ControlFrame::Accepted(_)), "{first:?}");
    assert_eq!(ada.send_as("to-the-front", to(third, 1)).await, first, "sent again");
    assert!(matches!(bob.send(to(fourth, 9)).await, ControlFrame::Accepted(_)), "behind all others");
    let moved = [third, second, fifth, fourth];
    assert_eq!(line(&ada).await, moved);

    let urgent = accepted_run(&ada.send(urgent("now")).await);
    let _interrupting = room.call().await;
    assert_eq!(line(&ada).await, moved, "what interrupts is no part of the line");
    assert!(matches!(ada.send(to(second, 1)).await, ControlFrame::Accepted(_)));
    let moved = [second, third, fifth, fourth];
    assert_eq!(line(&ada).await, moved);

    let mut room = room.crash();
    let mut ada = room.enter("Ada").await;
    let state = ada.state().await;
    let interrupted = state.runs.iter().find(|info| info.run == urgent).unwrap();
    assert_eq!(interrupted.outcome, Some(Outcome::Interrupted));
    for (run, prompt) in moved.into_iter().zip(["2", "3", "5", "4"]) {
        let call = room.call().await;
        assert_eq!(call.request.turns.last().unwrap().text, prompt, "still in the order they were moved to");
        call.stop();
        assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    }
}

/// The runs that wait, next first.
async fn line(client: &Client) -> Vec<RunId> {
    let runs = client.state().await.runs;
    runs.iter().filter(|info| info.state == RunState::Queued).map(|info| info.run).collect()
}
