//! `cobuild watch`

use std::process::ExitCode;

use clap::Args;
use cobuild_protocol::ProjectId;
use tokio_util::sync::CancellationToken;

use super::{
    CliError, identity,
    remote::{Display, RemoteArgs},
    status,
};
use crate::client::{Notice, Replica};

/// Which room.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WatchArgs {
    /// The project
    project: ProjectId,
    /// The name to go by in the room
    #[arg(long, default_value = "Terminal")]
    name: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Shows what happens in a room until `shutdown` is cancelled. A program gets one `snapshot` frame, then every event;
/// after a lost connection what was missed, or another `snapshot`.
pub(super) async fn run(args: WatchArgs, shutdown: CancellationToken) -> Result<ExitCode, CliError> {
    let server = args.remote.server()?;
    // A server that does not answer, or has no such project, is an error at once; later it is waited for.
    let found = server.status(&args.project).await?;
    let mut display = Display::new(&args.remote);
    if let Display::Person(terminal, _) = &mut display {
        status::print(terminal, &found)?;
        terminal.line("")?;
    }
    let mut room = server.room(&args.project, identity::room_options(&server, &args.name));
    let mut replica = Replica::default();
    loop {
        let notice = tokio::select! {
            notice = room.next() => notice,
            () = shutdown.cancelled() => break,
        };
        let Some(notice) = notice else { break };
        replica.follow(&notice);
        match notice {
            Notice::Event(happened) => display.event(&happened, replica.state())?,
            Notice::Snapshot { text, .. } | Notice::Unknown { text, .. } => display.frame(&text)?,
            Notice::Phase(phase) => display.phase(&phase)?,
            Notice::Refused(error) => return Err(error.into()),
            Notice::Fault(error) => display.remark(&error.message)?,
            Notice::Welcome(_) => {}
        }
    }
    room.leave().await;
    Ok(ExitCode::SUCCESS)
}
