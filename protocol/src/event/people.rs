//! Who came, who left, and what they may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{id::ParticipantId, value::Role};

/// Somebody entered the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ParticipantJoined {
    /// Who.
    pub participant: ParticipantId,
    /// The name they go by.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// A digest by which the server knows them again. Means nothing to clients.
    pub identity: String,
}

/// Somebody's last connection is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ParticipantLeft {
    /// Who.
    pub participant: ParticipantId,
}

/// A participant may do something else from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct RoleChanged {
    /// Who.
    pub participant: ParticipantId,
    /// What they may do; absent: nothing at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}
