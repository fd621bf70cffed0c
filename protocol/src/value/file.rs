//! Files of the project's tree.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    id::{Invalid, string_newtype},
    path::FilePath,
};

string_newtype! {
    /// SHA-256 of a file's bytes, 64 lower-case hexadecimal digits.
    ContentHash, pattern: "^[0-9a-f]{64}$", max: 64, check: |text| {
        let valid = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid { Ok(()) } else { Err(Invalid("a content hash is 64 lower-case hexadecimal digits".into())) }
    }
}

/// A file of the project's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileEntry {
    /// Where it is.
    pub path: FilePath,
    /// What it holds.
    pub hash: ContentHash,
    /// How long it is.
    pub size_bytes: u64,
}

/// What a run does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum FileAction {
    /// The path is new to the project.
    Create,
    /// The whole file is replaced.
    Replace,
    /// Parts of the file are replaced.
    Edit,
}

/// Where a change of the file tree came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum FileOrigin {
    /// A model's (or client's) reply that was applied.
    Reply,
    /// A participant, by `write_file`, `delete_file` or `rename_file`.
    Participant,
    /// A participant's change and somebody else's, merged.
    Merge,
    /// A restore.
    Restore,
    /// A process in the sandbox, such as an install that changed `package.json`.
    Sandbox,
}

/// How a file's content is written in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As text.
    #[default]
    Utf8,
    /// Base64 with padding, for files that are not UTF-8.
    Base64,
}
