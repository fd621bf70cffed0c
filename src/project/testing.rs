//! What the core's tests share: a room over a store and sandboxes in memory, a model the test speaks for, and a client
//! that checks the order of what it sees.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cobuild_protocol::{
    Command, CommandFrame, Cursor, Event, EventFrame, ProjectId, ProjectState, RunId, Seq,
    command::{Cancel, Generate},
    frame::{AttachMode, ControlFrame},
    value::{Outcome, Role, Usage},
};
use futures_util::{StreamExt, stream::BoxStream};
use tokio::sync::mpsc;

use super::{
    Identity, Member, ProjectHandle, ProjectParts, ProjectRegistry, ProjectSettings, Subscription,
    event_log::{Feed, FeedError},
    event_store::SharedStore,
    model_provider::{Cost, ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest, StopReason},
    page_reader::{PageAddress, PageError, PageKind, PageReader, WebPage},
};
use crate::{sandbox::memory::MemoryProvider, store::memory::MemoryStore};

/// How long a test waits for something that must happen.
const DEADLINE: Duration = Duration::from_secs(30);

/// A model whose answers the test gives.
#[derive(Debug)]
struct Puppet {
    calls: mpsc::UnboundedSender<Call>,
    /// What it says about itself, besides its name.
    info: ModelInfo,
}

/// A call of the model, to be answered by the test.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: ModelRequest,
    chunks: mpsc::UnboundedSender<Result<ModelChunk, ModelError>>,
}

impl Call {
    pub(crate) fn text(&self, text: &str) {
        self.send(Ok(ModelChunk::Text(text.to_owned())));
    }

    pub(crate) fn stop(&self) {
        self.send(Ok(ModelChunk::Stop(StopReason::Complete)));
    }

    pub(crate) fn send(&self, chunk: Result<ModelChunk, ModelError>) {
        // The run may have been cancelled; then nobody listens, as with a closed connection.
        let _ = self.chunks.send(chunk);
    }

    /// Whether the answer's stream was dropped.
    pub(crate) fn is_closed(&self) -> bool {
        self.chunks.is_closed()
    }

    /// Waits until the answer's stream was dropped.
    pub(crate) async fn closed(&self) {
        within(self.chunks.closed()).await;
    }
}

impl ModelProvider for Puppet {
    fn default_model(&self) -> ModelInfo {
        ModelInfo { name: "demo/puppet".into(), notice: Some("a test speaks".into()), ..self.info.clone() }
    }

    fn models(&self) -> Vec<ModelInfo> {
        vec![self.default_model()]
    }

    fn resolve(&self, name: &str) -> Result<ModelInfo, ModelError> {
        if name == "demo/puppet" {
            Ok(self.default_model())
        } else {
            let sentence = format!("there is no model {name}; there is demo/puppet");
            Err(ModelError::UnknownModel { sentence, instead: vec!["demo/puppet".into()] })
        }
    }

    /// By its price, if it has one; whatever a larger prompt costs more is no business of the core.
    fn cost(&self, model: &str, usage: &Usage) -> Option<Cost> {
        let price = self.resolve(model).ok()?.price?;
        let part = |tokens: Option<u64>, price: u64| tokens.unwrap_or(0) * price / 1000;
        let cached = part(usage.cache_read_tokens, price.cache_read.unwrap_or(price.input));
        let nano_usd = part(usage.input_tokens, price.input) + part(usage.output_tokens, price.output) + cached;
        Some(Cost { nano_usd, prices_as_of: Some("2026-11-01".into()) })
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
        let (chunks, answer) = mpsc::unbounded_channel();
        // A test that no longer looks at calls gets a model that never answers.
        let _ = self.calls.send(Call { request, chunks });
        futures_util::stream::unfold(answer, |mut answer| async move { Some((answer.recv().await?, answer)) }).boxed()
    }
}

/// The whole internet: one page.
#[derive(Debug)]
struct OnePage;

#[async_trait]
impl PageReader for OnePage {
    async fn read(&self, address: &PageAddress, _: PageKind) -> Result<WebPage, PageError> {
        if address.as_str() != "https://example.com/" {
            return Err(PageError::Unreadable(format!("there is no page {}", address.as_str())));
        }
        let text = "<h1 class=\"teal\">An example</h1><script>evil()</script>".to_owned();
        Ok(WebPage { address: address.clone(), text, cut: false })
    }
}

/// A server's core with one project, `p`.
#[derive(Debug)]
pub(crate) struct TestRoom {
    pub(crate) registry: ProjectRegistry,
    pub(crate) sandboxes: MemoryProvider,
    pub(crate) calls: mpsc::UnboundedReceiver<Call>,
    store: SharedStore,
    settings: ProjectSettings,
}

impl TestRoom {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(MemoryStore::new()), MemoryProvider::default()).await
    }

    pub(crate) async fn with(store: SharedStore, sandboxes: MemoryProvider) -> Self {
        Self::with_limits(store, sandboxes, ProjectSettings::default()).await
    }

    /// A room with other settings.
    pub(crate) async fn with_limits(store: SharedStore, sandboxes: MemoryProvider, settings: ProjectSettings) -> Self {
        let room = Self::open_with(store, sandboxes, settings, ModelInfo::default());
        room.registry.create(Some(project()), None).await.unwrap();
        room
    }

    /// A room whose model and settings are the test's own.
    pub(crate) async fn with_settings(settings: ProjectSettings, info: ModelInfo) -> Self {
        let room = Self::open_with(Arc::new(MemoryStore::new()), MemoryProvider::default(), settings, info);
        room.registry.create(Some(project()), None).await.unwrap();
        room
    }

    fn open_with(store: SharedStore, sandboxes: MemoryProvider, settings: ProjectSettings, info: ModelInfo) -> Self {
        let (calls, received) = mpsc::unbounded_channel();
        let settings = ProjectSettings { sandbox_on_join: false, ..settings };
        let parts = ProjectParts {
            store: Arc::clone(&store),
            models: Arc::new(Puppet { calls, info }),
            sandboxes: Arc::new(sandboxes.clone()),
            pages: Arc::new(OnePage),
            settings: Arc::new(settings.clone()),
        };
        Self { registry: ProjectRegistry::new(parts), sandboxes, calls: received, store, settings }
    }

    /// A new core over the same store, as after a crash: the old one is not told.
    pub(crate) fn crash(self) -> Self {
        Self::open_with(self.store, MemoryProvider::default(), self.settings, ModelInfo::default())
    }

    pub(crate) async fn handle(&self) -> ProjectHandle {
        self.registry.get(&project()).await.unwrap()
    }

    pub(crate) async fn enter(&self, name: &str) -> Client {
        self.enter_as(name, Role::Owner, None).await
    }

    pub(crate) async fn enter_as(&self, name: &str, role: Role, since: Option<Cursor>) -> Client {
        let handle = self.handle().await;
        let identity =
            Identity { key: Some(name.to_owned()), name: Some(name.to_owned()), party: None, role, looks: true };
        let Subscription { member, mode, epoch, head, snapshot, feed } = handle.join(identity, since).await.unwrap();
        let mut client = Client {
            handle,
            member,
            mode,
            epoch_head: Cursor { epoch, seq: head },
            feed,
            seen: Vec::new(),
            commands: 0,
            snapshot: None,
        };
        if let Some(snapshot) = snapshot {
            let frame: ControlFrame = serde_json::from_slice(&snapshot).unwrap();
            let ControlFrame::Snapshot(frame) = frame else { panic!("not a snapshot: {frame:?}") };
            assert_eq!(frame.seq, client.epoch_head.seq);
            client.snapshot = Some(frame.state);
        }
        client
    }

    /// The next call of the model.
    pub(crate) async fn call(&mut self) -> Call {
        within(self.calls.recv()).await.expect("the model is called")
    }
}

pub(crate) fn project() -> ProjectId {
    "p".parse().unwrap()
}

/// Somebody in the room.
pub(crate) struct Client {
    pub(crate) handle: ProjectHandle,
    pub(crate) member: Member,
    pub(crate) mode: AttachMode,
    pub(crate) epoch_head: Cursor,
    pub(crate) snapshot: Option<ProjectState>,
    feed: Feed,
    /// Every event seen since entering.
    pub(crate) seen: Vec<EventFrame>,
    commands: u64,
}

impl Client {
    /// Sends a command under a new id.
    pub(crate) async fn send(&mut self, command: Command) -> ControlFrame {
        self.commands += 1;
        let id = format!("{}-{}", self.member.participant(), self.commands);
        self.send_as(&id, command).await
    }

    pub(crate) async fn send_as(&self, id: &str, command: Command) -> ControlFrame {
        let frame = CommandFrame { command, id: id.parse().unwrap() };
        within(self.handle.submit(&self.member, frame)).await
    }

    pub(crate) async fn generate(&mut self, prompt: &str) -> RunId {
        accepted_run(&self.send(generate(prompt)).await)
    }

    pub(crate) async fn cancel(&mut self, run: RunId) -> ControlFrame {
        self.send(Command::Cancel(Cancel { run })).await
    }

    /// Reads on until an event fits; returns it. Every event read is checked to follow the one before.
    pub(crate) async fn wait_for(&mut self, fits: impl Fn(&EventFrame) -> bool) -> EventFrame {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let mut frames = Vec::new();
            let next = self.feed.next(1, usize::MAX, &mut frames);
            match tokio::time::timeout_at(deadline, next).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => panic!("the feed ended: {error}; seen: {:#?}", self.names()),
                Err(_) => panic!("the event did not come; seen: {:#?}", self.names()),
            }
            for frame in frames {
                let event: EventFrame = serde_json::from_slice(frame.json()).unwrap();
                let last = self.seen.last().map_or(self.epoch_head.seq, |last| last.seq);
                if !self.seen.is_empty() {
                    assert_eq!(event.seq_first.unwrap_or(event.seq), last + 1, "contiguous");
                }
                self.seen.push(event.clone());
                if fits(&event) {
                    return event;
                }
            }
        }
    }

    pub(crate) async fn wait_for_end(&mut self, run: RunId) -> Outcome {
        let end = self.wait_for(|frame| frame.run == Some(run) && matches!(frame.event, Event::RunFinished(_))).await;
        let Event::RunFinished(finished) = end.event else { unreachable!("just matched") };
        finished.outcome
    }

    /// Waits until the feed ends; returns why.
    pub(crate) async fn wait_for_close(&mut self) -> FeedError {
        let mut frames = Vec::new();
        loop {
            if let Err(error) = within(self.feed.next(64, usize::MAX, &mut frames)).await {
                return error;
            }
        }
    }

    pub(crate) fn last_seq(&self) -> Seq {
        self.seen.last().map_or(self.epoch_head.seq, |last| last.seq)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let name = |frame: &EventFrame| {
            format!("{} {} {}", frame.seq, frame.event.name(), frame.run.map_or(String::new(), |run| run.to_string()))
        };
        self.seen.iter().map(name).collect()
    }

    /// The names of this run's events, in order, without repetitions in a row.
    pub(crate) fn run_events(&self, run: RunId) -> Vec<&'static str> {
        let mut names: Vec<&'static str> =
            self.seen.iter().filter(|frame| frame.run == Some(run)).map(|frame| frame.event.name()).collect();
        names.dedup();
        names
    }

    pub(crate) async fn state(&self) -> ProjectState {
        within(self.handle.state()).await.unwrap().1
    }
}

pub(crate) fn generate(prompt: &str) -> Command {
    Command::Generate(Generate::new(prompt))
}

pub(crate) fn accepted_run(reply: &ControlFrame) -> RunId {
    match reply {
        ControlFrame::Accepted(accepted) => accepted.run.expect("the command begins a run"),
        other => panic!("not accepted: {other:?}"),
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens in time")
}
