//! `status` and `read_file`: answered from the committed state, without an event.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cobuild_protocol::{FilePath, ProjectId, Seq, command::ReadFile, state::FileInfo, value::Encoding};
use serde_json::{Value, json};

use crate::project::{
    error::ProjectError, event_store::SharedStore, history, sandbox_link::read_content, state::State,
};

/// `{seq, state}`
pub(crate) fn status(state: &State) -> Value {
    let seq: Seq = state.seq;
    json!({ "seq": seq, "state": state.view })
}

/// A file as it is, or as it was after an event: `{path, hash, size_bytes, encoding, content}`
pub(crate) async fn read_file(
    store: &SharedStore,
    project: &ProjectId,
    read: &ReadFile,
    now: Option<FileInfo>,
) -> Result<Value, ProjectError> {
    let info = match read.at {
        None => now,
        Some(seq) => history::tree_at(store, project, seq).await?.remove(&read.path),
    };
    let info = info.ok_or_else(|| ProjectError::NotFound(format!("there is no file {}", read.path)))?;
    let content = read_content(store, &info).await?;
    Ok(file(&read.path, &info, &content))
}

fn file(path: &FilePath, info: &FileInfo, content: &Bytes) -> Value {
    let (encoding, content) = match std::str::from_utf8(content) {
        Ok(text) => (Encoding::Utf8, text.to_owned()),
        Err(_) => (Encoding::Base64, STANDARD.encode(content)),
    };
    json!({
        "path": path,
        "hash": info.hash,
        "size_bytes": info.size_bytes,
        "encoding": encoding,
        "content": content,
    })
}
