//! The floor: no protocol, no log, no actor, no runtime. One loop, one blocking `send` per delivery.

use std::{
    io::{self, BufRead as _, BufReader, Lines, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
};

use clap::Args;

use crate::cli::bench::{BenchError, wire};

/// How many connections to wait for, and who says what goes to them.
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
    /// Where each room's events come from, one a line
    #[arg(long)]
    speaker: SocketAddr,
}

struct Room {
    speaker: Lines<BufReader<TcpStream>>,
    viewers: Vec<TcpStream>,
}

/// Waits for its viewers, passes on what is said, and ends when standard input does.
pub(in crate::cli::bench) fn run(args: &FloorArgs) -> Result<(), BenchError> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut output = io::stdout();
    writeln!(output, "Ready: {}", listener.local_addr()?)?;
    output.flush()?;
    let mut rooms = Vec::with_capacity(args.rooms);
    for _ in 0..args.rooms {
        let viewers = (0..args.viewers).map(|_| listen(&listener)).collect::<io::Result<_>>()?;
        rooms.push(Room { viewers, speaker: BufReader::new(TcpStream::connect(args.speaker)?).lines() });
    }
    // An event is said to all rooms before the next one is, so they can be waited for in turns.
    for seq in 1.. {
        for room in &mut rooms {
            let Some(text) = room.speaker.next().transpose()? else {
                io::stdin().read_to_end(&mut Vec::new())?;
                return Ok(());
            };
            deliver(&mut room.viewers, seq, &text, args.frame_bytes)?;
        }
    }
    Ok(())
}

fn listen(listener: &TcpListener) -> io::Result<TcpStream> {
    let (socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn deliver(viewers: &mut [TcpStream], seq: u64, text: &str, frame_size_bytes: usize) -> io::Result<()> {
    let mut payload = format!(r#"{{"type":"text_delta","seq":{seq},"text":"{text}"#);
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
