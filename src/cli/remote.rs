//! What the commands that talk to a server share: which server, who is asking, and how the answer is shown.

use std::{
    convert::Infallible,
    fs,
    io::{self, IsTerminal as _, Stdout, Write as _, stdout},
    path::{Path, PathBuf},
};

use clap::Args;
use cobuild_protocol::ProjectState;

use super::{progress::Progress, terminal::Terminal};
use crate::{
    client::{ClientError, Happened, Phase, Server},
    config,
    secret::Secret,
};

/// Which server, and how to answer.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Which server, and how it answers")]
pub(super) struct RemoteArgs {
    /// The server's address, or a link with a token: the one it printed at start, or a share link
    #[arg(
        long,
        env = "COBUILD_URL",
        hide_env_values = true,
        default_value = "http://localhost:3100",
        value_name = "URL"
    )]
    server: String,
    /// A token, where the server asks for one
    #[arg(long, env = "COBUILD_TOKEN", hide_env_values = true, value_parser = secret)]
    token: Option<Secret>,
    /// A file with the token, read again when the server refuses what was in it, such as an expired one
    #[arg(long, env = "COBUILD_TOKEN_FILE", value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Answer with JSON, one object per line; as when the output is no terminal
    #[arg(long)]
    json: bool,
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

impl RemoteArgs {
    pub(super) fn server(&self) -> Result<Server, ClientError> {
        let Some(file) = self.token_file.clone() else {
            return Server::new(&self.server, self.token.clone().filter(|token| !token.expose().is_empty()));
        };
        let token = token_in(&file)?;
        Ok(Server::new(&self.server, Some(token))?.with_renewal(move || token_in(&file).ok()))
    }

    /// Whether the answer is for a program.
    pub(super) fn wants_json(&self) -> bool {
        self.json || !stdout().is_terminal()
    }
}

fn token_in(file: &Path) -> Result<Secret, ClientError> {
    let refuse = |reason: String| ClientError::Token { file: file.display().to_string(), reason };
    let text = fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() { Err(refuse("it is empty".into())) } else { Ok(Secret::new(token)) }
}

/// Standard output as a terminal, with colours unless they are not wanted.
pub(super) fn terminal() -> Terminal<Stdout> {
    let stdout = stdout();
    let colours = stdout.is_terminal() && config::wants_colours();
    Terminal::new(stdout, colours)
}

/// Shows what happens in a room, as it happens.
#[derive(Debug)]
pub(super) enum Display {
    /// To a person.
    Person(Terminal<Stdout>, Box<Progress>),
    /// To a program: the frames as they come, one per line.
    Program(Stdout),
}

impl Display {
    pub(super) fn new(args: &RemoteArgs) -> Self {
        if args.wants_json() { Self::Program(stdout()) } else { Self::Person(terminal(), Box::default()) }
    }

    pub(super) fn event(&mut self, happened: &Happened, state: &ProjectState) -> io::Result<()> {
        match self {
            Self::Person(terminal, progress) => progress.show(terminal, &happened.frame, state),
            Self::Program(_) => self.frame(&happened.text),
        }
    }

    /// A frame that means nothing to a person.
    pub(super) fn frame(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Person(..) => Ok(()),
            Self::Program(out) => {
                writeln!(out, "{text}")?;
                out.flush()
            }
        }
    }

    /// Something that is not part of the answer: passes by on a terminal, else goes to standard error.
    pub(super) fn remark(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Person(terminal, _) => terminal.status(text),
            Self::Program(_) => writeln!(io::stderr(), "cobuild: {text}"),
        }
    }

    /// Says when the connection is not what it should be.
    pub(super) fn phase(&mut self, phase: &Phase) -> io::Result<()> {
        match phase {
            Phase::Connecting => Ok(()),
            Phase::Waiting { delay, reason } => self
                .remark(&format!("the connection was lost ({reason}); trying again in {:.1} s", delay.as_secs_f32())),
            Phase::Live => match self {
                Self::Person(terminal, _) => terminal.clear_status(),
                Self::Program(_) => Ok(()),
            },
        }
    }
}
