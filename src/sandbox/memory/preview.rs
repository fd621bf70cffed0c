//! A dev server in memory: serves the project's files over HTTP/1.1, as they are.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;

use super::Files;

/// Bytes on their way in one direction.
const BUFFER_SIZE_BYTES: usize = 64 * 1024;

/// The client's end of a new connection.
pub(super) fn connect(files: Files, gone: CancellationToken) -> DuplexStream {
    let (client, server) = tokio::io::duplex(BUFFER_SIZE_BYTES);
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&files, request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    tokio::spawn(async move {
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
        tokio::select! {
            () = gone.cancelled() => {}
            // An error is the client's leaving.
            _ = connection => {}
        }
    });
    client
}

fn respond(files: &Files, path: &str) -> Response<Full<Bytes>> {
    let name = path.trim_start_matches('/');
    let name = if name.is_empty() { "index.html" } else { name };
    let content = name.parse().ok().and_then(|path| files.read(&path));
    let mut response = Response::new(Full::new(content.clone().unwrap_or_default()));
    if content.is_none() {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    let kind = mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind.parse().expect("a known type is a valid header"));
    response
}
