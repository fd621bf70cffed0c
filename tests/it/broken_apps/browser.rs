//! A real browser that has previews open, as people do.

use std::{
    collections::HashMap,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    sync::oneshot,
};

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Value>>>>;

/// The browser; ends when dropped.
pub(super) struct Browser {
    input: tokio::sync::Mutex<ChildStdin>,
    waiting: Waiting,
    _process: Child,
}

impl Browser {
    /// `None` where there is none.
    pub(super) async fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/preview-pages.mjs");
        let mut command = Command::new("node");
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().ok()?;
        let input = tokio::sync::Mutex::new(process.stdin.take().expect("piped"));
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        lines.next_line().await.expect("text")?;
        let waiting = Waiting::default();
        let answered = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let done: Value = serde_json::from_str(&line).expect("JSON");
                let key = done["done"].as_str().expect("an address");
                let waits = answered.lock().expect("not poisoned").remove(key);
                drop(waits.map(|waits| waits.send(done)));
            }
            // Nobody waits for a browser that is gone.
            answered.lock().expect("not poisoned").clear();
        });
        Some(Self { input, waiting, _process: process })
    }

    /// Opens a page and waits until it has been loaded.
    pub(super) async fn open(&self, url: &str) -> Result<(), String> {
        self.ask(url, json!({ "open": url })).await
    }

    /// Waits until an open page shows these words.
    pub(super) async fn sees(&self, url: &str, words: &str) -> Result<(), String> {
        self.ask(url, json!({ "text": url, "has": words })).await
    }

    pub(super) async fn close(&self, url: &str) -> Result<(), String> {
        self.ask(url, json!({ "close": url })).await
    }

    /// One question at a time per page.
    async fn ask(&self, url: &str, question: Value) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().expect("not poisoned").insert(url.to_owned(), answer);
        let line = format!("{question}\n");
        self.input.lock().await.write_all(line.as_bytes()).await.map_err(|error| error.to_string())?;
        let answer = answered.await.map_err(|_| "the browser ended".to_owned())?;
        answer["error"].as_str().map_or(Ok(()), |error| Err(error.to_owned()))
    }
}
