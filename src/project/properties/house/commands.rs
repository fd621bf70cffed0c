//! What people ask for, and the replies they get.

use std::sync::Arc;

use cobuild_protocol::{
    Command, CommandFrame, ErrorCode, ParticipantId, RunId,
    command::{
        Apply, Cancel, DeleteFile, Delivery, Exec, Generate, LockFile, MoveQueued, RemoveQueued, Restore, SetRole,
        StopSandbox, WriteFile,
    },
    frame::ControlFrame,
    state::RunState,
    value::Encoding,
};
use tokio::task::JoinHandle;

use super::{House, Record, What, Wish, note, people::Place};

/// A command that was sent at least once.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) frame: CommandFrame,
    /// The first reply that is not "try again".
    pub(super) reply: Option<ControlFrame>,
}

/// A command on its way.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) command: usize,
    pub(super) person: usize,
    pub(super) reply: JoinHandle<ControlFrame>,
}

impl House {
    pub(super) fn wish(&mut self, person: usize, wish: &Wish) {
        let command = self.command(wish);
        let id = format!("c{}", self.sent.len()).parse().unwrap();
        if self.people[person].place.is_some() {
            self.sent.push(Sent { frame: CommandFrame { command, id }, reply: None });
            self.send(person, self.sent.len() - 1);
        }
    }

    pub(super) fn send(&mut self, number: usize, command: usize) {
        let Some(Place { handle, member, .. }) = &self.people[number].place else { return };
        let (handle, member, frame) = (handle.clone(), Arc::clone(member), self.sent[command].frame.clone());
        let runtime = self.runtime.as_ref().expect("the server is up");
        let reply = runtime.spawn(async move { handle.submit(&member, frame).await });
        self.under_way.push(UnderWay { command, person: number, reply });
    }

    fn command(&self, wish: &Wish) -> Command {
        let number = self.sent.len();
        let file = |file: u8| format!("src/{file}.js").parse().unwrap();
        let base = |path| self.record.fold.view.files.get(path).map(|info| info.hash.clone());
        let generate = |prompt: String, delivery| {
            Command::Generate(Generate { apply: number.is_multiple_of(2), delivery, ..Generate::new(prompt) })
        };
        match *wish {
            Wish::Generate { delivery } => generate(format!("{number}, please"), delivery),
            Wish::Nonsense => generate(" ".into(), Delivery::Queue),
            Wish::Apply => {
                let reply = format!("<file path=\"src/0.js\">{number}</file>");
                Command::Apply(Apply { reply, packages: Vec::new(), edit: false, leave_out: Default::default() })
            }
            Wish::Exec => Command::Exec(Exec { command: "echo hi".into(), timeout_ms: None }),
            Wish::Write { file: at } => {
                let (path, content) = (file(at), format!("// {number}"));
                let base = base(&path);
                Command::WriteFile(WriteFile { path, content, encoding: Encoding::Utf8, base })
            }
            Wish::Delete { file: at } => Command::DeleteFile(DeleteFile { path: file(at), base: None }),
            Wish::Lock { file: at } => Command::LockFile(LockFile { path: file(at) }),
            Wish::Restore { back } => Command::Restore(Restore { to: self.record.head().saturating_sub(back).max(1) }),
            Wish::StopSandbox { end_run } => Command::StopSandbox(StopSandbox { end_run }),
            Wish::Cancel { run } => Command::Cancel(Cancel { run: RunId::new(run) }),
            Wish::RemoveQueued { run } => Command::RemoveQueued(RemoveQueued { run: RunId::new(run) }),
            Wish::MoveQueued { waiting, position } => {
                let runs = self.record.fold.view.runs.iter();
                let line: Vec<RunId> = runs.filter(|run| run.state == RunState::Queued).map(|run| run.run).collect();
                let run = waiting.checked_rem(line.len()).map_or(RunId::new(99), |at| line[at]);
                Command::MoveQueued(MoveQueued { run, position })
            }
            Wish::SetRole { person, role } => {
                let participant = self.people[person].participant.unwrap_or(ParticipantId::new(99));
                Command::SetRole(SetRole { participant, role })
            }
        }
    }
}

impl Sent {
    pub(super) fn take_reply(&mut self, reply: ControlFrame, record: &Record) {
        let effect = record.effects.get(&self.frame.id);
        match &reply {
            ControlFrame::Rejected(rejected) if rejected.error.retryable => return note(What::RefusedByTheDisk),
            ControlFrame::Rejected(rejected) => {
                if rejected.error.code == ErrorCode::Forbidden {
                    note(What::Forbidden);
                }
                assert_eq!(effect, None, "{reply:?} to {:?}", self.frame);
            }
            ControlFrame::Accepted(accepted) => match effect {
                Some(effect) => assert_eq!(*effect, (accepted.run, accepted.seq), "{:?}", self.frame),
                None => assert!(self.may_change_nothing(), "{reply:?} to {:?}", self.frame),
            },
            other => panic!("{other:?}"),
        }
        match &self.reply {
            Some(earlier) => {
                assert_eq!(*earlier, reply, "{:?}", self.frame);
                note(What::SameReply);
            }
            None => {
                if let ControlFrame::Accepted(accepted) = &reply {
                    note(What::Accepted);
                    if accepted.run.is_some() && matches!(self.frame.command, Command::StopSandbox(_)) {
                        note(What::StoppedWithTheSandbox);
                    }
                }
                self.reply = Some(reply);
            }
        }
    }

    /// Commands that may find that there is nothing to do.
    fn may_change_nothing(&self) -> bool {
        matches!(
            self.frame.command,
            Command::Cancel(_)
                | Command::LockFile(_)
                | Command::MoveQueued(_)
                | Command::SetRole(_)
                | Command::StopSandbox(_)
                | Command::WriteFile(_)
        )
    }
}
