//! The room's promises, kept by the core: one writer, append before publish, idempotent commands, runs that end once,
//! files that outlive sandboxes, a stop that is real.

mod durability;
mod files;
mod people;
mod queue;
mod runs;
mod sandbox;

use std::{collections::HashSet, sync::Arc, time::Duration};

use cobuild_protocol::{
    Command, Cursor, ErrorCode, Event, EventFrame, ProjectState, RunId,
    command::{
        Apply, ConflictSide, DeleteFile, Delivery, Exec, Generate, Install, LockFile, ModelChoice, MoveQueued,
        ReadFile, RemoveQueued, RenameFile, ResolveConflict, Restore, SetRole, UnlockFile, WriteFile,
    },
    frame::{AttachMode, ControlFrame},
    state::RunState,
    value::{
        Encoding, FileOrigin, FilePartState, GenerateMode, ImageData, ImageType, MessagePart, Outcome, Presence, Role,
        SandboxState,
    },
};

use super::{
    Cause, Identity, ProjectError,
    event_log::{CloseReason, FeedError},
    event_store::{AppendBatch, EventStore, SharedStore},
    model_provider::{ModelChunk, ModelError, StopReason},
    sandbox_provider::{SandboxError, SandboxFile},
    testing::{Client, TestRoom, accepted_run, generate, project, within},
};
use crate::{
    sandbox::memory::{Ending, MemoryProgram, MemoryProvider},
    store::{
        memory::MemoryStore,
        sqlite::{SqliteOptions, SqliteStore},
        testing::batch,
    },
};

const APP: &str = "Here it is.\n<file path=\"src/App.jsx\">export default () => <h1>Hi</h1>;</file>\nDone.";

fn rejected(reply: &ControlFrame) -> ErrorCode {
    match reply {
        ControlFrame::Rejected(rejected) => rejected.error.code,
        other => panic!("not rejected: {other:?}"),
    }
}

fn write(path: &str, content: &str) -> Command {
    let (path, content) = (path.parse().unwrap(), content.to_owned());
    Command::WriteFile(WriteFile { path, content, encoding: Encoding::Utf8, base: None })
}

fn urgent(prompt: &str) -> Command {
    Command::Generate(Generate { delivery: Delivery::Interrupt, ..Generate::new(prompt) })
}

fn apply(reply: &str) -> Command {
    Command::Apply(Apply { reply: reply.to_owned(), packages: Vec::new(), edit: false, leave_out: Default::default() })
}

fn exec(command: &str) -> Command {
    Command::Exec(Exec { command: command.to_owned(), timeout_ms: None })
}

async fn read(client: &Client, path: &str) -> String {
    let (_, content) = within(client.handle.read_file(&path.parse().unwrap())).await.unwrap();
    String::from_utf8(content.to_vec()).unwrap()
}

async fn accepted_run_end(client: &mut Client, command: Command) -> Outcome {
    let run = accepted_run(&client.send(command).await);
    client.wait_for_end(run).await
}

async fn write_on(client: &mut Client, path: &str, base: &str, content: &str) -> ControlFrame {
    let base = Some(super::content_hash(base.as_bytes()));
    let (path, content) = (path.parse().unwrap(), content.to_owned());
    client.send(Command::WriteFile(WriteFile { path, content, encoding: Encoding::Utf8, base })).await
}
