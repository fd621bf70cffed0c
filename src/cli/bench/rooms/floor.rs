//! The floor: no protocol, no log, no actor, no runtime. One loop, one blocking `send` per delivery.

use std::{
    io::{self, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Instant,
};

use clap::Args;

use super::pace::Plan;
use crate::cli::bench::{BenchError, machine::monotonic_ns, wire};

/// How many connections to wait for.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(in crate::cli::bench) struct FloorArgs {
    /// Rooms, each with its own events
    #[arg(long)]
    rooms: usize,
    /// Connections of each
    #[arg(long)]
    viewers: usize,
    /// Size of each frame's payload
    #[arg(long)]
    frame_bytes: usize,
}

/// Waits for its viewers and the plan, speaks, and ends when standard input does.
pub(in crate::cli::bench) fn run(args: &FloorArgs) -> Result<(), BenchError> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut output = io::stdout();
    writeln!(output, "Ready: {}", listener.local_addr()?)?;
    output.flush()?;
    let people = args.rooms * args.viewers;
    let mut viewers = Vec::with_capacity(people);
    for _ in 0..people {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        viewers.push(socket);
    }
    let mut told = io::stdin().lines();
    let plan: Plan = serde_json::from_str(&told.next().transpose()?.unwrap_or_default()).map_err(io::Error::from)?;
    let mut complete = 0;
    let began = Instant::now();
    for said in 0..plan.events {
        while said - complete >= plan.window {
            complete = told.next().transpose()?.and_then(|line| line.parse().ok()).unwrap_or(u64::MAX);
        }
        let due = began + plan.interval() * u32::try_from(said).unwrap_or(u32::MAX);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        for room in viewers.chunks_mut(args.viewers) {
            deliver(room, said + 1, args.frame_bytes)?;
        }
    }
    told.for_each(drop);
    Ok(())
}

fn deliver(viewers: &mut [TcpStream], seq: u64, frame_size_bytes: usize) -> io::Result<()> {
    let mut payload = format!(r#"{{"type":"text_delta","seq":{seq},"text":"{} "#, monotonic_ns());
    while payload.len() + 2 < frame_size_bytes {
        payload.push('x');
    }
    payload.push_str("\"}");
    let frame = wire::server_frame(payload.as_bytes());
    for viewer in viewers {
        viewer.write_all(&frame)?;
    }
    Ok(())
}
