//! One request to a dev server, as a browser's module loader asks.

use std::{fmt::Display, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;

use crate::project::{sandbox_link::SandboxLink, sandbox_provider::SandboxError};

/// How long one file may take to be served. Tailwind's first pass over a large project takes seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How much of an answer is read: a module with its source map is smaller.
const ANSWER_SIZE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a dev server says.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whether it is an error of the server's own.
    pub(super) is_error: bool,
    /// Whether it is a page, which is what dev servers answer for a file that is not there.
    pub(super) is_page: bool,
    /// Whether it says that there is nothing.
    pub(super) is_missing: bool,
    /// Empty when it is too large.
    pub(super) body: String,
}

/// Gets a target.
pub(super) async fn get(link: &SandboxLink, target: &str) -> Result<Answer, SandboxError> {
    let failed = |error: &dyn Display| SandboxError::Failed(format!("the dev server did not answer: {error}"));
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
            let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let is_page = kind.is_some_and(|kind| kind.starts_with("text/html"));
            let body = Limited::new(response.into_body(), ANSWER_SIZE_BYTES_MAX).collect().await;
            let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
            Ok(Answer {
                is_error: status.is_server_error(),
                is_page,
                is_missing: status == StatusCode::NOT_FOUND,
                body,
            })
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

/// Percent-encodes what cannot stand in a request line. What is encoded already stays so.
fn encode(target: &str) -> String {
    let mut encoded = String::with_capacity(target.len());
    for byte in target.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => encoded.push(char::from(byte)),
            b'/' | b'-' | b'_' | b'.' | b'~' | b'@' | b'?' | b'=' | b'&' | b'%' | b'+' | b',' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
