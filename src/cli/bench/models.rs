//! Models: how long a vendor's byte takes to become our event, and how fast streams are parsed.
//!
//! The vendor is a loop over sockets in this process that stamps each word with the time it was said; everything behind it –
//! HTTP client, wire, actor, log on disk, WebSocket – is the server as it is. Parsing is measured on recorded streams, on
//! one thread, by that thread's CPU clock.

mod parsing;
mod vendor;

use std::{collections::BTreeMap, io, sync::Arc};

use clap::Parser as _;
use cobuild_protocol::{Command, Event, value::MessageRole};
use futures_util::StreamExt as _;
use serde_json::json;

use self::vendor::Vendor;
use super::{
    BenchError,
    child::TemporaryFolder,
    machine::{self, monotonic_ns},
    report::{Measure, Report},
};
use crate::{
    cli::Cli,
    client::{Notice, RoomOptions, Server},
    model::{
        Models,
        catalogue::Catalogue,
        endpoint::{EndpointSettings, ModelSettings},
        http::HttpLimits,
        provider::Provider,
        retry::RetryPolicy,
        vendors::Vendors,
    },
    project::model_provider::{ModelChunk, ModelProvider, ModelRequest, Turn},
    server::{Providers, RunningServer},
};

/// The vendor's model.
const MODEL: &str = "compatible/bench";
/// The room.
const PROJECT: &str = "bench";

pub(super) fn measure(rounds: usize, report: &mut Report) -> Result<(), BenchError> {
    machine::raise_priority();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut to_chunk, mut to_event) = (Quantiles::default(), Quantiles::default());
    // The first warms up.
    for round in 0..=rounds {
        let (chunks, events) = runtime.block_on(async { Ok::<_, BenchError>((chunks().await?, events().await?)) })?;
        if round > 0 {
            to_chunk.add(chunks);
            to_event.add(events);
        }
    }
    to_chunk.report("a vendor's byte to our chunk", report, None);
    to_event.report("a vendor's byte to our event at a client", report, Some(1.0));
    parsing::measure(&runtime, rounds, report)
}

/// p50 and p99 of each round.
#[derive(Default)]
struct Quantiles {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Quantiles {
    fn add(&mut self, mut latencies_ms: Vec<f64>) {
        latencies_ms.sort_by(f64::total_cmp);
        let at = |quantile: f64| {
            let last = latencies_ms.len().saturating_sub(1);
            latencies_ms.get((last as f64 * quantile).round() as usize).copied().unwrap_or(f64::NAN)
        };
        self.p50.push(at(0.5));
        self.p99.push(at(0.99));
    }

    fn report(self, name: &str, report: &mut Report, target_ms: Option<f64>) {
        let p50 = Measure::new(format!("{name}, p50"), "ms", self.p50);
        report.add(match target_ms {
            Some(target) => p50.at_most(target),
            None => p50,
        });
        report.add(Measure::new(format!("{name}, p99"), "ms", self.p99));
    }
}

/// One answer, as whoever asks the model gets it.
async fn chunks() -> Result<Vec<f64>, BenchError> {
    let vendor = Vendor::start().await?;
    let turn = Turn { role: MessageRole::User, text: "Say something".into() };
    let request = ModelRequest { model: MODEL.into(), turns: vec![turn], ..ModelRequest::default() };
    let mut chunks = models(&vendor)?.stream(request);
    let mut latencies_ms = Vec::with_capacity(vendor::WORDS);
    while let Some(chunk) = chunks.next().await {
        match chunk.map_err(|error| BenchError::Unexpected(error.to_string()))? {
            ModelChunk::Text(text) => latencies_ms.extend(age_ms(&text)),
            ModelChunk::Stop(_) => break,
            _ => {}
        }
    }
    heard_all(latencies_ms)
}

/// One answer, as a client in the room sees it.
async fn events() -> Result<Vec<f64>, BenchError> {
    let vendor = Vendor::start().await?;
    let folder = TemporaryFolder::new()?;
    let data = folder.path().display().to_string();
    let arguments = ["cobuild", "--port", "0", "--sandbox-provider", "none", "--data-dir", &data];
    let config = Cli::try_parse_from(arguments).map_err(|error| BenchError::Unexpected(error.to_string()))?.config;
    let unexpected = |error: crate::server::StartError| BenchError::Unexpected(error.to_string());
    let mut providers = Providers::configured(&config).await.map_err(unexpected)?;
    providers.models = Arc::new(models(&vendor)?);
    providers.projects.sandbox_on_join = false;
    let server = RunningServer::start_with(&config, providers).await.map_err(unexpected)?;
    let latencies_ms = watch(&format!("http://{}", server.address())).await;
    server.shutdown().await;
    latencies_ms
}

async fn watch(url: &str) -> Result<Vec<f64>, BenchError> {
    let unexpected = |error: &dyn std::fmt::Display| BenchError::Unexpected(error.to_string());
    let server = Server::new(url, None).map_err(|error| unexpected(&error))?;
    let project = PROJECT.parse().map_err(|error| unexpected(&error))?;
    server.create(&project).await.map_err(|error| unexpected(&error))?;
    let mut room = server.room(&project, RoomOptions::named("Bench"));
    let commander = room.commander().clone();
    let generate = json!({ "type": "generate", "prompt": "Say something", "model": MODEL, "apply": false });
    let generate: Command = serde_json::from_value(generate).map_err(io::Error::from)?;
    let asked = tokio::spawn(async move { commander.send(generate).await });
    let mut latencies_ms = Vec::with_capacity(vendor::WORDS);
    while let Some(notice) = room.next().await {
        let Notice::Event(happened) = notice else { continue };
        match happened.frame.event {
            Event::TextDelta(delta) => latencies_ms.extend(age_ms(&delta.text)),
            Event::RunFinished(_) => break,
            _ => {}
        }
    }
    asked.abort();
    heard_all(latencies_ms)
}

fn models(vendor: &Vendor) -> Result<Models, BenchError> {
    let base_url = Some(format!("http://{}/v1", vendor.address()));
    let endpoints = BTreeMap::from([(Provider::Compatible, EndpointSettings { key: None, base_url })]);
    let settings = ModelSettings { endpoints, ..ModelSettings::default() };
    let vendors = Vendors::new(settings, Catalogue::built_in(), &HttpLimits::default(), RetryPolicy::default())
        .map_err(|error| BenchError::Unexpected(error.to_string()))?;
    Models::new(vendors.providers(), Some(MODEL)).map_err(|error| BenchError::Unexpected(error.to_string()))
}

/// How long ago a word was said, by the stamp it begins with.
fn age_ms(text: &str) -> Option<f64> {
    let said_at_ns: u64 = text.split(' ').next()?.parse().ok()?;
    Some(monotonic_ns().saturating_sub(said_at_ns) as f64 / 1e6)
}

/// Nothing measured is no good figure.
fn heard_all(latencies_ms: Vec<f64>) -> Result<Vec<f64>, BenchError> {
    if latencies_ms.len() == vendor::WORDS {
        Ok(latencies_ms)
    } else {
        Err(BenchError::Unexpected(format!("{} of {} words arrived", latencies_ms.len(), vendor::WORDS)))
    }
}
