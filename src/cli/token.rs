//! `cobuild token`: a token for a server that knows the same `JWT_SECRET`.

use std::{
    collections::BTreeMap,
    io::{Write as _, stdout},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use cobuild_protocol::{ProjectId, value::Role};
use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;

use super::CliError;
use crate::{
    config::Config,
    http::auth::{Claims, check_secret, sign},
};

/// Random bytes of the subject of a token without a name.
const SUBJECT_BYTES: usize = 8;
/// The longest a token may count.
const HOURS_MAX: i64 = 10 * 366 * 24;

/// What the token says.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TokenArgs {
    /// The project it is for; `*` for all. May be given several times
    #[arg(long, required = true, value_parser = project)]
    project: Vec<String>,
    /// What its holder may do there
    #[arg(long, value_enum, default_value = "editor")]
    role: RoleArgument,
    /// How long it counts
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(i64).range(1..=HOURS_MAX))]
    hours: i64,
    /// The name its holder goes by
    #[arg(long)]
    name: Option<String>,
    /// Who its holder is: the same text is the same participant. Without it, somebody new
    #[arg(long)]
    subject: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArgument {
    Owner,
    Editor,
    Viewer,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is nothing to sign with.
    #[error("there is no JWT_SECRET to sign with; set the one the server has")]
    NoSecret,
    /// No server would start with this secret.
    #[error(transparent)]
    Secret(#[from] crate::http::DoorError),
    /// The library failed.
    #[error("the token could not be signed: {0}")]
    Sign(String),
}

/// Prints the token, and nothing else, to standard output.
pub(super) fn run(args: &TokenArgs, config: &Config) -> Result<ExitCode, CliError> {
    let token = make(args, config, Timestamp::now())?;
    writeln!(stdout(), "{token}")?;
    Ok(ExitCode::SUCCESS)
}

fn make(args: &TokenArgs, config: &Config, now: Timestamp) -> Result<String, TokenError> {
    let secret = config.jwt_secret.as_ref().ok_or(TokenError::NoSecret)?;
    check_secret(secret)?;
    let role = match args.role {
        RoleArgument::Owner => Role::Owner,
        RoleArgument::Editor => Role::Editor,
        RoleArgument::Viewer => Role::Viewer,
    };
    let projects: BTreeMap<_, _> = args.project.iter().map(|project| (project.clone(), role)).collect();
    let claims = Claims {
        sub: Some(args.subject.clone().unwrap_or_else(somebody)),
        name: args.name.clone(),
        projects: Some(projects),
        exp: Some((now + SignedDuration::from_hours(args.hours)).as_second().into()),
        nbf: None,
    };
    sign(&claims, secret).map_err(|error| TokenError::Sign(error.to_string()))
}

fn somebody() -> String {
    let mut bytes = [0_u8; SUBJECT_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

fn project(text: &str) -> Result<String, String> {
    match text {
        "*" => Ok(text.into()),
        id => id.parse::<ProjectId>().map(String::from).map_err(|error| error.to_string()),
    }
}
