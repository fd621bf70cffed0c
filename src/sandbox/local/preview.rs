//! The dev server of one sandbox: started on demand, watched, reached through the helper.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    bubblewrap::PROJECT_DIRECTORY,
    link::{Link, Started},
    process,
};
use crate::{
    project::sandbox_provider::{Exit, SandboxError, SandboxHealth},
    sandbox::{output::Utf8Decoder, template::DEV_SERVER_PORT},
};

/// How long the dev server may take until it answers: a second on a quiet machine, several while everything is
/// compiled anew on a busy one.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How often a starting dev server is tried.
const TRY_EVERY: Duration = Duration::from_millis(15);
/// How long one try may take: the first page of a cold dev server waits for its dependencies.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// Kept of what it printed.
const LOG_SIZE_BYTES_MAX: usize = 16 * 1024;
/// Largest answer that is read to its end.
const BODY_SIZE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Last lines of the log that an error quotes.
const QUOTED_LINES: usize = 12;

/// One sandbox's dev server.
#[derive(Debug)]
pub(super) struct Preview {
    link: Arc<Link>,
    running: tokio::sync::Mutex<Option<watch::Receiver<Option<Exit>>>>,
    id: Mutex<Option<super::wire::Id>>,
    log: Arc<Mutex<VecDeque<u8>>>,
    health: watch::Sender<SandboxHealth>,
}

impl Preview {
    pub(super) fn new(link: Arc<Link>, health: watch::Sender<SandboxHealth>) -> Arc<Self> {
        Arc::new(Self { link, running: Default::default(), id: Mutex::default(), log: Arc::default(), health })
    }

    /// Makes sure that the dev server runs and answers.
    pub(super) async fn start(self: &Arc<Self>) -> Result<(), SandboxError> {
        let mut running = self.running.lock().await;
        let alive = running.as_ref().filter(|exit| exit.borrow().is_none()).cloned();
        let mut exit = match alive {
            Some(exit) => exit,
            None => running.insert(self.launch().await?).clone(),
        };
        self.wait_until_ready(&mut exit).await?;
        self.set_health(SandboxHealth::PreviewReady);
        Ok(())
    }

    /// Ends the dev server, if there is one.
    pub(super) async fn stop(&self) {
        let mut running = self.running.lock().await;
        let id = self.id.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(mut exit), Some(id)) = (running.take(), id) {
            self.set_health(SandboxHealth::Ready);
            self.link.kill(id);
            // An error means that its watcher is gone, and so is it.
            let _ = exit.wait_for(Option::is_some).await;
        }
    }

    pub(super) async fn connect(&self) -> Result<TcpStream, SandboxError> {
        self.link.connect(DEV_SERVER_PORT).await.map_err(|error| match error {
            SandboxError::Failed(reason) => SandboxError::Failed(format!("the dev server does not answer: {reason}")),
            other => other,
        })
    }

    pub(super) fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let (front, back) = log.as_slices();
        // The oldest bytes may start inside a character.
        let text = String::from_utf8_lossy(&[front, back].concat()).into_owned();
        text.trim_start_matches('\u{FFFD}').to_owned()
    }

    async fn launch(self: &Arc<Self>) -> Result<watch::Receiver<Option<Exit>>, SandboxError> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // Without npm in front, which costs a third of a second; with the address on the command line, which wins
        // over whatever a changed configuration says.
        let port = DEV_SERVER_PORT.to_string();
        let vite = format!("{PROJECT_DIRECTORY}/node_modules/vite/bin/vite.js");
        let argv = ["node", &vite, "--host", "127.0.0.1", "--port", &port, "--strictPort", "--clearScreen", "false"];
        let argv = argv.map(str::to_owned).to_vec();
        let (Started { id, exited }, outputs) = process::start(&self.link, argv, bytes::Bytes::new()).await?;
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        let (report, exit) = watch::channel(None);
        let this = self.clone();
        tokio::spawn(async move {
            let (ended, (), ()) =
                tokio::join!(exited, keep_log(outputs.stdout, &this.log), keep_log(outputs.stderr, &this.log),);
            let ended = ended.map_or(Exit::Lost, process::exit_of);
            this.ended(id, &ended);
            report.send_replace(Some(ended));
        });
        Ok(exit)
    }

    /// The dev server ended; by itself, unless it was told to.
    fn ended(&self, id: super::wire::Id, exit: &Exit) {
        let mut current = self.id.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == Some(id) && *exit != Exit::Lost {
            *current = None;
            self.set_health(SandboxHealth::PreviewFailed(self.describe(exit)));
        }
    }

    /// A sandbox that is lost stays lost.
    fn set_health(&self, health: SandboxHealth) {
        self.health.send_if_modified(|present| {
            let change = !matches!(present, SandboxHealth::Lost(_)) && *present != health;
            if change {
                *present = health;
            }
            change
        });
    }

    async fn wait_until_ready(&self, exit: &mut watch::Receiver<Option<Exit>>) -> Result<(), SandboxError> {
        let ready = async {
            loop {
                if timeout(ANSWER_TIME_MAX, self.get("/")).await.is_ok_and(|answer| answer.is_ok()) {
                    return;
                }
                sleep(TRY_EVERY).await;
            }
        };
        tokio::select! {
            biased;
            () = ready => Ok(()),
            ended = ended(exit) => match ended {
                Exit::Lost => Err(SandboxError::Lost(self.link.gone().await)),
                exit => Err(SandboxError::Failed(self.describe(&exit))),
            },
            () = tokio::time::sleep_until(Instant::now() + START_TIME_MAX) => {
                Err(SandboxError::TimedOut(format!("the dev server does not answer\n{}", self.last_lines())))
            }
        }
    }

    /// A page from the dev server: its head and body as they came. For finding out that it answers.
    pub(super) async fn get(&self, path: &str) -> Result<Vec<u8>, SandboxError> {
        let failed = |error: std::io::Error| SandboxError::Failed(format!("the dev server: {error}"));
        let mut stream = self.connect().await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:{DEV_SERVER_PORT}\r\nAccept: text/html,*/*\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut answer = Vec::new();
        stream.take(BODY_SIZE_BYTES_MAX).read_to_end(&mut answer).await.map_err(failed)?;
        if answer.starts_with(b"HTTP/1.") {
            Ok(answer)
        } else {
            Err(SandboxError::Failed("the dev server does not speak HTTP".into()))
        }
    }

    fn describe(&self, exit: &Exit) -> String {
        let how = match exit {
            Exit::Code(code) => format!("with exit code {code}"),
            Exit::Signal(signal) => format!("by signal {signal}"),
            Exit::TimedOut | Exit::ReceivedTooMuch | Exit::Lost => "with its sandbox".into(),
        };
        format!("the dev server ended {how}\n{}", self.last_lines()).trim_end().to_owned()
    }

    fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
    }
}

async fn ended(exit: &mut watch::Receiver<Option<Exit>>) -> Exit {
    // An error means that its watcher is gone, with the whole sandbox.
    exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone()).unwrap_or(Exit::Lost)
}

/// Keeps the last of what a stream brings.
async fn keep_log(mut from: impl AsyncRead + Unpin, log: &Mutex<VecDeque<u8>>) {
    let mut buffer = vec![0; 4096];
    let mut decoder = Utf8Decoder::default();
    loop {
        let length = from.read(&mut buffer).await.unwrap_or(0);
        let text = if length == 0 { decoder.finish() } else { decoder.push(&buffer[..length]) };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend(text.bytes());
        let excess = log.len().saturating_sub(LOG_SIZE_BYTES_MAX);
        log.drain(..excess);
        if length == 0 {
            return;
        }
    }
}
