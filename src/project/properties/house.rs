//! A server's core on a runtime of its own – whose end is a crash: every task is gone where it stands – and the people
//! around it, who keep what they have seen.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use cobuild_protocol::{
    Command, CommandFrame, Cursor, Epoch, ErrorCode, EventFrame, ParticipantId, RunId, Seq,
    command::{Apply, Cancel, DeleteFile, Delivery, Exec, Generate, RemoveQueued, SetRole, WriteFile},
    frame::{AttachMode, ControlFrame},
    state::RunState,
    value::{Encoding, MessagePart, MessageRole, Outcome, Role, RunKind},
};
use futures_util::FutureExt as _;
use tokio::{
    runtime::Runtime,
    task::{JoinHandle, yield_now},
    time::{sleep, timeout},
};

use super::{
    PEOPLE, Says, Step, Wish,
    disk::Disk,
    happened::{What, note},
    record::Record,
};
use crate::{
    project::{
        Identity, LogLimits, Member, ProjectHandle, ProjectSettings, Subscription,
        event_log::{Feed, FeedError, RingLimits, merge},
        event_store::{EventStore as _, KeptLog, ReadLimits},
        model_provider::{ModelChunk, ModelError, StopReason},
        testing::{Call, TestRoom, project, within},
    },
    sandbox::memory::MemoryProvider,
};

/// Longer than the pause before a refused append is tried again.
const RETRIED: Duration = Duration::from_secs(2);
/// So few that much of what people miss has to come from the store.
const RING_LIMITS: RingLimits = RingLimits { frames: 64, size_bytes: 1 << 20 };
/// So many events behind, somebody's deltas are merged.
const LAG: Seq = 8;
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

/// Somebody who comes and goes.
#[derive(Debug)]
struct Person {
    number: usize,
    place: Option<Place>,
    participant: Option<ParticipantId>,
    epoch: Option<Epoch>,
    /// The last event they have seen, one by one or as part of a snapshot.
    last: Seq,
    /// Nothing is read before this event has happened; what is read then is merged, as for any who are behind.
    lags_until: Option<Seq>,
    /// Frames nobody has looked at yet: the places each stands for, and what it says.
    seen: Vec<(Seq, Seq, Bytes)>,
}

/// A connection.
#[derive(Debug)]
struct Place {
    handle: ProjectHandle,
    member: Arc<Member>,
    feed: Feed,
}

/// A command that was sent at least once.
#[derive(Debug)]
struct Sent {
    frame: CommandFrame,
    /// The first reply that is not "try again".
    reply: Option<ControlFrame>,
}

/// A command on its way.
#[derive(Debug)]
struct UnderWay {
    command: usize,
    person: usize,
    reply: JoinHandle<ControlFrame>,
}

impl Person {
    fn cursor(&self) -> Option<Cursor> {
        self.epoch.clone().map(|epoch| Cursor { epoch, seq: self.last })
    }

    fn identity(&self) -> Identity {
        let name = Some(format!("person {}", self.number));
        let role = if self.number == 0 { Role::Owner } else { Role::Editor };
        Identity { key: name.clone(), name, party: None, role, looks: true }
    }
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
            Step::Send { person, wish } => {
                let command = self.command(&wish);
                let id = format!("c{}", self.sent.len()).parse().unwrap();
                if self.people[person].place.is_some() {
                    self.sent.push(Sent { frame: CommandFrame { command, id }, reply: None });
                    self.send(person, self.sent.len() - 1);
                }
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

    fn connect(&mut self, number: usize, anew: bool) {
        let room = self.room.as_ref().expect("the server is up");
        let person = &self.people[number];
        if person.place.is_some() {
            return;
        }
        let since = person.cursor().filter(|_| !anew);
        let joined = self.block_on(async {
            let handle = within(room.handle()).await;
            (within(handle.join(person.identity(), since.clone())).await, handle)
        });
        let (Ok(subscription), handle) = joined else {
            assert!(self.disk_full, "{:?}", joined.0);
            return;
        };
        let Subscription { member, mode, epoch, head, snapshot, feed } = subscription;
        self.look_until(head);
        // The store may already have what the room has not heard of yet.
        let lost = since.as_ref().is_some_and(|since| since.seq < self.kept().base);
        if snapshot.is_some() {
            note(if lost { What::PlaceLost } else { What::CameNew });
        }
        match (since.filter(|_| !(lost && snapshot.is_some())), snapshot) {
            (Some(since), None) => {
                let expected = if since.seq == head { AttachMode::Live } else { AttachMode::Resumed };
                assert_eq!((mode, epoch.clone(), feed.cursor()), (expected, since.epoch, since.seq));
                note(if mode == AttachMode::Live { What::CameBackInStep } else { What::Resumed });
            }
            (None, Some(snapshot)) => {
                let frame: ControlFrame = serde_json::from_slice(&snapshot).unwrap();
                let ControlFrame::Snapshot(frame) = frame else { panic!("{frame:?}") };
                assert_eq!((mode, frame.seq, feed.cursor()), (AttachMode::Snapshot, head, head));
                assert_eq!(frame.state, self.record.fold.view, "the snapshot is the fold of the log");
                self.people[number].last = head;
            }
            (since, snapshot) => panic!("{since:?} was answered with {mode:?} {snapshot:?}"),
        }
        let person = &mut self.people[number];
        person.participant = Some(member.participant());
        person.epoch = Some(epoch);
        self.project = Some(handle.clone());
        person.place = Some(Place { handle, member: Arc::new(member), feed });
    }

    fn cut(&mut self, number: usize) {
        let person = &mut self.people[number];
        person.lags_until = None;
        if person.place.take().is_some() {
            note(What::Cut);
        }
        for lost in self.under_way.extract_if(.., |under_way| under_way.person == number) {
            lost.reply.abort();
        }
    }

    fn lag(&mut self, number: usize) {
        let person = &mut self.people[number];
        if person.place.is_some() {
            person.lags_until.get_or_insert(self.record.head() + LAG);
        }
    }

    fn read(&mut self, number: usize, events_max: usize) {
        let runtime = self.runtime.as_ref().expect("the server is up");
        let person = &mut self.people[number];
        let Some(place) = &mut person.place else { return };
        if person.lags_until.is_some_and(|seq| self.record.head() < seq) {
            return;
        }
        let lagged = person.lags_until.take().is_some();
        if lagged {
            note(What::Lagged);
        }
        if self.record.head() - person.last > RING_LIMITS.frames as Seq {
            note(What::ReadBehindTheRing);
        }
        let mut frames = Vec::new();
        // Whatever comes, comes at once: waiting any longer is waiting for others.
        let next = place.feed.next(events_max, usize::MAX, &mut frames);
        let read = runtime.block_on(async { timeout(Duration::from_millis(1), next).await });
        let frames: Vec<(Seq, Seq, Bytes)> = if lagged {
            merge(&frames).into_iter().map(|merged| (first_of(&merged.json), merged.seq, merged.json)).collect()
        } else {
            frames.iter().map(|frame| (frame.first(), frame.seq(), frame.json().clone())).collect()
        };
        for (first, last, json) in frames {
            assert_eq!(first, person.last + 1, "no gap and no repetition");
            if lagged && first < last {
                note(What::ReadMerged);
            }
            person.last = last;
            person.seen.push((first, last, json));
        }
        match read {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(FeedError::Closed(_))) => self.cut(number),
            // Coming back, they get a snapshot.
            Ok(Err(FeedError::PositionLost { cursor })) => {
                assert!(cursor < self.kept().base, "{cursor} is still there");
                self.cut(number);
            }
            Ok(Err(error)) => panic!("{error}"),
        }
    }

    fn send(&mut self, number: usize, command: usize) {
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
            Wish::Generate { interrupt: true } => generate(format!("{number}, now"), Delivery::Interrupt),
            Wish::Generate { interrupt: false } => generate(format!("{number}, please"), Delivery::Queue),
            Wish::Nonsense => generate(" ".into(), Delivery::Queue),
            Wish::Apply => {
                let reply = format!("<file path=\"src/0.js\">{number}</file>");
                Command::Apply(Apply { reply, packages: Vec::new(), edit: false })
            }
            Wish::Exec => Command::Exec(Exec { command: "echo hi".into(), timeout_ms: None }),
            Wish::Write { file: at } => {
                let (path, content) = (file(at), format!("// {number}"));
                let base = base(&path);
                Command::WriteFile(WriteFile { path, content, encoding: Encoding::Utf8, base })
            }
            Wish::Delete { file: at } => Command::DeleteFile(DeleteFile { path: file(at), base: None }),
            Wish::Cancel { run } => Command::Cancel(Cancel { run: RunId::new(run) }),
            Wish::RemoveQueued { run } => Command::RemoveQueued(RemoveQueued { run: RunId::new(run) }),
            Wish::SetRole { person, role } => {
                let participant = self.people[person].participant.unwrap_or(ParticipantId::new(99));
                Command::SetRole(SetRole { participant, role: Some(role) })
            }
        }
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

    /// The disk has room, the models end, everybody comes back: all that was accepted has happened, and ended.
    pub(super) fn finish(mut self) {
        self.perform(Step::Disk { full: false });
        self.wait(RETRIED);
        self.look();
        self.no_stopped_model_goes_on();
        for number in 0..PEOPLE {
            self.connect(number, false);
        }
        for command in 0..self.sent.len() {
            self.send(0, command);
            self.wait(RETRIED);
            self.calls.clear();
            self.look();
        }
        self.end_runs();
        for number in 0..PEOPLE {
            self.people[number].lags_until = None;
            // A person whose project had left memory meanwhile notices on the first read.
            while self.people[number].last < self.record.head() {
                self.connect(number, false);
                self.read(number, usize::MAX);
                self.look();
            }
        }
        for Sent { frame, reply } in &self.sent {
            let Some(ControlFrame::Accepted(accepted)) = reply else { continue };
            assert!(accepted.run.is_none_or(|run| self.record.runs[&run]), "{frame:?} has no end");
        }
        self.answers_are_what_was_said();
        self.files_are_in_the_store();
        self.what_is_kept_is_the_log();
    }

    /// A base and what follows it, together all that happened, and no more than is to be kept.
    fn what_is_kept_is_the_log(&self) {
        let project = project();
        let (memory, kept) = (&self.disk.memory, self.kept());
        if let Some(base) = memory.base(&project).now_or_never().expect("memory is at hand").unwrap() {
            self.record.check_base(&base);
        }
        let limits = ReadLimits { events: usize::MAX, size_bytes: usize::MAX };
        let read = memory.read(&project, kept.base + 1, limits).now_or_never().expect("memory is at hand").unwrap();
        if kept.base > 0 {
            note(What::FoldedIntoTheBase);
        }
        if read.iter().any(|event| event.span.is_some()) {
            note(What::MergedInTheStore);
        }
        let mut last = kept.base;
        for event in &read {
            assert_eq!(event.first(), last + 1);
            self.record.check(event.first(), event.seq, &event.frame);
            last = event.seq;
        }
        assert_eq!(last, self.record.head());
        let unmerged = last - kept.merged;
        assert!(kept.frames <= LOG_LIMITS.frames + unmerged, "{kept:?} at {last}");
    }

    /// To its last word, or up to where the run was cut off.
    fn answers_are_what_was_said(&self) {
        let view = &self.record.fold.view;
        for (run, pair) in view.messages.windows(2).filter_map(|pair| Some((pair[1].run?, pair))) {
            let [prompt, answer] = pair else { unreachable!("two messages") };
            let whole = view.runs.iter().any(|info| info.run == run && info.outcome == Some(Outcome::Completed));
            let (MessageRole::Assistant, [MessagePart::Text { text: prompt }]) = (answer.role, &prompt.parts[..])
            else {
                continue;
            };
            let said = *self.said.get(prompt).unwrap_or(&0);
            let texts = answer.parts.iter().filter_map(|part| match part {
                MessagePart::Text { text } => Some(text.as_str()),
                _ => None,
            });
            let words: Vec<String> = texts.flat_map(str::split_whitespace).map(str::to_owned).collect();
            let expected: Vec<String> = (1..=words.len()).map(|number| format!("word{number}")).collect();
            assert_eq!(words, expected, "the answer to {prompt}");
            assert!(words.len() == said || words.len() < said && !whole, "{} of {said} to {prompt}", words.len());
        }
    }

    /// Whoever was stopped hangs up on the model.
    fn no_stopped_model_goes_on(&self) {
        let runs = &self.record.fold.view.runs;
        let running = runs.iter().filter(|run| run.state == RunState::Running && run.kind == RunKind::Generate).count();
        let open = self.calls.iter().filter(|call| !call.is_closed()).count();
        assert!(open <= running, "{open} calls for {running} runs");
    }

    fn end_runs(&mut self) {
        for _ in 0..100 {
            self.calls.clear();
            self.wait(RETRIED);
            self.look();
            if self.record.fold.view.runs.iter().all(|run| run.state == RunState::Finished) {
                return;
            }
        }
        panic!("runs without an end: {:?}", self.record.fold.view.runs);
    }

    fn files_are_in_the_store(&self) {
        for (path, info) in &self.record.fold.view.files {
            let content = self.disk.memory.blob(&info.hash).now_or_never().expect("memory is at hand").unwrap();
            let content = content.unwrap_or_else(|| panic!("the content of {path} is lost"));
            assert_eq!(crate::project::content_hash(&content), info.hash);
        }
    }
}

impl Sent {
    fn take_reply(&mut self, reply: ControlFrame, record: &Record) {
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
                if matches!(reply, ControlFrame::Accepted(_)) {
                    note(What::Accepted);
                }
                self.reply = Some(reply);
            }
        }
    }

    /// Commands that may find that there is nothing to do.
    fn may_change_nothing(&self) -> bool {
        matches!(self.frame.command, Command::Cancel(_) | Command::SetRole(_) | Command::WriteFile(_))
    }
}

/// The first place a frame stands for.
fn first_of(json: &Bytes) -> Seq {
    let frame: EventFrame = serde_json::from_slice(json).unwrap();
    frame.seq_first.unwrap_or(frame.seq)
}

fn new_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}
