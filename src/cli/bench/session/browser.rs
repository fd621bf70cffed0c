//! What a browser asks of a preview: its page, its modules, and Vite's socket for hot reload.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client, client::ClientRequestBuilder};

use crate::cli::bench::{
    BenchError,
    http::{self, Answer},
};

/// How long a page may take that is being started; the first time the template is built before.
const UP_MAX: Duration = Duration::from_secs(180);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(4);
/// How long a change may take to show.
const UPDATE_MAX: Duration = Duration::from_secs(10);

/// A project's preview.
#[derive(Debug)]
pub(super) struct Preview {
    address: SocketAddr,
    host: String,
}

/// A page that is open.
#[derive(Debug)]
pub(super) struct Page {
    socket: WebSocket<TcpStream>,
}

impl Preview {
    pub(super) fn new(address: SocketAddr, preview_id: &str) -> Self {
        Self { address, host: format!("{preview_id}.localhost:{}", address.port()) }
    }

    pub(super) fn get(&self, path: &str) -> Result<Answer, BenchError> {
        http::get(self.address, &self.host, path)
    }

    /// Asks until the dev server answers in place of our own page.
    pub(super) fn wait_until_up(&self) -> Result<(), BenchError> {
        let deadline = Instant::now() + UP_MAX;
        while self.get("/")?.status() != 200 {
            if Instant::now() > deadline {
                return Err(BenchError::Unexpected("the preview does not come up".into()));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Loads the page and one module, and listens for changes.
    pub(super) fn open(&self, module: &str) -> Result<Page, BenchError> {
        for path in ["/", "/src/main.jsx", &format!("/{module}")] {
            self.get(path)?.expect_ok()?;
        }
        let script = self.get("/@vite/client")?.expect_ok()?;
        let token = script.split("wsToken = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let url = format!("ws://{}/?token={token}", self.host);
        let url = url.parse().map_err(io::Error::other)?;
        let request = ClientRequestBuilder::new(url)
            .with_header("Origin", format!("http://{}", self.host))
            .with_sub_protocol("vite-hmr");
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(UPDATE_MAX))?;
        let (socket, _) = client(request, stream)
            .map_err(|error| BenchError::Unexpected(format!("the hot-reload socket did not open: {error}")))?;
        let mut page = Page { socket };
        page.wait_for("connected")?;
        Ok(page)
    }
}

impl Page {
    /// When the next change was told.
    pub(super) fn wait_for_update(&mut self) -> Result<Instant, BenchError> {
        self.wait_for("update")
    }

    fn wait_for(&mut self, kind: &str) -> Result<Instant, BenchError> {
        let wanted = format!("\"type\":\"{kind}\"");
        loop {
            let message = self.socket.read()?;
            let at = Instant::now();
            if matches!(&message, Message::Text(text) if text.contains(&wanted)) {
                return Ok(at);
            }
        }
    }

    /// Reads away what came late of the change before.
    pub(super) fn forget_messages(&mut self) -> Result<(), BenchError> {
        self.socket.get_ref().set_nonblocking(true)?;
        let read = loop {
            match self.socket.read() {
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.socket.get_ref().set_nonblocking(false)?;
        Ok(read?)
    }
}
