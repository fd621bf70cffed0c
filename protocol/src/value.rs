//! Values that commands, events and the state share, by what they are about.

mod conversation;
mod file;
mod image;
mod message;
mod people;
mod run;
mod sandbox;
mod usage;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

pub use self::{
    conversation::{ConversationInfo, EditRecord, EditStyle, EvolutionRecord},
    file::{ContentHash, Encoding, FileAction, FileEntry, FileOrigin},
    image::{ImageData, ImageInfo, ImageType},
    message::{FilePartState, Message, MessagePart, MessageRole, PassedOver},
    people::{Participant, Presence, Role},
    run::{GenerateMode, Outcome, OutputStream, RunKind, RunTurn, Step, TurnReason},
    sandbox::{PreviewErrorSource, PreviewInfo, PreviewState, SandboxInfo, SandboxState},
    usage::{Usage, UsageTotal},
};

/// A package or file that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Refusal {
    /// The name as it was written, shortened and without control characters.
    pub name: String,
    /// Why, in one sentence.
    pub reason: String,
}
