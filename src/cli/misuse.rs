//! Command lines and settings that make no sense.

use std::error::Error as _;

use clap::{
    Arg, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Why there is nothing to do.
#[derive(Debug)]
pub enum Misuse {
    /// The command line cannot be understood, or asks for help: clap says what and how the process ends.
    CommandLine(clap::Error),
    /// A setting – a flag or a variable – has a value it cannot have. One sentence for the person who set it.
    Setting(String),
}

impl Misuse {
    pub(super) fn new(error: clap::Error, command: &Command) -> Self {
        match sentence(&error, command) {
            Some(sentence) => Self::Setting(sentence),
            None => Self::CommandLine(error),
        }
    }
}

/// What is wrong with a setting's value. Where the value came from clap does not say, so both are named.
fn sentence(error: &clap::Error, command: &Command) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return None;
    }
    // Such as `--port <PORT>`, or `--debug[=<DEBUG>]`.
    let flag = text(error, ContextKind::InvalidArg)?.split([' ', '=', '[']).next()?;
    let setting = find(command, flag.strip_prefix("--")?)?;
    let variable = setting.get_env()?.to_str()?;
    let value = match text(error, ContextKind::InvalidValue)? {
        // The flag stands alone, and the command line is what is wrong.
        "" if error.kind() == ErrorKind::InvalidValue => return None,
        "" => "empty",
        _ if setting.is_hide_env_values_set() => "what it is",
        value => &format!("`{value}`"),
    };
    let reason = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) => format!("it is one of {}", valid.join(", ")),
        _ => error.source()?.to_string(),
    };
    Some(format!("{flag} or {variable} cannot be {value}: {reason}"))
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

/// An argument of the command or of one of its subcommands, by its long name.
fn find<'a>(command: &'a Command, long: &str) -> Option<&'a Arg> {
    let own = command.get_arguments().find(|arg| arg.get_long() == Some(long));
    own.or_else(|| command.get_subcommands().find_map(|subcommand| find(subcommand, long)))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_wrong_setting_is_one_sentence_and_a_wrong_command_line_is_claps() {
        for (line, expected) in [
            (&["--port", "abc"][..], Some("--port or PORT cannot be `abc`: invalid digit found in string")),
            (&["serve", "--port=70000"], Some("--port or PORT cannot be `70000`: 70000 is not in 0..=65535")),
            (
                &["--sandbox-provider", "docker"],
                Some("--sandbox-provider or SANDBOX_PROVIDER cannot be `docker`: it is one of local, memory, none"),
            ),
            (&["--debug=maybe"], Some("--debug or DEBUG cannot be `maybe`: say true or false")),
            (&["--jwks-url", "x"], Some("--jwks-url or JWKS_URL cannot be `x`: an address looks like")),
            (&["--jwks-url", ""], Some("--jwks-url or JWKS_URL cannot be empty: an address looks like")),
            (&["--port"], None),
            (&["--prot", "1"], None),
            (&["generate", "no name", "x"], None),
            (&["--help"], None),
        ] {
            let error = Cli::try_parse_from(["cobuild"].iter().chain(line)).expect_err("no sense");
            let said = sentence(&error, &Cli::command());
            let fits = match (&said, expected) {
                (Some(said), Some(expected)) => said.starts_with(expected),
                (said, expected) => said.is_none() && expected.is_none(),
            };
            assert!(fits, "{line:?}: {said:?}");
        }
    }
}
