//! A vendor that speaks OpenAI's Chat Completions at a pace and stamps each piece with the time it left.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

/// Listens until the process ends.
pub(super) struct Vendor(SocketAddr);

impl Vendor {
    /// Stamps are nanoseconds since `began`.
    pub(super) fn start(began: Instant, pieces: usize, between: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        thread::Builder::new().name("vendor".into()).spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    // A server that goes away in between has ended its measurement.
                    let _ = serve(socket, began, pieces, between);
                });
            }
        })?;
        Ok(Self(address))
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.0
    }
}

fn serve(mut socket: TcpStream, began: Instant, pieces: usize, between: Duration) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut reader = BufReader::new(socket.try_clone()?);
    while let Some(is_list) = read_request(&mut reader)? {
        if is_list {
            let body = json!({ "data": [{ "id": "bench" }] }).to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
            socket.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes())?;
            continue;
        }
        socket
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
        for _ in 0..pieces {
            thread::sleep(between);
            // Whoever reads it splits at blanks: pieces may be put together on the way.
            let stamp = format!("{} ", began.elapsed().as_nanos());
            write_chunk(&mut socket, &event(&json!({ "content": stamp }), None))?;
        }
        write_chunk(&mut socket, &event(&json!({}), Some("stop")))?;
        write_chunk(&mut socket, "data: [DONE]\n\n")?;
        socket.write_all(b"0\r\n\r\n")?;
    }
    Ok(())
}

fn event(delta: &serde_json::Value, finish_reason: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish_reason });
    let chunk = json!({ "id": "c", "object": "chat.completion.chunk", "model": "bench", "choices": [choice] });
    format!("data: {chunk}\n\n")
}

fn write_chunk(socket: &mut TcpStream, text: &str) -> io::Result<()> {
    socket.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
}

/// Reads a request to its end. Says whether it asks for the list of models; `None` at the end of the connection.
fn read_request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<bool>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let is_list = line.starts_with("GET ");
    let mut size = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let lower = line.to_ascii_lowercase();
        if let Some(length) = lower.strip_prefix("content-length:") {
            size = length.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    io::copy(&mut reader.by_ref().take(size), &mut io::sink())?;
    Ok(Some(is_list))
}
