//! What fits into a model's window.

use super::*;

#[tokio::test]
async fn what_was_said_before_a_request_is_found_too_long_is_not_said_twice() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Say more").await;
    let call = room.call().await;
    call.text("Half of ");
    call.send(Err(ModelError::ContextTooLong));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
}

#[tokio::test]
async fn a_request_that_is_too_long_is_sent_again_shorter_and_that_is_told() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Say more").await;
    let call = room.call().await;
    let first = call.size_bytes();
    call.send(Err(ModelError::ContextTooLong));
    let call = room.call().await;
    assert!(call.size_bytes() < first, "{} < {first}", call.size_bytes());
    assert_eq!(call.last_turn(), "Say more", "the prompt stays");
    call.answer("More.");
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert!(ada.run_events(run).contains(&"context_trimmed"));
    assert_eq!(usages(&ada).len(), 1, "what was refused cost nothing");
}

#[tokio::test]
async fn rounds_of_a_run_stay_within_a_small_window() {
    let info = ModelInfo { context_tokens_max: Some(8_192), ..ModelInfo::default() };
    let mut room = TestRoom::with_settings(ProjectSettings::default(), info).await;
    let mut ada = room.enter("Ada").await;
    let budget = (8_192 - 4_096) * 3;
    let app = |number: usize| {
        let lines = format!("// {number} {}\n", "x".repeat(60)).repeat(35);
        format!(
            "<file path=\"src/App.jsx\">\n{lines}export default () => 1;\n</file>\n<command>fail {number}</command>"
        )
    };
    let run = ada.generate("Say hi").await;
    for number in 0..3 {
        let call = room.call().await;
        assert!(call.size_bytes() <= budget, "round {number}: {} bytes of {budget}", call.size_bytes());
        assert!(call.request.turns.iter().any(|turn| turn.text == "Say hi"), "the prompt stays");
        if number > 0 {
            assert!(call.last_turn().contains(&format!("// {} x", number - 1)), "the files are as they are now");
        }
        call.answer(&app(number));
    }
    ada.cancel(run).await;
}

#[tokio::test]
async fn a_conversation_that_outgrows_the_window_is_summed_up_once() {
    let info = ModelInfo { context_tokens_max: Some(16_000), output_tokens_max: Some(2_000), ..ModelInfo::default() };
    let mut room = TestRoom::with_settings(ProjectSettings::default(), info).await;
    let mut ada = room.enter("Ada").await;
    let long = "blue ".repeat(1200);
    let mut summed_up = None;
    for number in 0..8 {
        let run = ada.generate(&format!("{number} {long}")).await;
        let mut call = room.call().await;
        if call.request.system.starts_with("You sum up") {
            assert!(call.last_turn().contains("0 blue"), "the oldest turns are summed up");
            call.billed("They like blue.", Some(3));
            call = room.call().await;
            summed_up.get_or_insert(number);
            assert!(call.request.turns[0].text.contains("They like blue."), "the summary takes their place");
            assert!(!call.request.turns.iter().any(|turn| turn.text.starts_with("0 blue")));
        }
        call.answer("Yes.");
        assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
        if summed_up.is_some() {
            break;
        }
    }
    assert!(summed_up.is_some(), "it outgrew the window");
    assert_eq!(reasons(&ada), [(TurnReason::Compaction, 1), (TurnReason::Prompt, 1)]);
    let state = ada.state().await;
    let summary = state.summary.unwrap();
    assert_eq!(summary.text, "They like blue.");
    assert!(summary.through >= MessageId::new(2));
    assert_eq!(state.usage.known_cost_nano_usd, 3, "the summary has its price");
}

/// A model with this window.
fn with_window(tokens: u64) -> ModelInfo {
    ModelInfo { context_tokens_max: Some(tokens), ..ModelInfo::new("test/other") }
}

/// An app with some 40 KB of words.
async fn with_many_words() -> (TestRoom, Client) {
    let (mut room, mut ada) = with_app().await;
    let words = format!("<file path=\"src/words.js\">\n{}</file>", "export const word = 1;\n".repeat(1_800));
    let run = ada.generate("Many words").await;
    room.call().await.answer(&words);
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    ada.seen.clear();
    (room, ada)
}

#[tokio::test]
async fn the_window_of_the_model_that_takes_over_counts() {
    let (mut room, mut ada) = with_many_words().await;
    let budget = (8_192 - 4_096) * 3;
    let run = ada.generate("Say more").await;
    let call = room.call().await;
    assert!(call.size_bytes() > budget, "the first one has room for all of it");
    call.send(Ok(ModelChunk::Usage(usage(Some(7)))));
    call.switch(&with_window(8_192));
    call.closed().await;
    let call = room.call().await;
    assert_eq!((call.request.model.as_str(), call.last_turn()), ("test/other", "Say more"));
    assert!(call.size_bytes() <= budget, "{} of {budget}", call.size_bytes());
    call.billed("<file path=\"src/App.jsx\">\nexport default () => 1;\n</file>\n<command>fail</command>", Some(5));
    let call = room.call().await;
    assert!(call.size_bytes() <= budget, "nor is more sent later: {}", call.size_bytes());
    ada.cancel(run).await;
    ada.wait_for_end(run).await;
    let usages = usages(&ada);
    assert_eq!(usages[0].usage.cost_nano_usd, Some(12), "what the failed one consumed is on the bill");
    assert_eq!((usages[0].usage.input_tokens, usages[0].context_tokens_max), (Some(200), Some(8_192)));
    let events = ada.run_events(run);
    assert!(events.contains(&"model_switched") && events.contains(&"context_trimmed"), "{events:?}");
    assert_eq!(reasons(&ada), [(TurnReason::Repair, 1)], "it is one call");
}

#[tokio::test]
async fn a_model_with_more_room_gets_more() {
    let mut room = TestRoom::with_settings(ProjectSettings::default(), with_window(8_192)).await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Many words").await;
    let words = format!("<file path=\"src/words.js\">\n{}</file>", "export const word = 1;\n".repeat(1_000));
    room.call().await.answer(&words);
    ada.wait_for_end(run).await;
    let run = ada.generate("Say more").await;
    let call = room.call().await;
    let has_words =
        |call: &Call| call.request.files.iter().any(|file| file.path.name() == "words.js" && file.text.is_some());
    assert!(!has_words(&call));
    call.switch(&with_window(200_000));
    let call = room.call().await;
    assert!(has_words(&call));
    call.answer("More.");
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
}

#[tokio::test]
async fn a_model_that_is_sent_the_same_is_not_asked_twice() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Say more").await;
    let call = room.call().await;
    call.switch(&with_window(1_000_000));
    call.billed("More.", Some(5));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert!(room.calls.try_recv().is_err(), "one request");
    assert_eq!(usages(&ada)[0].context_tokens_max, Some(1_000_000));
}

#[tokio::test]
async fn canned_answers_sum_nothing_up_and_mend_nothing() {
    let info = ModelInfo { context_tokens_max: Some(16_000), output_tokens_max: Some(2_000), ..ModelInfo::default() };
    let mut room = TestRoom::with_settings(ProjectSettings::default(), info).await;
    let mut ada = room.enter("Ada").await;
    let canned = ModelInfo { canned: true, ..with_window(16_000) };
    let long = "blue ".repeat(1200);
    for number in 0..8 {
        let run = ada.generate(&format!("{number} {long}")).await;
        let call = room.call().await;
        if !call.request.system.starts_with("You sum up") {
            call.answer("Yes.");
            assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
            continue;
        }
        call.switch(&canned);
        call.answer("Demo: canned answers.");
        let call = room.call().await;
        assert!(!call.request.turns.iter().any(|turn| turn.text.contains("canned")), "{:?}", call.request.turns);
        call.answer(&format!("{APP}\n<command>fail</command>"));
        assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
        assert!(room.calls.try_recv().is_err(), "it is not asked to mend it");
        assert_eq!(ada.state().await.summary, None);
        return;
    }
    panic!("it never outgrew the window");
}

#[tokio::test]
async fn a_summary_is_asked_of_the_next_model_within_its_window() {
    let info = ModelInfo { context_tokens_max: Some(16_000), output_tokens_max: Some(2_000), ..ModelInfo::default() };
    let mut room = TestRoom::with_settings(ProjectSettings::default(), info).await;
    let mut ada = room.enter("Ada").await;
    let long = "blue ".repeat(1200);
    for number in 0..8 {
        let run = ada.generate(&format!("{number} {long}")).await;
        let call = room.call().await;
        if !call.request.system.starts_with("You sum up") {
            call.answer("Yes.");
            assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
            continue;
        }
        // The least that is ever sent.
        let budget = 8 * 1024;
        assert!(call.last_turn().len() > budget, "{}", call.last_turn().len());
        call.send(Ok(ModelChunk::Usage(usage(Some(7)))));
        call.switch(&with_window(4_096));
        call.closed().await;
        let call = room.call().await;
        assert!(call.request.system.starts_with("You sum up") && call.request.model == "test/other");
        let mark = "\n[…]\n".len();
        assert!(call.last_turn().len() <= budget + mark, "{}", call.last_turn().len());
        call.billed("They like blue.", Some(3));
        let call = room.call().await;
        assert!(call.request.turns[0].text.contains("They like blue."));
        call.answer("Yes.");
        assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
        assert_eq!(ada.state().await.usage.known_cost_nano_usd, 10, "both have their price");
        return;
    }
    panic!("it never outgrew the window");
}

#[tokio::test]
async fn only_a_model_that_is_weak_at_edits_is_told_to_write_whole_files() {
    let info = ModelInfo { whole_files: true, ..ModelInfo::default() };
    let mut room = TestRoom::with_settings(ProjectSettings::default(), info).await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Say hi").await;
    let is_told = |call: &Call| call.request.system.contains("# Whole files only");
    let call = room.call().await;
    assert!(is_told(&call));
    call.switch(&with_window(1_000_000));
    let call = room.call().await;
    assert!(!is_told(&call), "the one that takes over is not");
    call.answer(APP);
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
}
