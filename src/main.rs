//! The `cobuild` process: arguments, tracing, signals, exit code.

use std::{io::IsTerminal as _, process::ExitCode};

use anyhow::Context as _;
use cobuild::{
    cli::{Cli, Misuse},
    config::{LogFormat, load_env_file},
    sandbox::local,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Threads that serve sockets. The database and compression have their own; more than this only costs memory.
const WORKERS_MAX: usize = 4;
/// Of a process that a second signal ended.
const EXIT_CODE_FORCED: i32 = 130;

fn main() -> ExitCode {
    // Before anything starts a thread: a sandbox's helper is this program, too.
    if std::env::args().nth(1).as_deref() == Some(local::HELPER_ARGUMENT) {
        return local::helper_main();
    }
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cobuild: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<ExitCode> {
    load_env_file().map_err(anyhow::Error::msg)?;
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(Misuse::Setting(sentence)) => anyhow::bail!(sentence),
        Err(Misuse::CommandLine(error)) => error.exit(),
    };
    start_logging(&cli)?;
    raise_descriptor_limit();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let code = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        tokio::spawn(watch_signals(shutdown.clone())?);
        Ok::<_, anyhow::Error>(cli.run(shutdown).await?)
    })?;
    // What still blocks a thread now has had its time.
    runtime.shutdown_background();
    Ok(code)
}

/// Logs to standard error, so that standard output stays for what a command answers.
fn start_logging(cli: &Cli) -> anyhow::Result<()> {
    let level = cli.log_level();
    let filter = EnvFilter::try_new(level)
        .map_err(|error| anyhow::anyhow!("LOG_LEVEL `{level}` is no level or filter: {error}"))?;
    // At its finest, the WebSocket library writes down whole frames, and the first holds the client's token.
    let filter = filter.add_directive("tungstenite=warn".parse().context("a log directive")?);
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // It would complain to the very standard error that cannot be written to, and panic over that.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match cli.config.log_format {
        LogFormat::Human => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

/// Each client is a descriptor, and the usual soft limit of 1,024 is a handful of rooms. The hard limit is what the
/// operator means; failing to reach it costs connections, not the start.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}

/// The first signal asks for an orderly end; a second one does not wait for it.
fn watch_signals(shutdown: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        for forced in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if forced {
                std::process::exit(EXIT_CODE_FORCED);
            }
            shutdown.cancel();
        }
    })
}
