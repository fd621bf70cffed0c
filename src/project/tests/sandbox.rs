//! Sandboxes come and go; what happens in them comes back into the project.

use super::*;
use crate::project::run::UpdateBody;

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
    let big = "x".repeat(crate::project::FILE_SIZE_BYTES_MAX + 1);
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

fn is_sandbox(frame: &cobuild_protocol::EventFrame, state: cobuild_protocol::value::SandboxState) -> bool {
    matches!(&frame.event, Event::SandboxChanged(changed) if changed.state == state)
}

#[tokio::test]
async fn a_sandbox_that_was_stopped_stays_stopped_until_it_is_wanted() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    accepted_run_end(&mut ada, exec("echo hi")).await;
    ada.send(Command::StopSandbox(cobuild_protocol::command::StopSandbox::default())).await;
    ada.wait_for(|frame| is_sandbox(frame, cobuild_protocol::value::SandboxState::Stopped)).await;
    let preview = within(ada.handle.preview()).await.unwrap();
    assert!(
        matches!(&preview, crate::project::Preview::Failed { reason } if reason.contains("stopped")),
        "{preview:?}"
    );
    assert_eq!(room.sandboxes.living(), 0);
    ada.send(Command::StartSandbox(cobuild_protocol::command::StartSandbox {})).await;
    ada.wait_for(|frame| is_sandbox(frame, cobuild_protocol::value::SandboxState::Ready)).await;
    assert_eq!(room.sandboxes.living(), 1);
}

#[tokio::test]
async fn that_a_sandbox_is_to_go_is_known_before_it_is_gone() {
    let room = TestRoom::new().await;
    let mut ada = room.enter("Ada").await;
    accepted_run_end(&mut ada, exec("echo hi")).await;
    let stop = || Command::StopSandbox(cobuild_protocol::command::StopSandbox::default());
    let first = ada.state().await.sandbox;
    let reply = ada.send_as("stop", stop()).await;
    let ControlFrame::Accepted(accepted) = &reply else { panic!("{reply:?}") };
    let told = ada.wait_for(|frame| frame.seq == accepted.seq).await;
    assert!(
        matches!(&told.event, Event::SandboxChanged(changed) if changed.parked && changed.sandbox == first.sandbox),
        "{told:?}"
    );
    assert!(ada.state().await.sandbox.parked);
    let restart = ada.send(Command::RestartPreview(cobuild_protocol::command::RestartPreview {})).await;
    assert!(matches!(&restart, ControlFrame::Rejected(it) if it.error.code == ErrorCode::Conflict), "{restart:?}");
    assert_eq!(ada.send_as("stop", stop()).await, reply, "sent again");
}

#[tokio::test]
async fn an_editors_stop_ends_the_run_and_no_prompt_that_waits() {
    let mut room = TestRoom::new().await;
    let (mut ada, mut bob) = (room.enter("Ada").await, room.enter_as("Bob", Role::Editor, None).await);
    accepted_run_end(&mut ada, exec("echo hi")).await;
    let first = ada.generate("first").await;
    let call = room.call().await;
    let second = ada.generate("second").await;
    let stop = |end_run| Command::StopSandbox(cobuild_protocol::command::StopSandbox { end_run });
    let refused = bob.send(stop(false)).await;
    assert!(matches!(&refused, ControlFrame::Rejected(it) if it.error.code == ErrorCode::Conflict), "{refused:?}");
    let stopped = bob.send_as("stop", stop(true)).await;
    assert!(matches!(&stopped, ControlFrame::Accepted(it) if it.run == Some(first)), "{stopped:?}");
    assert_eq!(bob.send_as("stop", stop(true)).await, stopped, "sent again");
    assert_eq!(ada.wait_for_end(first).await, Outcome::Cancelled);
    within(call.closed()).await;
    // What waited has its turn now, and what it needs.
    let next = room.call().await;
    next.text("<file path=\"src/a.js\">1</file>");
    next.stop();
    assert_eq!(ada.wait_for_end(second).await, Outcome::Completed);
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
async fn what_is_said_of_a_sandbox_in_the_making_counts_no_longer_when_it_is_stopped() {
    let room = TestRoom::new().await;
    let (updates, mut reported) = tokio::sync::mpsc::channel(16);
    let (tree, _) = tokio::sync::watch::channel(Arc::new(crate::project::file_tree::Tree::new()));
    let mut slot = crate::project::sandbox_slot::SandboxSlot::new(
        room.registry.parts().clone(),
        "p".parse().unwrap(),
        updates,
        tokio_util::task::TaskTracker::new(),
        tokio_util::sync::CancellationToken::new(),
        "http://preview".into(),
        &cobuild_protocol::value::SandboxInfo::default(),
    );
    slot.ensure(&tree);
    let told = within(reported.recv()).await.unwrap();
    let UpdateBody::SandboxMaking { generation, changed } = told.body else { panic!("{told:?}") };
    assert_eq!(slot.on_making(generation, changed.clone()), [Event::SandboxChanged(changed.clone())]);
    slot.stop();
    assert_eq!(slot.on_making(generation, changed), []);
}
