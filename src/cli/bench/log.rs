//! Long logs: what it takes to open a project that has been in use for a long time.
//!
//! In this process, on the store as it is. The log is written past the actor, as a hundred thousand words of one answer.

use std::{path::Path, sync::Arc, time::Instant};

use cobuild_protocol::{
    Event, EventFrame, ProjectId, Seq,
    event::{MessageAdded, TextDelta},
    id::MessageId,
    value::MessageRole,
};

use super::{
    BenchError,
    child::TemporaryFolder,
    report::{Measure, Report},
};
use crate::{
    model::demo::{DemoConfig, DemoModel},
    pages::WebPages,
    project::{
        ProjectParts, ProjectRegistry, ProjectSettings,
        event_store::{AppendBatch, Durability, EventStore as _, StoredEvent},
    },
    sandbox::none::NoSandboxes,
    store::sqlite::{SqliteOptions, SqliteStore},
};

/// How long the log is.
const EVENTS: Seq = 100_000;
/// Written at once.
const BATCH: Seq = 1000;
/// What opening may take.
const OPEN_MAX_MS: f64 = 500.0;

pub(super) fn measure(rounds: usize, report: &mut Report) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut whole, mut usual) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let folder = TemporaryFolder::new()?;
        let project: ProjectId = "bench".parse().map_err(|error| unexpected(&error))?;
        runtime.block_on(write(folder.path(), &project))?;
        // Its snapshot is of its beginning, which does not happen to a log the server itself has written.
        whole.push(runtime.block_on(open(folder.path(), &project))?);
        usual.push(runtime.block_on(open(folder.path(), &project))?);
    }
    report.add(Measure::new("opening a log of 100,000 events", "ms", usual).at_most(OPEN_MAX_MS));
    report.add(Measure::new("the same, every event of it folded", "ms", whole));
    Ok(())
}

/// From the store's opening to the state, which somebody who enters is shown; then the project is closed in order.
async fn open(folder: &Path, project: &ProjectId) -> Result<f64, BenchError> {
    let registry = registry(folder)?;
    let began = Instant::now();
    let handle = registry.get(project).await.map_err(|error| unexpected(&error))?;
    let (seq, state) = handle.state().await.map_err(|error| unexpected(&error))?;
    let took = began.elapsed().as_secs_f64() * 1000.0;
    if seq < EVENTS || state.messages.is_empty() {
        return Err(BenchError::Unexpected(format!("the log ends at event {seq}")));
    }
    drop(handle);
    registry.shutdown().await;
    Ok(took)
}

fn registry(folder: &Path) -> Result<ProjectRegistry, BenchError> {
    let store = SqliteStore::open(folder, &SqliteOptions::default()).map_err(|error| unexpected(&error))?;
    Ok(ProjectRegistry::new(ProjectParts {
        store: Arc::new(store),
        models: Arc::new(DemoModel::new(DemoConfig::default())),
        sandboxes: Arc::new(NoSandboxes::new("not measured here")),
        pages: Arc::new(WebPages::new(&[]).map_err(|error| unexpected(&error))?),
        settings: Arc::new(ProjectSettings { sandbox_on_join: false, ..ProjectSettings::default() }),
    }))
}

async fn write(folder: &Path, project: &ProjectId) -> Result<(), BenchError> {
    let registry = registry(folder)?;
    let handle = registry.create(Some(project.clone()), None).await.map_err(|error| unexpected(&error))?;
    drop(handle);
    registry.shutdown().await;
    let store = SqliteStore::open(folder, &SqliteOptions::default()).map_err(|error| unexpected(&error))?;
    let opened = store.open_project(project).await.map_err(|error| unexpected(&error))?;
    let head = opened.map_or(0, |opened| opened.head);
    let message = MessageId::new(1);
    let added = MessageAdded {
        message,
        role: MessageRole::Assistant,
        text: String::new(),
        model: None,
        notice: None,
        images: Vec::new(),
        url: None,
        steers: false,
    };
    let mut events = vec![stored(head + 1, Event::MessageAdded(added))?];
    for seq in head + 2..=EVENTS {
        let text = format!("word {seq} ");
        events.push(stored(seq, Event::TextDelta(TextDelta { message, text }))?);
        if events.len() as Seq == BATCH || seq == EVENTS {
            let batch = AppendBatch {
                project: project.clone(),
                expected_head: seq - events.len() as Seq,
                events: std::mem::take(&mut events),
                blobs: Vec::new(),
                replies: Vec::new(),
                waiting: Vec::new(),
                no_longer_waiting: Vec::new(),
                snapshot: None,
                compaction: None,
                durability: Durability::Process,
                at: AT.into(),
            };
            store.append(batch).await.map_err(|error| unexpected(&error))?;
        }
    }
    store.close().await;
    Ok(())
}

/// When all of it happened.
const AT: &str = "2026-11-01T00:00:00.000Z";

fn stored(seq: Seq, event: Event) -> Result<StoredEvent, BenchError> {
    let frame = EventFrame { event, seq, seq_first: None, at: AT.into(), run: None, by: None, command: None };
    Ok(StoredEvent::new(seq, serde_json::to_vec(&frame).map_err(std::io::Error::from)?.into()))
}

fn unexpected(error: &dyn std::fmt::Display) -> BenchError {
    BenchError::Unexpected(error.to_string())
}
