//! Who is in the room, what they may do, and where they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{id::ParticipantId, path::FilePath};

/// Somebody in the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Participant {
    /// Who.
    pub participant: ParticipantId,
    /// The name they go by.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether an owner has removed them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub removed: bool,
    /// Whether they have a connection now.
    pub present: bool,
}

/// What a participant may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everything, changes nothing.
    Viewer,
    /// Everything but administration of the project.
    Editor,
    /// Everything.
    Owner,
}

/// Where a participant is and what they are doing. Everything is optional; what is absent is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Presence {
    /// The file they look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,
    /// The line they are at, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The path of the preview they look at: `/about`; at most 512 characters count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Whether they are writing a prompt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub typing: bool,
    /// Whom they follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub following: Option<ParticipantId>,
}
