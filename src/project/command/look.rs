//! How an app is after a change: looked at in the sandbox that there is by then, and said to the room. Sandboxes may die
//! meanwhile; the next one is made from the same files, so what dies is no reason to take anything back.

use std::sync::Arc;

use cobuild_protocol::{
    Event, FilePath,
    event::{PreviewChanged, PreviewError, PreviewUnchecked},
    value::{PreviewErrorSource, PreviewState},
};

use super::preview_check::{self, Before, SANDBOX_GONE, Verdict};
use crate::{
    codegen::reply_path::Layout,
    project::{error::ProjectError, run::JobContext, sandbox_link::SandboxLink, sandbox_provider::SandboxError},
};

/// Sandboxes that one step may see die. Whatever kills three in a row kills the next one, too.
const SANDBOXES_MAX: usize = 3;
/// Why it is not known how an app is whose page says nothing.
const PAGE_SILENT: &str = "the dev server serves it, but the page that is open did not say in time how it is";

/// Why an app does not work.
#[derive(Debug)]
pub(super) enum Problem {
    /// An install or a command failed, in its own words.
    Process(String),
    /// The preview shows an error.
    Preview(PreviewError),
}

impl Problem {
    /// Whether nobody but a page can see it.
    pub(super) fn is_on_page(&self) -> bool {
        matches!(self, Self::Preview(PreviewError { source: PreviewErrorSource::Page, .. }))
    }
}

/// How much of an app could be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing: there is no sandbox, or no dev server.
    Nothing,
    /// What the dev server serves. A page is open, but says nothing.
    Served,
    /// Everything that can be.
    All,
}

/// Where an app runs.
pub(super) enum Place {
    /// In this sandbox, which holds the tree as it is now.
    Sandbox(Arc<SandboxLink>),
    /// Nowhere: there is none, and none is being made.
    None(SandboxError),
}

/// A sandbox that holds the tree as it is now. One that dies meanwhile is followed by the next, where there is one.
///
/// # Errors
///
/// It lives, and does not take the files.
pub(super) async fn place(context: &JobContext) -> Result<Place, SandboxError> {
    let mut lost = SandboxError::Lost(SANDBOX_GONE.to_owned());
    for _ in 0..SANDBOXES_MAX {
        let link = match context.link().await {
            Ok(link) => link,
            Err(error) => return Ok(Place::None(error)),
        };
        match link.push().await {
            Ok(()) => return Ok(Place::Sandbox(link)),
            Err(error @ SandboxError::Lost(_)) if link.turns_out_lost().await => lost = error,
            Err(error) => return Err(error),
        }
    }
    Ok(Place::None(lost))
}

/// Looks at the preview, and says to the room how it is. What an app throws when it has come to rest, and before the room
/// was told that it is well, counts.
pub(super) async fn at_preview(
    context: &JobContext,
    written: &[FilePath],
    before: &Before,
) -> Result<(Option<Problem>, Seen), ProjectError> {
    // What a repository shows, if anything, is not known: its processes are all there is to look at.
    if context.layout == Layout::Repository {
        if let Err(error) = place(context).await {
            tracing::info!(run = %context.run, %error, "the sandbox does not hold the files");
        }
        return Ok((None, Seen::All));
    }
    match verdict(context, written, before).await {
        Verdict::Fine => {
            let url = Some(context.preview_url.clone());
            let ready = PreviewChanged { state: PreviewState::Ready, url, error: None };
            context.reporter.event(Event::PreviewChanged(ready)).await?;
            Ok((late(context, before).await?, Seen::All))
        }
        Verdict::Served => {
            unchecked(context, PAGE_SILENT.to_owned()).await?;
            Ok((late(context, before).await?, Seen::Served))
        }
        Verdict::Broken(problem) => {
            context.reporter.event(Event::PreviewError(problem.clone())).await?;
            Ok((Some(Problem::Preview(problem)), Seen::All))
        }
        Verdict::Unknown(reason) => {
            unchecked(context, reason).await?;
            Ok((late(context, before).await?, Seen::Nothing))
        }
    }
}

/// Says that nobody knows how the app is.
pub(super) async fn unchecked(context: &JobContext, reason: String) -> Result<(), ProjectError> {
    if context.layout == Layout::App {
        context.reporter.event(Event::PreviewUnchecked(PreviewUnchecked { reason })).await?;
    }
    Ok(())
}

async fn verdict(context: &JobContext, written: &[FilePath], before: &Before) -> Verdict {
    for _ in 0..SANDBOXES_MAX {
        let link = match place(context).await {
            Ok(Place::Sandbox(link)) => link,
            Ok(Place::None(error)) | Err(error) => return Verdict::Unknown(error.to_string()),
        };
        let verdict = preview_check::check(context, &link, written, before).await;
        if !link.is_lost() {
            return verdict;
        }
    }
    Verdict::Unknown(SANDBOX_GONE.to_owned())
}

async fn late(context: &JobContext, before: &Before) -> Result<Option<Problem>, ProjectError> {
    let Some(problem) = before.late() else { return Ok(None) };
    context.reporter.event(Event::PreviewError(problem.clone())).await?;
    Ok(Some(Problem::Preview(problem)))
}
