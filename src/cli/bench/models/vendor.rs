//! A vendor that says one word at a time, each with the moment it was said, as OpenAI-compatible servers do.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{MissedTickBehavior, interval},
};
use tokio_util::task::AbortOnDropHandle;

use crate::cli::bench::machine::monotonic_ns;

/// Words of one answer.
pub(super) const WORDS: usize = 500;
/// Between two words: a fast model.
const PAUSE: Duration = Duration::from_millis(4);
/// Longest request.
const REQUEST_SIZE_BYTES_MAX: usize = 1 << 20;

/// Answers for as long as it lives.
pub(super) struct Vendor {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Vendor {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                // A client that hangs up is what its own side complains about.
                tokio::spawn(answer(socket));
            }
        });
        Ok(Self { address, _task: AbortOnDropHandle::new(task) })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn answer(mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    read_request(&mut socket).await?;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    socket.write_all(head.as_bytes()).await?;
    let mut clock = interval(PAUSE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..WORDS {
        clock.tick().await;
        let event = format!(
            "data: {{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\",\"choices\":[{{\
             \"index\":0,\"delta\":{{\"content\":\"{} word \"}},\"finish_reason\":null}}]}}\n\n",
            monotonic_ns()
        );
        socket.write_all(event.as_bytes()).await?;
    }
    let end = "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\",\"choices\":[{\
               \"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    socket.write_all(end.as_bytes()).await?;
    socket.shutdown().await
}

/// Head and body, so that nothing is unread when the connection ends.
async fn read_request(socket: &mut TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    loop {
        if let Some(end) = memchr::memmem::find(&request, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or_default();
            if request.len() >= end + 4 + length {
                return Ok(());
            }
        }
        if request.len() > REQUEST_SIZE_BYTES_MAX || socket.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}
