//! A socket that speaks WebSocket, in two halves: [`Incoming`] takes messages out of it, [`Wire`] puts frames into it.
//!
//! tungstenite reads – masks, fragments, UTF-8, control frames, limits – and never writes: what it would answer by itself
//! is handed out as [`Arrival::Answer`]. Frames to write are bytes made by [`super::framing`]; there is no buffer per
//! connection, so an idle one costs no memory for writing, and a room can write to all its sockets in one go.

use std::{
    io::{self, Read, Write},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use crate::http::FRAME_SIZE_BYTES_MAX;

/// tungstenite keeps this much for every connection and zero-fills it before every read attempt; its default of 128 KiB would
/// be the largest waste on the path. Most frames of a client are smaller; a larger one is read in as many pieces.
const READ_BUFFER_SIZE_BYTES: usize = 512;

/// The socket, to write to. Cheap to clone.
///
/// Whoever writes must know that nobody else does: a frame is never interleaved with another.
#[derive(Debug, Clone)]
pub(super) struct Wire(Arc<TcpStream>);

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
        Self(Arc::new(socket))
    }

    /// Writes what the socket takes at once, and says how much that was.
    pub(super) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            taken => taken,
        }
    }

    /// Writes all of `bytes`, however slowly, as long as the socket takes something every `stall_max`. Cancelled, what was
    /// not written is still in `bytes`.
    pub(super) async fn write_all(&self, bytes: &mut BytesMut, stall_max: Duration) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            match self.write_now(bytes).map_err(WriteError::Broken)? {
                0 => match timeout(stall_max, self.0.writable()).await {
                    Ok(ready) => ready.map_err(WriteError::Broken)?,
                    Err(_) => return Err(WriteError::Stalled),
                },
                taken => bytes.advance(taken),
            }
        }
        Ok(())
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
                None => self.context.read(&mut Port { socket: &self.wire.0, answers: &mut self.answers }),
            };
            if !self.answers.is_empty() {
                self.next = (!would_block(&read)).then_some(read);
                return Some(Ok(Arrival::Answer(std::mem::take(&mut self.answers).into())));
            }
            match read {
                Ok(message) => return Some(Ok(Arrival::Message(message))),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return None,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Err(error) = self.wire.0.readable().await {
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
