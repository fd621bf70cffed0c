//! The work of a run that waits for its turn, as it lies in the store: as the command that asks for it. So a restart
//! loses nothing of it, and checks it as any command.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use cobuild_protocol::{
    Command, RunId,
    command::{Apply, Delivery, Exec, Generate, ImportRepository, Install, ModelChoice},
    value::ImageData,
};
use serde::{Deserialize, Serialize};

use super::{
    command,
    error::ProjectError,
    event_store::StoredWork,
    queue::Waiting,
    registry::ProjectParts,
    run::{GenerateWork, Picture, Work},
};

/// What is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    /// Whether it interrupted a run and is next.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    urgent: bool,
    /// Those its author came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    party: Option<String>,
    command: Command,
}

/// What is to be known of a run to begin it after a restart.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) urgent: bool,
    pub(crate) party: Option<Arc<str>>,
    pub(crate) work: Work,
}

pub(crate) fn to_store(waiting: &Waiting, urgent: bool) -> StoredWork {
    let party = waiting.party.as_deref().map(str::to_owned);
    let stored = Stored { urgent, party, command: to_command(&waiting.work) };
    let work = serde_json::to_vec(&stored).expect("a command has only string keys and finite numbers");
    StoredWork { run: waiting.run, work: Bytes::from(work) }
}

/// # Errors
///
/// Why the run cannot begin: what it needs is no longer there, such as its model.
pub(crate) fn from_store(parts: &ProjectParts, run: RunId, stored: &[u8]) -> Result<Restored, ProjectError> {
    let Stored { urgent, party, command } = serde_json::from_slice(stored).map_err(|error| {
        tracing::error!(%run, %error, "the work of a waiting run cannot be read");
        ProjectError::Internal
    })?;
    Ok(Restored { urgent, party: party.map(Arc::from), work: command::work(parts, command)? })
}

fn to_command(work: &Work) -> Command {
    match work {
        Work::Generate(GenerateWork { wish, model, fallbacks, apply, verbatim, mode }) => {
            let names = std::iter::once(&model.name).chain(fallbacks).cloned().collect();
            let picture = |Picture { media_type, data }: &Picture| ImageData {
                media_type: *media_type,
                data: BASE64.encode(data),
            };
            Command::Generate(Generate {
                model: Some(ModelChoice::Several(names)),
                apply: *apply,
                verbatim: *verbatim,
                delivery: Delivery::Queue,
                mode: *mode,
                images: wish.images.iter().map(picture).collect(),
                url: wish.url.as_ref().map(|url| url.as_str().to_owned()),
                background: wish.background.clone(),
                ..Generate::new(wish.prompt.clone())
            })
        }
        Work::Apply { reply, packages, edit, leave_out } => Command::Apply(Apply {
            reply: reply.clone(),
            packages: packages.clone(),
            edit: *edit,
            leave_out: leave_out.clone(),
        }),
        Work::Install { packages } => Command::Install(Install { packages: packages.clone() }),
        Work::Import { url } => Command::ImportRepository(ImportRepository { url: url.to_string() }),
        Work::Exec { command, timeout } => {
            let timeout_ms = u64::try_from(timeout.as_millis()).ok();
            Command::Exec(Exec { command: command.clone(), timeout_ms })
        }
    }
}

#[cfg(test)]
mod tests {
    use cobuild_protocol::ParticipantId;

    use super::*;
    use crate::project::testing::TestRoom;

    #[tokio::test]
    async fn every_kind_of_work_comes_back_as_it_was() {
        let room = TestRoom::new().await;
        let parts = room.registry.parts();
        for command in [
            r#"{"type":"apply","reply":"x","packages":["axios@1"],"edit":true,"leave_out":{"files":["package.json"],"merges":true}}"#,
            r#"{"type":"install","packages":["axios"]}"#,
            r#"{"type":"import_repository","url":"git@github.com:owner/name.git"}"#,
            r#"{"type":"generate","prompt":"x","apply":false,"model":"demo/puppet","url":"https://example.com/","background":"b"}"#,
        ] {
            let work = command::work(parts, serde_json::from_str(command).unwrap()).unwrap();
            let (run, before) = (RunId::new(7), format!("{work:?}"));
            let waiting = Waiting { run, by: ParticipantId::new(1), party: Some("link".into()), work };
            for urgent in [false, true] {
                let stored = to_store(&waiting, urgent);
                let restored = from_store(parts, run, &stored.work).unwrap();
                assert_eq!((stored.run, restored.urgent, restored.party.as_deref()), (run, urgent, Some("link")));
                assert_eq!(format!("{:?}", restored.work), before);
            }
        }
        assert!(matches!(from_store(parts, RunId::new(7), b"{"), Err(ProjectError::Internal)));
    }
}
