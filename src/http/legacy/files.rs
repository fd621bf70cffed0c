//! `GET /api/get-sandbox-files` and `POST /api/create-zip`: the project's tree, which is what its sandbox holds.

use axum::{
    Json,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use cobuild_protocol::FilePath;

use super::{
    body,
    caller::Call,
    refusal::Refusal,
    sandbox::{self, NOT_FOUND_CREATE, SANDBOX_PARAMETER, query_of},
    wire::{CreateZipRequest, GetFilesResponse},
};
use crate::http::{HttpState, export};

pub(super) async fn list(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let query = query_of(&request);
    let call = Call::of_header(&state, &request).await?;
    let handle = call.handle().await?;
    let (_, view) = handle.state().await?;
    let wanted = query.get(SANDBOX_PARAMETER).map(String::as_str);
    sandbox::present(&view, wanted).ok_or_else(|| Refusal::not_found(NOT_FOUND_CREATE))?;
    let below = folder(query.get("path").map_or(".", String::as_str))?;
    let is_below = |path: &&FilePath| match &below {
        Some(folder) => {
            path.as_str() == folder || path.as_str().strip_prefix(folder).is_some_and(|r| r.starts_with('/'))
        }
        None => true,
    };
    let files: Vec<String> = view.files.keys().filter(is_below).map(ToString::to_string).collect();
    Ok(Json(GetFilesResponse { success: true, total_count: files.len(), files }).into_response())
}

/// A folder of the project; `None` for its root.
fn folder(path: &str) -> Result<Option<String>, Refusal> {
    let mut path = path.trim().trim_end_matches('/');
    while let Some(rest) = path.strip_prefix('/').or_else(|| path.strip_prefix("./")) {
        path = rest;
    }
    if matches!(path, "" | ".") {
        return Ok(None);
    }
    let is_outside = path.split('/').any(|segment| segment == "..") || path.chars().any(char::is_control);
    if is_outside {
        return Err(Refusal::bad_request("Failed to list files: the path is not inside the project"));
    }
    Ok(Some(path.to_owned()))
}

pub(super) async fn zip(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let call = Call::of_header(&state, &request).await?;
    let CreateZipRequest { files, sandbox_id } = body::read(request).await?;
    let wanted = files.unwrap_or_default();
    let handle = call.handle().await?;
    let (_, view) = handle.state().await?;
    sandbox::present(&view, sandbox_id.as_deref()).ok_or_else(|| Refusal::not_found(NOT_FOUND_CREATE))?;
    let wanted: Vec<&str> = wanted.iter().map(|path| path.trim_start_matches("./").trim_start_matches('/')).collect();
    let files = view.files.into_iter().filter(|(path, _)| wanted.is_empty() || wanted.contains(&path.as_str()));
    let body = export::body(&state, handle.clone(), files.collect())?;
    let disposition = format!("attachment; filename={}-sandbox.zip", call.project);
    let headers = [(header::CONTENT_TYPE, "application/zip".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_of_the_project() {
        for (path, expected) in [
            (".", None),
            ("", None),
            ("/", None),
            ("./", None),
            ("src", Some("src")),
            ("./src/", Some("src")),
            ("/src/components", Some("src/components")),
        ] {
            assert_eq!(folder(path).ok().flatten().as_deref(), expected, "{path}");
        }
        for path in ["..", "src/../..", "../etc", "a\nb"] {
            assert!(folder(path).is_err(), "{path}");
        }
    }
}
