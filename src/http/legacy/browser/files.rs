//! `GET get-sandbox-files` and `POST create-zip`: the project's files in one answer.

use std::{
    collections::BTreeMap,
    io::{Cursor, Write as _},
};

use axum::{
    Json,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cobuild_protocol::{FilePath, state::FileInfo};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    caller::Browser,
    manifest,
    wire::{BrowserArchiveResponse, BrowserFilesResponse},
};
use crate::{
    http::legacy::{refusal::Refusal, sandbox},
    project::{ProjectError, ProjectHandle},
};

/// Endings of files whose content is shown.
const SHOWN_ENDINGS: [&str; 6] = ["jsx", "js", "tsx", "ts", "css", "json"];
/// Larger files are not shown: the whole answer goes into a page's memory, and from there into a prompt.
const SHOWN_SIZE_BYTES_MAX: u64 = 10_000;
/// Most lines of the list of directories.
const STRUCTURE_LINES_MAX: usize = 50;
/// Largest content of an archive that is sent as text. The native endpoint streams, and has no such limit.
const ARCHIVE_SIZE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Directories that are made, not written.
const MADE: [&str; 5] = ["node_modules", ".git", "dist", "build", ".next"];

pub(crate) async fn list(browser: Browser, _: Request) -> Result<Response, Refusal> {
    let handle = browser.handle().await?;
    let (_, view) = handle.state().await?;
    sandbox::present(&view, None).ok_or_else(|| Refusal::not_found("No active sandbox"))?;
    let mut files = BTreeMap::new();
    for (path, info) in view.files.iter().filter(|(path, info)| is_written(path) && is_shown(path, info)) {
        let content = handle.blob(&info.hash).await?;
        if let Ok(text) = std::str::from_utf8(&content) {
            files.insert(path.to_string(), text.to_owned());
        }
    }
    let body = BrowserFilesResponse {
        success: true,
        structure: structure(view.files.keys().filter(|path| is_written(path))),
        file_count: files.len(),
        manifest: manifest::of(&files),
        files,
    };
    Ok(Json(body).into_response())
}

fn is_written(path: &FilePath) -> bool {
    !path.as_str().split('/').any(|segment| MADE.contains(&segment))
}

fn is_shown(path: &FilePath, info: &FileInfo) -> bool {
    SHOWN_ENDINGS.contains(&path.extension()) && info.size_bytes < SHOWN_SIZE_BYTES_MAX
}

/// The directories there are.
fn structure<'a>(paths: impl Iterator<Item = &'a FilePath>) -> String {
    let mut directories = vec![".".to_owned()];
    for path in paths {
        let mut segments: Vec<&str> = path.as_str().split('/').collect();
        segments.pop();
        for depth in 1..=segments.len() {
            let directory = format!("./{}", segments[..depth].join("/"));
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
    }
    directories.truncate(STRUCTURE_LINES_MAX);
    directories.join("\n")
}

pub(crate) async fn zip(browser: Browser, _: Request) -> Result<Response, Refusal> {
    let handle = browser.handle().await?;
    let (_, view) = handle.state().await?;
    sandbox::present(&view, None).ok_or_else(|| Refusal::bad_request("No active sandbox"))?;
    let is_log = |path: &FilePath| path.extension() == "log";
    let files: Vec<(FilePath, FileInfo)> =
        view.files.into_iter().filter(|(path, _)| is_written(path) && !is_log(path)).collect();
    if files.iter().map(|(_, info)| info.size_bytes).sum::<u64>() > ARCHIVE_SIZE_BYTES_MAX {
        let sentence = "The project is too large for one answer; use export.zip of the project";
        return Err(Refusal::Detail(axum::http::StatusCode::PAYLOAD_TOO_LARGE, sentence.into()));
    }
    let archive = archive(&handle, files).await?;
    let body = BrowserArchiveResponse {
        success: true,
        data_url: format!("data:application/zip;base64,{}", STANDARD.encode(archive)),
        file_name: format!("{}.zip", browser.call.project),
        message: "Zip file created successfully".into(),
    };
    Ok(Json(body).into_response())
}

async fn archive(handle: &ProjectHandle, files: Vec<(FilePath, FileInfo)>) -> Result<Vec<u8>, Refusal> {
    let mut contents = Vec::with_capacity(files.len());
    for (path, info) in files {
        contents.push((path, handle.blob(&info.hash).await?));
    }
    let write = move || -> std::io::Result<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, content) in contents {
            archive.start_file(path.as_str(), SimpleFileOptions::default()).map_err(std::io::Error::other)?;
            archive.write_all(&content)?;
        }
        Ok(archive.finish().map_err(std::io::Error::other)?.into_inner())
    };
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(archive)) => Ok(archive),
        Ok(Err(error)) => {
            tracing::error!(%error, "an archive could not be written");
            Err(ProjectError::Internal.into())
        }
        Err(error) => {
            tracing::error!(%error, "writing an archive panicked");
            Err(ProjectError::Internal.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_listed_once() {
        let paths: Vec<FilePath> = ["a.js", "src/ui/a.js", "src/ui/b.js", "src/c.js"]
            .iter()
            .map(|path| path.parse().expect("valid"))
            .collect();
        assert_eq!(structure(paths.iter()), ".\n./src\n./src/ui");
    }

    #[test]
    fn what_is_made_is_left_out() {
        for (path, expected) in
            [("src/a.js", true), ("dist/a.js", false), ("x/build/a.js", false), ("builder.js", true)]
        {
            assert_eq!(is_written(&path.parse().expect("valid")), expected, "{path}");
        }
    }
}
