//! Soak: an hour of fifty busy rooms without its pauses, and whether the server is as large afterwards as before.
//!
//! In every room somebody prompts all the time, and somebody else comes and goes: anew or where they left off, saying
//! goodbye or not, in the middle of an answer or not. First until everything that has a limit has reached it – rings,
//! conversations, logs –, then for as many runs again as an hour has when there is one every twelve seconds. Then memory
//! must not have grown, no event may be missing or doubled, and the database must keep no more of each project than it is
//! told to.

mod visits;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use rusqlite::{Connection, OpenFlags};
use tokio::{runtime, task::JoinSet, time::interval};

use self::visits::Counts;
use super::{
    BenchError,
    child::{Process, TemporaryFolder},
    report::{Measure, Report},
};
use crate::client::Server;

/// By how much memory may be larger at the end than after the warm-up: the allocator's moods, which go both ways.
const GROWTH_MAX_PERCENT: f64 = 10.0;
/// The same in a small server, where a percentage is nothing.
const GROWTH_MAX_MIB: f64 = 8.0;
/// Between two looks at the server's memory.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long compaction may take after the last run: it is not what anybody waits for.
const COMPACTION_MAX: Duration = Duration::from_secs(30);

/// How many rooms, for how long.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(super) struct SoakArgs {
    /// Busy rooms
    #[arg(long, default_value_t = 50)]
    rooms: usize,
    /// Runs in each room before memory counts: a ring is full after 60, a conversation has its 500 messages after 250
    #[arg(long, default_value_t = 300)]
    warm_up_runs: usize,
    /// Runs in each room after that: an hour of one every twelve seconds
    #[arg(long, default_value_t = 300)]
    runs: usize,
    /// Frames the server is told to keep of each log (`LOG_FRAMES_MAX`)
    #[arg(long, default_value_t = 4096)]
    log_frames: u64,
    /// Arenas of the server's allocator (glibc's `MALLOC_ARENA_MAX`); 0: as many as it likes, up to 8 for each core. Each
    /// keeps what was freed in it, so with many of them memory levels off late and says little about the server
    #[arg(long, default_value_t = 1)]
    arenas: usize,
}

/// Memory over time, in MiB.
type Looks = Arc<Mutex<Vec<f64>>>;

/// Soaks, and adds what was found.
pub(super) fn measure(args: &SoakArgs, report: &mut Report) -> Result<(), BenchError> {
    let folder = TemporaryFolder::new()?;
    let (data, frames) = (folder.path().display().to_string(), args.log_frames.to_string());
    let arenas = args.arenas.to_string();
    let mut settings = vec![
        ("DEMO_SPEED", "0"),
        ("LOG_LEVEL", "error"),
        ("SANDBOX_PROVIDER", "memory"),
        ("LOG_FRAMES_MAX", frames.as_str()),
        ("FIND_LOCAL_MODELS", "false"),
    ];
    if args.arenas > 0 {
        settings.push(("MALLOC_ARENA_MAX", arenas.as_str()));
    }
    let process = Process::start(&["serve", "--port", "0", "--data-dir", &data], &settings)?;
    // One thread: the server is what the machine is for.
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let server = Server::new(&format!("http://{}", process.address()), None).map_err(unexpected)?;
    let counts = Arc::new(Counts::default());
    let before = runtime.block_on(soak(&server, &process, args, args.warm_up_runs, &counts))?;
    let after = runtime.block_on(soak(&server, &process, args, args.runs, &counts))?;
    let kept = kept_in_the_end(folder.path(), args.log_frames as f64)?;

    let runs = (args.warm_up_runs + args.runs) * args.rooms;
    let growth_max = (before * GROWTH_MAX_PERCENT / 100.0).max(GROWTH_MAX_MIB);
    let single = |name: &str, unit, value: f64| Measure::new(format!("soak: {name}"), unit, vec![value]);
    report.add(single("rooms", "", args.rooms as f64));
    report.add(single("runs", "", runs as f64));
    report.add(single("visits", "", counts.visits() as f64));
    report.add(single("events received", "", counts.events() as f64));
    report.add(single("events missing or doubled", "", counts.gaps() as f64).at_most(0.0));
    report.add(single("runs that did not complete", "", counts.failures() as f64).at_most(0.0));
    report.add(single("memory after the warm-up", "MiB", before));
    report.add(single("memory at the end", "MiB", after).at_most(before + growth_max));
    report.add(single("frames kept of the longest log", "", kept.frames_max).at_most(args.log_frames as f64));
    report.add(single("events in the longest log", "", kept.head_max));
    report.add(single("frames kept for each run", "", kept.frames_after_base / kept.runs_kept));
    Ok(())
}

/// So many runs in every room. Returns the most memory the server needed in the last quarter of the time.
async fn soak(
    server: &Server,
    process: &Process,
    args: &SoakArgs,
    runs: usize,
    counts: &Arc<Counts>,
) -> Result<f64, BenchError> {
    let looks = Looks::default();
    let mut rooms = JoinSet::new();
    for number in 0..args.rooms {
        rooms.spawn(visits::room(server.clone(), format!("soak-{number}"), runs, Arc::clone(counts)));
    }
    let mut look = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = look.tick() => {
                let memory = process.memory()?.rss_mib;
                looks.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
            }
            ended = rooms.join_next() => match ended {
                None => break,
                Some(Ok(result)) => result?,
                Some(Err(error)) => return Err(unexpected(error)),
            },
        }
    }
    let looks = looks.lock().unwrap_or_else(PoisonError::into_inner);
    let last_quarter = &looks[looks.len() * 3 / 4..];
    Ok(last_quarter.iter().copied().fold(0.0, f64::max))
}

/// What the database has of the projects.
struct Kept {
    frames_max: f64,
    head_max: f64,
    frames_after_base: f64,
    runs_kept: f64,
}

/// Once compaction has caught up with the last run, or its time is up.
fn kept_in_the_end(folder: &Path, frames_max: f64) -> Result<Kept, BenchError> {
    let deadline = Instant::now() + COMPACTION_MAX;
    loop {
        let kept = kept(folder)?;
        if kept.frames_max <= frames_max || Instant::now() > deadline {
            return Ok(kept);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn kept(folder: &Path) -> Result<Kept, BenchError> {
    let database = folder.join("cobuild.db");
    let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(unexpected)?;
    let number = |query: &str| database.query_row(query, [], |row| row.get::<_, f64>(0)).map_err(unexpected);
    Ok(Kept {
        // Counted, not as the server counts.
        frames_max: number("SELECT CAST(max(n) AS REAL) FROM (SELECT count(*) AS n FROM events GROUP BY project)")?,
        head_max: number("SELECT CAST(max(head) AS REAL) FROM projects")?,
        frames_after_base: number("SELECT CAST(count(*) AS REAL) FROM events")?,
        runs_kept: number(
            "SELECT CAST(max(1, count(*)) AS REAL) FROM events WHERE frame LIKE '{\"type\":\"run_finished\"%'",
        )?,
    })
}

fn unexpected(error: impl std::fmt::Display) -> BenchError {
    BenchError::Unexpected(error.to_string())
}
