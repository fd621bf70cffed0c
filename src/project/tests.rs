//! The room's promises, kept by the core: one writer, append before publish, idempotent commands, runs that end once,
//! files that outlive sandboxes, a stop that is real.

use std::{collections::HashSet, sync::Arc, time::Duration};

use cobuild_protocol::{
    Command, Cursor, ErrorCode, Event, EventFrame, ProjectState,
    command::{
        Apply, ConflictSide, DeleteFile, Delivery, Exec, Generate, Install, LockFile, ModelChoice, MoveQueued,
        ReadFile, RemoveQueued, RenameFile, ResolveConflict, Restore, SetRole, UnlockFile, WriteFile,
    },
    frame::{AttachMode, ControlFrame},
    state::RunState,
    value::{
        Encoding, FileOrigin, FilePartState, GenerateMode, ImageData, ImageType, MessagePart, Outcome, Presence, Role,
        SandboxState,
    },
};

use super::{
    Cause, Identity, ProjectError,
    event_log::{CloseReason, FeedError},
    event_store::{AppendBatch, EventStore, SharedStore},
    model_provider::{ModelChunk, ModelError, StopReason},
    sandbox_provider::{SandboxError, SandboxFile},
    testing::{Client, TestRoom, accepted_run, generate, project, within},
};
use crate::{
    sandbox::memory::{Ending, MemoryProgram, MemoryProvider},
    store::{
        memory::MemoryStore,
        sqlite::{SqliteOptions, SqliteStore},
        testing::batch,
    },
};

const APP: &str = "Here it is.\n<file path=\"src/App.jsx\">export default () => <h1>Hi</h1>;</file>\nDone.";

fn rejected(reply: &ControlFrame) -> ErrorCode {
    match reply {
        ControlFrame::Rejected(rejected) => rejected.error.code,
        other => panic!("not rejected: {other:?}"),
    }
}

fn write(path: &str, content: &str) -> Command {
    let (path, content) = (path.parse().unwrap(), content.to_owned());
    Command::WriteFile(WriteFile { path, content, encoding: Encoding::Utf8, base: None })
}

fn urgent(prompt: &str) -> Command {
    Command::Generate(Generate { delivery: Delivery::Interrupt, ..Generate::new(prompt) })
}

fn apply(reply: &str) -> Command {
    Command::Apply(Apply { reply: reply.to_owned(), packages: Vec::new(), edit: false })
}

fn exec(command: &str) -> Command {
    Command::Exec(Exec { command: command.to_owned(), timeout_ms: None })
}

async fn read(client: &Client, path: &str) -> String {
    let (_, content) = within(client.handle.read_file(&path.parse().unwrap())).await.unwrap();
    String::from_utf8(content.to_vec()).unwrap()
}

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
async fn the_same_command_has_one_effect_and_one_reply() {
    let mut room = TestRoom::new().await;
    let (mut ada, bob) = (room.enter("Ada").await, room.enter("Bob").await);
    let first = ada.send_as("once", generate("Say hi")).await;
    let run = accepted_run(&first);
    assert_eq!(ada.send_as("once", generate("Say hi")).await, first);
    assert_eq!(bob.send_as("once", generate("Say hi")).await, first);
    let call = room.call().await;
    call.text("Hi.");
    call.stop();
    ada.wait_for_end(run).await;
    assert!(room.calls.try_recv().is_err(), "the model was asked once");
    let refused = ada.send_as("blank", generate("  ")).await;
    assert_eq!(rejected(&refused), ErrorCode::BadRequest);

    let room = room.crash();
    let ada = room.enter("Ada").await;
    assert_eq!(ada.send_as("once", generate("Say hi")).await, first, "after a restart too");
    assert_eq!(ada.send_as("blank", generate("now not blank")).await, refused, "a rejection is remembered as well");
    assert_eq!(ada.state().await.runs.len(), 1);
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
    for number in 0..super::QUEUE_SHARE_MAX {
        ada.generate(&format!("{number}")).await;
    }
    let full = ada.send_as("late", generate("late")).await;
    assert_eq!(rejected(&full), ErrorCode::QueueFull);
    assert_eq!(rejected(&ada.send(urgent("now")).await), ErrorCode::QueueFull);
    // One person's line is not everybody's.
    let (mut bob, mut eve) = (room.enter("Bob").await, room.enter("Eve").await);
    for number in 0..super::QUEUE_MAX - super::QUEUE_SHARE_MAX {
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
async fn two_subscribers_see_one_order() {
    let mut room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter("Bob").await);
    let run = ada.generate("Say hi").await;
    bob.send(write("notes.txt", "mine")).await;
    let call = room.call().await;
    call.text(APP);
    call.stop();
    ada.wait_for_end(run).await;
    bob.wait_for_end(run).await;
    let start = bob.seen[0].seq;
    let of_ada: Vec<_> = ada.seen.iter().filter(|frame| frame.seq >= start).collect();
    assert_eq!(of_ada, bob.seen.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_crowd_comes_in_at_once_with_hardly_an_append() {
    const CROWD: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path(), &SqliteOptions::default()).unwrap());
    let room = TestRoom::with(Arc::clone(&store) as SharedStore, MemoryProvider::default()).await;
    let mut ada = room.enter("Ada").await;
    let (handle, before) = (room.handle().await, store.commits());
    let join = |name: fn(usize) -> String, number: usize| {
        let identity = Identity {
            key: Some(format!("person {number}")),
            name: Some(name(number)),
            party: None,
            role: Role::Editor,
            looks: false,
        };
        handle.join(identity, None)
    };
    // Everybody in two tabs, and then once more by another name.
    let everybody = (0..2 * CROWD).map(|number| join(|number| format!("person {number}"), number % CROWD));
    let mut places = within(futures_util::future::join_all(everybody)).await;
    let renamed = (0..CROWD).map(|number| join(|number| format!("person {number}, renamed"), number));
    places.extend(within(futures_util::future::join_all(renamed)).await);
    // The runtime lets a task ask 128 times in a row, and then the room has its turn.
    let commits = store.commits() - before;
    assert!(commits <= 4, "{commits}");
    let ids: Vec<_> = places.iter().map(|place| place.as_ref().unwrap().member.participant()).collect();
    assert_eq!((&ids[..CROWD], &ids[..CROWD]), (&ids[CROWD..2 * CROWD], &ids[2 * CROWD..]));
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), CROWD, "each is somebody else");
    let last = places.iter().map(|place| place.as_ref().unwrap().head).max().unwrap();
    ada.wait_for(|frame| frame.seq == last).await;
    let joined = ada.seen.iter().filter(|frame| matches!(frame.event, Event::ParticipantJoined(_))).count();
    assert_eq!(joined, 2 * CROWD, "who is in twice came once: {:#?}", ada.names());
    let view = ada.state().await;
    for (number, id) in ids[..CROWD].iter().enumerate() {
        assert_eq!(view.participants[id].name, format!("person {number}, renamed"));
    }
}

#[tokio::test]
async fn who_comes_back_misses_nothing() {
    let mut room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter("Bob").await);
    let cursor = Cursor { epoch: bob.epoch_head.epoch.clone(), seq: bob.epoch_head.seq };
    drop(bob);
    let run = ada.generate("Say hi").await;
    let call = room.call().await;
    call.text(APP);
    call.stop();
    ada.wait_for_end(run).await;
    bob = room.enter_as("Bob", Role::Editor, Some(cursor.clone())).await;
    assert_eq!(bob.mode, AttachMode::Resumed);
    bob.wait_for_end(run).await;
    assert_eq!(bob.seen[0].seq, cursor.seq + 1);

    let stranger = Cursor { epoch: "another".parse().unwrap(), seq: 1 };
    assert_eq!(room.enter_as("Eve", Role::Editor, Some(stranger)).await.mode, AttachMode::Snapshot);
    let future = Cursor { seq: 1_000_000, ..cursor.clone() };
    assert_eq!(room.enter_as("Eve", Role::Editor, Some(future)).await.mode, AttachMode::Snapshot);
    let now = Cursor { seq: room.handle().await.log().head(), ..cursor };
    assert_eq!(room.enter_as("Eve", Role::Editor, Some(now)).await.mode, AttachMode::Live);
}

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
async fn a_run_does_not_overwrite_what_somebody_wrote_meanwhile() {
    let mut room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter("Bob").await);
    let run = ada.generate("Say hi").await;
    let call = room.call().await;
    let (info, _) = bob.handle.read_file(&"src/App.jsx".parse().unwrap()).await.unwrap();
    let mine = Command::WriteFile(WriteFile {
        path: "src/App.jsx".parse().unwrap(),
        content: "mine".into(),
        encoding: Encoding::Utf8,
        base: Some(info.hash),
    });
    assert!(matches!(bob.send(mine).await, ControlFrame::Accepted(_)));
    call.text(APP);
    call.stop();
    ada.wait_for_end(run).await;
    assert_eq!(read(&ada, "src/App.jsx").await, "mine");
    assert!(ada.run_events(run).contains(&"file_conflicted"));
    let conflict = ada.state().await.conflicts.remove(0);
    let proposed = ada.handle.blob(&conflict.proposed.clone().unwrap()).await.unwrap();
    assert_eq!(proposed, "export default () => <h1>Hi</h1>;", "both versions are kept");
    let read_proposed = |path: &str| {
        let (path, conflict) = (path.parse().unwrap(), Some(conflict.conflict));
        Command::ReadFile(ReadFile { path, at: None, conflict })
    };
    let ControlFrame::Result(read_by_clients) = ada.send(read_proposed("src/App.jsx")).await else {
        panic!("not read")
    };
    assert_eq!(read_by_clients.data["content"], "export default () => <h1>Hi</h1>;");
    assert_eq!(
        rejected(&ada.send(read_proposed("src/main.jsx")).await),
        ErrorCode::NotFound,
        "not that file's conflict"
    );
    let keep = ConflictSide::Proposed;
    let proposed_hash = conflict.proposed.clone().unwrap();
    let (now, _) = bob.handle.read_file(&"src/App.jsx".parse().unwrap()).await.unwrap();
    let resolve = |base| ResolveConflict { conflict: conflict.conflict, keep, content: None, base };
    let blind = Command::ResolveConflict(resolve(Some(proposed_hash)));
    assert_eq!(rejected(&ada.send(blind).await), ErrorCode::StaleBase, "decided about another version");
    assert_eq!(read(&ada, "src/App.jsx").await, "mine");
    let resolve = resolve(Some(now.hash));
    assert!(matches!(ada.send(Command::ResolveConflict(resolve.clone())).await, ControlFrame::Accepted(_)));
    assert_eq!(read(&ada, "src/App.jsx").await, "export default () => <h1>Hi</h1>;");
    assert!(ada.state().await.conflicts.is_empty());
    assert_eq!(rejected(&ada.send(Command::ResolveConflict(resolve)).await), ErrorCode::NotFound);
    assert_eq!(rejected(&bob.send(write("src/App.jsx", "blind")).await), ErrorCode::StaleBase);
}

#[tokio::test]
async fn what_somebody_else_has_changed_is_neither_moved_nor_deleted_unseen() {
    let room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter("Bob").await);
    ada.send(write("a.txt", "1")).await;
    let (seen, _) = ada.handle.read_file(&"a.txt".parse().unwrap()).await.unwrap();
    let (path, base) = ("a.txt".parse().unwrap(), Some(seen.hash.clone()));
    bob.send(Command::WriteFile(WriteFile { path, content: "2".into(), encoding: Encoding::Utf8, base })).await;
    let rename = |base| {
        let (from, to) = ("a.txt".parse().unwrap(), "b.txt".parse().unwrap());
        Command::RenameFile(RenameFile { from, to, base })
    };
    let delete = |path: &str, base| Command::DeleteFile(DeleteFile { path: path.parse().unwrap(), base });
    assert_eq!(rejected(&ada.send(rename(Some(seen.hash.clone()))).await), ErrorCode::StaleBase);
    assert_eq!(rejected(&ada.send(delete("a.txt", Some(seen.hash))).await), ErrorCode::StaleBase);
    let (now, content) = ada.handle.read_file(&"a.txt".parse().unwrap()).await.unwrap();
    assert_eq!(content, "2");
    assert!(matches!(ada.send(rename(Some(now.hash.clone()))).await, ControlFrame::Accepted(_)));
    assert!(matches!(ada.send(delete("b.txt", Some(now.hash))).await, ControlFrame::Accepted(_)));
}

#[tokio::test]
async fn whoever_sends_too_much_is_told_when_to_go_on_and_still_gets_earlier_replies() {
    let room = TestRoom::new().await;
    let (ada, again, bob) = (room.enter("Ada").await, room.enter("Ada").await, room.enter("Bob").await);
    assert_eq!(ada.member.participant(), again.member.participant());
    let first = ada.send_as("first", write("a.txt", "1")).await;
    let presence = || Command::SetPresence(Presence::default());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let refused = loop {
        assert!(tokio::time::Instant::now() < deadline, "never refused");
        // Over both connections.
        ada.send_as("x", presence()).await;
        if let ControlFrame::Rejected(rejected) = again.send_as("y", presence()).await {
            break rejected.error;
        }
    };
    assert_eq!(
        (refused.code, refused.retryable, refused.retry_after_ms.is_some()),
        (ErrorCode::RateLimited, true, true)
    );
    assert!(matches!(bob.send_as("z", presence()).await, ControlFrame::Result(_)), "others may");
    // Whatever there was room for is used up again before each try.
    while !matches!(ada.send_as("x", presence()).await, ControlFrame::Rejected(_)) {}
    let limited = ada.handle.refuse_for_now("new".parse().unwrap(), "too fast", Duration::from_secs(1)).await;
    assert_eq!(rejected(&limited), ErrorCode::RateLimited);
    let repeated = ada.handle.refuse_for_now("first".parse().unwrap(), "too fast", Duration::from_secs(1)).await;
    assert_eq!(repeated, first);
    assert_eq!(again.send_as("first", write("a.txt", "1")).await, first, "whether there is room or not");
}

#[tokio::test]
async fn nobody_s_replies_are_forgotten_for_another_s() {
    let store = Arc::new(MemoryStore::new());
    let room = TestRoom::with(Arc::<MemoryStore>::clone(&store), MemoryProvider::default()).await;
    let (ada, viewer) = (room.enter("Ada").await, room.enter_as("Eve", Role::Viewer, None).await);
    let first = ada.send_as("first", generate(" ")).await;
    assert_eq!(rejected(&first), ErrorCode::BadRequest);
    let mut sent = 0;
    while sent < super::event_store::REPLIES_KEPT_MAX + 10 {
        let reply = viewer.send_as(&format!("v{sent}"), write("a.txt", "1")).await;
        match rejected(&reply) {
            ErrorCode::RateLimited => tokio::time::sleep(Duration::from_millis(5)).await,
            other => {
                assert_eq!(other, ErrorCode::Forbidden);
                sent += 1;
            }
        }
    }
    // The same id with another command is the same command: here and after a restart.
    assert_eq!(ada.send_as("first", write("a.txt", "1")).await, first);
    let room = room.crash();
    let ada = room.enter("Ada").await;
    assert_eq!(ada.send_as("first", write("a.txt", "1")).await, first);
}

#[tokio::test]
async fn packages_are_installed_before_the_files_arrive_and_come_back_into_the_tree() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let reply = "<file path=\"src/App.jsx\">import { map } from 'nanostores';\nexport default map;</file>";
    let run = accepted_run(&ada.send(apply(reply)).await);
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert_eq!(
        ada.run_events(run),
        [
            "run_started",
            "packages_detected",
            "file_written",
            "install_started",
            "install_output",
            "file_written",
            "install_finished",
            "preview_changed",
            "run_finished"
        ]
    );
    assert!(read(&ada, "package.json").await.contains("nanostores"));
}

#[tokio::test]
async fn packages_that_cannot_be_installed_again_are_told_to_the_room() {
    let npm = MemoryProgram::new("npm install", "no-such-package is not in this registry\n", Ending::Code(1));
    let room = TestRoom::with(Arc::new(MemoryStore::new()), MemoryProvider::new(vec![npm])).await;
    let mut ada = room.enter("Ada").await;
    let path: cobuild_protocol::FilePath = "package.json".parse().unwrap();
    let (info, _) = ada.handle.read_file(&path).await.unwrap();
    let content = r#"{"dependencies":{"no-such-package":"1"}}"#.to_owned();
    let manifest = WriteFile { path, content, encoding: Encoding::Utf8, base: Some(info.hash) };
    assert!(matches!(ada.send(Command::WriteFile(manifest)).await, ControlFrame::Accepted(_)));
    ada.send(Command::StartSandbox(cobuild_protocol::command::StartSandbox {})).await;
    let is_ready =
        |event: &Event| matches!(event, Event::SandboxChanged(changed) if changed.state == SandboxState::Ready);
    ada.wait_for(|frame| is_ready(&frame.event)).await;
    let sandbox = ada.state().await.sandbox;
    let error = sandbox.error.expect("what is wrong");
    assert!(sandbox.state == SandboxState::Ready && error.contains("not in this registry"), "{error}");
}

#[tokio::test]
async fn a_failed_install_fails_the_run_in_npms_words_and_the_project_goes_on() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let packages = vec!["no-such-package".parse().unwrap()];
    let run = accepted_run(&ada.send(Command::Install(Install { packages })).await);
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    let error = ada.state().await.runs[0].error.clone().unwrap();
    assert!(error.message.contains("not in this registry"), "{error:?}");
    let run = accepted_run(&ada.send(apply("<file path=\"src/x.js\">1</file>")).await);
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
}

#[tokio::test]
async fn cancelling_kills_the_process() {
    let hang = MemoryProgram::new("serve", "listening\n", Ending::Hang);
    let room = TestRoom::with(Arc::new(MemoryStore::new()), MemoryProvider::new(vec![hang])).await;
    let mut ada = room.enter("Ada").await;
    let run = accepted_run(&ada.send(exec("serve")).await);
    ada.wait_for(|frame| matches!(frame.event, Event::ExecOutput(_))).await;
    let mut running = room.sandboxes.running();
    assert_eq!(*running.borrow(), 1, "it runs until it is killed");
    ada.cancel(run).await;
    assert_eq!(ada.wait_for_end(run).await, Outcome::Cancelled);
    within(running.wait_for(|count| *count == 0)).await.unwrap();
    let other = accepted_run(&ada.send(exec("echo hi")).await);
    assert_eq!(ada.wait_for_end(other).await, Outcome::Completed);
    let missing = accepted_run(&ada.send(exec("nothing")).await);
    assert_eq!(ada.wait_for_end(missing).await, Outcome::Failed);
}

#[tokio::test]
async fn files_outlive_the_sandbox() {
    let mut room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Say hi").await;
    let call = room.call().await;
    call.text(APP);
    call.stop();
    ada.wait_for_end(run).await;
    room.sandboxes.lose_all();
    ada.wait_for(|frame| is_sandbox(frame, cobuild_protocol::value::SandboxState::Lost)).await;
    ada.wait_for(|frame| is_sandbox(frame, cobuild_protocol::value::SandboxState::Ready)).await;
    assert_eq!(room.sandboxes.living(), 1);
    let run = accepted_run(&ada.send(exec("echo alive")).await);
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert!(read(&ada, "src/App.jsx").await.contains("Hi"));
}

fn is_sandbox(frame: &cobuild_protocol::EventFrame, state: cobuild_protocol::value::SandboxState) -> bool {
    matches!(&frame.event, Event::SandboxChanged(changed) if changed.state == state)
}

#[tokio::test]
async fn without_a_sandbox_everything_else_works() {
    let mut room = TestRoom::new().await;
    room.sandboxes.refuse(Some(SandboxError::Unavailable("bubblewrap is missing; apt-get install bubblewrap".into())));
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("Say hi").await;
    let call = room.call().await;
    call.text(APP);
    call.stop();
    assert_eq!(ada.wait_for_end(run).await, Outcome::Completed);
    assert!(read(&ada, "src/App.jsx").await.contains("Hi"));
    assert!(ada.state().await.sandbox.error.unwrap().contains("apt-get install"));
    let run = accepted_run(&ada.send(exec("echo hi")).await);
    assert_eq!(ada.wait_for_end(run).await, Outcome::Failed);
    assert_eq!(ada.state().await.runs[1].error.clone().unwrap().code, ErrorCode::SandboxLost);
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
async fn a_viewer_changes_nothing() {
    let room = TestRoom::new().await;
    let mut viewer = room.enter_as("Vera", Role::Viewer, None).await;
    assert_eq!(rejected(&viewer.send(write("x.txt", "1")).await), ErrorCode::Forbidden);
    assert_eq!(rejected(&viewer.send(generate("hi")).await), ErrorCode::Forbidden);
    let status = viewer.send(Command::Status(cobuild_protocol::command::Status {})).await;
    assert!(matches!(status, ControlFrame::Result(_)), "{status:?}");
}

#[tokio::test]
async fn a_stale_writer_is_fenced_off() {
    let room = TestRoom::new().await;
    let store = Arc::clone(room.registry.store());
    let mut ada = room.enter("Ada").await;
    // Somebody else appends to the log behind the actor's back.
    let mut batch = super::batch::Batch::new(ada.handle.log().head());
    let left = cobuild_protocol::event::ParticipantLeft { participant: ada.member.participant() };
    batch.push(Event::ParticipantLeft(left), super::batch::Stamp::default());
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

async fn write_on(client: &mut Client, path: &str, base: &str, content: &str) -> ControlFrame {
    let base = Some(super::content_hash(base.as_bytes()));
    let (path, content) = (path.parse().unwrap(), content.to_owned());
    client.send(Command::WriteFile(WriteFile { path, content, encoding: Encoding::Utf8, base })).await
}

#[tokio::test]
async fn changes_of_different_lines_are_merged() {
    let room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter("Bob").await);
    let base = "1\n2\n3\n4\n5\n";
    ada.send(write("n.txt", base)).await;
    assert!(matches!(write_on(&mut ada, "n.txt", base, "one\n2\n3\n4\n5\n").await, ControlFrame::Accepted(_)));
    let merged = write_on(&mut bob, "n.txt", base, "1\n2\n3\n4\nfive\n").await;
    let ControlFrame::Accepted(accepted) = &merged else { panic!("{merged:?}") };
    assert_eq!(read(&ada, "n.txt").await, "one\n2\n3\n4\nfive\n");
    let event = bob.wait_for(|frame| frame.seq == accepted.seq).await;
    assert!(matches!(event.event, Event::FileWritten(written) if written.origin == FileOrigin::Merge));

    let touching = write_on(&mut bob, "n.txt", base, "uno\n2\n3\n4\n5\n").await;
    let ControlFrame::Accepted(accepted) = &touching else { panic!("{touching:?}") };
    let event = bob.wait_for(|frame| frame.seq == accepted.seq).await;
    assert!(matches!(event.event, Event::FileConflicted(_)), "{event:?}");
    assert_eq!(read(&ada, "n.txt").await, "one\n2\n3\n4\nfive\n");

    let never = write_on(&mut bob, "n.txt", "never was", "x").await;
    assert_eq!(rejected(&never), ErrorCode::StaleBase);
}

#[tokio::test]
async fn a_merge_that_is_sent_again_happens_once() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let base = "1\n2\n3\n";
    ada.send(write("n.txt", base)).await;
    write_on(&mut ada, "n.txt", base, "1\n2\nthree\n").await;
    let late = Command::WriteFile(WriteFile {
        path: "n.txt".parse().unwrap(),
        content: "one\n2\n3\n".into(),
        encoding: Encoding::Utf8,
        base: Some(super::content_hash(base.as_bytes())),
    });
    let (first, second) = tokio::join!(ada.send_as("late", late.clone()), ada.send_as("late", late.clone()));
    assert_eq!(first, second);
    assert_eq!(ada.send_as("late", late).await, first);
    ada.send(write("end.txt", "x")).await;
    ada.wait_for(|frame| matches!(&frame.event, Event::FileWritten(written) if written.path.as_str() == "end.txt"))
        .await;
    let merges = ada.seen.iter().filter(|f| matches!(&f.event, Event::FileWritten(w) if w.origin == FileOrigin::Merge));
    assert_eq!(merges.count(), 1);
}

#[tokio::test]
async fn a_locked_file_is_its_lockers() {
    let mut room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter_as("Bob", Role::Editor, None).await);
    let path = "src/App.jsx";
    let lock = |path: &str| Command::LockFile(LockFile { path: path.parse().unwrap() });
    assert!(matches!(ada.send(lock(path)).await, ControlFrame::Accepted(_)));
    assert_eq!(rejected(&bob.send(lock(path)).await), ErrorCode::Conflict);
    let old = read(&bob, path).await;
    assert_eq!(rejected(&write_on(&mut bob, path, &old, "bobs").await), ErrorCode::Conflict);
    let unlock = Command::UnlockFile(UnlockFile { path: path.parse().unwrap() });
    assert_eq!(rejected(&bob.send(unlock.clone()).await), ErrorCode::Forbidden);

    let run = bob.generate("Say hi").await;
    let call = room.call().await;
    call.text(APP);
    call.stop();
    bob.wait_for_end(run).await;
    assert!(bob.run_events(run).contains(&"file_conflicted"));
    assert_eq!(read(&bob, path).await, old);
    assert!(matches!(ada.send(unlock).await, ControlFrame::Accepted(_)));
    assert!(matches!(write_on(&mut bob, path, &old, "bobs").await, ControlFrame::Accepted(_)));
}

#[tokio::test(start_paused = true)]
async fn locks_go_with_their_locker() {
    let room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter("Bob").await);
    ada.send(Command::LockFile(LockFile { path: "src/App.jsx".parse().unwrap() })).await;
    drop(ada);
    bob.wait_for(|frame| matches!(frame.event, Event::ParticipantLeft(_))).await;
    assert!(bob.state().await.locks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn locks_survive_a_restart_and_follow_their_file() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    let lock = |path: &str| Command::LockFile(LockFile { path: path.parse().unwrap() });
    ada.send(write("old.txt", "1")).await;
    ada.send(write("gone.txt", "1")).await;
    ada.send(lock("old.txt")).await;
    ada.send(lock("gone.txt")).await;
    let (from, to) = ("old.txt".parse().unwrap(), "new.txt".parse().unwrap());
    ada.send(Command::RenameFile(RenameFile { from, to, base: None })).await;
    ada.send(Command::DeleteFile(DeleteFile { path: "gone.txt".parse().unwrap(), base: None })).await;
    let locked: Vec<_> = ada.state().await.locks.into_keys().collect();
    assert_eq!(locked, ["new.txt".parse().unwrap()]);
    let room = room.crash();
    let mut bob = room.enter("Bob").await;
    assert_eq!(bob.state().await.locks.len(), 1, "she has a while to come back");
    assert_eq!(rejected(&write_on(&mut bob, "new.txt", "1", "2").await), ErrorCode::Conflict);
    // But not for ever.
    bob.wait_for(|frame| matches!(frame.event, Event::ParticipantLeft(_))).await;
    assert!(bob.state().await.locks.is_empty());
}

#[tokio::test]
async fn a_restore_minds_the_locks_of_what_it_changes() {
    let room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter_as("Bob", Role::Editor, None).await);
    ada.send(write("a.txt", "1")).await;
    ada.send(write("b.txt", "1")).await;
    let before = ada.handle.log().head();
    write_on(&mut ada, "a.txt", "1", "2").await;
    ada.send(Command::LockFile(LockFile { path: "b.txt".parse().unwrap() })).await;
    let restore = Command::Restore(Restore { to: before });
    assert!(matches!(bob.send(restore.clone()).await, ControlFrame::Accepted(_)), "nothing locked changes");
    write_on(&mut ada, "b.txt", "1", "2").await;
    let head = ada.handle.log().head();
    assert_eq!(rejected(&bob.send(restore).await), ErrorCode::Conflict);
    assert_eq!(ada.handle.log().head(), head, "all or nothing");
}

#[tokio::test]
async fn a_restore_is_a_new_event_and_can_be_undone() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    ada.send(write("a.txt", "1")).await;
    let before = ada.handle.log().head();
    write_on(&mut ada, "a.txt", "1", "2").await;
    ada.send(write("b.txt", "new")).await;
    let after = ada.handle.log().head();
    let restore = |to| Command::Restore(Restore { to });
    assert!(matches!(ada.send(restore(before)).await, ControlFrame::Accepted(_)));
    assert_eq!(read(&ada, "a.txt").await, "1");
    assert!(!ada.state().await.files.keys().any(|path| path.as_str() == "b.txt"));
    assert!(matches!(ada.send(restore(after)).await, ControlFrame::Accepted(_)));
    assert_eq!((read(&ada, "a.txt").await, read(&ada, "b.txt").await), ("2".into(), "new".into()));
    assert_eq!(rejected(&ada.send(restore(1_000_000)).await), ErrorCode::NotFound);

    let read_at = Command::ReadFile(ReadFile { path: "a.txt".parse().unwrap(), at: Some(before), conflict: None });
    let ControlFrame::Result(then) = ada.send(read_at).await else { panic!("not read") };
    assert_eq!(then.data["content"], "1");
    let tree = ada.handle.files_at(before).await.unwrap();
    assert!(tree.keys().any(|path| path.as_str() == "a.txt") && !tree.keys().any(|path| path.as_str() == "b.txt"));
    for nowhere in [0, 1_000_000] {
        assert!(matches!(ada.handle.files_at(nowhere).await, Err(ProjectError::NotFound(_))), "{nowhere}");
    }
    let points = ada.handle.history(None, 2).await.unwrap();
    let restored: Vec<_> = points.iter().map(|point| &point.cause).collect();
    assert_eq!(restored, [&Cause::Restore { to: after }, &Cause::Restore { to: before }]);
    let older = ada.handle.history(Some(points[1].seq), 1).await.unwrap();
    assert_eq!((&older[0].cause, older[0].seq), (&Cause::Edit, after));
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
async fn who_loses_the_right_to_change_things_loses_what_they_began() {
    for role in [Some(Role::Viewer), None] {
        let mut room = TestRoom::new().await;
        let (mut ada, mut bob) = (room.enter("Ada").await, room.enter_as("Bob", Role::Editor, None).await);
        let running = bob.generate("1").await;
        let call = room.call().await;
        let (adas, bobs) = (ada.generate("2").await, bob.generate("3").await);
        bob.send(Command::LockFile(LockFile { path: "src/App.jsx".parse().unwrap() })).await;
        let set = Command::SetRole(SetRole { participant: bob.member.participant(), role });
        assert!(matches!(ada.send(set).await, ControlFrame::Accepted(_)));
        assert_eq!(ada.wait_for_end(running).await, Outcome::Cancelled);
        assert_eq!(ada.wait_for_end(bobs).await, Outcome::Cancelled);
        call.closed().await;
        assert!(ada.state().await.locks.is_empty());
        room.call().await.stop();
        assert_eq!(ada.wait_for_end(adas).await, Outcome::Completed);
    }
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

#[tokio::test]
async fn a_role_change_counts_at_once_and_after_coming_back() {
    let room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter_as("Bob", Role::Editor, None).await);
    let participant = bob.member.participant();
    let set = |role| Command::SetRole(SetRole { participant, role });
    assert_eq!(rejected(&bob.send(set(Some(Role::Owner))).await), ErrorCode::Forbidden);
    assert!(matches!(ada.send(set(Some(Role::Viewer))).await, ControlFrame::Accepted(_)));
    assert_eq!(rejected(&bob.send(write("x", "1")).await), ErrorCode::Forbidden);
    let bob = room.enter_as("Bob", Role::Editor, None).await;
    assert_eq!(bob.member.role(), Role::Viewer);
    assert!(matches!(ada.send(set(None)).await, ControlFrame::Accepted(_)));
    let identity =
        super::Identity { key: Some("Bob".into()), name: None, party: None, role: Role::Editor, looks: true };
    let refused = room.handle().await.join(identity, None).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Forbidden);
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

#[tokio::test]
async fn a_run_cancelled_during_its_install_leaves_no_old_files_in_the_sandbox() {
    let hang = MemoryProgram::new("npm install", "resolving\n", Ending::Hang);
    let cat = MemoryProgram::new("look", "", Ending::Code(0));
    let room = TestRoom::with(Arc::new(MemoryStore::new()), MemoryProvider::new(vec![hang, cat])).await;
    let mut ada = room.enter("Ada").await;
    accepted_run_end(&mut ada, exec("look")).await;
    let reply = "<file path=\"src/App.jsx\">import x from 'nanostores';</file>";
    let run = accepted_run(&ada.send(apply(reply)).await);
    ada.wait_for(|frame| matches!(frame.event, Event::InstallOutput(_))).await;
    ada.cancel(run).await;
    assert_eq!(ada.wait_for_end(run).await, Outcome::Cancelled);
    within(room.sandboxes.until_held("src/App.jsx", "import x from 'nanostores';")).await;
}

async fn accepted_run_end(client: &mut Client, command: Command) -> Outcome {
    let run = accepted_run(&client.send(command).await);
    client.wait_for_end(run).await
}

#[tokio::test]
async fn what_a_cancelled_command_wrote_is_taken_over() {
    let left = SandboxFile { path: "left.txt".parse().unwrap(), content: "hi".into() };
    let hang = MemoryProgram::new("build", "working\n", Ending::Hang).writing(vec![left]);
    let room = TestRoom::with(Arc::new(MemoryStore::new()), MemoryProvider::new(vec![hang])).await;
    let mut ada = room.enter("Ada").await;
    let run = accepted_run(&ada.send(exec("build")).await);
    ada.wait_for(|frame| matches!(frame.event, Event::ExecOutput(_))).await;
    within(room.sandboxes.until_held("left.txt", "hi")).await;
    ada.cancel(run).await;
    let written =
        ada.wait_for(|frame| matches!(&frame.event, Event::FileWritten(w) if w.path.as_str() == "left.txt")).await;
    assert_eq!(written.run, None, "nothing of the run follows its end");
}

#[tokio::test]
async fn what_a_process_writes_while_it_is_killed_is_taken_over_too() {
    let last = SandboxFile { path: "last.txt".parse().unwrap(), content: "bye".into() };
    let hang = MemoryProgram::new("build", "working\n", Ending::Hang).writing_when_killed(vec![last]);
    let room = TestRoom::with(Arc::new(MemoryStore::new()), MemoryProvider::new(vec![hang])).await;
    let mut ada = room.enter("Ada").await;
    let run = accepted_run(&ada.send(exec("build")).await);
    ada.wait_for(|frame| matches!(frame.event, Event::ExecOutput(_))).await;
    ada.cancel(run).await;
    ada.wait_for(|frame| matches!(&frame.event, Event::FileWritten(w) if w.path.as_str() == "last.txt")).await;
    assert_eq!(read(&ada, "last.txt").await, "bye");
}

#[tokio::test]
async fn a_file_that_the_tree_refuses_is_left_alone_in_the_sandbox() {
    let big = "x".repeat(super::FILE_SIZE_BYTES_MAX + 1);
    let file = |path: &str, text: &str| SandboxFile { path: path.parse().unwrap(), content: text.to_owned().into() };
    let grow = MemoryProgram::new("grow", "", Ending::Code(0)).writing(vec![file("old", &big), file("new", &big)]);
    let shrink = MemoryProgram::new("shrink", "", Ending::Code(0)).writing(vec![file("new", "small")]);
    let room = TestRoom::with(Arc::new(MemoryStore::new()), MemoryProvider::new(vec![grow, shrink])).await;
    let mut ada = room.enter("Ada").await;
    ada.send(write("old", "mine")).await;
    accepted_run_end(&mut ada, exec("grow")).await;
    let refused = |ada: &Client| ada.seen.iter().filter(|frame| frame.event.name() == "file_refused").count();
    assert_eq!(refused(&ada), 2);
    assert_eq!(read(&ada, "old").await, "mine");
    // Every command is preceded by the tree's changes and followed by the sandbox's.
    for _ in 0..2 {
        ada.send(write("other", "x")).await;
        accepted_run_end(&mut ada, exec("echo hi")).await;
    }
    for path in ["old", "new"] {
        within(room.sandboxes.until_held(path, &big)).await;
    }
    assert_eq!(refused(&ada), 2, "told once");
    // What becomes small enough is taken; what somebody writes goes over it.
    accepted_run_end(&mut ada, exec("shrink")).await;
    assert_eq!(read(&ada, "new").await, "small");
    write_on(&mut ada, "old", "mine", "yours").await;
    within(room.sandboxes.until_held("old", "yours")).await;
}

#[tokio::test]
async fn a_file_that_the_sandbox_refuses_keeps_no_other_from_it() {
    // It makes a directory of a name, and is at work until it is killed.
    let inside = SandboxFile { path: "dist/a".parse().unwrap(), content: "a".into() };
    let build = MemoryProgram::new("build", "", Ending::Hang).writing(vec![inside]);
    let room = TestRoom::with(Arc::new(MemoryStore::new()), MemoryProvider::new(vec![build])).await;
    let mut ada = room.enter("Ada").await;
    accepted_run(&ada.send(exec("build")).await);
    within(room.sandboxes.until_held("dist/a", "a")).await;
    ada.send(write("dist", "a file")).await;
    let told = ada.wait_for(|frame| frame.event.name() == "file_refused").await;
    assert!(matches!(&told.event, Event::FileRefused(refused) if refused.path == "dist"), "{told:?}");
    ada.send(write("src/z.txt", "later")).await;
    within(room.sandboxes.until_held("src/z.txt", "later")).await;
}

#[tokio::test]
async fn a_process_and_a_person_do_not_overwrite_each_other() {
    let mine = SandboxFile { path: "n.txt".parse().unwrap(), content: "1\n2\n3\n4\nfive\n".into() };
    let format = MemoryProgram::new("format", "", Ending::Code(0)).writing(vec![mine]);
    let room = TestRoom::with(Arc::new(MemoryStore::new()), MemoryProvider::new(vec![format])).await;
    let mut ada = room.enter("Ada").await;
    let base = "1\n2\n3\n4\n5\n";
    ada.send(write("n.txt", base)).await;
    accepted_run_end(&mut ada, exec("echo ready")).await;
    // The process's write and the person's are under way at the same time; whichever is first, both are kept.
    let run = accepted_run(&ada.send(exec("format")).await);
    write_on(&mut ada, "n.txt", base, "one\n2\n3\n4\n5\n").await;
    ada.wait_for_end(run).await;
    assert_eq!(read(&ada, "n.txt").await, "one\n2\n3\n4\nfive\n");
}

#[tokio::test]
async fn a_sandbox_that_was_stopped_stays_stopped_until_it_is_wanted() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    accepted_run_end(&mut ada, exec("echo hi")).await;
    ada.send(Command::StopSandbox(cobuild_protocol::command::StopSandbox {})).await;
    ada.wait_for(|frame| is_sandbox(frame, cobuild_protocol::value::SandboxState::Stopped)).await;
    let preview = within(ada.handle.preview()).await.unwrap();
    assert!(matches!(&preview, super::Preview::Failed { reason } if reason.contains("stopped")), "{preview:?}");
    assert_eq!(room.sandboxes.living(), 0);
    ada.send(Command::StartSandbox(cobuild_protocol::command::StartSandbox {})).await;
    ada.wait_for(|frame| is_sandbox(frame, cobuild_protocol::value::SandboxState::Ready)).await;
    assert_eq!(room.sandboxes.living(), 1);
}

#[tokio::test]
async fn a_sandbox_that_was_kept_warm_shows_its_preview() {
    use cobuild_protocol::value::PreviewState;
    let room = TestRoom::with(Arc::new(MemoryStore::new()), MemoryProvider::warm()).await;
    let mut ada = room.enter("Ada").await;
    ada.send(Command::StartSandbox(cobuild_protocol::command::StartSandbox {})).await;
    let is = |frame: &cobuild_protocol::EventFrame, state| matches!(&frame.event, Event::PreviewChanged(changed) if changed.state == state);
    ada.wait_for(|frame| is(frame, PreviewState::Starting)).await;
    ada.wait_for(|frame| is(frame, PreviewState::Ready)).await;
    // Whatever else was to be said of it has been said when a process has run in it.
    accepted_run_end(&mut ada, exec("echo hi")).await;
    assert_eq!(ada.state().await.preview.state, PreviewState::Ready);
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
