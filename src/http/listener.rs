//! From accepted sockets to requests: the HTTP/1.1 server loop.
//!
//! Our own instead of `axum::serve` for what that does not let us say: a limit on slow headers and on connections, and
//! the count of bytes each socket has taken.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{App, HttpState};

/// Connections at once. Each costs a descriptor and, idle, about 8 KB; 20,000 fit in the memory of a small machine.
/// More wait in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 20_000;
/// How long a client may take to send a request's head, and how long it may keep an idle connection.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(60);
/// Largest request head.
const HEAD_SIZE_BYTES_MAX: usize = 64 * 1024;
/// Pause after a failed accept, such as when descriptors have run out: they come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a request's handler may know about its connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// Bytes the socket has taken so far.
    pub(crate) written: Arc<AtomicU64>,
    /// The connection's place among all that may be there at once. Whoever goes on using the socket after an upgrade keeps it.
    pub(crate) place: Arc<OwnedSemaphorePermit>,
}

/// Accepts and serves until `stop` is cancelled; connections under way then finish their request.
pub(crate) async fn serve(listener: TcpListener, app: App, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(app.state().connections_max));
    let tasks = app.state().tasks.clone();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&listener, &connections) => accepted,
        };
        match accepted {
            Ok((socket, place)) => drop(tasks.spawn(serve_connection(socket, place, app.clone(), stop.clone()))),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept(listener: &TcpListener, connections: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (socket, _) = listener.accept().await?;
    Ok((socket, place))
}

async fn serve_connection(socket: TcpStream, place: OwnedSemaphorePermit, app: App, stop: CancellationToken) {
    // Events are small and must not wait for a full segment. It can only fail on a socket that is already dead.
    let _ = socket.set_nodelay(true);
    let written = Arc::new(AtomicU64::new(0));
    let connection = Connection { written: Arc::clone(&written), place: Arc::new(place) };
    let state: HttpState = app.state().clone();
    let stall_max = state.timing.write_stall_max;
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.handle(Request::map(request, Body::new)).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .max_buf_size(HEAD_SIZE_BYTES_MAX)
        .serve_connection(TokioIo::new(Metered { socket, written, stall_max, stall: None }), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                served = serving => served,
                () = state.shutdown.cancelled() => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::trace!(%error, "a connection ended badly");
    }
}

/// A socket that counts what it has taken, and breaks when it takes nothing for too long: whoever does not read what they
/// asked for must not keep a place, nor what they were let see once.
pub(super) struct Metered {
    socket: TcpStream,
    written: Arc<AtomicU64>,
    stall_max: Duration,
    /// Runs out while the socket takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Metered {
    /// The socket itself, which is no longer counted.
    pub(super) fn into_socket(self) -> TcpStream {
        self.socket
    }

    fn count(&mut self, outcome: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Pending => {
                let stall_max = self.stall_max;
                let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(stall_max)));
                stall.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Ready(taken) => {
                self.stall = None;
                if let Ok(size_bytes) = &taken {
                    tracing::trace!(size_bytes, "a socket took bytes");
                    self.written.fetch_add(*size_bytes as u64, Ordering::Relaxed);
                }
                Poll::Ready(taken)
            }
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.count(outcome, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.count(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
