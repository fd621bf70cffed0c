//! The command line: what `cobuild` can be told to do.
//!
//! Each subcommand has its file in `cli/`. Nothing here ends the process or reads a signal; `main` does.

mod bench;
mod doctor;
mod export;
mod generate;
mod identity;
mod misuse;
mod models;
mod progress;
mod projects;
mod remote;
mod serve;
mod status;
mod terminal;
mod token;
mod watch;
mod wording;

use std::{io, path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use cobuild_protocol::{ErrorCode, RunId};
use tokio_util::sync::CancellationToken;

pub use self::misuse::Misuse;
use crate::{
    client::{ClientError, CommandError},
    config::{self, Config, LOG_LEVEL_DEFAULT},
    server::StartError,
};

/// Of a process whose output nobody reads any more: as if SIGPIPE had ended it.
const EXIT_CODE_UNREAD: u8 = 141;

/// Rooms in which people and AI models build an app together.
#[derive(Debug, Parser)]
#[command(name = "cobuild", version, args_conflicts_with_subcommands = false)]
pub struct Cli {
    /// What to do; `serve` when nothing is said.
    #[command(subcommand)]
    pub command: Option<CliCommand>,
    /// The settings.
    #[command(flatten, next_help_heading = "Settings of the server")]
    pub config: Config,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum CliCommand {
    /// Run the server (the default)
    Serve,
    /// Check by real probes what the local sandbox keeps in on this machine, and print a table
    Doctor,
    /// Say which models the settings give, try those who have them, and say at which layer one fails
    Models(models::ModelsArgs),
    /// Print a token for a server with a JWT_SECRET
    Token(token::TokenArgs),
    /// Measure this build on this machine
    Bench(bench::BenchArgs),
    /// List a server's projects
    Projects(projects::ProjectsArgs),
    /// Say how a project is
    Status(status::StatusArgs),
    /// Show what happens in a project, as it happens
    Watch(watch::WatchArgs),
    /// Send a prompt and show what becomes of it; the exit code is 0 only when all of it was done
    Generate(generate::GenerateArgs),
    /// Fetch a project's files as a zip archive
    Export(export::ExportArgs),
}

/// Why a subcommand could not do its work. Its text is one sentence for standard error.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Standard output is closed.
    #[error("standard output cannot be written to")]
    Output(#[from] io::Error),
    /// Standard input is closed, or no text.
    #[error("standard input cannot be read")]
    Input(#[source] io::Error),
    /// A file cannot be written.
    #[error("{} cannot be written", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// A server cannot be talked to.
    #[error("{0}")]
    Client(String),
    /// A server did not do what it was told.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A run ended unseen, so long ago that the server no longer tells how.
    #[error("{0} has ended, and the project no longer knows how; its log does")]
    Forgotten(RunId),
    /// The table of models could not be made anew.
    #[error(transparent)]
    Refresh(#[from] models::RefreshError),
    /// A token could not be made.
    #[error(transparent)]
    Token(#[from] token::TokenError),
    /// A measurement could not be made.
    #[error(transparent)]
    Bench(#[from] bench::BenchError),
}

impl Cli {
    /// From the process's arguments and environment.
    ///
    /// # Errors
    ///
    /// [`Misuse`], when they make no sense or ask for help.
    pub fn read() -> Result<Self, Misuse> {
        let command = config::without_empty_variables(Self::command());
        let read = command.clone().try_get_matches().and_then(|mut matches| Self::from_arg_matches_mut(&mut matches));
        read.map_err(|error| Misuse::new(error, &command))
    }

    /// What to log. Commands that print an answer log only what goes wrong, unless asked for more.
    #[must_use]
    pub fn log_level(&self) -> &str {
        match &self.command {
            None | Some(CliCommand::Serve) if self.config.debug && self.config.log_level == LOG_LEVEL_DEFAULT => {
                "debug"
            }
            None | Some(CliCommand::Serve) => &self.config.log_level,
            Some(_) if self.config.log_level == LOG_LEVEL_DEFAULT => "error",
            Some(_) => &self.config.log_level,
        }
    }

    /// Does what was asked, until it is done or `shutdown` is cancelled.
    ///
    /// # Errors
    ///
    /// One sentence for the person at the terminal.
    pub async fn run(self, shutdown: CancellationToken) -> Result<ExitCode, CliError> {
        match self.carry_out(shutdown).await {
            // `cobuild watch … | head`: whoever read the answer has enough, and that is nothing to complain about.
            Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Ok(ExitCode::from(EXIT_CODE_UNREAD))
            }
            done => done,
        }
    }

    async fn carry_out(self, shutdown: CancellationToken) -> Result<ExitCode, CliError> {
        match self.command.unwrap_or(CliCommand::Serve) {
            CliCommand::Serve => serve::run(&self.config, shutdown).await,
            CliCommand::Doctor => doctor::run(&self.config).await,
            CliCommand::Models(args) => models::run(args, &self.config).await,
            CliCommand::Token(args) => token::run(&args, &self.config),
            CliCommand::Bench(args) => bench::run(args, &self.config).await,
            CliCommand::Projects(args) => projects::run(args).await,
            CliCommand::Status(args) => status::run(args).await,
            CliCommand::Watch(args) => watch::run(args, shutdown).await,
            CliCommand::Generate(args) => generate::run(args, shutdown).await,
            CliCommand::Export(args) => export::run(args, shutdown).await,
        }
    }
}

/// With what to do about it.
impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let advice = match &error {
            ClientError::Unreachable { .. } => "; `cobuild serve` starts a server here, --server names another",
            ClientError::Rejected(error) if error.code == ErrorCode::Unauthenticated => " (--token or COBUILD_TOKEN)",
            _ => "",
        };
        Self::Client(format!("{error}{advice}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_may_stand_before_and_behind_the_subcommand() {
        for line in [
            vec!["cobuild", "--port", "4000"],
            vec!["cobuild", "serve", "--port", "4000"],
            vec!["cobuild", "--port", "4000", "serve"],
        ] {
            let cli = Cli::try_parse_from(&line).expect("valid");
            assert_eq!(
                (cli.config.port, cli.command.unwrap_or(CliCommand::Serve)),
                (4000, CliCommand::Serve),
                "{line:?}"
            );
        }
    }
}
