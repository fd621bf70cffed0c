//! Everybody in the room: one thread, many sockets, never asleep, so that what is measured is the server.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::cli::bench::{
    BenchError,
    machine::monotonic_ns,
    wire::{self, Seen},
};

/// How long the server may take to let somebody in.
const JOIN_MAX: Duration = Duration::from_secs(10);
/// How long it may take until everybody has been told of everybody: half a million frames for 1,000 people.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(180);
/// How many come in between two looks at what those inside are told.
const JOINS_BETWEEN_READS: usize = 16;
/// Sockets that are looked at per wait.
const READY_MAX: usize = 256;
/// Read from a socket at once.
const READ_SIZE_BYTES: usize = 64 * 1024;
/// Opcodes.
const TEXT: u8 = 1;
const CLOSE: u8 = 8;

pub(super) struct Viewers {
    all: Vec<Viewer>,
    epoll: Epoll,
    ready: Vec<EpollEvent>,
    scratch: Vec<u8>,
    /// How many viewers have the nth text.
    having: Vec<u32>,
    complete: u64,
    in_each_room: usize,
    seen: SeenByAll,
}

/// What they saw together.
#[derive(Debug, Default)]
pub(super) struct SeenByAll {
    pub(super) deliveries: u64,
    pub(super) gaps: u64,
    pub(super) latencies_us: Vec<u32>,
    pub(super) frame_size_bytes: usize,
}

struct Viewer {
    socket: TcpStream,
    /// The beginning of a frame whose rest is still to come.
    partial: Vec<u8>,
    last: u64,
    /// Whether the log is being followed: from `synced` on.
    follows: bool,
    texts: u64,
}

impl Viewers {
    /// Bare connections, for the floor.
    pub(super) fn connect(address: SocketAddr, count: usize) -> Result<Self, BenchError> {
        let mut viewers = Self::nobody(count)?;
        for _ in 0..count {
            viewers.add(TcpStream::connect(address)?, true)?;
        }
        Ok(viewers)
    }

    /// So many people in each room.
    pub(super) fn join(address: SocketAddr, projects: &[String], count: usize) -> Result<Self, BenchError> {
        let mut viewers = Self::nobody(projects.len() * count)?;
        viewers.in_each_room = count;
        for index in 0..projects.len() * count {
            let project = &projects[index / count];
            let mut socket = TcpStream::connect(address)?;
            socket.set_read_timeout(Some(JOIN_MAX))?;
            upgrade(&mut socket, address, project)?;
            socket.write_all(&wire::client_frame(br#"{"type":"hello","protocol":1,"name":"Viewer"}"#))?;
            viewers.add(socket, false)?;
            if index % JOINS_BETWEEN_READS == 0 {
                viewers.read_once()?;
            }
        }
        Ok(viewers)
    }

    fn nobody(count: usize) -> Result<Self, BenchError> {
        Ok(Self {
            all: Vec::with_capacity(count),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(io::Error::from)?,
            ready: vec![EpollEvent::empty(); READY_MAX],
            scratch: vec![0; READ_SIZE_BYTES],
            having: Vec::new(),
            complete: 0,
            in_each_room: count,
            seen: SeenByAll::default(),
        })
    }

    fn add(&mut self, socket: TcpStream, follows: bool) -> Result<(), BenchError> {
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, self.all.len() as u64);
        self.epoll.add(&socket, event).map_err(io::Error::from)?;
        self.all.push(Viewer { socket, partial: Vec::new(), last: 0, follows, texts: 0 });
        Ok(())
    }

    /// Reads until everybody is up to date and nothing has come for `quiet`.
    pub(super) fn wait_until_quiet(&mut self, quiet: Duration) -> Result<(), BenchError> {
        let mut last = Instant::now();
        let deadline = last + QUIET_WAIT_MAX;
        while last.elapsed() < quiet || !self.all.iter().all(|viewer| viewer.follows) {
            if self.read_once()? > 0 {
                last = Instant::now();
            }
            if Instant::now() > deadline {
                return Err(BenchError::Unexpected("the room does not become quiet".into()));
            }
        }
        self.seen = SeenByAll::default();
        Ok(())
    }

    /// The first viewer of each room prompts.
    pub(super) fn prompt(&mut self, prompt: &str) -> Result<(), BenchError> {
        let command = serde_json::json!({ "type": "generate", "id": "bench", "prompt": prompt, "apply": false });
        let frame = wire::client_frame(command.to_string().as_bytes());
        for room in self.all.chunks_mut(self.in_each_room) {
            room[0].socket.write_all(&frame)?;
        }
        Ok(())
    }

    /// How many texts everybody has.
    pub(super) const fn complete(&self) -> u64 {
        self.complete
    }

    pub(super) const fn have_all(&self, texts: u64) -> bool {
        self.complete >= texts
    }

    pub(super) fn into_seen(self) -> SeenByAll {
        self.seen
    }

    /// Takes what has arrived, without waiting; says from how many sockets.
    pub(super) fn read_once(&mut self) -> Result<usize, BenchError> {
        let count = self.epoll.wait(&mut self.ready, EpollTimeout::ZERO).map_err(io::Error::from)?;
        for index in 0..count {
            let viewer = usize::try_from(self.ready[index].data()).map_err(io::Error::other)?;
            self.read_from(viewer)?;
        }
        Ok(count)
    }

    fn read_from(&mut self, index: usize) -> Result<(), BenchError> {
        let viewer = &mut self.all[index];
        let taken = match viewer.socket.read(&mut self.scratch) {
            Ok(0) => return Err(BenchError::Unexpected("the server hung up on a viewer".into())),
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let now_ns = monotonic_ns();
        let mut bytes = std::mem::take(&mut viewer.partial);
        bytes.extend_from_slice(&self.scratch[..taken]);
        let mut rest = &bytes[..];
        while let Some((opcode, payload, length)) = wire::parse(rest) {
            match opcode {
                TEXT => self.take(index, payload, now_ns)?,
                CLOSE => {
                    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
                    return Err(BenchError::Unexpected(format!("the server closed a viewer's connection: {reason}")));
                }
                _ => {}
            }
            rest = &rest[length..];
        }
        let used = bytes.len() - rest.len();
        bytes.drain(..used);
        self.all[index].partial = bytes;
        Ok(())
    }

    fn take(&mut self, index: usize, payload: &[u8], now_ns: u64) -> Result<(), BenchError> {
        let viewer = &mut self.all[index];
        match wire::read(payload) {
            Seen::Synced(seq) => {
                viewer.last = viewer.last.max(seq);
                viewer.follows = true;
            }
            Seen::Ping => viewer.socket.write_all(&wire::client_frame(br#"{"type":"pong"}"#))?,
            Seen::Event { first, last, said_at_ns } => {
                if viewer.follows && first != viewer.last + 1 {
                    self.seen.gaps += 1;
                }
                viewer.last = last;
                self.seen.deliveries += last + 1 - first;
                if let Some(said_at_ns) = said_at_ns {
                    let latency_us = now_ns.saturating_sub(said_at_ns) / 1000;
                    self.seen.latencies_us.push(u32::try_from(latency_us).unwrap_or(u32::MAX));
                    self.seen.frame_size_bytes = payload.len();
                    for _ in first..=last {
                        self.count(index)?;
                    }
                }
            }
            Seen::Other => {}
        }
        Ok(())
    }

    /// One more text is with this viewer.
    fn count(&mut self, index: usize) -> Result<(), BenchError> {
        let nth = usize::try_from(self.all[index].texts).map_err(io::Error::other)?;
        self.all[index].texts += 1;
        if self.having.len() <= nth {
            self.having.resize(nth + 1, 0);
        }
        self.having[nth] += 1;
        // Texts arrive in order, so the nth is complete only after those before it.
        if self.having[nth] as usize == self.all.len() {
            self.complete = nth as u64 + 1;
        }
        Ok(())
    }
}

fn upgrade(socket: &mut TcpStream, address: SocketAddr, project: &str) -> Result<(), BenchError> {
    write!(
        socket,
        "GET /api/v1/projects/{project}/ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )?;
    // Byte by byte: what follows the head is the first frame's.
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 101 ") {
        return Ok(());
    }
    let status = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    Err(BenchError::Unexpected(format!("a viewer was not let in: {status}")))
}
