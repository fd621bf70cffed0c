//! `GET /metrics`: what the process and everything in it count, in Prometheus' text format.
//!
//! Figures are written through the `metrics` facade wherever something happens, and collected here. There is one collector
//! per process, so several servers in one process add up.

mod process;

use std::{sync::OnceLock, time::Duration};

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cobuild_protocol::{CloseCode, ErrorBody, ErrorCode};
use metrics::{Counter, Gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{HttpState, auth::Grant, error::Problem, extract::Admitted};
use crate::project;

const CONNECTIONS: &str = "cobuild_connections";
const CONNECTIONS_CLOSED: &str = "cobuild_connections_closed_total";
const EVENTS_DELIVERED: &str = "cobuild_events_delivered_total";
const HTTP_RESPONSES: &str = "cobuild_http_responses_total";
const BUILD_INFO: &str = "cobuild_build_info";

/// Upper bounds of the buckets of everything measured in seconds: a commit without and with a sync of the disk, and a disk
/// that hangs.
const SECONDS_BUCKETS: [f64; 12] = [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0, 10.0];
/// How often what was measured is put into its buckets. Without that, a server nobody asks would keep every sample.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// The version of the format that is written.
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

static COLLECTOR: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts collecting, unless that has been done. What was counted before is not known.
pub(crate) fn collect() {
    collector();
}

fn collector() -> Option<&'static PrometheusHandle> {
    let start = || {
        let handle = install().inspect_err(|error| tracing::warn!(%error, "nothing is collected for /metrics")).ok()?;
        process::describe();
        describe();
        project::describe_figures();
        Some(handle)
    };
    COLLECTOR.get_or_init(start).as_ref()
}

fn install() -> Result<PrometheusHandle, BuildError> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(seconds, &SECONDS_BUCKETS)?.install_recorder()
}

fn describe() {
    metrics::describe_gauge!(CONNECTIONS, "Clients that follow a project, by transport");
    metrics::describe_counter!(CONNECTIONS_CLOSED, "WebSockets the server closed, by close code");
    metrics::describe_counter!(EVENTS_DELIVERED, "Events written to clients, by transport");
    metrics::describe_counter!(HTTP_RESPONSES, "Answers to HTTP requests, by class of status; previews do not count");
    metrics::describe_gauge!(BUILD_INFO, "Always 1; its labels say which build this is");
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    for transport in [Transport::WebSocket, Transport::Sse] {
        connections(transport).increment(0.0);
        delivered(transport).increment(0);
    }
    for code in CloseCode::ALL {
        closes(code).increment(0);
    }
}

/// Keeps what is collected small, until `stop`.
pub(super) async fn upkeep(stop: CancellationToken) {
    let Some(collector) = collector() else { return };
    let mut clock = interval(UPKEEP_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = clock.tick() => collector.run_upkeep(),
        }
    }
}

/// How a client follows a project.
#[derive(Debug, Clone, Copy)]
pub(super) enum Transport {
    WebSocket,
    Sse,
}

impl Transport {
    const fn label(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
        }
    }
}

/// A client that follows a project; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Following(Gauge);

impl Following {
    pub(super) fn new(transport: Transport) -> Self {
        let connections = connections(transport);
        connections.increment(1.0);
        Self(connections)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Events written to clients. Kept by each connection: looking it up costs more than counting.
pub(super) fn delivered(transport: Transport) -> Counter {
    metrics::counter!(EVENTS_DELIVERED, "transport" => transport.label())
}

/// The server closes a WebSocket.
pub(super) fn closed(code: CloseCode) {
    closes(code).increment(1);
}

/// An answer to a request.
pub(super) fn answered(status: StatusCode) {
    let class = match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    metrics::counter!(HTTP_RESPONSES, "status" => class).increment(1);
}

fn connections(transport: Transport) -> Gauge {
    metrics::gauge!(CONNECTIONS, "transport" => transport.label())
}

fn closes(code: CloseCode) -> Counter {
    metrics::counter!(CONNECTIONS_CLOSED, "code" => code.number().to_string())
}

/// `GET /metrics`. Figures of all projects are the business of whoever owns all projects.
pub(super) async fn scrape(State(_): State<HttpState>, Admitted(grant): Admitted) -> Result<Response, Problem> {
    owns_all(&grant)?;
    let Some(handle) = collector() else {
        let problem = Problem::new(ErrorCode::Unsupported, "this process collects its figures elsewhere");
        return Err(problem.with_status(StatusCode::SERVICE_UNAVAILABLE));
    };
    process::measure();
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], handle.render()).into_response())
}

fn owns_all(grant: &Grant) -> Result<(), ErrorBody> {
    let refusal = |_| ErrorBody::new(ErrorCode::Forbidden, "only an owner of all projects (`*`) may read the metrics");
    grant.administer().map_err(refusal)
}
