//! What models cost us: how long a vendor's byte takes to be an event in the room, and how fast streams are read.

mod readers;
mod vendor;

use std::time::{Duration, Instant};

use serde_json::json;

use self::vendor::Vendor;
use super::{
    BenchError,
    child::{Process, TemporaryFolder},
    http,
    report::{Measure, Report},
    room::Room,
};

/// Pieces of one answer, one every [`BETWEEN_PIECES`].
const PIECES: usize = 400;
/// As a fast model speaks: 200 pieces a second.
const BETWEEN_PIECES: Duration = Duration::from_millis(5);
/// Megabytes a second that one core reads of each wire, at least.
const READ_MB_PER_S: f64 = 200.0;

pub(super) fn measure(rounds: usize, report: &mut Report) -> Result<(), BenchError> {
    for (name, samples) in readers::throughput(rounds)? {
        report.add(
            Measure::new(format!("reading a stream of {name}, one core"), "MB/s", samples).at_least(READ_MB_PER_S),
        );
    }
    let samples = latencies(rounds)?;
    report.add(Measure::new("a vendor's byte to the event at a client", "ms", samples).at_most(1.0));
    Ok(())
}

/// From the moment a piece leaves the vendor to the moment a client has read its event, both in this process.
fn latencies(rounds: usize) -> Result<Vec<f64>, BenchError> {
    let folder = TemporaryFolder::new()?;
    let began = Instant::now();
    let vendor = Vendor::start(began, PIECES, BETWEEN_PIECES)?;
    let (data, base_url) = (folder.path().display().to_string(), format!("http://{}/v1", vendor.address()));
    let settings = [
        ("LOG_LEVEL", "error"),
        ("SANDBOX_PROVIDER", "none"),
        ("FIND_LOCAL_MODELS", "false"),
        ("COMPATIBLE_BASE_URL", base_url.as_str()),
        ("DEFAULT_AI_MODEL", "compatible/bench"),
    ];
    let server = Process::start(&["serve", "--port", "0", "--data-dir", &data], &settings)?;
    let mut samples = Vec::new();
    // The first round opens connections and fills caches.
    for round in 0..=rounds {
        let project = format!("bench-{round}");
        http::create_project(server.address(), &project)?;
        let mut room = Room::join(server.address(), &project)?;
        room.send(json!({ "type": "generate", "prompt": "Speak", "apply": false }))?;
        let mut ended = false;
        while !ended {
            let read = room.wait(|frame| matches!(frame["type"].as_str(), Some("text_delta" | "run_finished")))?;
            if read.frame["type"] == "run_finished" {
                if read.frame["outcome"] != "completed" {
                    return Err(BenchError::Unexpected(format!("the run ended with {}", read.frame)));
                }
                ended = true;
                continue;
            }
            let text = read.frame["text"].as_str().unwrap_or_default();
            let read_ns = read.at.saturating_duration_since(began).as_nanos();
            let stamps = text.split_whitespace().filter_map(|stamp| stamp.parse::<u128>().ok());
            if round > 0 {
                samples.extend(stamps.map(|said_ns| nanoseconds_as_ms(read_ns.saturating_sub(said_ns))));
            }
        }
    }
    Ok(samples)
}

#[expect(clippy::cast_precision_loss, reason = "a duration for a table")]
fn nanoseconds_as_ms(ns: u128) -> f64 {
    ns as f64 / 1e6
}
