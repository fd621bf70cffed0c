//! The command line: what `cobuild` can be told to do.
//!
//! Each subcommand has its file in `cli/`. Nothing here ends the process or reads a signal; `main` does.

mod bench;
mod doctor;
mod serve;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, LOG_LEVEL_DEFAULT},
    server::StartError,
};

/// Rooms in which people and AI models build an app together.
#[derive(Debug, Parser)]
#[command(name = "cobuild", version, args_conflicts_with_subcommands = false)]
pub struct Cli {
    /// What to do; `serve` when nothing is said.
    #[command(subcommand)]
    pub command: Option<CliCommand>,
    /// The settings.
    #[command(flatten)]
    pub config: Config,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum CliCommand {
    /// Run the server (the default)
    Serve,
    /// Check by real probes what the local sandbox keeps in on this machine, and print a table
    Doctor,
    /// Print a token for a server with a JWT_SECRET
    Token(token::TokenArgs),
    /// Measure this build on this machine
    Bench(bench::BenchArgs),
}

/// Why a subcommand could not do its work. Its text is one sentence for standard error.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Standard output is closed.
    #[error("standard output cannot be written to: {0}")]
    Output(#[from] std::io::Error),
    /// A token could not be made.
    #[error(transparent)]
    Token(#[from] token::TokenError),
    /// A measurement could not be made.
    #[error(transparent)]
    Bench(#[from] bench::BenchError),
}

impl Cli {
    /// What to log. Commands that print an answer log only what goes wrong, unless asked for more.
    #[must_use]
    pub fn log_level(&self) -> &str {
        match &self.command {
            Some(CliCommand::Doctor | CliCommand::Bench(_)) if self.config.log_level == LOG_LEVEL_DEFAULT => "error",
            _ => &self.config.log_level,
        }
    }

    /// Does what was asked, until it is done or `shutdown` is cancelled.
    ///
    /// # Errors
    ///
    /// One sentence for the person at the terminal.
    pub async fn run(self, shutdown: CancellationToken) -> Result<ExitCode, CliError> {
        match self.command.unwrap_or(CliCommand::Serve) {
            CliCommand::Serve => serve::run(&self.config, shutdown).await,
            CliCommand::Doctor => doctor::run(&self.config).await,
            CliCommand::Token(args) => token::run(&args, &self.config),
            CliCommand::Bench(args) => bench::run(args, &self.config).await,
        }
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
