//! From accepted sockets to requests: the HTTP/1.1 server loop.
//!
//! Our own instead of `axum::serve` for what that does not let us say: a limit on slow headers and on connections. And so
//! that a WebSocket gets the socket itself, see [`super::ws`].

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{App, HttpState};

/// Connections at once. Each costs a descriptor and, idle, about 8 KB; 20,000 fit in the memory of a small machine.
/// More wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 20_000;
/// How long a client may take to send a request's head, and how long it may keep an idle connection.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(60);
/// Largest request head.
const HEAD_SIZE_BYTES_MAX: usize = 64 * 1024;
/// Pause after a failed accept, such as when descriptors have run out: they come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a request's handler may know about its connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// The connection's place among [`CONNECTIONS_MAX`]. Whoever goes on using the socket after an upgrade keeps it.
    pub(crate) place: Arc<OwnedSemaphorePermit>,
}

/// Accepts and serves until `stop` is cancelled; connections under way then finish their request.
pub(crate) async fn serve(listener: TcpListener, app: App, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
    let connection = Connection { place: Arc::new(place) };
    let state: HttpState = app.state().clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.handle(Request::map(request, Body::new)).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .max_buf_size(HEAD_SIZE_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service)
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
