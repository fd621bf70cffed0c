//! What travels in one WebSocket text frame, in either direction.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use ts_rs::TS;

use crate::{
    command::Command,
    error::ErrorBody,
    event::EventFrame,
    id::{Cursor, Epoch, ParticipantId, ProjectId, RequestId, RunId, Seq},
    state::ProjectState,
    value::{Presence, Role},
};

/// Anything a client sends. The first frame of a connection is a `hello`; everything after it is a command, a
/// `refresh_token` or a `pong`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, TS)]
#[serde(untagged)]
pub enum ClientFrame {
    /// Attaches the connection to the project.
    Hello(HelloFrame),
    /// Answers a `ping`. Optional: WebSocket pongs and any other frame count as a sign of life too.
    Pong(PongFrame),
    /// Shows a new token before the old one expires.
    RefreshToken(RefreshTokenFrame),
    /// Asks for something.
    Command(CommandFrame),
}

/// By `type`, so that the error says what is wrong with this frame; a derived untagged enum only says that nothing fits.
impl<'de> Deserialize<'de> for ClientFrame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let frame = serde_json::Map::deserialize(deserializer)?;
        let is = |tag: &str| frame.get("type").and_then(|value| value.as_str()) == Some(tag);
        let (hello, pong, refresh) = (is("hello"), is("pong"), is("refresh_token"));
        let frame = serde_json::Value::Object(frame);
        match (hello, pong, refresh) {
            (true, _, _) => serde_json::from_value(frame).map(Self::Hello),
            (_, true, _) => serde_json::from_value(frame).map(Self::Pong),
            (_, _, true) => serde_json::from_value(frame).map(Self::RefreshToken),
            _ => serde_json::from_value(frame).map(Self::Command),
        }
        .map_err(D::Error::custom)
    }
}

/// A command with the id its reply will carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CommandFrame {
    /// What is asked for.
    #[serde(flatten)]
    #[ts(flatten)]
    pub command: Command,
    /// Chosen by the client, unique within the project.
    pub id: RequestId,
}

/// Defines a unit type that is one fixed string on the wire, so that a frame's `type` is part of its Rust type.
macro_rules! tag {
    ($name:ident, $text:literal) => {
        #[doc = concat!(" The fixed text `", $text, "`.")]
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
        pub enum $name {
            #[doc = concat!("`", $text, "`")]
            #[default]
            #[serde(rename = $text)]
            Tag,
        }
    };
}

tag!(HelloTag, "hello");
tag!(PongTag, "pong");
tag!(RefreshTokenTag, "refresh_token");

/// The first frame of a connection: `{"type":"hello","protocol":1,…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct HelloFrame {
    /// Always `hello`.
    #[serde(rename = "type")]
    pub tag: HelloTag,
    /// The protocol version the client speaks.
    pub protocol: u32,
    /// Who the client is, where the server asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The name to go by; at most 64 characters count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A random text the client keeps (a UUID in local storage), so that it is the same participant after a
    /// reconnect. Nobody else gets to see it. Ignored where a token says who the client is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// For how many milliseconds adjacent deltas are collected into one frame: 0 (each at once, the default), 20 or 40.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollup_ms: Option<u32>,
    /// What the client has already seen; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Cursor>,
}

/// Answers a `ping`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct PongFrame {
    /// Always `pong`.
    #[serde(rename = "type")]
    pub tag: PongTag,
    /// The last event the client has applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
}

/// Shows a new token before the old one expires: `result` with `{expires_at}`, or `rejected`, and then the old token
/// counts on. The new token must be the same person's. When it gives another role, the connection is closed with 4000
/// behind the result: come back with the new token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct RefreshTokenFrame {
    /// Always `refresh_token`.
    #[serde(rename = "type")]
    pub tag: RefreshTokenTag,
    /// What the reply will carry.
    pub id: RequestId,
    /// The new token.
    pub token: String,
}

/// Anything the server sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(untagged)]
pub enum ServerFrame {
    /// Everything but events.
    Control(ControlFrame),
    /// Something that happened, to everybody in order.
    Event(EventFrame),
}

/// What the server sends to one client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
// A frame lives for the moment between being made and being written; where many wait, they are boxed.
#[allow(clippy::large_enum_variant)]
pub enum ControlFrame {
    /// The answer to `hello`.
    Welcome(Welcome),
    /// The project's state, in place of a replay.
    Snapshot(Box<SnapshotFrame>),
    /// The end of the replay or snapshot; what follows is live.
    Synced(Synced),
    /// A command will be or has been carried out.
    Accepted(Accepted),
    /// The answer to a command that only reads.
    Result(ResultFrame),
    /// A command will not be carried out, or a frame could not be read.
    Rejected(Rejected),
    /// A sign of life, every `heartbeat_ms`.
    Ping(Ping),
    /// Where people are and what they are doing now. Not part of the log and never replayed.
    Presence(PresenceFrame),
}

/// How a connection catches up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum AttachMode {
    /// There is nothing to catch up with.
    Live,
    /// Every missed event follows, then `synced`.
    Resumed,
    /// A `snapshot` follows, then `synced`. What the client had is void.
    Snapshot,
}

/// The answer to `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Welcome {
    /// The protocol version the server speaks.
    pub protocol: u32,
    /// Which project.
    pub project: ProjectId,
    /// The life of the log that `seq` counts in.
    pub epoch: Epoch,
    /// The last event there is.
    pub head: Seq,
    /// How the client catches up.
    pub mode: AttachMode,
    /// Who the client is.
    pub participant: ParticipantId,
    /// What it may do.
    pub role: Role,
    /// How often the server sends `ping`. A client that hears nothing for twice as long reconnects.
    pub heartbeat_ms: u64,
    /// What the server accepts.
    pub limits: Limits,
    /// The model used when `generate` names none, and what to say about it.
    pub default_model: ModelNotice,
}

/// A model and what its users must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ModelNotice {
    /// `provider/model`.
    pub model: String,
    /// Such as "Demo – canned answers, no AI".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// What the server accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Limits {
    /// Largest frame from a client.
    pub frame_size_bytes_max: u64,
    /// Largest prompt.
    pub prompt_size_bytes_max: u64,
    /// Largest file.
    pub file_size_bytes_max: u64,
    /// Most files in a project.
    pub files_max: u64,
    /// Most runs waiting in the queue.
    pub queue_max: u64,
    /// Most of these of one participant, or of all guests of one share link together.
    #[serde(default)]
    pub queue_share_max: u64,
    /// Most pictures of one prompt.
    pub images_max: u64,
    /// Largest picture; all of a prompt's must fit into one frame besides.
    pub image_size_bytes_max: u64,
    /// Frames of one connection per second, for ever.
    #[serde(default)]
    pub frames_per_second_max: u64,
    /// Frames of one connection at once.
    #[serde(default)]
    pub frames_burst_max: u64,
    /// Commands of one connection without a reply; nothing more is read from it until one is answered.
    #[serde(default)]
    pub commands_under_way_max: u64,
    /// Commands of one participant per second, for ever, over all connections and plain requests.
    #[serde(default)]
    pub participant_commands_per_second_max: u64,
    /// Commands of one participant at once, over all connections and plain requests.
    #[serde(default)]
    pub participant_commands_burst_max: u64,
    /// Connections of one participant to one project, or of all guests of one share link.
    #[serde(default)]
    pub participant_connections_max: u64,
    /// Connections to one project, event streams among them.
    #[serde(default)]
    pub project_connections_max: u64,
    /// Connections to the server, of all kinds; whoever comes beyond that waits until one ends.
    #[serde(default)]
    pub server_connections_max: u64,
    /// Projects of the server.
    #[serde(default)]
    pub projects_max: u64,
}

/// The project's state as of `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct SnapshotFrame {
    /// The last event that is part of it.
    pub seq: Seq,
    /// The fold of all events up to `seq`.
    pub state: ProjectState,
}

/// The end of the replay or snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Synced {
    /// The last event the client has now.
    pub seq: Seq,
}

/// A command will be or has been carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Accepted {
    /// The command.
    pub id: RequestId,
    /// The run it began, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The event that records it; for a command with nothing left to do, the log's head.
    pub seq: Seq,
}

/// The answer to a command that only reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ResultFrame {
    /// The command.
    pub id: RequestId,
    /// What was asked for; its shape is documented with the command.
    #[ts(type = "unknown")]
    pub data: serde_json::Value,
}

/// A command will not be carried out, or a frame could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Rejected {
    /// The command; absent when the frame had no readable id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// Why.
    pub error: ErrorBody,
}

/// Where people are and what they are doing now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PresenceFrame {
    /// Those whose presence is new since the last such frame; the first frame has everybody's. `null`: they have left.
    pub participants: BTreeMap<ParticipantId, Option<Presence>>,
}

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Ping {
    /// The last event there is. A client whose own last event is behind for longer than one heartbeat re-attaches.
    pub head: Seq,
}
