//! Crashes, full disks, and the ends of projects and servers.

use super::*;

#[tokio::test]
async fn a_crash_interrupts_runs_and_keeps_their_text() {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Say hi").await;
    let call = room.call().await;
    call.text("Once upon <file path=\"src/App.jsx\">export");
    ada.wait_for(|frame| matches!(frame.event, Event::FileDelta(_))).await;

    let room = room.crash();
    let bob = room.enter("Bob").await;
    let state = bob.snapshot.clone().unwrap();
    let ends: Vec<_> = state.runs.iter().map(|info| (info.run, info.state, info.outcome)).collect();
    let interrupted = Some(Outcome::Interrupted);
    assert_eq!(ends, [(run, RunState::Finished, interrupted)]);
    let parts = &state.messages.last().unwrap().parts;
    assert!(matches!(&parts[0], MessagePart::Text { text } if text.starts_with("Once upon")), "{parts:?}");
    assert!(
        matches!(&parts[1], MessagePart::File { text: Some(text), state: FilePartState::Typing, .. } if text == "export"),
        "{parts:?}"
    );
    assert_ne!(read(&bob, "src/App.jsx").await, "export", "an unfinished file is never written");
}

/// One pixel.
const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=";

#[tokio::test]
async fn what_waits_survives_a_crash_whole_and_in_order_with_nobody_there() {
    let mut room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter_as("Bob", Role::Editor, None).await);
    let under_way = ada.generate("Say hi").await;
    let _call = room.call().await;
    let removed = ada.generate("Never mind").await;
    let plain = ada.generate("Plain").await;
    let full = Generate {
        mode: GenerateMode::Plan,
        verbatim: true,
        images: vec![ImageData { media_type: ImageType::Png, data: PICTURE.into() }],
        url: Some("https://example.com/".into()),
        model: Some(ModelChoice::Several(vec!["demo/puppet".into(), "demo/none".into()])),
        ..Generate::new("With all there is")
    };
    let full = accepted_run(&bob.send(Command::Generate(full)).await);
    let files = accepted_run(&bob.send(apply("<file path=\"a.js\">1</file>")).await);
    ada.send(Command::RemoveQueued(RemoveQueued { run: removed })).await;
    ada.send(Command::MoveQueued(MoveQueued { run: plain, position: 3 })).await;

    let mut room = room.crash();
    room.registry.resume_waiting();
    let call = room.call().await;
    let (request, prompt) = (&call.request, call.request.turns.last().unwrap());
    assert!(prompt.text.contains("With all there is") && prompt.text.contains("An example"), "{}", prompt.text);
    assert_eq!((request.images.len(), request.model.as_str()), (1, "demo/puppet"));
    assert_eq!(request.fallbacks, ["demo/none"]);
    // Whoever comes now sees what waited wait as before, and what is still in the store of it is what has not begun.
    let mut ada = room.enter("Ada").await;
    let states = |state: &ProjectState| state.runs.iter().map(|info| (info.run, info.state)).collect::<Vec<_>>();
    let (ended, waits) = (RunState::Finished, RunState::Queued);
    let expected = [(under_way, ended), (full, RunState::Running), (removed, ended), (files, waits), (plain, waits)];
    assert_eq!(states(&ada.state().await), expected);
    let mode = ada.state().await.runs.into_iter().find(|info| info.run == full).unwrap().mode;
    assert_eq!(mode, GenerateMode::Plan);
    let outcome = |state: &ProjectState, run| state.runs.iter().find(|info| info.run == run).unwrap().outcome;
    assert_eq!(outcome(&ada.state().await, under_way), Some(Outcome::Interrupted));
    call.text("A plan.");
    call.stop();
    assert_eq!(ada.wait_for_end(full).await, Outcome::Completed);
    assert!(ada.seen.iter().any(|frame| frame.event.name() == "reply_delta"), "verbatim: {:?}", ada.names());
    assert_eq!(ada.wait_for_end(files).await, Outcome::Completed);
    let last = room.call().await;
    assert_eq!(last.request.turns.last().unwrap().text, "Plain");

    // What has begun does not begin again.
    let room = room.crash();
    let ada = room.enter("Ada").await;
    let state = ada.snapshot.clone().unwrap();
    assert!(state.runs.iter().all(|info| info.state == ended), "{state:?}");
    assert_eq!(outcome(&state, plain), Some(Outcome::Interrupted));
}

#[tokio::test]
async fn what_can_no_longer_begin_after_a_restart_says_why() {
    let store = Arc::new(MemoryStore::new());
    let mut room = TestRoom::with(Arc::<MemoryStore>::clone(&store), MemoryProvider::default()).await;
    let mut ada = room.enter("Ada").await;
    ada.generate("Say hi").await;
    let _call = room.call().await;
    let gone = ada.generate("With a model that will be gone").await;
    let lost = ada.generate("Whose work will be lost").await;
    let opened = store.open_project(&project()).await.unwrap().unwrap();
    let mut work = opened.waiting.into_iter().find(|stored| stored.run == gone).unwrap();
    work.work = String::from_utf8(work.work.to_vec()).unwrap().replace("demo/puppet", "demo/gone").into();
    let change = AppendBatch { waiting: vec![work], no_longer_waiting: vec![lost], ..batch("p", opened.head, 0) };
    store.append(change).await.unwrap();

    let room = room.crash();
    let state = room.enter("Ada").await.state().await;
    let end = |run| {
        let info = state.runs.iter().find(|info| info.run == run).unwrap();
        (info.outcome, info.error.clone().map(|error| error.code))
    };
    assert_eq!(end(gone), (Some(Outcome::Failed), Some(ErrorCode::BadRequest)));
    assert_eq!(end(lost), (Some(Outcome::Interrupted), Some(ErrorCode::Internal)));
}

#[tokio::test]
async fn a_full_disk_rejects_commands_and_loses_nothing_of_a_run() {
    let store = Arc::new(MemoryStore::new());
    let mut room = TestRoom::with(Arc::clone(&store) as _, MemoryProvider::default()).await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Say hi").await;
    let call = room.call().await;
    call.text("Once ");
    ada.wait_for(|frame| matches!(frame.event, Event::TextDelta(_))).await;
    store.fail_appends(true);
    let head = ada.last_seq();
    assert_eq!(rejected(&ada.send(write("x.txt", "1")).await), ErrorCode::Internal);
    call.text("upon a time.");
    call.stop();
    assert_eq!(ada.handle.log().head(), head, "nobody sees what is not stored");
    store.fail_appends(false);
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    let state = ada.state().await;
    assert_eq!(state.messages[1].parts, [MessagePart::Text { text: "Once upon a time.".into() }]);
    assert!(matches!(ada.send(write("x.txt", "1")).await, ControlFrame::Accepted(_)));
}

#[tokio::test]
async fn a_full_disk_stops_nobody_from_stopping_and_looking() {
    let store = Arc::new(MemoryStore::new());
    let mut room = TestRoom::with(Arc::clone(&store) as _, MemoryProvider::default()).await;
    let mut ada = room.enter("Ada").await;
    for refused_before in [false, true] {
        let run = ada.generate("Say hi").await;
        let call = room.call().await;
        store.fail_appends(true);
        if refused_before {
            call.text("Once ");
            while !matches!(ada.send(write("x.txt", "1")).await, ControlFrame::Rejected(_)) {}
        }
        assert_eq!(rejected(&ada.cancel(run).await), ErrorCode::Internal, "it cannot be put on record now");
        call.closed().await;
        let again = room.enter("Ada").await;
        assert_eq!(again.member.participant(), ada.member.participant());
        store.fail_appends(false);
        assert_eq!(ada.wait_for_end(run).await, Outcome::Cancelled);
        let by = ada.seen.iter().rev().find_map(|frame| match &frame.event {
            Event::RunFinished(finished) => finished.cancelled_by,
            _ => None,
        });
        assert_eq!(by, Some(ada.member.participant()));
    }
}

#[tokio::test]
async fn a_full_disk_does_not_take_a_runs_end_along_with_a_rejection() {
    let store = Arc::new(MemoryStore::new());
    let mut room = TestRoom::with(Arc::clone(&store) as _, MemoryProvider::default()).await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Say hi").await;
    let call = room.call().await;
    store.fail_appends(true);
    call.text("Hi.");
    call.stop();
    for number in 0..20 {
        assert!(matches!(ada.send_as(&format!("b{number}"), generate(" ")).await, ControlFrame::Rejected(_)));
    }
    store.fail_appends(false);
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
}

#[tokio::test]
async fn a_stale_writer_is_fenced_off() {
    let room = TestRoom::new().await;
    let store = Arc::clone(room.registry.store());
    let mut ada = room.enter("Ada").await;
    // Somebody else appends to the log behind the actor's back.
    let mut batch = crate::project::batch::Batch::new(ada.handle.log().head());
    let left = cobuild_protocol::event::ParticipantLeft { participant: ada.member.participant() };
    batch.push(Event::ParticipantLeft(left), crate::project::batch::Stamp::default());
    store.append(batch.transaction(&project(), None)).await.unwrap();
    assert_eq!(rejected(&ada.send(write("x.txt", "1")).await), ErrorCode::Internal);
    assert!(matches!(ada.wait_for_close().await, FeedError::Closed(CloseReason::Failed)));
    let mut again = room.enter("Ada").await;
    assert!(
        matches!(again.send(write("x.txt", "1")).await, ControlFrame::Accepted(_)),
        "a new actor reads the log anew"
    );
}

#[tokio::test]
async fn shutdown_leaves_nothing_open() {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Say hi").await;
    let call = room.call().await;
    call.text("Once upon");
    ada.wait_for(|frame| matches!(frame.event, Event::TextDelta(_))).await;
    within(room.registry.shutdown()).await;
    assert_eq!(ada.wait_for_end(run).await, Outcome::Interrupted);
    assert!(matches!(ada.wait_for_close().await, FeedError::Closed(CloseReason::Unloaded)));
    assert_eq!(room.sandboxes.living(), 0);
    let refused = ada.send(write("x.txt", "1")).await;
    assert!(matches!(&refused, ControlFrame::Rejected(rejected) if rejected.error.retryable), "{refused:?}");
}

#[tokio::test]
async fn deleting_a_project_closes_its_room() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    within(room.registry.delete(&project())).await.unwrap();
    assert!(matches!(ada.wait_for_close().await, FeedError::Closed(CloseReason::Deleted)));
    assert_eq!(room.registry.get(&project()).await.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(room.registry.delete(&project()).await.unwrap_err().code(), ErrorCode::NotFound);
    room.registry.create(Some(project()), None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_project_nobody_uses_leaves_memory_and_comes_back() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    ada.send(write("x.txt", "1")).await;
    let mut feed = ada.handle.log().feed(ada.handle.log().head());
    drop(ada);
    let mut frames = Vec::new();
    let closed = loop {
        if let Err(error) = feed.next(64, usize::MAX, &mut frames).await {
            break error;
        }
    };
    assert!(matches!(closed, FeedError::Closed(CloseReason::Unloaded)), "{closed:?}");
    let bob = room.enter("Bob").await;
    assert_eq!(read(&bob, "x.txt").await, "1");
    let names: Vec<_> = bob.state().await.participants.values().map(|p| (p.name.clone(), p.present)).collect();
    assert_eq!(names, [("Ada".to_owned(), false), ("Bob".to_owned(), true)]);
}

#[tokio::test]
async fn a_long_log_is_folded_from_its_snapshot_to_the_same_state() {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Tell me a lot").await;
    let call = room.call().await;
    for number in 0..10_000 {
        call.text(&format!("word{number} "));
    }
    call.stop();
    ada.wait_for_end(run).await;
    let before = ada.state().await;
    let stored = room.registry.store().open_project(&project()).await.unwrap().unwrap();
    // What opening it reads: the same however long the log is.
    let read = stored.head - stored.snapshot.expect("a snapshot was stored on the way").seq;
    assert!(read < 2 * 4096, "opening reads {read} of {} events", stored.head);
    let room = room.crash();
    let after = room.enter("Ada").await.state().await;
    assert_eq!(after.messages, before.messages);
    assert_eq!(after.files, before.files);
}
