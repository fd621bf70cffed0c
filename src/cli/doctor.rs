//! `cobuild doctor`

use std::{
    io::{Write as _, stdout},
    process::ExitCode,
};

use super::CliError;
use crate::{
    config::Config,
    sandbox::local::doctor::{Outcome, print_table, run as probe},
    server::local_sandboxes,
};

/// Tries what the local sandbox promises and prints what came of it. The exit code is 1 unless all of it is true.
pub(super) async fn run(config: &Config) -> Result<ExitCode, CliError> {
    let results = probe(local_sandboxes(config)).await;
    let mut stdout = stdout();
    print_table(&results, &mut stdout)?;
    stdout.flush()?;
    let proved = results.iter().all(|result| result.outcome == Outcome::Ok);
    Ok(if proved { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
