//! A socket that speaks WebSocket, in two halves: [`Incoming`] takes messages out of it, [`Wire`] puts frames into it.
//!
//! tungstenite reads – masks, fragments, UTF-8, control frames, limits – and never writes: what it would answer by itself
//! is handed out as [`Arrival::Answer`]. Frames to write are bytes made by [`super::framing`]; there is no buffer per
//! connection, so an idle one costs no memory for writing, and a room can write to all its sockets in one go. For that
//! a socket carries its [`Loan`], and can be had as [`WireOnLoan`].

use std::{
    io::{self, Read, Write},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use rustix::net::{SendFlags, send};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use super::loan::Loan;
use crate::http::FRAME_SIZE_BYTES_MAX;

/// tungstenite keeps this much for every connection and zero-fills it before every read attempt; its default of 128 KiB would
/// be the largest waste on the path. Most frames of a client are smaller; a larger one is read in as many pieces.
const READ_BUFFER_SIZE_BYTES: usize = 512;

/// The socket, to write to. Cheap to clone.
///
/// Whoever writes must know that nobody else does: a frame is never interleaved with another.
#[derive(Debug, Clone)]
pub(super) struct Wire(Arc<Socket>);

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    /// Bytes it has taken so far.
    written: AtomicU64,
    /// Beside the socket and not with whom it is lent to: in a large room each place in memory is one more to wait for.
    loan: Loan,
}

/// The socket, as it is lent: it is closed when its connection ends, not when whoever had it looks at it next.
#[derive(Debug)]
pub(super) struct WireOnLoan(Weak<Socket>);

impl WireOnLoan {
    /// `None`: it is closed.
    pub(super) fn wire(&self) -> Option<Wire> {
        self.0.upgrade().map(Wire)
    }

    /// The same, without having it.
    pub(super) fn exists(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// Why bytes were not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The socket took nothing for as long as it may.
    Stalled,
    /// The connection is gone.
    Broken(io::Error),
}

impl Wire {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self(Arc::new(Socket { stream: socket, written: AtomicU64::new(0), loan: Loan::default() }))
    }

    /// Whose turn it is to write.
    pub(super) fn loan(&self) -> &Loan {
        &self.0.loan
    }

    pub(super) fn on_loan(&self) -> WireOnLoan {
        WireOnLoan(Arc::downgrade(&self.0))
    }

    /// Writes what the socket takes at once, and says how much that was. Asks the socket and not the runtime, which keeps
    /// what it knows of it elsewhere; so a full socket is news to the runtime, when its connection goes on.
    pub(super) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.taken(send(&self.0.stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).map_err(io::Error::from))
    }

    /// Counts what the socket took; that it is full is no error.
    fn taken(&self, sent: io::Result<usize>) -> io::Result<usize> {
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
            Ok(taken) => {
                self.0.written.fetch_add(taken as u64, Ordering::Relaxed);
                Ok(taken)
            }
        }
    }

    /// Bytes the socket has taken so far, whoever wrote them.
    pub(super) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// Writes all of `bytes`, however slowly, as long as the socket takes something every `stall_max`. Cancelled, what was
    /// not written is still in `bytes`. Says whether it had to wait for the other side to read.
    pub(super) async fn write_all(&self, bytes: &mut BytesMut, stall_max: Duration) -> Result<bool, WriteError> {
        let mut waited = false;
        while !bytes.is_empty() {
            match self.taken(self.0.stream.try_write(bytes)).map_err(WriteError::Broken)? {
                0 => match timeout(stall_max, self.0.stream.writable()).await {
                    Ok(ready) => {
                        ready.map_err(WriteError::Broken)?;
                        waited = true;
                    }
                    Err(_) => return Err(WriteError::Stalled),
                },
                taken => bytes.advance(taken),
            }
        }
        Ok(waited)
    }
}

/// What comes in.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A whole message.
    Message(Message),
    /// A frame the protocol itself asks for: the answer to a ping or to a close. To be written as it is.
    Answer(Bytes),
}

/// The socket, to read from.
pub(super) struct Incoming {
    context: WebSocketContext,
    wire: Wire,
    answers: Vec<u8>,
    /// A message that came together with an answer, which goes first.
    next: Option<Result<Message, Error>>,
}

impl Incoming {
    /// `early` came in with the handshake.
    pub(super) fn new(wire: Wire, early: &[u8]) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_SIZE_BYTES)
            .max_message_size(Some(FRAME_SIZE_BYTES_MAX))
            .max_frame_size(Some(FRAME_SIZE_BYTES_MAX));
        let context = WebSocketContext::from_partially_read(early.to_vec(), Role::Server, Some(config));
        Self { context, wire, answers: Vec::new(), next: None }
    }

    /// What comes next. `None`: both sides have said that they are done. Cancelling it takes nothing.
    pub(super) async fn next(&mut self) -> Option<Result<Arrival, Error>> {
        loop {
            let read = match self.next.take() {
                Some(read) => read,
                None => self.context.read(&mut Port { socket: &self.wire.0.stream, answers: &mut self.answers }),
            };
            if !self.answers.is_empty() {
                self.next = (!would_block(&read)).then_some(read);
                return Some(Ok(Arrival::Answer(std::mem::take(&mut self.answers).into())));
            }
            match read {
                Ok(message) => return Some(Ok(Arrival::Message(message))),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return None,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Err(error) = self.wire.0.stream.readable().await {
                        return Some(Err(error.into()));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn would_block(read: &Result<Message, Error>) -> bool {
    matches!(read, Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Where tungstenite reads from and what it writes to.
struct Port<'a> {
    socket: &'a TcpStream,
    answers: &'a mut Vec<u8>,
}

impl Read for Port<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.try_read(buf)
    }
}

impl Write for Port<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.answers.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
