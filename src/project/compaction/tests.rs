use std::sync::Arc;

use cobuild_protocol::{
    Command, Cursor, ErrorCode, Event, EventFrame, ProjectState,
    command::{ReadFile, Restore, WriteFile},
    frame::{AttachMode, ControlFrame},
    value::{Encoding, Outcome, Role},
};

use super::*;
use crate::{
    project::{
        Cause, ProjectSettings,
        event_store::EventStore,
        sandbox_provider::SandboxProvider,
        testing::{Client, TestRoom, project, within},
    },
    sandbox::memory::MemoryProvider,
    store::memory::MemoryStore,
};

/// So few that a handful of runs are more.
const FEW: LogLimits = LogLimits { frames: 32, size_bytes: 1 << 20 };

async fn room(limits: LogLimits) -> (TestRoom, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    let settings = ProjectSettings { log_limits: limits, ..ProjectSettings::default() };
    (TestRoom::with_limits(Arc::<MemoryStore>::clone(&store), MemoryProvider::default(), settings).await, store)
}

async fn kept(store: &MemoryStore) -> KeptLog {
    store.open_project(&project()).await.unwrap().unwrap().kept
}

/// Waits until everything up to `seq` is merged and what is kept is within the limits.
async fn compacted(store: &MemoryStore, seq: Seq, limits: LogLimits) -> KeptLog {
    within(async {
        loop {
            let kept = kept(store).await;
            if kept.merged >= seq && limits.hold(kept.frames, kept.size_bytes) {
                return kept;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// A run that says so many words.
async fn say(room: &mut TestRoom, client: &mut Client, words: usize) -> Seq {
    let run = client.generate(&format!("{words} words")).await;
    let call = room.call().await;
    for word in 0..words {
        call.text(&format!("word{word} "));
        // So that each is an event of its own.
        client.wait_for(|frame| matches!(&frame.event, Event::TextDelta(_)) && frame.run == Some(run)).await;
    }
    call.stop();
    assert_eq!(client.wait_for_end(run).await, Outcome::Completed);
    client.last_seq()
}

fn since(client: &Client, seq: Seq) -> Option<Cursor> {
    Some(Cursor { epoch: client.epoch_head.epoch.clone(), seq })
}

async fn write(client: &mut Client, content: &str) -> Seq {
    let base = client.state().await.files.get(&"a.txt".parse().unwrap()).map(|info| info.hash.clone());
    let (path, content) = ("a.txt".parse().unwrap(), content.to_owned());
    match client.send(Command::WriteFile(WriteFile { path, content, encoding: Encoding::Utf8, base })).await {
        ControlFrame::Accepted(accepted) => accepted.seq,
        other => panic!("{other:?}"),
    }
}

async fn read_at(client: &mut Client, seq: Seq) -> Result<String, ErrorCode> {
    let read = ReadFile { path: "a.txt".parse().unwrap(), at: Some(seq), conflict: None };
    match client.send(Command::ReadFile(read)).await {
        ControlFrame::Result(result) => Ok(result.data["content"].as_str().unwrap().to_owned()),
        ControlFrame::Rejected(rejected) => Err(rejected.error.code),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_run_that_has_ended_is_few_frames_and_every_place_is_still_there() {
    let (mut room, store) = room(LogLimits::default()).await;
    let mut ada = room.enter("Ada").await;
    let end = say(&mut room, &mut ada, 200).await;
    let kept = compacted(&store, end, LogLimits::default()).await;
    assert!(kept.frames < 20, "{kept:?}");
    assert_eq!(kept.base, 0);
    let (state, said) = (ada.state().await, words(&ada.seen));
    // The ring is empty after a crash, so all of this comes from the store; and so does the state.
    let room = room.crash();
    for from in 0..end {
        let mut back = room.enter_as("Ada", Role::Owner, since(&ada, from)).await;
        assert_eq!(back.mode, AttachMode::Resumed, "{from}");
        back.wait_for(|frame| frame.seq >= end).await;
        let first = &back.seen[0];
        assert_eq!(first.seq_first.unwrap_or(first.seq), from + 1);
        let before: Vec<_> = ada.seen.iter().filter(|frame| frame.seq <= from).cloned().collect();
        assert_eq!(words(&before) + &words(&back.seen), said, "from {from}");
        if from == 0 {
            let mut view = ProjectState::default();
            back.seen.iter().for_each(|frame| crate::project::fold(&mut view, frame));
            assert_eq!((view.messages, view.files), (state.messages.clone(), state.files.clone()));
        }
    }
}

/// Everything that was said in these events.
fn words(events: &[EventFrame]) -> String {
    let texts = events.iter().filter_map(|frame| match &frame.event {
        Event::TextDelta(delta) => Some(delta.text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[tokio::test]
async fn a_log_stays_bounded_and_its_past_readable_within_the_bound() {
    let (mut room, store) = room(FEW).await;
    let mut ada = room.enter("Ada").await;
    let mut writes = Vec::new();
    for round in 0..20 {
        writes.push((write(&mut ada, &format!("round {round}")).await, format!("round {round}")));
        let end = say(&mut room, &mut ada, 5).await;
        compacted(&store, end, FEW).await;
    }
    let kept = kept(&store).await;
    assert!(kept.base > 0 && kept.frames <= FEW.frames, "{kept:?}");
    let (mut readable, mut gone) = (0, 0);
    for (seq, content) in &writes {
        if *seq >= kept.base {
            assert_eq!(read_at(&mut ada, *seq).await.as_ref(), Ok(content));
            readable += 1;
        } else {
            assert_eq!(read_at(&mut ada, *seq).await, Err(ErrorCode::NotFound));
            let refused = ada.send(Command::Restore(Restore { to: *seq })).await;
            let ControlFrame::Rejected(rejected) = refused else { panic!("{refused:?}") };
            assert_eq!(rejected.error.code, ErrorCode::NotFound);
            assert!(rejected.error.message.contains(&kept.base.to_string()), "{}", rejected.error.message);
            gone += 1;
        }
    }
    assert!(readable > 0 && gone > 0, "{readable} {gone}");
    let (seq, content) = writes.iter().find(|(seq, _)| *seq >= kept.base).unwrap();
    let restored = ada.send(Command::Restore(Restore { to: *seq })).await;
    assert!(matches!(restored, ControlFrame::Accepted(_)), "{restored:?}");
    let (_, now) = within(ada.handle.read_file(&"a.txt".parse().unwrap())).await.unwrap();
    assert_eq!(now, content.as_bytes());
}

#[tokio::test]
async fn points_of_a_history_whose_beginning_is_folded_begin_with_the_base() {
    let (mut room, store) = room(FEW).await;
    let mut ada = room.enter("Ada").await;
    for round in 0..12 {
        write(&mut ada, &format!("round {round}")).await;
        let end = say(&mut room, &mut ada, 5).await;
        compacted(&store, end, FEW).await;
    }
    let base = kept(&store).await.base;
    assert!(base > 0);
    let points = ada.handle.history(None, 100).await.unwrap();
    let (oldest, later) = points.split_last().unwrap();
    assert_eq!((&oldest.cause, oldest.seq), (&Cause::Base, base));
    assert_eq!(oldest.files_changed, 1 + crate::sandbox::memory::MemoryProvider::default().template().files.len());
    assert!(later.iter().all(|point| point.seq > base && point.cause == Cause::Edit), "{later:?}");
    assert!(ada.handle.history(Some(base), 100).await.unwrap().is_empty());
    let restored = ada.send(Command::Restore(Restore { to: oldest.seq })).await;
    assert!(matches!(restored, ControlFrame::Accepted(_)), "{restored:?}");
}

#[tokio::test]
async fn whoever_comes_back_from_before_the_base_gets_a_snapshot() {
    let (mut room, store) = room(FEW).await;
    let mut ada = room.enter("Ada").await;
    for _ in 0..10 {
        let end = say(&mut room, &mut ada, 5).await;
        compacted(&store, end, FEW).await;
    }
    let (first_base, head) = (kept(&store).await.base, ada.last_seq());
    for crash in [false, true] {
        if crash {
            room = room.crash();
        }
        for seq in [0, 1, first_base - 1, first_base, head - 1] {
            // Coming and going are events, too, so the base moves on.
            let before = kept(&store).await.base;
            let back = room.enter_as("Ada", Role::Owner, since(&ada, seq)).await;
            let after = kept(&store).await.base;
            match back.snapshot {
                Some(state) => assert!(back.mode == AttachMode::Snapshot && seq < after && state.messages.len() == 20),
                None => assert!(back.mode == AttachMode::Resumed && seq >= before, "{seq} {before}"),
            }
            assert!(seq != head - 1 || back.mode == AttachMode::Resumed);
        }
    }
}

#[tokio::test]
async fn a_project_without_a_snapshot_is_loaded_from_its_base() {
    let (mut room, store) = room(FEW).await;
    let mut ada = room.enter("Ada").await;
    for _ in 0..10 {
        let end = say(&mut room, &mut ada, 5).await;
        compacted(&store, end, FEW).await;
    }
    let state = ada.state().await;
    assert!(store.open_project(&project()).await.unwrap().unwrap().snapshot.is_none());
    let room = room.crash();
    let bob = room.enter("Bob").await;
    let again = bob.state().await;
    assert_eq!((again.messages, again.runs, again.files), (state.messages, state.runs, state.files));
}

#[tokio::test]
async fn a_slow_reader_gets_everything_or_is_told() {
    let (mut room, store) = room(FEW).await;
    let mut ada = room.enter("Ada").await;
    // Another core over the same store has an empty ring: what it reads comes from the store, while this one compacts.
    let end = say(&mut room, &mut ada, 30).await;
    compacted(&store, end, FEW).await;
    let handle = room.handle().await;
    let mut feed = handle.log().feed(kept(&store).await.base);
    let mut last = feed.cursor();
    for _ in 0..10 {
        let mut frames = Vec::new();
        match feed.next(1, usize::MAX, &mut frames).await {
            Ok(()) => {
                assert_eq!(frames[0].first(), last + 1);
                last = frames[0].seq();
            }
            Err(error) => {
                assert!(
                    matches!(error, crate::project::event_log::FeedError::PositionLost { cursor } if cursor == last)
                );
                assert!(last < kept(&store).await.base);
                return;
            }
        }
        let end = say(&mut room, &mut ada, 5).await;
        compacted(&store, end, FEW).await;
    }
}

#[tokio::test]
async fn what_the_disk_refuses_is_compacted_after_the_next_run() {
    let (mut room, store) = room(LogLimits::default()).await;
    let mut ada = room.enter("Ada").await;
    let run = ada.generate("words").await;
    let call = room.call().await;
    for _ in 0..50 {
        call.text("word ");
        ada.wait_for(|frame| matches!(frame.event, Event::TextDelta(_))).await;
    }
    call.stop();
    ada.wait_for_end(run).await;
    // As if the disk were full just for that.
    store.fail_appends(true);
    tokio::task::yield_now().await;
    store.fail_appends(false);
    let end = say(&mut room, &mut ada, 50).await;
    let kept = compacted(&store, end, LogLimits::default()).await;
    assert!(kept.frames < 30, "{kept:?}");
}

/// A command's reply names the event that records it; compaction must not move it.
#[tokio::test]
async fn commands_keep_their_replies() {
    let (mut room, store) = room(FEW).await;
    let mut ada = room.enter("Ada").await;
    let write = |number: usize| {
        let (path, content) = (format!("{number}.txt").parse().unwrap(), String::new());
        Command::WriteFile(WriteFile { path, content, encoding: Encoding::Utf8, base: None })
    };
    let mut replies = Vec::new();
    for number in 0..12 {
        replies.push(ada.send_as(&format!("c{number}"), write(number)).await);
        let end = say(&mut room, &mut ada, 5).await;
        compacted(&store, end, FEW).await;
    }
    let room = room.crash();
    let ada = room.enter("Ada").await;
    for (number, reply) in replies.iter().enumerate() {
        assert_eq!(ada.send_as(&format!("c{number}"), write(number)).await, *reply);
    }
}

/// Folds that an earlier release stored must stay readable: a log's beginning is nowhere else. If this fails, give what
/// is new a default (`#[serde(default)]`).
#[test]
fn a_stored_fold_of_this_format_can_be_read() {
    let stored = include_bytes!("../../../tests/fixtures/stored-state.json");
    let state: State = serde_json::from_slice(stored).expect("readable");
    assert_eq!(state.seq, 56);
    assert_eq!((state.view.files.len(), state.view.messages.is_empty()), (2, false));
}
