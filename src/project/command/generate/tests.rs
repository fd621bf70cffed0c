//! The loop of turns, with a model the test speaks for and a preview in memory.

use cobuild_protocol::{
    Command, ErrorCode, Event, MessageId,
    command::{Delivery, Generate},
    event::{RunFinished, TurnStarted, UsageUpdated},
    frame::ControlFrame,
    state::RunState,
    value::{GenerateMode, ImageData, ImageType, MessageRole, Outcome, TurnReason, Usage},
};

use crate::project::{
    Budget, ProjectSettings,
    model_provider::{ModelChunk, ModelError, ModelInfo, StopReason},
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

#[tokio::test]
async fn an_edit_that_does_not_match_goes_back_and_everything_is_applied_together() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Be polite").await;
    let other = "<file path=\"src/words.js\">\nexport const word = \"please\";\n</file>";
    room.call().await.answer(&format!("{other}\n{}", edit("<h2>Hello everybody out there</h2>", "x")));
    let call = room.call().await;
    assert!(call.last_turn().contains("src/App.jsx: block 1 matches nothing"), "{}", call.last_turn());
    assert!(call.last_turn().contains("Nothing of your answer is in effect"), "{}", call.last_turn());
    let state = ada.state().await;
    assert!(!state.files.contains_key(&"src/words.js".parse().unwrap()), "nothing is applied yet");
    call.answer(&edit("export default () => <h1>Hi</h1>;", "export default () => <h1>Hello</h1>;"));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>Hello</h1>;");
    assert!(read(&ada, "src/words.js").await.contains("please"));
    assert_eq!(reasons(&ada), [(TurnReason::EditUnmatched, 1)]);
}

#[tokio::test]
async fn edits_that_never_match_change_nothing_at_all() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Be polite").await;
    let other = "<file path=\"src/words.js\">\nexport const word = 1;\n</file>";
    for _ in 0..3 {
        room.call().await.answer(&format!("{other}\n{}", edit("<h2>Nowhere to be found in here</h2>", "x")));
    }
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    assert_eq!(end(&ada).error.unwrap().code, ErrorCode::Conflict);
    assert!(!ada.state().await.files.contains_key(&"src/words.js".parse().unwrap()));
    assert!(ada.run_events(run).contains(&"file_refused") && !ada.run_events(run).contains(&"file_written"));
}

#[tokio::test]
async fn a_stub_in_place_of_a_file_is_held_back_unless_it_is_said_again() {
    let (mut room, mut ada) = with_app().await;
    let lines: String = (0..60).map(|line| format!("export const line{line} = {line};\n")).collect();
    let long = format!("{lines}export default () => line1;");
    let only = "export default () => 1;";
    let whole = |text: &str| format!("<file path=\"src/App.jsx\">\n{text}\n</file>");
    let run = ada.generate("Long").await;
    room.call().await.answer(&whole(&long));
    ada.wait_for_end(run).await;

    // A placeholder is none the second time either; the run goes on without it, and says why.
    let run = ada.generate("Only the colour").await;
    let stub = whole("export const line0 = 1;\n// ... rest of the file unchanged");
    for _ in 0..3 {
        let call = room.call().await;
        call.answer(&stub);
    }
    ada.wait_for_end(run).await;
    let refused = ada.seen.iter().rev().find_map(|frame| match &frame.event {
        Event::FileRefused(refused) => Some(refused.reason.clone()),
        _ => None,
    });
    assert!(refused.unwrap().contains("placeholder"), "{:?}", ada.names());
    assert_eq!(read(&ada, "src/App.jsx").await, long);

    // Nor in the middle of an edit.
    let run = ada.generate("Only that line").await;
    let block = edit("export const line7 = 7;", "// ... existing code ...");
    for _ in 0..3 {
        room.call().await.answer(&block);
    }
    ada.wait_for_end(run).await;
    assert_eq!(read(&ada, "src/App.jsx").await, long);

    // A small file is what was asked for: said again, it is meant.
    let run = ada.generate("Begin anew, with one line").await;
    room.call().await.answer(&whole(only));
    let call = room.call().await;
    assert!(call.last_turn().contains("lose most of its content (61 lines become 1)"), "{}", call.last_turn());
    call.answer(&whole(only));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert_eq!(read(&ada, "src/App.jsx").await, only);
}

#[tokio::test]
async fn an_answer_is_continued_without_a_byte_too_many_or_too_few() {
    let (mut room, mut ada) = with_app().await;
    let whole = APP.replace("Hi", "Continued");
    let at = whole.find("ault ()").unwrap();
    let run = ada.generate("Longer").await;
    room.call().await.cut(&whole[..at]);
    let call = room.call().await;
    let asked: Vec<_> = call.request.turns.iter().rev().take(2).map(|turn| (turn.role, turn.text.clone())).collect();
    assert_eq!((asked[1].0, asked[1].1.as_str()), (MessageRole::Assistant, &whole[..at]));
    assert!(
        asked[0].0 == MessageRole::User
            && asked[0].1.contains("Continue exactly")
            && asked[0].1.ends_with("export def")
    );
    // It begins the broken line anew, as models do.
    let line = whole[..at].rfind('\n').unwrap() + 1;
    for piece in whole[line..].split_inclusive(' ') {
        call.text(piece);
    }
    call.stop();
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>Continued</h1>;");
    assert_eq!(reasons(&ada), [(TurnReason::Continuation, 1)]);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_given_up_after_three_continuations() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Longer").await;
    for part in ["<file path=\"src/App.jsx\">\n", "one();\n", "two();\n", "three();\n"] {
        room.call().await.cut(part);
    }
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    assert!(room.calls.try_recv().is_err(), "no fourth continuation");
    assert!(read(&ada, "src/App.jsx").await.contains("Hi"), "a file that was cut off is never written");
}

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

#[tokio::test]
async fn a_plan_touches_nothing() {
    let (mut room, mut ada) = with_app().await;
    let plan = Generate { mode: GenerateMode::Plan, ..Generate::new("A shop") };
    let run = accepted_run(&ada.send(Command::Generate(plan)).await);
    let call = room.call().await;
    assert!(call.last_turn().starts_with("Plan only") && call.last_turn().ends_with("A shop"));
    call.answer(&format!("First the basket.\n{}\n<command>rm -rf .</command>", APP.replace("Hi", "No")));
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert!(read(&ada, "src/App.jsx").await.contains("Hi"));
    let events = ada.run_events(run);
    assert!(!events.contains(&"file_written") && !events.contains(&"exec_started"), "{events:?}");
    assert_eq!(ada.state().await.runs.last().unwrap().mode, GenerateMode::Plan);
}

#[tokio::test]
async fn pictures_and_a_page_go_along() {
    let (mut room, mut ada) = with_app().await;
    let png = ImageData { media_type: ImageType::Png, data: "iVBORw0KGgo=".into() };
    let prompt = Generate { images: vec![png], url: Some("https://example.com/".into()), ..Generate::new("Like this") };
    let run = accepted_run(&ada.send(Command::Generate(prompt)).await);
    let call = room.call().await;
    assert_eq!((call.request.images.len(), call.request.images[0].media_type.as_str()), (1, "image/png"));
    assert!(call.last_turn().contains("<h1 class=\"teal\">An example</h1>") && !call.last_turn().contains("evil"));
    call.answer("Done.");
    ada.wait_for_end(run).await;
    let state = ada.state().await;
    let message = &state.messages[state.messages.len() - 2];
    assert_eq!((message.images.len(), message.url.as_deref()), (1, Some("https://example.com/")));
    let bytes = within(ada.handle.blob(&message.images[0].hash)).await.unwrap();
    assert_eq!(&bytes[..], b"\x89PNG\r\n\x1a\n");
}

#[tokio::test]
async fn what_is_no_picture_or_page_is_refused() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let image = |media_type, data: &str| ImageData { media_type, data: data.to_owned() };
    for (images, url, code) in [
        (vec![image(ImageType::Jpeg, "iVBORw0KGgo=")], None, ErrorCode::BadRequest),
        (vec![image(ImageType::Png, "no base64!")], None, ErrorCode::BadRequest),
        (vec![image(ImageType::Png, "iVBORw0KGgo="); 5], None, ErrorCode::TooLarge),
        (vec![image(ImageType::Png, &"A".repeat(2_000_000))], None, ErrorCode::TooLarge),
        (Vec::new(), Some("file:///etc/passwd"), ErrorCode::BadRequest),
        (Vec::new(), Some("https://user@host/"), ErrorCode::BadRequest),
    ] {
        let prompt = Generate { images, url: url.map(str::to_owned), ..Generate::new("Like this") };
        match ada.send(Command::Generate(prompt)).await {
            ControlFrame::Rejected(rejected) => assert_eq!(rejected.error.code, code, "{url:?}"),
            other => panic!("not rejected: {other:?}"),
        }
    }
}

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

#[tokio::test]
async fn a_cancelled_call_costs_what_it_said_not_what_the_vendor_knew_at_its_beginning() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Say more").await;
    let call = room.call().await;
    call.send(Ok(ModelChunk::Usage(Usage { output_tokens: Some(1), ..usage(Some(7)) })));
    call.text(&"more ".repeat(80));
    ada.wait_for(|frame| matches!(frame.event, Event::TextDelta(_))).await;
    ada.cancel(run).await;
    let updated =
        ada.wait_for(|frame| matches!(&frame.event, Event::UsageUpdated(updated) if updated.usage.estimated)).await;
    let Event::UsageUpdated(updated) = updated.event else { panic!("as waited for") };
    assert_eq!((updated.usage.output_tokens, updated.usage.cost_nano_usd), (Some(100), None));
}

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
    let size = |call: &Call| {
        let files = call.request.files.iter().filter_map(|file| file.text.as_ref()).map(String::len).sum::<usize>();
        files + call.request.turns.iter().map(|turn| turn.text.len()).sum::<usize>()
    };
    let first = size(&call);
    call.send(Err(ModelError::ContextTooLong));
    let call = room.call().await;
    assert!(size(&call) < first, "{} < {first}", size(&call));
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
    let size = |call: &Call| {
        let files = call.request.files.iter().filter_map(|file| file.text.as_ref()).map(String::len).sum::<usize>();
        call.request.system.len() + files + call.request.turns.iter().map(|turn| turn.text.len()).sum::<usize>()
    };
    let app = |number: usize| {
        let lines = format!("// {number} {}\n", "x".repeat(60)).repeat(35);
        format!(
            "<file path=\"src/App.jsx\">\n{lines}export default () => 1;\n</file>\n<command>fail {number}</command>"
        )
    };
    let run = ada.generate("Say hi").await;
    for number in 0..3 {
        let call = room.call().await;
        assert!(size(&call) <= budget, "round {number}: {} bytes of {budget}", size(&call));
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
