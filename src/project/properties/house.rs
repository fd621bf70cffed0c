//! A server's core on a runtime of its own – whose end is a crash: every task is gone where it stands – and the people
//! around it, who keep what they have seen.
//!
//! Here is what happens to the server; what people do is in `people` and `commands`, what must hold in the end in
//! `promises`.

mod commands;
mod people;
mod promises;

use std::{collections::HashMap, sync::Arc, time::Duration};

use cobuild_protocol::{Seq, command::Delivery, state::RunState};
use futures_util::FutureExt as _;
use tokio::{runtime::Runtime, task::yield_now, time::sleep};

use self::{
    commands::{Sent, UnderWay},
    people::Person,
};
use super::{
    PEOPLE, Says, Step, Wish,
    disk::Disk,
    happened::{What, note},
    record::Record,
};
use crate::{
    project::{
        LogLimits, ProjectHandle, ProjectSettings,
        event_log::RingLimits,
        event_store::{EventStore as _, KeptLog},
        model_provider::{ModelChunk, ModelError, StopReason},
        testing::{Call, TestRoom, project},
    },
    sandbox::memory::MemoryProvider,
};

/// Longer than the pause before a refused append is tried again.
const RETRIED: Duration = Duration::from_secs(2);
/// So few that much of what people miss has to come from the store.
const RING_LIMITS: RingLimits = RingLimits { frames: 64, size_bytes: 1 << 20 };
/// More events than the ring holds.
const FLOOD: usize = 80;
/// So few that a few runs are more than is kept.
const LOG_LIMITS: LogLimits = LogLimits { frames: 48, size_bytes: 1 << 20 };

#[derive(Debug)]
pub(super) struct House {
    /// `None` only in the moment of a crash.
    runtime: Option<Runtime>,
    room: Option<TestRoom>,
    disk: Arc<Disk>,
    disk_full: bool,
    /// The project, if it was in memory when somebody last looked.
    project: Option<ProjectHandle>,
    people: Vec<Person>,
    sent: Vec<Sent>,
    under_way: Vec<UnderWay>,
    calls: Vec<Call>,
    /// How many words the model has said to each prompt, in one go.
    said: HashMap<String, usize>,
    record: Record,
}

impl House {
    pub(super) fn open() -> Self {
        let (runtime, disk) = (new_runtime(), Arc::<Disk>::default());
        let store = Arc::clone(&disk);
        let settings =
            ProjectSettings { log_limits: LOG_LIMITS, ring_limits: RING_LIMITS, ..ProjectSettings::default() };
        let room = runtime.block_on(TestRoom::with_limits(store, MemoryProvider::default(), settings));
        let person = |number| Person {
            number,
            place: None,
            participant: None,
            epoch: None,
            last: 0,
            lags_until: None,
            seen: Vec::new(),
        };
        Self {
            runtime: Some(runtime),
            room: Some(room),
            disk,
            disk_full: false,
            project: None,
            people: (0..PEOPLE).map(person).collect(),
            sent: Vec::new(),
            under_way: Vec::new(),
            calls: Vec::new(),
            said: HashMap::new(),
            record: Record::default(),
        }
    }

    pub(super) fn perform(&mut self, step: Step) {
        match step {
            Step::Connect { person, anew } => self.connect(person, anew),
            Step::Cut { person } => self.cut(person),
            Step::Read { person, events_max } => self.read(person, events_max),
            Step::Lag { person } => self.lag(person),
            Step::Send { person, wish } => self.wish(person, &wish),
            Step::Rush { person, prompts } => {
                (0..prompts).for_each(|_| self.wish(person, &Wish::Generate { delivery: Delivery::Queue }));
            }
            Step::Again { person, command } => {
                if let Some(command) = command.checked_rem(self.sent.len()) {
                    self.send(person, command);
                }
            }
            Step::Model { call, says } => self.speak(call, &says),
            Step::Work { steps } => self.block_on(async {
                for _ in 0..steps {
                    yield_now().await;
                }
            }),
            Step::Wait { seconds } => {
                self.wait(Duration::from_secs(seconds));
                if self.project.take_if(|project| project.is_closed()).is_some() {
                    note(What::Unloaded);
                }
            }
            Step::Crash => self.crash(),
            Step::Disk { full } => self.fill_disk(full),
        }
        self.look();
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("the server is up").block_on(future)
    }

    /// The clock is paused: it moves on when there is nothing else to do.
    fn wait(&self, time: Duration) {
        self.block_on(async { sleep(time).await });
    }

    fn speak(&mut self, call: usize, says: &Says) {
        let Some(number) = call.checked_rem(self.calls.len()) else { return };
        let call = &self.calls[number];
        let prompt = call.request.turns.last().expect("there is a prompt").text.clone();
        let said = self.said.entry(prompt).or_default();
        let mut say = || {
            *said += 1;
            call.text(&format!("word{said} "));
        };
        match says {
            Says::Text => say(),
            Says::Flood => (0..FLOOD).for_each(|_| say()),
            Says::File { file } => call.text(&format!("\n<file path=\"src/{file}.js\">new</file>\n")),
            Says::Stop => call.send(Ok(ModelChunk::Stop(StopReason::Complete))),
            Says::Error => call.send(Err(ModelError::Unavailable("gone".into()))),
            Says::Nothing => {}
        }
        if call.is_closed() && matches!(says, Says::Text) {
            note(What::CancelledAModel);
        }
        if matches!(says, Says::Stop | Says::Error | Says::Nothing) {
            self.calls.remove(number);
        }
    }

    fn crash(&mut self) {
        if self.record.fold.view.runs.iter().any(|run| run.state == RunState::Running) {
            note(What::CrashedInARun);
        }
        if self.record.fold.view.runs.iter().any(|run| run.state == RunState::Queued) {
            note(What::CrashedWhileOneWaited);
        }
        if self.disk.is_busy() {
            note(What::CrashedInAnAppend);
        }
        self.runtime.take().expect("the server is up").shutdown_background();
        self.under_way.clear();
        self.calls.clear();
        for person in &mut self.people {
            (person.place, person.lags_until) = (None, None);
        }
        self.project = None;
        let (runtime, room) = (new_runtime(), self.room.take().expect("the server is up"));
        self.room = Some(runtime.block_on(async { room.crash() }));
        self.runtime = Some(runtime);
    }

    fn fill_disk(&mut self, full: bool) {
        self.disk.memory.fail_appends(full);
        if !full {
            self.wait(RETRIED);
        }
        self.disk_full = full;
    }

    /// After every step: the log is a log, and what people have seen is in it.
    fn look(&mut self) {
        self.look_until(Seq::MAX);
        for person in &mut self.people {
            for (first, last, json) in person.seen.drain(..) {
                self.record.check(first, last, &json);
            }
        }
        let room = self.room.as_mut().expect("the server is up");
        self.calls.extend(std::iter::from_fn(|| room.calls.try_recv().ok()));
        let runtime = self.runtime.as_ref().expect("the server is up");
        for UnderWay { command, reply, .. } in self.under_way.extract_if(.., |under_way| under_way.reply.is_finished())
        {
            let reply = runtime.block_on(reply).expect("a reply");
            self.sent[command].take_reply(reply, &self.record);
        }
    }

    fn look_until(&mut self, head: Seq) {
        let journal = self.disk.journal.lock().unwrap();
        let new = journal[usize::try_from(self.record.head()).unwrap()..].iter();
        new.take_while(|event| event.seq <= head).for_each(|event| self.record.take(event));
    }

    /// What compaction has left of the log.
    fn kept(&self) -> KeptLog {
        let opened = self.disk.memory.open_project(&project()).now_or_never().expect("memory is at hand");
        opened.unwrap().expect("there is one").kept
    }
}

fn new_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}
