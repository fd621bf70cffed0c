//! What calls cost, and the budgets that end a run.

use super::*;

#[tokio::test]
async fn a_budget_ends_a_run_before_the_next_call() {
    let budget = Budget { cost_nano_usd: Some(8), tokens: None };
    let settings = ProjectSettings { project_budget: budget, ..ProjectSettings::default() };
    let mut room = TestRoom::with_settings(settings, ModelInfo::default()).await;
    let mut ada = room.enter("Ada").await;
    for cost in [5, 5] {
        let run = ada.generate("Say hi").await;
        room.call().await.billed("Hi.", Some(cost));
        assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    }
    let run = ada.generate("Say hi").await;
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    assert_eq!(end(&ada).error.unwrap().code, ErrorCode::QuotaExceeded);
    assert!(room.calls.try_recv().is_err(), "the model was not asked");
}

#[tokio::test]
async fn a_budget_of_a_run_counts_tokens_of_unknown_cost() {
    let budget = Budget { cost_nano_usd: Some(1), tokens: Some(150) };
    let settings = ProjectSettings { run_budget: budget, ..ProjectSettings::default() };
    let mut room = TestRoom::with_settings(settings, ModelInfo::default()).await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Go on and on").await;
    for _ in 0..2 {
        let call = room.call().await;
        call.send(Ok(ModelChunk::Usage(usage(None))));
        call.cut("on and ");
    }
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    let end = end(&ada);
    assert_eq!(end.error.unwrap().code, ErrorCode::QuotaExceeded);
    assert_eq!(end.usage.unwrap().input_tokens, Some(200));
}

#[tokio::test]
async fn a_cancelled_call_has_a_price_too() {
    let (mut room, mut ada) = with_app().await;
    let before = ada.state().await.usage.calls;
    let run = ada.generate("Say more").await;
    let call = room.call().await;
    call.text("Mo");
    ada.wait_for(|frame| matches!(frame.event, Event::TextDelta(_))).await;
    ada.cancel(run).await;
    let updated =
        ada.wait_for(|frame| matches!(&frame.event, Event::UsageUpdated(updated) if updated.usage.estimated)).await;
    assert_eq!(updated.run, None, "nothing of a run follows its end");
    let state = ada.state().await;
    assert_eq!(state.usage.calls, before + 1);
    assert!(state.runs.last().unwrap().usage.as_ref().unwrap().input_tokens > Some(0));
}

/// What is on record of a call whose vendor said at its beginning that it was one token.
async fn cancelled_after_400_characters(room: &mut TestRoom, ada: &mut Client) -> Usage {
    let run = ada.generate("Say more").await;
    let call = room.call().await;
    let known = Usage { output_tokens: Some(1), cache_read_tokens: Some(1000), ..usage(Some(7)) };
    call.send(Ok(ModelChunk::Usage(known)));
    call.text(&"more ".repeat(80));
    ada.wait_for(|frame| matches!(frame.event, Event::TextDelta(_))).await;
    ada.cancel(run).await;
    let updated =
        ada.wait_for(|frame| matches!(&frame.event, Event::UsageUpdated(updated) if updated.usage.estimated)).await;
    let Event::UsageUpdated(updated) = updated.event else { panic!("as waited for") };
    updated.usage
}

#[tokio::test]
async fn a_cancelled_call_costs_what_it_said_not_what_the_vendor_knew_at_its_beginning() {
    let (mut room, mut ada) = with_app().await;
    let usage = cancelled_after_400_characters(&mut room, &mut ada).await;
    assert_eq!((usage.output_tokens, usage.cost_nano_usd), (Some(100), None));
}

/// An edit that a model merges.
fn to_merge(path: &str) -> String {
    format!(
        "<edit path=\"{path}\">\n<instructions>Louder</instructions>\n<update>\n// ... existing code ...\n</update>\n</edit>"
    )
}

#[tokio::test]
async fn merging_is_within_the_budget_of_the_run() {
    let settings = ProjectSettings {
        run_budget: Budget { cost_nano_usd: Some(8), tokens: None },
        merge_model: Some("demo/puppet".into()),
        ..ProjectSettings::default()
    };
    let mut room = TestRoom::with_settings(settings, ModelInfo::default()).await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Louder").await;
    let answer = format!("{}\n{}", to_merge("src/App.jsx"), to_merge("src/main.jsx"));
    room.call().await.billed(&answer, Some(5));
    let merging = room.call().await;
    assert!(merging.last_turn().starts_with("<instruction>Louder</instruction>"), "{}", merging.last_turn());
    merging.billed("export default () => 'HI';", Some(5));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    assert!(room.calls.try_recv().is_err(), "the second one is not merged");
    let end = end(&ada);
    assert_eq!(end.error.unwrap().code, ErrorCode::QuotaExceeded);
    assert_eq!(end.usage.unwrap().cost_nano_usd, Some(10));
    assert_eq!(usages(&ada).iter().map(|usage| usage.turn).collect::<Vec<_>>(), [1, 2], "every call has its number");
}

#[tokio::test]
async fn merging_for_an_apply_is_within_the_budget_of_the_project() {
    let settings = ProjectSettings {
        project_budget: Budget { cost_nano_usd: Some(8), tokens: None },
        merge_model: Some("demo/puppet".into()),
        ..ProjectSettings::default()
    };
    let mut room = TestRoom::with_settings(settings, ModelInfo::default()).await;
    let mut ada = room.enter("Ada").await;
    let reply = [to_merge("src/App.jsx"), to_merge("src/main.jsx"), to_merge("src/index.css")].join("\n");
    let apply = Apply { reply, packages: Vec::new(), edit: false, leave_out: Default::default() };
    let run = accepted_run(&ada.send(Command::Apply(apply)).await);
    for _ in 0..2 {
        let merging = room.call().await;
        merging.billed("export const merged = 1;", Some(5));
    }
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert!(room.calls.try_recv().is_err(), "the third one is not merged");
    let refused = ada.seen.iter().find_map(|frame| match &frame.event {
        Event::FileRefused(refused) if refused.path == "src/index.css" => Some(refused.reason.clone()),
        _ => None,
    });
    assert!(refused.as_ref().is_some_and(|reason| reason.contains("used up its budget")), "{refused:?}");
}

#[tokio::test]
async fn a_cancelled_call_of_a_model_with_a_price_counts() {
    let price = ModelPrice { input: 2_000_000, output: 10_000_000, cache_read: Some(100_000), cache_write: None };
    let info = ModelInfo { price: Some(price), ..ModelInfo::default() };
    let budget = Budget { cost_nano_usd: Some(1_300_000), tokens: None };
    let settings = ProjectSettings { project_budget: budget, ..ProjectSettings::default() };
    let mut room = TestRoom::with_settings(settings, info).await;
    let mut ada = room.enter("Ada").await;
    let usage = cancelled_after_400_characters(&mut room, &mut ada).await;
    // A hundred tokens each way, and a thousand from the cache.
    assert_eq!((usage.output_tokens, usage.cost_nano_usd), (Some(100), Some(1_300_000)));
    assert_eq!(usage.prices_as_of.as_deref(), Some("2026-11-01"));
    let run = ada.generate("Say more").await;
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    assert_eq!(end(&ada).error.unwrap().code, ErrorCode::QuotaExceeded);
}

/// A room with a model that merges.
async fn merging() -> (TestRoom, Client) {
    let settings = ProjectSettings { merge_model: Some("demo/puppet".into()), ..ProjectSettings::default() };
    let room = TestRoom::with_settings(settings, ModelInfo::default()).await;
    let ada = room.enter("Ada").await;
    (room, ada)
}

#[tokio::test]
async fn nothing_is_merged_for_an_answer_that_takes_no_effect_and_nothing_twice() {
    let (mut room, mut ada) = merging().await;
    let main = read(&ada, "src/main.jsx").await;
    let run = ada.generate("Louder").await;
    let nowhere = edit("<h2>Nowhere to be found in here</h2>", "x").replace("App.jsx", "index.css");
    room.call().await.answer(&[nowhere, to_merge("src/App.jsx"), to_merge("src/main.jsx")].join("\n"));
    let call = room.call().await;
    assert!(call.last_turn().contains("src/index.css: block 1"), "nothing is merged yet: {}", call.last_turn());
    call.answer("<file path=\"src/index.css\">\nh1 { color: red }\n</file>");
    let is_merging = |call: &Call| call.last_turn().starts_with("<instruction>Louder</instruction>");
    let call = room.call().await;
    assert!(is_merging(&call), "{}", call.last_turn());
    call.answer("export default () => 'HI';");
    let call = room.call().await;
    assert!(is_merging(&call), "{}", call.last_turn());
    call.cut("import");
    let call = room.call().await;
    assert!(call.last_turn().contains("src/main.jsx: demo/puppet did not merge it"), "{}", call.last_turn());
    call.answer(&format!("<file path=\"src/main.jsx\">\n{main}// Loud.\n</file>"));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed, "without merging the first one again");
    assert_eq!(read(&ada, "src/App.jsx").await.trim_end(), "export default () => 'HI';");
    assert!(read(&ada, "src/main.jsx").await.contains("// Loud."));
}

#[tokio::test]
async fn merging_is_on_the_bill_of_the_message_that_asks_for_it() {
    let (mut room, mut ada) = merging().await;
    let run = ada.generate("Say hi").await;
    let call = room.call().await;
    let steer = Generate { delivery: Delivery::Steer, ..Generate::new("Louder") };
    assert_eq!(accepted_run(&ada.send(Command::Generate(steer)).await), run);
    call.answer(APP);
    room.call().await.answer(&to_merge("src/App.jsx"));
    room.call().await.answer("export default () => 'HI';");
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    let messages: Vec<MessageId> = usages(&ada).iter().map(|usage| usage.message).collect();
    assert!(messages[0] != messages[1] && messages[1] == messages[2], "{messages:?}");
}
