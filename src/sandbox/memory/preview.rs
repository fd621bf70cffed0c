//! A dev server in memory: serves the files as they are now, and echoes WebSocket messages.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cobuild_protocol::FilePath;
use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, header, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};
use tokio_util::sync::CancellationToken;

use super::{Files, lock};

/// Bytes on their way through one connection.
const BUFFER_SIZE_BYTES: usize = 64 * 1024;

/// A new connection to the server.
pub(super) fn connect(files: Arc<Mutex<Files>>, alive: CancellationToken) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(BUFFER_SIZE_BYTES);
    tokio::spawn(async move {
        let service = service_fn(move |request| {
            let answer = answer(request, &files);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(ours), service).with_upgrades();
        alive.run_until_cancelled(connection).await
    });
    theirs
}

fn answer(request: Request<Incoming>, files: &Mutex<Files>) -> Response<Full<Bytes>> {
    let upgrade = request.headers().get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    if let Some(accept) = upgrade {
        tokio::spawn(echo(request));
        return respond(
            Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, "websocket")
                .header(header::SEC_WEBSOCKET_ACCEPT, accept),
            Bytes::new(),
        );
    }
    let path = request.uri().path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let found = path.parse::<FilePath>().ok().and_then(|path| lock(files).get(&path).cloned());
    match found {
        Some(content) => {
            let kind = if path.ends_with(".html") { "text/html" } else { "text/javascript" };
            respond(Response::builder().header(header::CONTENT_TYPE, kind), content)
        }
        None => respond(Response::builder().status(StatusCode::NOT_FOUND), Bytes::from_static(b"not found")),
    }
}

fn respond(builder: hyper::http::response::Builder, body: Bytes) -> Response<Full<Bytes>> {
    builder.body(Full::new(body)).expect("status and headers are constants or base64")
}

async fn echo(request: Request<Incoming>) {
    let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let (mut sink, mut messages) = socket.split();
    while let Some(Ok(message)) = messages.next().await {
        if sink.send(message).await.is_err() {
            return;
        }
    }
}
