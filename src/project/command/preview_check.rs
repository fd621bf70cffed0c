//! Looks at the preview after a change: does the dev server still serve the page and the files that were written?

use std::time::Duration;

use cobuild_protocol::{FilePath, event::PreviewError};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;

use crate::project::{
    run::JobContext,
    sandbox_link::SandboxLink,
    sandbox_provider::{SandboxError, SandboxHealth},
};

/// How long a dev server may take to come up before the check is given up.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long one file may take to be served. Tailwind's first pass over a large project takes seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How much of an answer is read: an error page is smaller, and more of a module is not needed.
const ANSWER_SIZE_BYTES_MAX: usize = 512 * 1024;
/// How much of the dev server's words an event quotes, in bytes.
const MESSAGE_SIZE_BYTES_MAX: usize = 4 * 1024;
/// What the dev server compiles.
const COMPILED: [&str; 6] = ["js", "jsx", "ts", "tsx", "mjs", "css"];

/// How the preview is.
pub(super) enum Verdict {
    /// Everything that was written is served.
    Fine,
    /// Something is not.
    Broken(PreviewError),
    /// It could not be looked at: no dev server, or it is too slow.
    Unknown,
}

/// Looks at the page and at the files that were written.
pub(super) async fn check(context: &JobContext, link: &SandboxLink, written: &[FilePath]) -> Verdict {
    let mut health = link.sandbox().health();
    let up = health.wait_for(|health| !matches!(health, SandboxHealth::Ready));
    match tokio::time::timeout(READY_WITHIN, up).await.map(|health| health.map(|health| health.clone())) {
        Ok(Ok(SandboxHealth::PreviewReady)) => {}
        Ok(Ok(SandboxHealth::PreviewFailed(reason) | SandboxHealth::Lost(reason))) => {
            return Verdict::Broken(PreviewError { message: reason, file: None });
        }
        Ok(Ok(SandboxHealth::Ready) | Err(_)) | Err(_) => return Verdict::Unknown,
    }
    let compiled = |path: &&FilePath| COMPILED.contains(&path.extension()) && path.as_str().starts_with("src/");
    let files = written.iter().filter(compiled).map(|path| (format!("/{path}"), Some(path.to_string())));
    for (target, file) in std::iter::once(("/".to_owned(), None)).chain(files) {
        match get(link, &target).await {
            Ok((status, body)) if status.is_server_error() => {
                return Verdict::Broken(PreviewError { message: shorten(&body), file });
            }
            Ok(_) => {}
            Err(error) => {
                tracing::info!(run = %context.run, %error, "the preview could not be checked");
                return Verdict::Unknown;
            }
        }
    }
    Verdict::Fine
}

/// One GET to the dev server, as a browser's module loader asks.
async fn get(link: &SandboxLink, target: &str) -> Result<(StatusCode, String), SandboxError> {
    let failed =
        |error: &dyn std::fmt::Display| SandboxError::Failed(format!("the dev server did not answer: {error}"));
    let exchange = async {
        let stream = link.sandbox().connect_preview().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        let request = Request::get(encode(target))
            .header(header::HOST, "localhost:5173")
            .header(header::ACCEPT, "*/*")
            .body(Empty::<bytes::Bytes>::new())
            .map_err(|error| failed(&error))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_SIZE_BYTES_MAX).collect().await;
            let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
            Ok((status, body))
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            // The connection ends before the answer only when it fails.
            end = connection => Err(failed(&end.err().map_or_else(|| "closed".to_owned(), |error| error.to_string()))),
        }
    };
    tokio::time::timeout(ANSWER_WITHIN, exchange)
        .await
        .unwrap_or_else(|_| Err(SandboxError::TimedOut("the dev server took too long".into())))
}

/// Percent-encodes what cannot stand in a request line.
fn encode(target: &str) -> String {
    let mut encoded = String::with_capacity(target.len());
    for byte in target.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' | b'@' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn shorten(message: &str) -> String {
    let message = message.trim();
    let end =
        (0..=message.len().min(MESSAGE_SIZE_BYTES_MAX)).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
    message[..end].to_owned()
}
