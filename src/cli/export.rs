//! `cobuild export`

use std::{
    io::{self, Write as _, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use cobuild_protocol::ProjectId;
use futures_util::{Stream, StreamExt as _};
use serde_json::json;
use tokio::{
    fs::{self, File},
    io::{AsyncWrite, AsyncWriteExt as _},
};
use tokio_util::sync::CancellationToken;

use super::{
    CliError,
    remote::{RemoteArgs, terminal},
    wording,
};
use crate::client::ClientError;

/// Which project, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ExportArgs {
    /// The project
    project: ProjectId,
    /// The file to write; `-` for standard output. `<project>.zip` when nothing is said
    #[arg(short, long)]
    output: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Writes all files of a project as a zip archive. There is a whole archive under that name, or what was there before.
pub(super) async fn run(args: ExportArgs, shutdown: CancellationToken) -> Result<ExitCode, CliError> {
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.zip", args.project)));
    let pieces = args.remote.server()?.export(&args.project).await?;
    if path.as_os_str() == "-" {
        let size_bytes = copy(pieces, tokio::io::stdout(), &shutdown).await.map_err(Stopped::into_output)?;
        return Ok(if size_bytes.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let part = part_of(&path);
    let written = write(pieces, &part, &path, &shutdown).await;
    let Ok(Some(size_bytes)) = written else {
        // Left behind it is only litter.
        let _ = fs::remove_file(&part).await;
        return written.map(|_| ExitCode::FAILURE).map_err(|error| error.about(&path));
    };
    if args.remote.wants_json() {
        writeln!(stdout(), "{}", json!({ "file": path, "size_bytes": size_bytes }))?;
    } else {
        terminal().line(&format!("{}  {}", path.display(), wording::size(size_bytes)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where an archive is kept until it is whole: beside its name, so that it can be renamed.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:08x}.part", rand::random::<u32>()));
    path.with_file_name(name)
}

/// What stopped an archive.
enum Stopped {
    Server(ClientError),
    File(io::Error),
}

impl Stopped {
    fn into_output(self) -> CliError {
        match self {
            Self::Server(error) => error.into(),
            Self::File(error) => CliError::Output(error),
        }
    }

    fn about(self, path: &Path) -> CliError {
        match self {
            Self::Server(error) => error.into(),
            Self::File(error) => CliError::File(path.to_owned(), error),
        }
    }
}

async fn write(
    pieces: impl Stream<Item = Result<bytes::Bytes, ClientError>>,
    part: &Path,
    path: &Path,
    shutdown: &CancellationToken,
) -> Result<Option<u64>, Stopped> {
    let mut file = File::create_new(part).await.map_err(Stopped::File)?;
    let Some(size_bytes) = copy(pieces, &mut file, shutdown).await? else { return Ok(None) };
    file.sync_all().await.map_err(Stopped::File)?;
    fs::rename(part, path).await.map_err(Stopped::File)?;
    Ok(Some(size_bytes))
}

/// Returns how much it was; `None` when it was stopped.
async fn copy(
    pieces: impl Stream<Item = Result<bytes::Bytes, ClientError>>,
    mut to: impl AsyncWrite + Unpin,
    shutdown: &CancellationToken,
) -> Result<Option<u64>, Stopped> {
    tokio::pin!(pieces);
    let mut size_bytes = 0;
    loop {
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            () = shutdown.cancelled() => return Ok(None),
        };
        let Some(piece) = piece else { break };
        let piece = piece.map_err(Stopped::Server)?;
        to.write_all(&piece).await.map_err(Stopped::File)?;
        size_bytes += piece.len() as u64;
    }
    to.flush().await.map_err(Stopped::File)?;
    Ok(Some(size_bytes))
}
