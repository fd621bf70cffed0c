//! Just enough HTTP: one request on a connection of its own.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

use super::BenchError;

/// How long an answer may take.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    pub(super) const fn status(&self) -> u16 {
        self.status
    }

    /// The body of an answer that says all is well.
    pub(super) fn expect_ok(self) -> Result<String, BenchError> {
        if matches!(self.status, 200 | 201) {
            return Ok(self.body);
        }
        Err(BenchError::Unexpected(format!("an answer with status {}: {}", self.status, self.body)))
    }
}

pub(super) fn get(address: SocketAddr, host: &str, path: &str) -> Result<Answer, BenchError> {
    request(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n"))
}

/// Makes a project and says where its preview is.
pub(super) fn create_project(address: SocketAddr, project: &str) -> Result<String, BenchError> {
    let body = json!({ "project": project }).to_string();
    let head = format!(
        "POST /api/v1/projects HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let answer = request(address, &(head + &body))?.expect_ok()?;
    let status: Value = serde_json::from_str(&answer).map_err(io::Error::from)?;
    Ok(status["state"]["preview_id"].as_str().unwrap_or_default().to_owned())
}

fn request(address: SocketAddr, request: &str) -> Result<Answer, BenchError> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    // `HTTP/1.1 200 OK`
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok(Answer { status, body: body.to_owned() })
}
