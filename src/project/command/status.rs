//! `status` and `read_file`: answered from the committed state, without an event.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cobuild_protocol::{FilePath, Seq, state::FileInfo, value::Encoding};
use serde_json::{Value, json};

use crate::project::state::State;

/// `{seq, state}`
pub(crate) fn status(state: &State) -> Value {
    let seq: Seq = state.seq;
    json!({ "seq": seq, "state": state.view })
}

/// `{path, hash, size_bytes, encoding, content}`
pub(crate) fn file(path: &FilePath, info: &FileInfo, content: &Bytes) -> Value {
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
