//! Looks at the preview after a change: does the dev server serve the page and everything it imports, as it is now? Do the
//! modules fit together? And does a page that somebody has open run without throwing?
//!
//! | room | owns |
//! |---|---|
//! | `dev_server` | one request to the dev server |
//! | `modules` | the page's modules, one after the other, and what the dev server says about them |

mod dev_server;
mod modules;

use std::{collections::BTreeMap, time::Duration};

use cobuild_protocol::{FilePath, event::PreviewError, value::PreviewErrorSource};

use crate::{
    codegen::module_links,
    project::{
        error::ProjectError,
        preview_pages::{Look, PageVerdict},
        run::JobContext,
        sandbox_link::{SandboxLink, read_content},
        sandbox_provider::SandboxHealth,
    },
};

/// How long a dev server may take to come up before the check is given up.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How much of the dev server's words an event quotes, in bytes.
const MESSAGE_SIZE_BYTES_MAX: usize = 4 * 1024;
/// An error counts only when it is still there after this: while packages are being bundled anew, a dev server answers
/// with errors that are gone a moment later.
const SECOND_LOOK_AFTER: Duration = Duration::from_millis(400);
/// How long a dev server may take to start anew with another configuration.
const RESTART_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take to notice that it must.
const RESTART_NOTICED_WITHIN: Duration = Duration::from_secs(2);
/// Pause between two looks at its log.
const LOG_PAUSE: Duration = Duration::from_millis(50);
/// Scripts larger than this are not looked into: nobody wrote them by hand.
const SCRIPT_SIZE_BYTES_MAX: u64 = 256 * 1024;

/// Why it could not be checked, where there was a sandbox when the check began.
pub(super) const SANDBOX_GONE: &str = "the sandbox is gone";
/// Why it could not be checked, where the store failed.
const FILES_UNREAD: &str = "the project's files could not be read";

/// How the preview is.
pub(super) enum Verdict {
    /// Everything is served and fits together, and no page says otherwise.
    Fine,
    /// The same, but a page that is open somewhere did not say in time how the app is.
    Served,
    /// Something does not.
    Broken(PreviewError),
    /// It could not be looked at: no dev server, or it is too slow. Why, as a sentence without its full stop.
    Unknown(String),
}

/// Looks at the page and at the files that were written: takes milliseconds when nothing is wrong. Then the pages that are
/// open somewhere are asked, which see what only shows when the app runs.
pub(super) async fn check(context: &JobContext, link: &SandboxLink, written: &[FilePath], before: &Before) -> Verdict {
    match served(context, link, written, before).await {
        Verdict::Fine => match before.pages.verdict().await {
            PageVerdict::Threw(error) => Verdict::Broken(error.into()),
            PageVerdict::Unwatched | PageVerdict::Fine => Verdict::Fine,
            PageVerdict::Silent => Verdict::Served,
        },
        other => other,
    }
}

/// What there was before files were written, so that what came of that can be told from what was there.
#[derive(Debug)]
pub(super) struct Before {
    pages: Look,
    log: String,
}

impl Before {
    pub(super) fn now(context: &JobContext, link: Option<&SandboxLink>) -> Self {
        let log = link.map(|link| plain(&link.sandbox().preview_log())).unwrap_or_default();
        Self { pages: context.pages.look(), log }
    }

    /// What a page threw after the check, as long as nobody else would hear of it. Ends the look at the pages.
    pub(super) fn late(&self) -> Option<PreviewError> {
        self.pages.late().map(PreviewError::from)
    }

    /// What the dev server has printed since.
    fn news(&self, link: &SandboxLink) -> String {
        news(&self.log, &plain(&link.sandbox().preview_log())).to_owned()
    }
}

/// How much of an earlier log is looked for in a later one, whose beginning may be gone.
const MARK_SIZE_BYTES: usize = 512;

/// What a log has beyond an earlier state of it.
fn news<'a>(before: &str, now: &'a str) -> &'a str {
    let mark = &before[before.ceil_char_boundary(before.len().saturating_sub(MARK_SIZE_BYTES))..];
    match now.rfind(mark) {
        Some(at) if !mark.is_empty() => &now[at + mark.len()..],
        _ => now,
    }
}

/// Whether the dev server serves everything.
async fn served(context: &JobContext, link: &SandboxLink, written: &[FilePath], before: &Before) -> Verdict {
    let mut health = link.sandbox().health();
    let up = health.wait_for(|health| !matches!(health, SandboxHealth::Ready));
    match tokio::time::timeout(READY_WITHIN, up).await.map(|health| health.map(|health| health.clone())) {
        Ok(Ok(SandboxHealth::PreviewReady)) => {}
        Ok(Ok(SandboxHealth::PreviewFailed(reason))) => {
            let log = tail(&plain(&link.sandbox().preview_log()));
            let message = if log.is_empty() { reason } else { format!("{reason}\n{log}") };
            return broken(&message, None);
        }
        // Before its time is over it is one of those above.
        Ok(Ok(SandboxHealth::Ready)) | Err(_) => return Verdict::Unknown("the dev server does not come up".to_owned()),
        Ok(Ok(SandboxHealth::Lost(_)) | Err(_)) => return Verdict::Unknown(SANDBOX_GONE.to_owned()),
    }
    if let Some(problem) = bad_configuration(link, written, before).await {
        return problem;
    }
    let contents = match contents(context, written).await {
        Ok(contents) => contents,
        Err(error) => {
            tracing::info!(run = %context.run, %error, "the preview could not be checked");
            return Verdict::Unknown(FILES_UNREAD.to_owned());
        }
    };
    let styles = contents.keys().any(|path| path.extension() == "css").then(|| link.next_look());
    let mut verdict = modules::look(link, &contents, before, styles).await;
    if matches!(verdict, Verdict::Broken(_)) {
        tokio::time::sleep(SECOND_LOOK_AFTER).await;
        // At the same styles: what is wrong is not remembered by the dev server, and compiled once more.
        verdict = modules::look(link, &contents, before, styles).await;
    }
    match verdict {
        Verdict::Fine => misfits(context, written).await,
        other => other,
    }
}

/// What a changed configuration did to the dev server: it starts anew, or says why it cannot and goes on with the old one.
async fn bad_configuration(link: &SandboxLink, written: &[FilePath], before: &Before) -> Option<Verdict> {
    let is_configuration = |path: &FilePath| {
        let name = path.as_str();
        !name.contains('/') && (name.contains(".config.") || name.starts_with(".env") || name.starts_with("tsconfig"))
    };
    if !written.iter().any(is_configuration) {
        return None;
    }
    let started = tokio::time::Instant::now();
    loop {
        let log = before.news(link);
        let since = log.rfind("restarting server").map(|at| &log[at..]);
        match since {
            Some(since) if since.contains("server restarted") => return None,
            Some(since) if since.contains("failed") || since.contains("Error") => {
                return Some(broken(&tail(since), None));
            }
            Some(_) if started.elapsed() > RESTART_WITHIN => return None,
            None if started.elapsed() > RESTART_NOTICED_WITHIN => return None,
            Some(_) | None => tokio::time::sleep(LOG_PAUSE).await,
        }
    }
}

/// The texts of these files as they are in the tree.
async fn contents(context: &JobContext, paths: &[FilePath]) -> Result<BTreeMap<FilePath, String>, ProjectError> {
    let tree = context.tree.borrow().clone();
    let mut contents = BTreeMap::new();
    for path in paths {
        let Some(info) = tree.get(path).filter(|info| info.size_bytes <= SCRIPT_SIZE_BYTES_MAX) else { continue };
        if let Ok(text) = String::from_utf8(read_content(&context.parts.store, info).await?.to_vec()) {
            contents.insert(path.clone(), text);
        }
    }
    Ok(contents)
}

/// Names that one module imports from another in vain.
async fn misfits(context: &JobContext, written: &[FilePath]) -> Verdict {
    let is_script =
        |path: &FilePath| path.as_str().starts_with("src/") && matches!(path.extension(), "js" | "jsx" | "mjs");
    if !written.iter().any(is_script) {
        return Verdict::Fine;
    }
    let scripts: Vec<FilePath> = context.tree.borrow().keys().filter(|path| is_script(path)).cloned().collect();
    let Ok(scripts) = contents(context, &scripts).await else { return Verdict::Unknown(FILES_UNREAD.to_owned()) };
    let missing = module_links::missing_exports(&scripts);
    match missing.first() {
        None => Verdict::Fine,
        Some(first) => {
            let sentences: Vec<String> = missing.iter().map(ToString::to_string).collect();
            broken(&sentences.join("\n"), Some(first.importer.to_string()))
        }
    }
}

fn broken(message: &str, file: Option<String>) -> Verdict {
    Verdict::Broken(PreviewError { message: shorten(message), file, source: PreviewErrorSource::Build })
}

fn shorten(message: &str) -> String {
    let message = message.trim();
    message[..message.floor_char_boundary(MESSAGE_SIZE_BYTES_MAX.min(message.len()))].to_owned()
}

/// The end of a log, in whole characters.
fn tail(log: &str) -> String {
    let log = log.trim();
    log[log.ceil_char_boundary(log.len().saturating_sub(MESSAGE_SIZE_BYTES_MAX / 2))..].to_owned()
}

/// Without the colours that tools print.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..at]);
        let sequence = &rest[at + 2..];
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).map_or(sequence.len(), |end| end + 1);
        rest = &sequence[end..];
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_ends_stay() {
        assert_eq!(plain("a\u{1b}[31mred\u{1b}[0m b\u{1b}["), "ared b");
        assert_eq!(tail(&format!("{}end", "ü".repeat(MESSAGE_SIZE_BYTES_MAX))).len(), MESSAGE_SIZE_BYTES_MAX / 2 - 1);
        assert_eq!(shorten(" ü "), "ü");
    }

    #[test]
    fn a_log_tells_what_is_new_in_it() {
        for (before, now, expected) in [
            ("", "a\n", "a\n"),
            ("a\n", "a\nb\n", "b\n"),
            ("a\n", "a\n", ""),
            ("a\nb\n", "c\n", "c\n"),
            ("a\na\n", "a\na\nb\n", "b\n"),
        ] {
            assert_eq!(news(before, now), expected, "{before:?} {now:?}");
        }
    }
}
