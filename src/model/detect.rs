//! Looking for model servers: the usual ones on this machine, and the one people configured.
//!
//! It only looks. No model is ever pulled or started.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{
    catalogue::Model,
    endpoint::{Endpoint, ModelSettings},
    http::{Connections, Refusal, TransportFault},
    listing,
    provider::Provider,
    vendor_error::ErrorClass,
};

/// A configured server may be far away and still waking up.
pub const PROBE_WITHIN: Duration = Duration::from_secs(10);

/// A model server on this machine.
#[derive(Debug, Clone)]
pub struct FoundServer {
    /// Where.
    pub endpoint: Arc<Endpoint>,
    /// The models it has now.
    pub models: Vec<Model>,
}

impl FoundServer {
    /// "found Ollama with 3 models".
    #[must_use]
    pub fn sentence(&self) -> String {
        let title = self.endpoint.provider.title();
        match self.models.len() {
            0 => format!("found {title} without a model"),
            1 => format!("found {title} with 1 model"),
            count => format!("found {title} with {count} models"),
        }
    }
}

/// Looks for Ollama, LM Studio, llama.cpp and vLLM, all at once. Only on loopback.
pub async fn local_servers(connections: &Connections, settings: &ModelSettings) -> Vec<FoundServer> {
    let candidates = Provider::ALL.into_iter().filter(|provider| provider.is_local());
    let endpoints = candidates.filter_map(|provider| Endpoint::new(provider, settings).ok());
    let looks = endpoints.filter(Endpoint::is_loopback).map(|endpoint| async move {
        // Each lists its models at an address of its own, so a stranger on the same port is not taken for it.
        let within = connections.limits().local;
        let listed = listing::list(connections, &endpoint, within);
        let models = tokio::time::timeout(within, listed).await.ok()?.ok()?;
        Some(FoundServer { endpoint: Arc::new(endpoint), models })
    });
    join_all(looks).await.into_iter().flatten().collect()
}

/// Why a configured server cannot be used, by the layer that fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFault {
    /// No connection.
    #[error("{0}")]
    Transport(TransportFault),
    /// It wants another key, or one at all.
    #[error("it answers, but refuses the key (401)")]
    Unauthorized,
    /// It answers, but not like such a server.
    #[error("it answers, but has no list of models there; does the address lack `/v1`?")]
    NotModels,
    /// It is well, but has nothing to run.
    #[error("it answers, but has no model")]
    NoModel,
    /// It fails by itself.
    #[error("it answers with an error of its own")]
    Failing,
}

/// Tries a configured server and says at which layer it fails.
///
/// # Errors
///
/// The layer.
pub async fn probe(connections: &Connections, endpoint: &Endpoint) -> Result<Vec<Model>, ProbeFault> {
    match listing::list(connections, endpoint, PROBE_WITHIN).await {
        Ok(models) if models.is_empty() => Err(ProbeFault::NoModel),
        Ok(models) => Ok(models),
        Err(refusal) => Err(fault(&refusal)),
    }
}

fn fault(refusal: &Refusal) -> ProbeFault {
    if let Some(fault) = refusal.fault {
        return ProbeFault::Transport(fault);
    }
    match refusal.said.as_ref().map(|said| (said.class(), said.status)) {
        Some((ErrorClass::Unauthorized, _)) => ProbeFault::Unauthorized,
        None | Some((_, Some(400..=428))) => ProbeFault::NotModels,
        Some(_) => ProbeFault::Failing,
    }
}
