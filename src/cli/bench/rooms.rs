//! Fan-out: what it costs the server to tell everybody in a room what happens.
//!
//! The server under test is the whole one – actor, log on disk, ring, WebSockets – with one part of ours: a model that
//! says what comes over a socket. Beside it, in every round, runs the floor: a bare loop that reads the same from a socket
//! and sends as many frames of the same size, one `send` per delivery. Both are pinned to one core; whoever speaks and
//! the viewers are one thread on another. The figure is CPU seconds per million deliveries; other work on the machine
//! moves it far less than it moves the clock on the wall.

mod floor;
mod publisher;
mod speaker;
mod viewers;

use std::time::{Duration, Instant};

use clap::Args;

pub(super) use self::{
    floor::{FloorArgs, run as floor},
    publisher::serve as told_server,
};
use self::{
    speaker::{Plan, Speaker},
    viewers::Viewers,
};
use super::{
    BenchError,
    child::{Process, TemporaryFolder},
    http,
    machine::{self, Cores},
    report::{Measure, Report},
};

/// Text in each event; with the rest of the frame about 150 bytes.
const TEXT_SIZE_BYTES: usize = 40;
/// Deliveries of a round at full speed.
const SATURATED_DELIVERIES: u64 = 1_000_000;
/// Deliveries per second of a paced round: 100 viewers see 100 events a second, 1,000 see 20.
const PACED_DELIVERIES_PER_SECOND: u64 = 20_000;
/// A model faster than this would be news.
const PACED_EVENTS_PER_SECOND_MAX: u64 = 100;
/// CPU per delivery, times the floor's, that we hold ourselves to when little waits to be written together.
const RATIO_MAX: f64 = 2.0;
/// The same from so many people on.
const LARGE_CROWD: usize = 1000;
const LARGE_CROWD_RATIO_MAX: f64 = 1.8;
/// The 99th percentile of the latency, times the floor's.
const P99_RATIO_MAX: f64 = 1.5;
/// Quiet for so long: everybody has seen everybody come in.
const QUIET: Duration = Duration::from_millis(400);
/// Longer than any round takes.
const ROUND_MAX: Duration = Duration::from_secs(120);

/// How many rooms and people, how fast, for how long.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(super) struct RoomsArgs {
    /// Rooms at once, each with its own run
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    rooms: Vec<usize>,
    /// People in each room
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1000])]
    viewers: Vec<usize>,
    /// Events per second in each room of a paced round; else as many as make 20,000 deliveries a second, 100 at most
    #[arg(long)]
    events_per_second: Option<u64>,
    /// Length of a paced round
    #[arg(long, default_value_t = 8)]
    seconds: u64,
}

impl Default for RoomsArgs {
    fn default() -> Self {
        Self { rooms: vec![1], viewers: vec![100, 1000], events_per_second: None, seconds: 8 }
    }
}

/// Who is there.
#[derive(Debug, Clone, Copy)]
struct Crowd {
    rooms: usize,
    viewers: usize,
}

impl Crowd {
    const fn people(self) -> usize {
        self.rooms * self.viewers
    }

    /// Each room's project.
    fn projects(self) -> Vec<String> {
        (0..self.rooms).map(|room| format!("bench-{room}")).collect()
    }

    /// As figures are called.
    fn name(self) -> String {
        match self.rooms {
            1 => format!("{} viewers", self.viewers),
            rooms => format!("{rooms} rooms × {} viewers", self.viewers),
        }
    }
}

/// What one side did in one round.
#[derive(Debug)]
struct Outcome {
    deliveries: u64,
    cpu: Duration,
    wall: Duration,
    /// Sorted, in microseconds.
    latencies_us: Vec<u32>,
    /// Events missing, doubled or out of order; must be 0.
    gaps: u64,
    frame_size_bytes: usize,
    /// The server's memory per viewer in a quiet room, but for each room's first.
    idle_kib: f64,
}

impl Outcome {
    fn cpu_per_million(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.deliveries as f64
    }

    fn latency_ms(&self, quantile: f64) -> f64 {
        let last = self.latencies_us.len().saturating_sub(1);
        let index = (last as f64 * quantile).round() as usize;
        self.latencies_us.get(index).map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
    }
}

pub(super) fn measure(args: &RoomsArgs, rounds: usize, report: &mut Report) -> Result<(), BenchError> {
    machine::raise_priority();
    let cores = Cores::own()?;
    if cores.count() < 2 {
        eprintln!("one core: server and viewers share it, so latencies do not count");
    }
    let crowds = args.rooms.iter().flat_map(|&rooms| args.viewers.iter().map(move |&viewers| Crowd { rooms, viewers }));
    for crowd in crowds.filter(|crowd| crowd.people() > 0) {
        let people = crowd.people() as u64;
        let usual = (PACED_DELIVERIES_PER_SECOND / people).clamp(1, PACED_EVENTS_PER_SECOND_MAX);
        let per_second = args.events_per_second.unwrap_or(usual).max(1);
        let paced = Plan::paced(per_second, args.seconds, TEXT_SIZE_BYTES);
        let window = if crowd.viewers > 500 { 32 } else { 64 };
        let saturated = Plan::saturated((SATURATED_DELIVERIES / people).max(1), window, TEXT_SIZE_BYTES);
        compare(&cores, crowd, "paced", &paced, rounds, report)?;
        compare(&cores, crowd, "saturated", &saturated, rounds, report)?;
    }
    Ok(())
}

/// Rounds of both, in turns. The first pair warms up and tells the size of a frame.
fn compare(
    cores: &Cores,
    crowd: Crowd,
    mode: &str,
    plan: &Plan,
    rounds: usize,
    report: &mut Report,
) -> Result<(), BenchError> {
    let frame_size_bytes = server_round(cores, crowd, &plan.shortened())?.frame_size_bytes;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            ours.push(server_round(cores, crowd, plan)?);
            floor.push(floor_round(cores, crowd, plan, frame_size_bytes)?);
        } else {
            floor.push(floor_round(cores, crowd, plan, frame_size_bytes)?);
            ours.push(server_round(cores, crowd, plan)?);
        }
    }
    let each = |side: &[Outcome], figure: &dyn Fn(&Outcome) -> f64| side.iter().map(figure).collect::<Vec<_>>();
    let ratios = |figure: &dyn Fn(&Outcome) -> f64| {
        ours.iter().zip(&floor).map(|(ours, floor)| figure(ours) / figure(floor)).collect::<Vec<_>>()
    };
    let people = crowd.name();
    let name = |what: &str| format!("{people}, {mode}: {what}");
    let cpu = Measure::new(name("CPU per million deliveries"), "s", each(&ours, &Outcome::cpu_per_million));
    let ratio = Measure::new(name("CPU, times the floor's"), "×", ratios(&Outcome::cpu_per_million));
    if mode == "saturated" {
        report.add(cpu.at_most(1.0));
        report.add(ratio);
        let rate = |outcome: &Outcome| outcome.deliveries as f64 / outcome.wall.as_secs_f64();
        report.add(Measure::new(name("deliveries per second"), "/s", each(&ours, &rate)));
    } else {
        report.add(cpu);
        report.add(ratio.at_most(if crowd.people() >= LARGE_CROWD { LARGE_CROWD_RATIO_MAX } else { RATIO_MAX }));
    }
    let per_cpu_second = |outcome: &Outcome| 1e6 / outcome.cpu_per_million();
    report.add(Measure::new(name("deliveries per CPU second"), "/s", each(&ours, &per_cpu_second)));
    report.add(Measure::new(name("the same, floor"), "/s", each(&floor, &per_cpu_second)));
    if mode == "paced" {
        for (label, quantile) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            let latency = |outcome: &Outcome| outcome.latency_ms(quantile);
            report.add(Measure::new(name(&format!("latency {label}")), "ms", each(&ours, &latency)));
            report.add(Measure::new(name(&format!("latency {label}, floor")), "ms", each(&floor, &latency)));
        }
        let p99 =
            Measure::new(name("latency p99, times the floor's"), "×", ratios(&|outcome| outcome.latency_ms(0.99)));
        report.add(p99.at_most(P99_RATIO_MAX));
        report.add(Measure::new(name("memory per idle viewer"), "KiB", each(&ours, &|o| o.idle_kib)).at_most(12.0));
    }
    report.add(Measure::new(name("events missing or doubled"), "", each(&ours, &|o| o.gaps as f64)).at_most(0.0));
    Ok(())
}

/// One round of the whole server, in projects of its own.
fn server_round(cores: &Cores, crowd: Crowd, plan: &Plan) -> Result<Outcome, BenchError> {
    let folder = TemporaryFolder::new()?;
    let data = folder.path().display().to_string();
    cores.pin_to(0)?;
    let arguments = ["bench", "told", "--port", "0", "--data-dir", &data, "--sandbox-provider", "none"];
    let server = Process::start(&arguments, &[("LOG_LEVEL", "error")])?;
    cores.pin_to(1)?;
    let projects = crowd.projects();
    for project in &projects {
        http::create_project(server.address(), project)?;
    }
    // What a room takes, whoever is in it, is no viewer's.
    let mut first = Viewers::join(server.address(), &projects, 1)?;
    first.wait_until_quiet(QUIET)?;
    let before = server.memory()?;
    drop(first);
    let mut viewers = Viewers::join(server.address(), &projects, crowd.viewers)?;
    viewers.wait_until_quiet(QUIET)?;
    let more = crowd.people().saturating_sub(crowd.rooms).max(1) as f64;
    let idle_kib = (server.memory()?.pss_mib - before.pss_mib) * 1024.0 / more;
    let speaker = Speaker::new(plan.clone())?;
    viewers.prompt(&speaker.address()?.to_string())?;
    watch(&server, crowd, viewers, speaker, idle_kib)
}

/// One round of the floor.
fn floor_round(cores: &Cores, crowd: Crowd, plan: &Plan, frame_size_bytes: usize) -> Result<Outcome, BenchError> {
    let (rooms, viewers) = (crowd.rooms.to_string(), crowd.viewers.to_string());
    let frame_bytes = frame_size_bytes.to_string();
    let speaker = Speaker::new(plan.clone())?;
    let told_at = speaker.address()?.to_string();
    cores.pin_to(0)?;
    let arguments = [
        "bench",
        "floor",
        "--rooms",
        &rooms,
        "--viewers",
        &viewers,
        "--frame-bytes",
        &frame_bytes,
        "--speaker",
        &told_at,
    ];
    let floor = Process::start(&arguments, &[])?;
    cores.pin_to(1)?;
    let viewers = Viewers::connect(floor.address(), crowd.people())?;
    watch(&floor, crowd, viewers, speaker, f64::NAN)
}

/// Speaks, and reads until everybody has everything. What the process under test spends meanwhile is the figure.
fn watch(
    process: &Process,
    crowd: Crowd,
    mut viewers: Viewers,
    mut speaker: Speaker,
    idle_kib: f64,
) -> Result<Outcome, BenchError> {
    let waiting = Instant::now();
    while speaker.listening()? < crowd.rooms {
        viewers.read_once()?;
        within(waiting, "no room listens to what is said")?;
    }
    viewers.wait_until_quiet(QUIET)?;
    let clock = process.cpu()?;
    let (cpu_before, began) = (clock.now()?, Instant::now());
    speaker.begin();
    while !viewers.have_all(speaker.events()) {
        speaker.speak(viewers.complete())?;
        viewers.read_once()?;
        within(began, "not everybody has everything")?;
    }
    let (cpu, wall) = (clock.now()?.saturating_sub(cpu_before), began.elapsed());
    let mut seen = viewers.into_seen();
    seen.latencies_us.sort_unstable();
    Ok(Outcome {
        deliveries: seen.deliveries,
        cpu,
        wall,
        latencies_us: seen.latencies_us,
        gaps: seen.gaps,
        frame_size_bytes: seen.frame_size_bytes,
        idle_kib,
    })
}

fn within(began: Instant, else_: &str) -> Result<(), BenchError> {
    if began.elapsed() <= ROUND_MAX {
        return Ok(());
    }
    Err(BenchError::Unexpected(format!("after {ROUND_MAX:?} {else_}")))
}
