//! `cobuild serve`

use std::{
    io::{Write as _, stdout},
    process::ExitCode,
};

use tokio_util::sync::CancellationToken;

use super::CliError;
use crate::{config::Config, server::RunningServer};

/// What a server needs to know that listens to other machines: the name they reach it by is not on this one.
const ELSEWHERE: &str = "For other machines, set PUBLIC_URL to the address they reach this server by, and PREVIEW_DOMAIN to a \
domain whose every subdomain leads here; without it they see no previews.";

/// Runs the server until `shutdown` is cancelled.
pub(super) async fn run(config: &Config, shutdown: CancellationToken) -> Result<ExitCode, CliError> {
    let server = RunningServer::start(config).await?;
    let mut stdout = stdout();
    match server.owner_link() {
        None => writeln!(stdout, "Cobuild is ready: {}", server.url())?,
        Some(link) => writeln!(stdout, "Cobuild is ready. Whoever has this link is an owner of every project: {link}")?,
    }
    if let Some(link) = server.link_elsewhere() {
        writeln!(stdout, "From other machines: {link}")?;
    }
    if !server.address().ip().is_loopback() && config.public_url.is_none() {
        writeln!(stdout, "{ELSEWHERE}")?;
    }
    stdout.flush()?;
    tracing::info!(address = %server.address(), version = env!("CARGO_PKG_VERSION"), "serving");
    shutdown.cancelled().await;
    tracing::info!("stopping");
    server.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
