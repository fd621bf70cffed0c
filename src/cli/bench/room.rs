//! A client of one room, as simple as can be: it blocks, and looks at frames as JSON.

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use super::BenchError;

/// The longest wait: the template is built, from the network, at the first sandbox.
const FRAME_WAIT_MAX: Duration = Duration::from_secs(180);

#[derive(Debug)]
pub(super) struct Room {
    socket: WebSocket<TcpStream>,
    /// What this client's command ids begin with: another's in the same project are not the same commands.
    client: u64,
    commands: usize,
}

/// A frame and when it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) frame: Value,
    pub(super) at: Instant,
}

impl Room {
    /// Enters the project and catches up.
    pub(super) fn join(address: SocketAddr, project: &str) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(FRAME_WAIT_MAX))?;
        let url = format!("ws://{address}/api/v1/projects/{project}/ws");
        let (socket, _) = client(url, stream)
            .map_err(|error| BenchError::Unexpected(format!("the room could not be entered: {error}")))?;
        let mut room = Self { socket, client: rand::random(), commands: 0 };
        room.socket.send(Message::text(json!({ "type": "hello", "protocol": 1, "name": "Bench" }).to_string()))?;
        room.wait(|frame| frame["type"] == "synced")?;
        Ok(room)
    }

    /// Sends a command and says which id it got.
    pub(super) fn send(&mut self, mut command: Value) -> Result<String, BenchError> {
        self.commands += 1;
        let id = format!("{:x}-{}", self.client, self.commands);
        command["id"] = json!(id);
        self.socket.send(Message::text(command.to_string()))?;
        Ok(id)
    }

    /// Reads on until a frame is the one. A rejected command ends the measurement.
    pub(super) fn wait(&mut self, mut is_it: impl FnMut(&Value) -> bool) -> Result<Read, BenchError> {
        let deadline = Instant::now() + FRAME_WAIT_MAX;
        while Instant::now() < deadline {
            let Message::Text(text) = self.socket.read()? else { continue };
            let at = Instant::now();
            let frame: Value = serde_json::from_str(&text).map_err(std::io::Error::from)?;
            if is_it(&frame) {
                return Ok(Read { frame, at });
            }
            if frame["type"] == "rejected" {
                return Err(BenchError::Unexpected(format!("a command was rejected: {}", frame["error"])));
            }
        }
        Err(BenchError::Unexpected("a frame that was waited for did not come".into()))
    }

    /// Reads on until the run ends, which must end well.
    pub(super) fn finish_run(&mut self) -> Result<(), BenchError> {
        let end = self.wait(|frame| frame["type"] == "run_finished")?.frame;
        if end["outcome"] == "completed" {
            return Ok(());
        }
        Err(BenchError::Unexpected(format!("a run ended as {}: {}", end["outcome"], end["error"])))
    }

    /// A file's text and hash.
    pub(super) fn read_file(&mut self, path: &str) -> Result<(String, String), BenchError> {
        let id = self.send(json!({ "type": "read_file", "path": path }))?;
        let data = self.wait(|frame| frame["type"] == "result" && frame["id"] == *id)?.frame["data"].take();
        let field = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        Ok((field("content"), field("hash")))
    }

    /// Ends the sandbox, so that one measurement does not weigh on the next.
    pub(super) fn stop_sandbox(&mut self) -> Result<(), BenchError> {
        self.send(json!({ "type": "stop_sandbox" }))?;
        self.wait(|frame| frame["type"] == "sandbox_changed" && frame["state"] == "stopped")?;
        Ok(())
    }
}
