//! `cobuild serve`

use std::{
    io::{Write as _, stdout},
    process::ExitCode,
};

use tokio_util::sync::CancellationToken;

use super::CliError;
use crate::{config::Config, server::RunningServer};

/// Runs the server until `shutdown` is cancelled.
pub(super) async fn run(config: &Config, shutdown: CancellationToken) -> Result<ExitCode, CliError> {
    let server = RunningServer::start(config).await?;
    let mut stdout = stdout();
    match server.owner_link() {
        None => writeln!(stdout, "Cobuild is ready: {}", server.url())?,
        Some(link) => writeln!(stdout, "Cobuild is ready. Whoever has this link owns it: {link}")?,
    }
    stdout.flush()?;
    tracing::info!(address = %server.address(), version = env!("CARGO_PKG_VERSION"), "serving");
    shutdown.cancelled().await;
    tracing::info!("stopping");
    server.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
