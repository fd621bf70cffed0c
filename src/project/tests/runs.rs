//! What a prompt or a reply becomes.

use super::*;

#[tokio::test]
async fn a_prompt_becomes_files_in_the_tree() {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Say hi").await;
    let call = room.call().await;
    assert_eq!(call.request.turns.last().unwrap().text, "Say hi");
    for piece in APP.split_inclusive(' ') {
        call.text(piece);
    }
    call.stop();
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert_eq!(
        ada.run_events(run),
        [
            "run_started",
            "message_added",
            "text_delta",
            "file_started",
            "file_delta",
            "text_delta",
            "usage_updated",
            "file_written",
            "preview_changed",
            "run_finished"
        ]
    );
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>Hi</h1>;");
    let state = ada.state().await;
    let answer = state.messages.last().unwrap();
    assert_eq!(answer.notice.as_deref(), Some("a test speaks"));
    let files: Vec<_> = answer.parts.iter().filter(|part| matches!(part, MessagePart::File { .. })).collect();
    assert!(matches!(files[..], [MessagePart::File { state: FilePartState::Written, text: None, .. }]), "{files:?}");
}

#[tokio::test]
async fn a_later_prompt_knows_the_conversation_and_the_files() {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Say hi").await;
    let call = room.call().await;
    call.text(APP);
    call.stop();
    ada.wait_for_end(run).await;
    ada.generate("Now louder").await;
    let request = room.call().await.request;
    let turns: Vec<&str> = request.turns.iter().map(|turn| turn.text.as_str()).collect();
    assert_eq!(turns.len(), 3);
    assert!(turns[1].contains("Here it is.") && turns[1].contains("src/App.jsx"), "{turns:?}");
    let app = request.files.iter().find(|file| file.path.as_str() == "src/App.jsx").unwrap();
    assert_eq!(app.text.as_deref(), Some("export default () => <h1>Hi</h1>;"));
}

#[tokio::test]
async fn a_stop_is_the_last_word_of_a_run() {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Say hi").await;
    let call = room.call().await;
    call.text("Once upon");
    ada.wait_for(|frame| matches!(frame.event, Event::TextDelta(_))).await;
    let before = ada.cancel(run).await;
    assert!(matches!(before, ControlFrame::Accepted(_)), "{before:?}");
    call.closed().await;
    call.text(" a time");
    assert_eq!(ada.wait_for_end(run).await, Outcome::Cancelled);
    // The next run begins, so the cancelled one is really gone; and it said nothing more.
    let next = ada.generate("Again").await;
    let call = room.call().await;
    call.text("Well.");
    call.stop();
    ada.wait_for_end(next).await;
    assert_eq!(ada.run_events(run), ["run_started", "message_added", "text_delta", "run_finished"]);
    let again = ada.cancel(run).await;
    assert!(matches!(again, ControlFrame::Accepted(_)), "cancelling what has ended is no error: {again:?}");
    let unknown = ada.cancel(cobuild_protocol::RunId::new(99)).await;
    assert_eq!(rejected(&unknown), ErrorCode::NotFound);
}

#[tokio::test]
async fn an_answer_without_its_end_changes_nothing() {
    for (end, code) in [
        (Some(Err(ModelError::Unavailable("gone".into()))), ErrorCode::ModelOverloaded),
        (Some(Ok(ModelChunk::Stop(StopReason::Refused(None)))), ErrorCode::BadRequest),
        (None, ErrorCode::ModelFailed),
    ] {
        let mut room = TestRoom::new().await;
        let mut ada = room.enter("Ada").await;
        let run = ada.generate("Say hi").await;
        let call = room.call().await;
        call.text(APP);
        if let Some(end) = end {
            call.send(end);
        }
        drop(call);
        assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
        assert!(!ada.run_events(run).contains(&"file_written"));
        let error = ada.state().await.runs[0].error.clone().unwrap();
        assert_eq!((error.code, error.output_limit), (code, false));
    }
}

#[tokio::test]
async fn a_truncated_answer_applies_what_is_whole() {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Two files").await;
    let call = room.call().await;
    call.text("<file path=\"src/a.js\">1</file><file path=\"src/b.js\">2");
    call.send(Ok(ModelChunk::Stop(StopReason::Truncated)));
    for _ in 0..3 {
        room.call().await.send(Ok(ModelChunk::Stop(StopReason::Truncated)));
    }
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    assert_eq!(read(&ada, "src/a.js").await, "1");
    let files = ada.state().await.files;
    assert!(!files.keys().any(|path| path.as_str() == "src/b.js"));
    assert!(ada.run_events(run).contains(&"file_refused"));
    let error = ada.state().await.runs[0].error.clone().unwrap();
    assert!(error.code == ErrorCode::ModelFailed && error.output_limit, "{error:?}");
}

#[tokio::test]
async fn a_reply_that_would_lose_content_is_held_back() {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let long: String = (0..100).map(|number| format!("const x{number} = {number};\n")).collect();
    ada.send(write("src/long.js", &long)).await;
    let run = ada.generate("Change it").await;
    for _ in 0..3 {
        let call = room.call().await;
        call.text("<file path=\"src/long.js\">const x0 = 1;\n// ... rest of the code unchanged</file>");
        call.stop();
    }
    ada.wait_for_end(run).await;
    assert_eq!(read(&ada, "src/long.js").await, long);
    let refused = ada.seen.iter().find_map(|frame| match &frame.event {
        Event::FileRefused(refused) => Some(refused.reason.clone()),
        _ => None,
    });
    assert!(refused.unwrap().contains("placeholder"));
}
