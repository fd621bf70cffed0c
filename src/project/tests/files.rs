//! Nobody's work on a file is destroyed: bases, merges, locks, restores.

use super::*;

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
        base: Some(crate::project::content_hash(base.as_bytes())),
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
