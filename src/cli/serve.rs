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
    // At once: whoever starts a server may read no further than to the line they wait for. A server without readers serves.
    if let Err(error) = stdout().write_all(greeting(&server, config).as_bytes()) {
        tracing::warn!(%error, "nobody could be told where the server is");
    }
    tracing::info!(address = %server.address(), version = env!("CARGO_PKG_VERSION"), "serving");
    shutdown.cancelled().await;
    tracing::info!("stopping");
    server.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// Where the server is, in whole lines.
fn greeting(server: &RunningServer, config: &Config) -> String {
    let mut lines = vec![match server.owner_link() {
        None => format!("Cobuild is ready: {}", server.url()),
        Some(link) => format!("Cobuild is ready. Whoever has this link is an owner of every project: {link}"),
    }];
    lines.extend(server.link_elsewhere().map(|link| format!("From other machines: {link}")));
    if !server.address().ip().is_loopback() && config.public_url.is_none() {
        lines.push(ELSEWHERE.to_owned());
    }
    lines.join("\n") + "\n"
}
