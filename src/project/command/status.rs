//! `status` and `read_file`: answered from the committed state, without an event.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cobuild_protocol::{FilePath, ProjectId, ProjectState, Seq, command::ReadFile, state::FileInfo, value::Encoding};
use serde_json::{Value, json};

use crate::project::{
    error::ProjectError, event_store::SharedStore, history, sandbox_link::read_content, state::State,
};

/// `{seq, state}`
pub(crate) fn status(state: &State) -> Value {
    let seq: Seq = state.seq;
    json!({ "seq": seq, "state": state.view })
}

/// Of the present state, what a `read_file` asks for: the file, or what an open conflict proposes for it.
pub(crate) fn version_to_read(view: &ProjectState, read: &ReadFile) -> Option<FileInfo> {
    let Some(conflict) = read.conflict else { return view.files.get(&read.path).cloned() };
    let open = view.conflicts.iter().find(|open| open.conflict == conflict && open.path == read.path)?;
    Some(FileInfo { hash: open.proposed.clone()?, size_bytes: open.proposed_size_bytes.unwrap_or(0) })
}

/// A file as it is, as a conflict proposes it, or as it was after an event:
/// `{path, hash, size_bytes, encoding, content}`
pub(crate) async fn read_file(
    store: &SharedStore,
    project: &ProjectId,
    read: &ReadFile,
    now: Option<FileInfo>,
) -> Result<Value, ProjectError> {
    let info = match read.at.filter(|_| read.conflict.is_none()) {
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
