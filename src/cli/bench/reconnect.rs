//! A crowd that comes back at the same moment: how long until everybody has what they missed.
//!
//! Everybody has been in the room before, has lost their connection, and has missed a run. Then all of them connect at once,
//! as after a cut of the network, and – worse, for then nobody is in the room any more and everybody's return is news for all
//! the others – as after a restart of the server. The clock of all starts with the first connection and stops for each with
//! its `synced`. The clients are one thread that never sleeps, on a core of its own; the server has the other.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use clap::Args;
use memchr::memmem;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde_json::json;

use super::{
    BenchError,
    child::{Process, TemporaryFolder},
    http,
    machine::{self, Cores},
    report::{Measure, Report},
    room::Room,
    wire::{self, Seen},
};

/// What the 99th percentile may be.
const P99_MAX_MS: f64 = 1000.0;
/// How long it may take until everybody is there.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);
/// Sockets looked at per wait, and read from one at once.
const READY_MAX: usize = 256;
const READ_SIZE_BYTES: usize = 64 * 1024;
/// What everybody misses: a run that changes nothing.
const PROMPT: &str = "A todo list";
const TEXT: u8 = 1;
const CLOSE: u8 = 8;

/// How many people in how many rooms.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(super) struct ReconnectArgs {
    /// Rooms the people are spread over
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10])]
    rooms: Vec<usize>,
    /// People in all rooms together
    #[arg(long, default_value_t = 1000)]
    clients: usize,
}

impl Default for ReconnectArgs {
    fn default() -> Self {
        Self { rooms: vec![1, 10], clients: 1000 }
    }
}

pub(super) fn measure(args: &ReconnectArgs, rounds: usize, report: &mut Report) -> Result<(), BenchError> {
    machine::raise_priority();
    let cores = Cores::own()?;
    for &rooms in args.rooms.iter().filter(|rooms| **rooms > 0) {
        let (mut cuts, mut restarts) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (cut, restart) = round(&cores, rooms, args.clients)?;
            cuts.push(cut);
            restarts.push(restart);
        }
        let rooms = if rooms == 1 { "one room".to_owned() } else { format!("{rooms} rooms") };
        for (after, arrivals) in [("a cut", &cuts), ("a restart", &restarts)] {
            let name = |what: &str| format!("{} back at once in {rooms} after {after}: {what}", args.clients);
            let quantile = |quantile: f64| arrivals.iter().map(|arrival| arrival.milliseconds(quantile)).collect();
            report.add(Measure::new(name("p50"), "ms", quantile(0.5)));
            report.add(Measure::new(name("p99"), "ms", quantile(0.99)).at_most(P99_MAX_MS));
            report.add(Measure::new(name("last"), "ms", quantile(1.0)));
            let wrong = arrivals.iter().map(|arrival| arrival.wrong as f64).collect();
            report.add(Measure::new(name("not resumed, or with gaps"), "", wrong).at_most(0.0));
        }
    }
    Ok(())
}

/// Everybody comes, goes, and comes back twice.
fn round(cores: &Cores, rooms: usize, clients: usize) -> Result<(Arrival, Arrival), BenchError> {
    let folder = TemporaryFolder::new()?;
    let serve = || {
        cores.pin_to(0)?;
        let server = Process::serve(folder.path(), "none")?;
        cores.pin_to(1)?;
        Ok::<_, BenchError>(server)
    };
    let server = serve()?;
    let projects: Vec<String> = (0..rooms).map(|room| format!("bench-{room}")).collect();
    for project in &projects {
        http::create_project(server.address(), project)?;
    }
    let mut places = vec![Place::default(); clients];
    Crowd::bring(server.address(), &projects, &mut places)?;
    miss_something(server.address(), &projects)?;
    let cut = Crowd::bring(server.address(), &projects, &mut places)?;
    miss_something(server.address(), &projects)?;
    drop(server);
    let server = serve()?;
    let restart = Crowd::bring(server.address(), &projects, &mut places)?;
    Ok((cut, restart))
}

fn miss_something(address: SocketAddr, projects: &[String]) -> Result<(), BenchError> {
    for project in projects {
        let mut room = Room::join(address, project)?;
        room.send(json!({ "type": "generate", "prompt": PROMPT, "apply": false }))?;
        room.finish_run()?;
    }
    Ok(())
}

/// How it went.
#[derive(Debug)]
struct Arrival {
    /// Of each from the common start to `synced`, sorted.
    took: Vec<Duration>,
    /// Who had a place in the log and got a snapshot all the same, and events that did not follow the one before.
    wrong: usize,
}

impl Arrival {
    fn milliseconds(&self, quantile: f64) -> f64 {
        let index = (self.took.len().saturating_sub(1) as f64 * quantile).round() as usize;
        self.took.get(index).map_or(f64::NAN, |took| took.as_secs_f64() * 1000.0)
    }
}

/// What somebody keeps while they are away.
#[derive(Debug, Clone, Default)]
struct Place {
    epoch: Option<String>,
    last: u64,
}

/// Somebody on the way in.
struct Client {
    socket: TcpStream,
    /// What has come and is not a whole frame yet.
    partial: Vec<u8>,
    upgraded: bool,
    synced: Option<Duration>,
}

struct Crowd<'a> {
    clients: Vec<Client>,
    places: &'a mut [Place],
    began: Instant,
    missing: usize,
    wrong: usize,
}

impl<'a> Crowd<'a> {
    /// Connects everybody at once and reads until all of them are in step. Then they are cut off.
    fn bring(address: SocketAddr, projects: &[String], places: &'a mut [Place]) -> Result<Arrival, BenchError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(io::Error::from)?;
        let (missing, began) = (places.len(), Instant::now());
        let mut crowd = Self { clients: Vec::with_capacity(missing), places, began, missing, wrong: 0 };
        for number in 0..missing {
            let project = &projects[number % projects.len()];
            let mut socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            socket.write_all(upgrade(address, project).as_bytes())?;
            socket.set_nonblocking(true)?;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
            epoll.add(&socket, event).map_err(io::Error::from)?;
            crowd.clients.push(Client { socket, partial: Vec::new(), upgraded: false, synced: None });
        }
        let (mut ready, mut scratch) = (vec![EpollEvent::empty(); READY_MAX], vec![0; READ_SIZE_BYTES]);
        while crowd.missing > 0 {
            let count = epoll.wait(&mut ready, EpollTimeout::ZERO).map_err(io::Error::from)?;
            for event in &ready[..count] {
                let number = usize::try_from(event.data()).map_err(io::Error::other)?;
                crowd.read_from(number, &mut scratch)?;
            }
            if began.elapsed() > ARRIVAL_MAX {
                let missing = crowd.missing;
                return Err(BenchError::Unexpected(format!("after {ARRIVAL_MAX:?}, {missing} are still not back")));
            }
        }
        let mut took: Vec<Duration> = crowd.clients.iter().filter_map(|client| client.synced).collect();
        took.sort_unstable();
        Ok(Arrival { took, wrong: crowd.wrong })
    }

    fn read_from(&mut self, number: usize, scratch: &mut [u8]) -> Result<(), BenchError> {
        let client = &mut self.clients[number];
        let taken = match client.socket.read(scratch) {
            Ok(0) => return Err(BenchError::Unexpected("the server hung up on a client".into())),
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = std::mem::take(&mut client.partial);
        bytes.extend_from_slice(&scratch[..taken]);
        let mut used = 0;
        if !client.upgraded {
            let Some(end) = memmem::find(&bytes, b"\r\n\r\n") else {
                client.partial = bytes;
                return Ok(());
            };
            if !bytes.starts_with(b"HTTP/1.1 101 ") {
                return Err(BenchError::Unexpected("a client was not let in".into()));
            }
            (client.upgraded, used) = (true, end + 4);
            client.socket.write_all(&wire::client_frame(hello(number, &self.places[number]).as_bytes()))?;
        }
        while let Some((opcode, payload, length)) = wire::parse(&bytes[used..]) {
            match opcode {
                TEXT => self.take(number, payload),
                CLOSE => return Err(BenchError::Unexpected("the server closed a client's connection".into())),
                _ => {}
            }
            used += length;
        }
        bytes.drain(..used);
        self.clients[number].partial = bytes;
        Ok(())
    }

    fn take(&mut self, number: usize, payload: &[u8]) {
        let place = &mut self.places[number];
        if payload.starts_with(br#"{"type":"welcome""#) {
            let snapshot = memmem::find(payload, br#""mode":"snapshot""#).is_some();
            self.wrong += usize::from(snapshot && place.epoch.is_some());
            let text = String::from_utf8_lossy(payload);
            let epoch = text.split_once(r#""epoch":""#).and_then(|(_, rest)| rest.split_once('"'));
            place.epoch = epoch.map(|(epoch, _)| epoch.to_owned());
            if snapshot {
                // Whatever comes first is its beginning.
                place.last = 0;
            }
            return;
        }
        match wire::read(payload) {
            Seen::Event { first, last, .. } => {
                self.wrong += usize::from(first != place.last + 1);
                place.last = last;
            }
            Seen::Synced(seq) => {
                place.last = place.last.max(seq);
                let client = &mut self.clients[number];
                if client.synced.is_none() {
                    client.synced = Some(self.began.elapsed());
                    self.missing -= 1;
                }
            }
            Seen::Ping | Seen::Other => {}
        }
    }
}

fn upgrade(address: SocketAddr, project: &str) -> String {
    format!(
        "GET /api/v1/projects/{project}/ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
}

fn hello(number: usize, place: &Place) -> String {
    let since = place.epoch.as_ref().map(|epoch| json!({ "epoch": epoch, "seq": place.last }));
    let name = format!("Client {number}");
    let mut hello = json!({ "type": "hello", "protocol": 1, "name": name, "client": name });
    if let Some(since) = since {
        hello["since"] = since;
    }
    hello.to_string()
}
