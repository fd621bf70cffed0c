//! Sandboxes kept ready, dev server running, for whoever asks next. One that a project has touched never comes back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{ground::Ground, instance::LocalSandbox, template_store::TemplateStore};
use crate::{
    project::sandbox_provider::{FileChange, Sandbox, SandboxError, SandboxFile, SandboxHealth},
    sandbox::template,
};

/// Wait after a claim before the next sandbox is made: the claimed one is just starting its work, on the same
/// processors.
const REFILL_DELAY: Duration = Duration::from_secs(3);
/// Wait after a failure; each attempt costs an installation or a start.
const RETRY_DELAY: Duration = Duration::from_secs(60);
/// How long the dev server may take to notice that files changed; it is told by the kernel within milliseconds.
const NOTICE_TIME_MAX: Duration = Duration::from_millis(750);
const NOTICE_RETRY: Duration = Duration::from_millis(5);
/// Modules the waiting dev server has compiled already: the ones it could serve stale for a moment.
const COMPILED: [&str; 3] = ["src/App.jsx", "src/index.css", "src/main.jsx"];

/// The sandboxes that wait.
#[derive(Debug)]
pub(super) struct Pool {
    size: usize,
    waiting: Mutex<Vec<LocalSandbox>>,
    /// Held by the one task that fills.
    filling: Arc<tokio::sync::Mutex<()>>,
}

impl Pool {
    pub(super) fn new(size: usize) -> Self {
        Self { size, waiting: Mutex::default(), filling: Arc::default() }
    }

    /// A waiting sandbox that now holds `files`, with its dev server running unless the files change how it runs.
    pub(super) async fn claim(&self, files: &[SandboxFile]) -> Option<LocalSandbox> {
        loop {
            let sandbox = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if *sandbox.health().borrow() != SandboxHealth::PreviewReady {
                continue;
            }
            match adopt(&sandbox, files).await {
                Ok(()) => return Some(sandbox),
                Err(error) => tracing::debug!(%error, "a waiting sandbox was of no use"),
            }
        }
    }

    /// Fills up in the background, after a pause.
    pub(super) fn refill(self: &Arc<Self>, ground: &Arc<Ground>, templates: &Arc<TemplateStore>, at_once: bool) {
        let (pool, ground, templates) = (self.clone(), ground.clone(), templates.clone());
        let Ok(turn) = self.filling.clone().try_lock_owned() else { return };
        if pool.size == 0 {
            return;
        }
        tokio::spawn(async move {
            let _turn = turn;
            let fill = async {
                if !at_once {
                    tokio::time::sleep(REFILL_DELAY).await;
                }
                while pool.count() < pool.size {
                    match make(&ground, &templates).await {
                        Ok(sandbox) => pool.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(sandbox),
                        // It was interrupted by the server's end.
                        Err(_) if ground.stop.is_cancelled() => return,
                        Err(error) => {
                            tracing::warn!(%error, "no sandbox can be kept ready");
                            tokio::time::sleep(RETRY_DELAY).await;
                        }
                    }
                }
            };
            tokio::select! {
                () = fill => {}
                () = ground.stop.cancelled() => {}
            }
        });
    }

    /// Those that still live.
    fn count(&self) -> usize {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|sandbox| *sandbox.health().borrow() == SandboxHealth::PreviewReady);
        waiting.len()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

async fn make(ground: &Arc<Ground>, templates: &TemplateStore) -> Result<LocalSandbox, SandboxError> {
    let progress = watch::Sender::default();
    let template = templates.get(ground, &progress).await?;
    let sandbox = LocalSandbox::start(ground, Some(&template)).await?;
    sandbox.write_all(template::react_vite().files.into_iter().map(FileChange::Write).collect()).await?;
    sandbox.start_preview().await?;
    for path in COMPILED {
        sandbox.preview.get(&format!("/{path}")).await?;
    }
    Ok(sandbox)
}

/// Turns the template into the project.
async fn adopt(sandbox: &LocalSandbox, files: &[SandboxFile]) -> Result<(), SandboxError> {
    let changes = difference(&template::react_vite().files, files);
    if changes.iter().any(|change| configures(change.path().as_str())) {
        // The dev server would restart itself, at a moment of its own.
        sandbox.preview.stop().await;
        return sandbox.write_all(changes).await;
    }
    let mut stale = BTreeMap::new();
    for change in &changes {
        let path = change.path().as_str();
        if let (FileChange::Write(_), true) = (change, COMPILED.contains(&path)) {
            stale.insert(path.to_owned(), version(sandbox, path).await?);
        }
    }
    sandbox.write_all(changes.clone()).await?;
    let noticed = async {
        for (path, before) in stale {
            while version(sandbox, &path).await? == before {
                tokio::time::sleep(NOTICE_RETRY).await;
            }
        }
        Ok(())
    };
    // Too late, it is still right: browsers are told of changes.
    tokio::time::timeout(NOTICE_TIME_MAX, noticed).await.unwrap_or(Ok(()))
}

/// What turns one set of files into another.
fn difference(from: &[SandboxFile], to: &[SandboxFile]) -> Vec<FileChange> {
    let index = |files: &[SandboxFile]| -> BTreeMap<_, Bytes> {
        files.iter().map(|file| (file.path.clone(), file.content.clone())).collect()
    };
    let (before, after) = (index(from), index(to));
    let gone = before.keys().filter(|path| !after.contains_key(path)).cloned().map(FileChange::Delete);
    let changed = after
        .iter()
        .filter(|(path, content)| before.get(path) != Some(content))
        .map(|(path, content)| FileChange::Write(SandboxFile { path: path.clone(), content: content.clone() }));
    gone.chain(changed).collect()
}

/// Whether a dev server must start anew to heed a file.
fn configures(path: &str) -> bool {
    let stem = path.split('.').next().unwrap_or_default();
    matches!(path, "package.json" | "package-lock.json" | "index.html")
        || path.starts_with(".env")
        || (path.contains(".config.") && !path.contains('/'))
        || matches!(stem, "tsconfig" | "jsconfig")
}

/// What the dev server calls its present version of a module.
async fn version(sandbox: &LocalSandbox, path: &str) -> Result<Option<String>, SandboxError> {
    let answer = sandbox.preview.get(&format!("/{path}")).await?;
    let head = memchr::memmem::find(&answer, b"\r\n\r\n").map_or(&answer[..], |end| &answer[..end]);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    Ok(head.lines().find(|line| line.starts_with("etag:")).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SandboxFile {
        SandboxFile { path: path.parse().expect(path), content: Bytes::copy_from_slice(text.as_bytes()) }
    }

    #[test]
    fn only_differences_are_written() {
        let before = [file("a", "1"), file("b", "1"), file("c", "1")];
        let after = [file("b", "2"), file("c", "1"), file("d", "1")];
        assert_eq!(
            difference(&before, &after),
            [
                FileChange::Delete("a".parse().expect("a")),
                FileChange::Write(file("b", "2")),
                FileChange::Write(file("d", "1")),
            ]
        );
    }

    #[test]
    fn knows_what_configures_a_dev_server() {
        for path in ["package.json", "vite.config.js", "postcss.config.cjs", ".env.local", "tsconfig.app.json"] {
            assert!(configures(path), "{path}");
        }
        for path in ["src/App.jsx", "src/vite.config.js", "README.md", "src/config.js"] {
            assert!(!configures(path), "{path}");
        }
    }
}
