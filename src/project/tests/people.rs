//! Several people: one order for all, what each may do, and how much.

use super::*;
use crate::project::{ProjectSettings, room::LEAVE_GRACE};

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

#[tokio::test(start_paused = true)]
async fn guests_of_one_link_have_one_share_of_the_room_under_whatever_names() {
    let settings =
        ProjectSettings { participant_connections_max: 2, project_connections_max: 4, ..ProjectSettings::default() };
    let room = TestRoom::with_limits(Arc::new(MemoryStore::new()), MemoryProvider::default(), settings).await;
    let handle = room.handle().await;
    let knock = async |name: &str, link: Option<&str>| {
        let (key, party) = (Some(name.to_owned()), link.map(str::to_owned));
        let identity = Identity { key, name: None, party, role: Role::Viewer, looks: false };
        let joined = within(handle.join(identity, None)).await;
        joined.map(|joined| joined.member).map_err(|error| error.to_string())
    };
    let refusal = async |name: &str, link: Option<&str>| knock(name, link).await.err();
    let (link, full) = (Some("link"), "this share link has too many connections");
    let (ann, _ben) = (knock("ann", link).await.unwrap(), knock("ben", link).await.unwrap());
    assert_eq!(refusal("cid", link).await.as_deref(), Some(full));
    drop(ann);
    assert_eq!(refusal("cid", link).await.as_deref(), Some(full), "who has just left may come back");
    drop(knock("ann", link).await.unwrap());
    let _others = [knock("dan", None).await.unwrap(), knock("eve", Some("other")).await.unwrap()];
    assert_eq!(refusal("fay", None).await.as_deref(), Some("this project has too many connections"));
    tokio::time::sleep(LEAVE_GRACE + Duration::from_secs(1)).await;
    let _cid = knock("cid", link).await.unwrap();
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
    while sent < crate::project::event_store::REPLIES_KEPT_MAX + 10 {
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
async fn a_viewer_changes_nothing() {
    let room = TestRoom::new().await;
    let mut viewer = room.enter_as("Vera", Role::Viewer, None).await;
    assert_eq!(rejected(&viewer.send(write("x.txt", "1")).await), ErrorCode::Forbidden);
    assert_eq!(rejected(&viewer.send(generate("hi")).await), ErrorCode::Forbidden);
    let status = viewer.send(Command::Status(cobuild_protocol::command::Status {})).await;
    assert!(matches!(status, ControlFrame::Result(_)), "{status:?}");
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
        crate::project::Identity { key: Some("Bob".into()), name: None, party: None, role: Role::Editor, looks: true };
    let refused = room.handle().await.join(identity, None).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Forbidden);
}
