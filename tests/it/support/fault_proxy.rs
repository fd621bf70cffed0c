//! A bad network in one process: passes bytes between a client and the server, until it does something to them.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{RngExt as _, rngs::StdRng};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What happens to one connection.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) place: Place,
    pub(crate) ending: Ending,
    pub(crate) pace: Pace,
}

/// After how many bytes it happens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// From the client to the server.
    Up(usize),
    /// From the server to the client.
    Down(usize),
}

/// What happens there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// Both sides see a reset.
    Reset,
    /// The client sees the end of the stream; the server hears of it only when the client goes away.
    HalfClose,
    /// Nothing passes any more and nobody is told.
    Stall,
}

/// How the bytes pass until then.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    AsTheyCome,
    OneByOne,
    /// Each piece late.
    Delayed(Duration),
}

impl Fault {
    /// Somewhere between the first byte and well into a stream.
    pub(crate) fn random(rng: &mut StdRng) -> Self {
        let pace = match rng.random_range(0..10) {
            0..=1 => Pace::OneByOne,
            2..=3 => Pace::Delayed(Duration::from_millis(rng.random_range(1..4))),
            _ => Pace::AsTheyCome,
        };
        // Each order of magnitude equally likely: handshakes are hundreds of bytes, streams tens of thousands.
        let longest: u32 = if matches!(pace, Pace::OneByOne) { 11 } else { 16 };
        let bytes = 1 << rng.random_range(4..=longest);
        let bytes = rng.random_range(bytes / 2..bytes);
        let place = if rng.random_ratio(1, 5) { Place::Up(bytes.min(1000)) } else { Place::Down(bytes) };
        let ending = match rng.random_range(0..10) {
            0..=5 => Ending::Reset,
            6..=8 => Ending::HalfClose,
            _ => Ending::Stall,
        };
        Self { place, ending, pace }
    }
}

/// Listens in the server's place. Connections without a fault planned for them pass untouched.
pub(crate) struct FaultProxy {
    pub(crate) address: SocketAddr,
    plan: Arc<Mutex<VecDeque<Fault>>>,
    task: JoinHandle<()>,
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FaultProxy {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let plan = Arc::new(Mutex::new(VecDeque::new()));
        let faults = Arc::clone(&plan);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let fault = faults.lock().expect("no panic").pop_front();
                tokio::spawn(async move {
                    // A server that is not there refuses the client, too.
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    pass(client, server, fault).await;
                });
            }
        });
        Self { address, plan, task }
    }

    /// What the next connection will meet with.
    pub(crate) fn plan(&self, fault: Fault) {
        self.plan.lock().expect("no panic").push_back(fault);
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, fault: Option<Fault>) {
    for socket in [&client, &server] {
        socket.set_nodelay(true).expect("a socket");
    }
    let Some(Fault { place, ending, pace }) = fault else {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        return;
    };
    let (up, down) = match place {
        Place::Up(bytes) => (bytes, usize::MAX),
        Place::Down(bytes) => (usize::MAX, bytes),
    };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    tokio::select! {
        () = pump(&mut from_client, &mut to_server, up, pace) => {}
        () = pump(&mut from_server, &mut to_client, down, pace) => {}
    }
    match ending {
        Ending::Reset => {
            for socket in [SockRef::from(&client), SockRef::from(&server)] {
                let _ = socket.set_linger(Some(Duration::ZERO));
            }
        }
        Ending::HalfClose => {
            let _ = to_client.shutdown().await;
            drain(&mut from_client).await;
        }
        Ending::Stall => drain(&mut from_client).await,
    }
}

/// Passes on at most `limit` bytes. Also returns when one of the sides is gone.
async fn pump(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), limit: usize, pace: Pace) {
    let mut left = limit;
    let mut buffer = [0; 4096];
    while left > 0 {
        let at_most = if matches!(pace, Pace::OneByOne) { 1 } else { buffer.len().min(left) };
        let Ok(size_bytes @ 1..) = from.read(&mut buffer[..at_most]).await else { return };
        if let Pace::Delayed(delay) = pace {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..size_bytes]).await.is_err() {
            return;
        }
        left -= size_bytes;
    }
}

/// Until the other side gives up.
async fn drain(from: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = from.read(&mut buffer).await {}
}
