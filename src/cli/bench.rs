//! `cobuild bench`: measures this build on this machine, so that every number we publish can be measured again.
//!
//! Each part runs servers of its own – this same program, on a free port, with a folder that is removed afterwards – and
//! clients that know nothing of their insides. Nothing here is used by a server that serves.

mod child;
mod http;
mod log;
mod machine;
mod models;
mod reconnect;
mod report;
mod room;
mod rooms;
mod session;
mod soak;
mod wire;

use std::{io, path::PathBuf, process::ExitCode, thread};

use clap::{Args, Subcommand};

use self::{machine::Machine, reconnect::ReconnectArgs, report::Report, rooms::RoomsArgs, soak::SoakArgs};
use super::CliError;
use crate::config::Config;

/// A figure counts only on a machine that does nothing else: measured, load moves CPU per delivery by up to 1.9 times.
const LOAD_MAX: f64 = 1.0;

/// What to measure, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct BenchArgs {
    /// One part alone; all of them when nothing is said
    #[command(subcommand)]
    part: Option<BenchPart>,
    /// Rounds of each measurement; medians are reported
    #[arg(long, default_value_t = 5, global = true)]
    rounds: usize,
    /// Also write the report to this file, as JSON
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    /// Measure although the machine is busy; the report says so
    #[arg(long, global = true)]
    any_load: bool,
}

/// The parts.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
enum BenchPart {
    /// Start, idle memory, first event, preview and hot reload
    Session,
    /// What it costs to tell many people in one room what happens, beside a bare loop over sockets
    Rooms(RoomsArgs),
    /// How long it takes until a crowd that lost its connections at the same moment is back
    Reconnect(ReconnectArgs),
    /// How fast a vendor's bytes become events
    Models,
    /// What it takes to open a project with a long log
    Log,
    /// Many busy rooms for a long time: whether memory and database stay within their bounds. Only when asked for
    Soak(SoakArgs),
    /// The bare loop
    #[command(hide = true)]
    Floor(rooms::FloorArgs),
    /// A whole server with a model that says what it is told over a socket
    #[command(hide = true)]
    Told,
}

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Of this machine.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Of a connection to the server under test.
    #[error("a connection to the server under test failed: {0}")]
    Socket(#[from] Box<tokio_tungstenite::tungstenite::Error>),
    /// The server under test did something else.
    #[error("{0}")]
    Unexpected(String),
    /// The machine is busy.
    #[error(
        "the machine's load is {0:.2}, above {LOAD_MAX}: figures would not count. Wait, or measure anyway with --any-load"
    )]
    Busy(f64),
}

impl From<tokio_tungstenite::tungstenite::Error> for BenchError {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        Self::Socket(Box::new(error))
    }
}

/// Measures and prints.
pub(super) async fn run(args: BenchArgs, config: &Config) -> Result<ExitCode, CliError> {
    match &args.part {
        Some(BenchPart::Floor(floor)) => rooms::floor(floor)?,
        Some(BenchPart::Told) => rooms::told_server(config).await?,
        _ => {
            // A thread of its own: what it pins and how it blocks is nobody else's business.
            let measured = thread::Builder::new().name("bench".into()).spawn(move || measure(&args))?;
            let report = tokio::task::spawn_blocking(move || measured.join()).await;
            return match report {
                Ok(Ok(report)) => Ok(if report?.holds() { ExitCode::SUCCESS } else { ExitCode::from(2) }),
                _ => Err(BenchError::Unexpected("the measuring thread panicked".into()).into()),
            };
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(args: &BenchArgs) -> Result<Report, BenchError> {
    let machine = Machine::read()?;
    if machine.load > LOAD_MAX && !args.any_load {
        return Err(BenchError::Busy(machine.load));
    }
    let mut report = Report::new(machine);
    let measured = measure_parts(args, &mut report);
    // Also when a part failed: what the others found took minutes.
    print!("{report}");
    if let Some(path) = &args.json {
        report.write_json(path)?;
    }
    measured.map(|()| report)
}

fn measure_parts(args: &BenchArgs, report: &mut Report) -> Result<(), BenchError> {
    if matches!(args.part, None | Some(BenchPart::Session)) {
        session::measure(args.rounds, report)?;
    }
    if let Some(BenchPart::Soak(soak)) = &args.part {
        return soak::measure(soak, report);
    }
    if matches!(args.part, None | Some(BenchPart::Models)) {
        models::measure(args.rounds, report)?;
    }
    if matches!(args.part, None | Some(BenchPart::Log)) {
        log::measure(args.rounds, report)?;
    }
    match &args.part {
        None => reconnect::measure(&ReconnectArgs::default(), args.rounds, report)?,
        Some(BenchPart::Reconnect(reconnect)) => reconnect::measure(reconnect, args.rounds, report)?,
        Some(_) => {}
    }
    let rooms = match &args.part {
        None => Some(RoomsArgs::default()),
        Some(BenchPart::Rooms(rooms)) => Some(rooms.clone()),
        Some(_) => None,
    };
    rooms.map_or(Ok(()), |rooms| rooms::measure(&rooms, args.rounds, report))
}
