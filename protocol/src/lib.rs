//! The wire types of the Cobuild protocol, version 1.
//!
//! Everything a client can send ([`ClientFrame`]) and receive ([`ServerFrame`]) is in this crate, with the values
//! they share. JSON Schema (`schema/protocol.json`), AsyncAPI (`schema/asyncapi.json`) and TypeScript
//! (`web-demo/src/protocol.ts`) are generated from it by `cargo run -p cobuild-protocol --bin export`. The crate knows
//! nothing of the server: no runtime, no IO.
//!
//! | room | owns |
//! |---|---|
//! | [`frame`] | what travels in one WebSocket text frame, in either direction |
//! | [`command`] | what a client may ask for: one variant and one payload struct each |
//! | [`event`] | what happened in a project, in order |
//! | [`state`] | the fold of all events: what a snapshot contains |
//! | [`value`] | values that commands, events and the state share |
//! | [`id`], [`path`], [`package`] | validated identifiers, file paths and npm package names |
//! | [`model`] | the models a server offers, as `GET /api/v1/models` lists them |
//! | [`error`] | error codes, error bodies, close codes |
//! | [`export`], [`asyncapi`] | the same as JSON Schema, AsyncAPI and TypeScript |

pub mod asyncapi;
pub mod command;
pub mod error;
pub mod event;
pub mod export;
pub mod frame;
pub mod id;
pub mod model;
pub mod package;
pub mod path;
pub mod state;
pub mod value;

pub use command::Command;
pub use error::{CloseCode, ErrorBody, ErrorCode};
pub use event::{Event, EventFrame};
pub use frame::{ClientFrame, CommandFrame, ServerFrame};
pub use id::{ConflictId, Cursor, Epoch, MessageId, ParticipantId, ProjectId, RequestId, RunId, Seq};
pub use package::PackageSpec;
pub use path::FilePath;
pub use state::ProjectState;

/// The protocol version this crate describes. A client states it in `hello`; another number is answered with close
/// code `4505`.
pub const PROTOCOL_VERSION: u32 = 1;
