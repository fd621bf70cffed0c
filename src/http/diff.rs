//! What changed between two events, as a unified diff that `git apply` and `patch` take.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use cobuild_protocol::{ErrorBody, ErrorCode, FilePath, Seq};
use diffy::DiffOptions;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    HttpState,
    error::Problem,
    extract::{Caller, Parameters},
    rest,
};
use crate::project::{ProjectError, handle::ChangedFile};

/// Diffs worked out at once: each keeps a processor busy.
pub(crate) const DIFFS_MAX: usize = 2;
/// When somebody whom that limit turned away should try again.
const RETRY_AFTER_MS: u64 = 1000;
/// Largest diff. Nobody reads more, and an export has all the files.
const DIFF_SIZE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest file that is compared line by line; the time that takes grows with the square of what differs.
const COMPARED_SIZE_BYTES_MAX: usize = 512 * 1024;

/// Between which events; both belong to it.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Between {
    /// What it was after this event.
    from: Seq,
    /// What it was after that one; absent: now.
    to: Option<Seq>,
}

/// `GET /api/v1/projects/{project}/diff?from=<seq>`
pub(crate) async fn diff(
    State(state): State<HttpState>,
    caller: Caller,
    Parameters(Between { from, to }): Parameters<Between>,
) -> Result<Response, Problem> {
    let handle = rest::readable(&state, &caller).await?;
    let Ok(permit) = Arc::clone(&state.diffs).try_acquire_owned() else {
        let mut error = ErrorBody::new(ErrorCode::RateLimited, "too many diffs are being made; try again");
        error.retry_after_ms = Some(RETRY_AFTER_MS);
        return Err(error.into());
    };
    let mut text = String::new();
    for changed in handle.changes(from, to).await? {
        let ChangedFile { path, before, after } = changed;
        let content = async |hash| match hash {
            Some(hash) => handle.blob(&hash).await.map(Some),
            None => Ok(None),
        };
        let (before, after) = (content(before).await?, content(after).await?);
        let part = state.tasks.spawn_blocking(move || file_diff(&path, before.as_deref(), after.as_deref()));
        text.push_str(&part.await.map_err(|_| ProjectError::Internal)?);
        if text.len() > DIFF_SIZE_BYTES_MAX {
            let limit = DIFF_SIZE_BYTES_MAX / (1024 * 1024);
            return Err(Problem::new(ErrorCode::TooLarge, format!("the diff is larger than {limit} MiB")));
        }
    }
    drop(permit);
    let headers = [(header::CONTENT_TYPE, "text/x-diff; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Bytes::from(text)).into_response())
}

/// One file's part of the diff.
fn file_diff(path: &FilePath, before: Option<&[u8]>, after: Option<&[u8]>) -> String {
    let mut text = format!("diff --git a/{path} b/{path}\n");
    match (before, after) {
        (None, _) => text.push_str("new file mode 100644\n"),
        (_, None) => text.push_str("deleted file mode 100644\n"),
        _ => {}
    }
    let name = |side: &str, content: Option<&[u8]>| match content {
        Some(_) => format!("{side}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let (old, new) = (name("a", before), name("b", after));
    match (comparable(before), comparable(after)) {
        // An empty file has no lines to show.
        (Some(before), Some(after)) if before == after => {}
        (Some(before), Some(after)) => {
            let mut options = DiffOptions::new();
            options.set_original_filename(old).set_modified_filename(new);
            text.push_str(&options.create_patch(before, after).to_string());
        }
        _ => text.push_str(&format!("Binary files {old} and {new} differ\n")),
    }
    text
}

/// The text of what can be compared line by line.
fn comparable(content: Option<&[u8]>) -> Option<&str> {
    let content = content.unwrap_or_default();
    let text = std::str::from_utf8(content).ok()?;
    (text.len() <= COMPARED_SIZE_BYTES_MAX && !text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: Option<&str>, after: Option<&str>, expected: &str) {
        let path = "src/a b.py".parse().expect("valid");
        let text = file_diff(&path, before.map(str::as_bytes), after.map(str::as_bytes));
        assert_eq!(text, format!("diff --git a/src/a b.py b/src/a b.py\n{expected}"));
    }

    #[test]
    fn changed_new_and_deleted_files() {
        check(
            Some("1\n2\n3\n"),
            Some("1\nzwei\n3\n"),
            "--- a/src/a b.py\n+++ b/src/a b.py\n@@ -1,3 +1,3 @@\n 1\n-2\n+zwei\n 3\n",
        );
        check(None, Some("1\n"), "new file mode 100644\n--- /dev/null\n+++ b/src/a b.py\n@@ -0,0 +1 @@\n+1\n");
        check(
            Some("1"),
            None,
            "deleted file mode 100644\n--- a/src/a b.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n\\ No newline at end of file\n",
        );
        check(None, Some(""), "new file mode 100644\n");
    }

    #[test]
    fn what_is_no_text_or_too_long_is_only_named() {
        check(Some("a"), Some("a\0b"), "Binary files a/src/a b.py and b/src/a b.py differ\n");
        let long = "x\n".repeat(COMPARED_SIZE_BYTES_MAX);
        check(Some(&long), None, "deleted file mode 100644\nBinary files a/src/a b.py and /dev/null differ\n");
    }
}
