//! Edits and whole files that cannot be put into effect as they are written.

use super::*;

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
async fn a_correction_that_leaves_the_edit_out_does_not_have_the_rest_applied() {
    let (mut room, mut ada) = with_app().await;
    let run = ada.generate("Be polite").await;
    let other = "<file path=\"src/words.js\">\nexport const word = 1;\n</file>";
    room.call().await.answer(&format!("{other}\n{}", edit("<h2>Nowhere to be found in here</h2>", "x")));
    room.call().await.answer("I see.");
    let call = room.call().await;
    assert!(call.last_turn().contains("is missing in the answer"), "{}", call.last_turn());
    call.answer("I see.");
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    assert_eq!(end(&ada).error.unwrap().code, ErrorCode::Conflict);
    assert!(!ada.state().await.files.contains_key(&"src/words.js".parse().unwrap()));
    assert!(ada.run_events(run).contains(&"file_refused") && !ada.run_events(run).contains(&"file_written"));
    assert_eq!(reasons(&ada), [(TurnReason::EditUnmatched, 1), (TurnReason::EditUnmatched, 2)]);
}
