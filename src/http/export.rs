//! The project as a zip archive, written while it is sent: from the tree, so it needs no sandbox.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use cobuild_protocol::{ErrorBody, ErrorCode, FilePath, state::FileInfo};
use futures_util::stream;
use tokio::{runtime::Handle as Runtime, sync::mpsc, time::timeout};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{HttpState, error::Problem, extract::Caller, rest};
use crate::project::ProjectHandle;

/// Archives written at once. Each holds a thread, so that compressing does not hold up sockets.
pub(crate) const EXPORTS_MAX: usize = 4;
/// When somebody whom that limit turned away should try again.
const RETRY_AFTER_MS: u64 = 2000;
/// What goes to the socket at once.
const CHUNK_SIZE_BYTES: usize = 64 * 1024;
/// Chunks on their way: one is being sent, one is ready.
const CHUNKS_MAX: usize = 1;
/// Longest time in which a client may take not one chunk.
const STALL_MAX: Duration = Duration::from_secs(30);

/// `GET /api/v1/projects/{project}/export.zip`
pub(crate) async fn zip(State(state): State<HttpState>, caller: Caller) -> Result<Response, Problem> {
    let handle = rest::readable(&state, &caller).await?;
    let (_, project) = handle.state().await?;
    let disposition = format!("attachment; filename=\"{}.zip\"", caller.project);
    let body = body(&state, handle, project.files.into_iter().collect())?;
    let headers = [(header::CONTENT_TYPE, "application/zip".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, body).into_response())
}

/// These files as an archive, written while it is sent. Fails when too many are being written.
pub(crate) fn body(
    state: &HttpState,
    handle: ProjectHandle,
    files: Vec<(FilePath, FileInfo)>,
) -> Result<Body, ErrorBody> {
    let Ok(permit) = Arc::clone(&state.exports).try_acquire_owned() else {
        let mut error = ErrorBody::new(ErrorCode::RateLimited, "too many archives are being written; try again");
        error.retry_after_ms = Some(RETRY_AFTER_MS);
        return Err(error);
    };
    let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
    let output = Chunks { buffer: BytesMut::new(), sender, runtime: Runtime::current() };
    state.tasks.spawn_blocking(move || {
        write(&handle, files, output);
        drop(permit);
    });
    let body = stream::unfold(chunks, |mut chunks| async { chunks.recv().await.map(|chunk| (chunk, chunks)) });
    Ok(Body::from_stream(body))
}

/// Writes until done, or until nobody reads any more. Blocks.
fn write(handle: &ProjectHandle, files: Vec<(FilePath, FileInfo)>, output: Chunks) {
    let Chunks { sender, runtime, .. } = &output;
    let (sender, runtime) = (sender.clone(), runtime.clone());
    if let Err(error) = archive(handle, files, output) {
        tracing::info!(project = %handle.project(), %error, "an archive was not finished");
        // An error breaks the connection off, so that half an archive is not taken for a whole one. Nobody may be
        // there to see it.
        let _ = runtime.block_on(timeout(STALL_MAX, sender.send(Err(error))));
    }
}

fn archive(handle: &ProjectHandle, files: Vec<(FilePath, FileInfo)>, output: Chunks) -> io::Result<()> {
    let runtime = output.runtime.clone();
    let mut archive = ZipWriter::new_stream(output);
    for (path, info) in files {
        let content = runtime.block_on(handle.blob(&info.hash)).map_err(io::Error::other)?;
        archive.start_file(path.as_str(), SimpleFileOptions::default()).map_err(io::Error::other)?;
        archive.write_all(&content)?;
    }
    archive.finish().map_err(io::Error::other)?.into_inner().send()
}

/// Collects what the archive writes and hands it on in chunks.
struct Chunks {
    buffer: BytesMut,
    sender: mpsc::Sender<io::Result<Bytes>>,
    runtime: Runtime,
}

impl Chunks {
    fn send(&mut self) -> io::Result<()> {
        let chunk = self.buffer.split().freeze();
        match self.runtime.block_on(timeout(STALL_MAX, self.sender.send(Ok(chunk)))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client went away")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")),
        }
    }
}

impl Write for Chunks {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(data);
        if self.buffer.len() >= CHUNK_SIZE_BYTES {
            self.send()?;
        }
        Ok(data.len())
    }

    /// Nothing to do: chunks go out when they are large enough, the last one at the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
