//! The whole server with a model that says what it is told over a socket.

use std::{
    io::{self, Read as _, Write as _},
    sync::Arc,
    thread,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    net::TcpStream,
    sync::oneshot,
};

use crate::{
    cli::bench::BenchError,
    config::Config,
    project::model_provider::{ModelChunk, ModelError, ModelInfo, ModelProvider, ModelRequest, StopReason},
    server::{Providers, RunningServer},
};

/// Serves until standard input ends, so that it never outlives whoever measures.
pub(in crate::cli::bench) async fn serve(config: &Config) -> Result<(), BenchError> {
    let unexpected = |error: crate::server::StartError| BenchError::Unexpected(error.to_string());
    let mut providers = Providers::configured(config).await.map_err(unexpected)?;
    providers.models = Arc::new(ToldModel);
    providers.projects.sandbox_on_join = false;
    let server = RunningServer::start_with(config, providers).await.map_err(unexpected)?;
    let mut output = io::stdout();
    writeln!(output, "Ready: {}", server.url())?;
    output.flush()?;
    let (ended, end) = oneshot::channel::<()>();
    thread::Builder::new().name("stdin".into()).spawn(move || {
        // An error is an end, too.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        drop(ended);
    })?;
    let _ = end.await;
    server.shutdown().await;
    Ok(())
}

/// Connects to the address that the prompt is, and says each line that comes from there.
#[derive(Debug)]
struct ToldModel;

impl ModelProvider for ToldModel {
    fn default_model(&self) -> ModelInfo {
        ModelInfo::new("bench/told")
    }

    fn models(&self) -> Vec<ModelInfo> {
        vec![self.default_model()]
    }

    fn resolve(&self, _: &str) -> Result<ModelInfo, ModelError> {
        Ok(self.default_model())
    }

    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelChunk, ModelError>> {
        let address = request.turns.last().map(|turn| turn.text.clone()).unwrap_or_default();
        stream::once(lines(address))
            .try_flatten()
            .map_ok(ModelChunk::Text)
            .map_err(|error| ModelError::Unavailable(error.to_string()))
            .chain(stream::iter([Ok(ModelChunk::Stop(StopReason::Complete))]))
            .boxed()
    }
}

/// What comes from there, line by line, until it hangs up.
async fn lines(address: String) -> io::Result<BoxStream<'static, io::Result<String>>> {
    let lines = BufReader::new(TcpStream::connect(address).await?).lines();
    let next = |mut lines: Lines<BufReader<TcpStream>>| async move {
        Ok::<_, io::Error>(lines.next_line().await?.map(|line| (line, lines)))
    };
    Ok(stream::try_unfold(lines, next).boxed())
}
