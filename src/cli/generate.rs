//! `cobuild generate`

use std::{
    io::{self, Read as _},
    process::ExitCode,
};

use clap::Args;
use cobuild_protocol::{
    Command, Event, EventFrame, ProjectId, RequestId, RunId, Seq,
    command::{Cancel, Generate, ModelChoice},
    state::{RunInfo, RunState},
    value::Outcome,
};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

use super::{
    CliError, identity,
    remote::{Display, RemoteArgs},
};
use crate::client::{CommandError, Commander, Notice, Phase, Replica, Reply, Room, Server, new_id};

/// Of a process that was asked to stop, as shells have it.
const EXIT_CODE_CANCELLED: u8 = 130;
/// Most that is read from standard input: more than any server takes, and too little to be read for ever.
const PROMPT_SIZE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What to build, and where.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct GenerateArgs {
    /// The project; made when there is none
    project: ProjectId,
    /// What to build or change; `-` reads it from standard input
    prompt: String,
    /// Who answers, as `provider/model`; the server's default when nothing is said. Given several times: the first of
    /// them that answers
    #[arg(long)]
    model: Vec<String>,
    /// The name to go by in the room
    #[arg(long, default_value = "Terminal")]
    name: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Sends a prompt and shows its run until it ends. The exit code is 0 only when it completed. `shutdown` cancels it.
pub(super) async fn run(args: GenerateArgs, shutdown: CancellationToken) -> Result<ExitCode, CliError> {
    let server = args.remote.server()?;
    let prompt = match args.prompt.as_str() {
        "-" => io::read_to_string(io::stdin().lock().take(PROMPT_SIZE_BYTES_MAX)).map_err(CliError::Input)?,
        _ => args.prompt,
    };
    make_sure_of(&server, &args.project).await?;
    let mut room = server.room(&args.project, identity::room_options(&server, &args.name));
    let model = match <[String; 1]>::try_from(args.model) {
        Ok([name]) => Some(ModelChoice::One(name)),
        Err(names) => (!names.is_empty()).then_some(ModelChoice::Several(names)),
    };
    let generate = Generate { model, ..Generate::new(prompt) };
    let mut prompted = Prompted::new(room.commander().clone(), Display::new(&args.remote));
    prompted.send(Command::Generate(generate));
    let outcome = prompted.until_it_ends(&mut room, &shutdown).await?;
    room.leave().await;
    Ok(match outcome {
        Some(Outcome::Completed) => ExitCode::SUCCESS,
        _ if shutdown.is_cancelled() => ExitCode::from(EXIT_CODE_CANCELLED),
        _ => ExitCode::FAILURE,
    })
}

async fn make_sure_of(server: &Server, project: &ProjectId) -> Result<(), CliError> {
    match server.status(project).await {
        Ok(_) => {}
        Err(error) if error.is_not_found() => drop(server.create(project).await?),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// A prompt on its way to its end.
struct Prompted {
    commander: Commander,
    /// The id of the command that sends the prompt.
    command: RequestId,
    /// Known from the reply or the first event, whichever comes first.
    run: Option<RunId>,
    /// The event that records the command; its reply may overtake it.
    accepted: Option<Seq>,
    replies: FuturesUnordered<BoxFuture<'static, Result<Reply, CommandError>>>,
    replica: Replica,
    display: Display,
    live: bool,
}

impl Prompted {
    fn new(commander: Commander, display: Display) -> Self {
        let (replies, replica) = (FuturesUnordered::new(), Replica::default());
        Self { commander, command: new_id(), run: None, accepted: None, replies, replica, display, live: false }
    }

    fn send(&self, command: Command) {
        let (commander, id) = (self.commander.clone(), self.command.clone());
        let id = if matches!(command, Command::Generate(_)) { id } else { new_id() };
        self.replies.push(Box::pin(async move { commander.send_as(id, command).await }));
    }

    /// `None`: given up, because the server cannot be reached to cancel it.
    async fn until_it_ends(
        &mut self,
        room: &mut Room,
        shutdown: &CancellationToken,
    ) -> Result<Option<Outcome>, CliError> {
        let (mut warned, mut cancelling) = (false, false);
        loop {
            tokio::select! {
                notice = room.next() => self.follow(notice.ok_or(CommandError::Ended)?)?,
                Some(reply) = self.replies.next() => {
                    if let Reply::Accepted(accepted) = reply? {
                        self.run = self.run.or(accepted.run);
                        self.accepted = self.accepted.or(Some(accepted.seq));
                    }
                }
                () = shutdown.cancelled(), if !warned => {
                    warned = true;
                    self.display.remark("cancelling the run; once more to leave at once")?;
                }
            }
            if let Some(outcome) = self.outcome()? {
                return Ok(Some(outcome));
            }
            if shutdown.is_cancelled() && !cancelling {
                match self.run {
                    Some(run) => {
                        cancelling = true;
                        self.send(Command::Cancel(Cancel { run }));
                    }
                    None if self.live => {}
                    None => {
                        self.display.remark("the server is out of reach; it may have got the prompt")?;
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn follow(&mut self, notice: Notice) -> Result<(), CliError> {
        self.replica.follow(&notice);
        match notice {
            Notice::Event(happened) => {
                if happened.frame.command.as_ref() == Some(&self.command) {
                    self.run = self.run.or(happened.frame.run);
                }
                if self.concerns(&happened.frame) {
                    self.display.event(&happened, self.replica.state())?;
                }
            }
            // In the middle of the run it stands for what was missed.
            Notice::Snapshot { text, .. } if self.run.is_some() => self.display.frame(&text)?,
            Notice::Unknown { text, .. } if self.run.is_some() => self.display.frame(&text)?,
            Notice::Phase(phase) => {
                self.live = phase == Phase::Live;
                self.display.phase(&phase)?;
            }
            Notice::Refused(error) => return Err(error.into()),
            Notice::Fault(error) => self.display.remark(&error.message)?,
            Notice::Welcome(_) | Notice::Snapshot { .. } | Notice::Unknown { .. } => {}
        }
        Ok(())
    }

    /// Whether an event is shown. A program gets all there is from the prompt on; a person what belongs to the run, and
    /// how the app can be looked at.
    fn concerns(&self, frame: &EventFrame) -> bool {
        let is_room = matches!(
            frame.event,
            Event::SandboxChanged(_) | Event::PreviewChanged(_) | Event::PreviewError(_) | Event::PreviewUnchecked(_)
        );
        match (&self.display, self.run) {
            (_, None) => false,
            (Display::Program(_), Some(_)) => true,
            (Display::Person(..), Some(run)) => is_room || frame.run == Some(run),
        }
    }

    /// How the run ended, once it has.
    fn outcome(&self) -> Result<Option<Outcome>, CliError> {
        let Some(run) = self.run else { return Ok(None) };
        let known = |info: &&RunInfo| info.run == run;
        match self.replica.state().runs.iter().find(known) {
            Some(info) if info.state == RunState::Finished => Ok(info.outcome),
            Some(_) => Ok(None),
            // The state has come that far and yet does not know it: it ended while we were away, and a hundred others since.
            None if self.accepted.is_some_and(|seq| seq <= self.replica.seq()) => Err(CliError::Forgotten(run)),
            None => Ok(None),
        }
    }
}
