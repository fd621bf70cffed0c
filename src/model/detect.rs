//! Looking for model servers: the usual ones on this machine, and the one people configured.
//!
//! It only looks. No model is ever pulled or started.

use std::{sync::Arc, time::Duration};

use super::{
    catalogue::Model,
    endpoint::Endpoint,
    http::{Connections, Refusal, TransportFault},
    listing,
    vendor_error::ErrorClass,
};

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

/// Looks for one of the usual servers. Only on loopback, and no longer than a moment.
pub async fn local_server(connections: &Connections, endpoint: &Arc<Endpoint>) -> Option<FoundServer> {
    if !endpoint.is_loopback() {
        return None;
    }
    // Each lists its models at an address of its own, so a stranger on the same port is not taken for it.
    let within = connections.limits().local;
    let listed = listing::list(connections, endpoint, within);
    let models = tokio::time::timeout(within, listed).await.ok()?.ok()?;
    Some(FoundServer { endpoint: Arc::clone(endpoint), models })
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
pub async fn probe(connections: &Connections, endpoint: &Endpoint, within: Duration) -> Result<Vec<Model>, ProbeFault> {
    match listing::list(connections, endpoint, within).await {
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
