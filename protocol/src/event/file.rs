//! Changes of the project's files, and what keeps them from being lost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    id::{ConflictId, ParticipantId, Seq},
    path::FilePath,
    value::{ContentHash, FileEntry, FileOrigin, Refusal},
};

/// The project exists, with the files of its template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ProjectCreated {
    /// Its name for people; the id unless somebody chose one.
    pub name: String,
    /// The template it started from: `react-vite`.
    pub template: String,
    /// The first label of the preview's host name: 32 hexadecimal digits, unguessable, never reused.
    pub preview_id: String,
    /// The template's files.
    pub files: Vec<FileEntry>,
}

/// A file of the tree has new content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileWritten {
    /// Where.
    pub path: FilePath,
    /// What it holds now.
    pub hash: ContentHash,
    /// How long it is.
    pub size_bytes: u64,
    /// Where the change came from.
    pub origin: FileOrigin,
}

/// A file left the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileDeleted {
    /// Where.
    pub path: FilePath,
    /// Where the change came from.
    pub origin: FileOrigin,
}

/// A file of the tree moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileRenamed {
    /// From where.
    pub from: FilePath,
    /// To where.
    pub to: FilePath,
}

/// A file of a reply was not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileRefused {
    /// The path as the reply spelled it, shortened and without control characters.
    pub path: String,
    /// Why, in one sentence.
    pub reason: String,
}

/// Two changes of one file could not be merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct FileConflicted {
    /// Names the conflict.
    pub conflict: ConflictId,
    /// Where.
    pub path: FilePath,
    /// What is in the tree; absent: the file is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<ContentHash>,
    /// What could not be merged into it; absent: it was to be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<ContentHash>,
    /// How long that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed_size_bytes: Option<u64>,
    /// Why, in one sentence.
    pub reason: String,
}

/// Somebody decided between two versions. A change of the file, if any, follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ConflictResolved {
    /// Which conflict.
    pub conflict: ConflictId,
}

/// A file may be changed by one participant only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileLocked {
    /// Where.
    pub path: FilePath,
    /// By whom.
    pub participant: ParticipantId,
}

/// A file may be changed by everybody again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FileUnlocked {
    /// Where.
    pub path: FilePath,
}

/// The files are as they were after an earlier event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Restored {
    /// That event.
    pub to: Seq,
}

/// The files are those of a git repository now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct RepositoryImported {
    /// Where it was fetched from.
    pub url: String,
    /// Its name: the last part of its address.
    pub name: String,
    /// Its default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit the files are from; absent: the repository is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// How many files were taken over.
    pub files: u32,
    /// What was left out, the first 50, with the reason.
    pub left_out: Vec<Refusal>,
    /// How many were left out altogether.
    pub left_out_total: u32,
}
