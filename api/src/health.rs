//! `/livez`, `/readyz` and `/metrics`: what Kubernetes and Prometheus ask.

use std::{fmt::Write, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use careen_core::cluster::{Cluster, WatchState};
use prometheus_client::{encoding::text::encode, metrics::info::Info, registry::Registry};

use crate::rest::HttpMetrics;

/// The paths. Kubernetes and Prometheus ask for them without a token, and call a pod by its address.
pub(crate) const PATHS: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// OpenMetrics, as prometheus-client writes it.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes.
pub fn router(cluster: Cluster, http_metrics: &HttpMetrics) -> Router {
    let metrics = Arc::new(registry(&cluster, http_metrics));
    Router::new()
        // That it answers is the answer. It asks nothing else: a cluster in trouble is no reason to restart Careen.
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(cluster))
        .route("/metrics", get(export).with_state(metrics))
}

/// Whether the caches are filled; else a line for each kind that is missing.
async fn readyz(State(cluster): State<Cluster>) -> (StatusCode, String) {
    let not_ready = cluster.not_ready();
    if not_ready.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let lines = not_ready.iter().map(|(kind, state)| match state {
        WatchState::Failing { error } => format!("{kind}: {error}\n"),
        _ => format!("{kind}: the first list has not come yet\n"),
    });
    (StatusCode::SERVICE_UNAVAILABLE, lines.collect())
}

fn registry(cluster: &Cluster, http_metrics: &HttpMetrics) -> Registry {
    let mut registry = Registry::default();
    cluster.metrics().register(&mut registry);
    http_metrics.register(&mut registry);
    registry.register("careen_build", "What runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    registry
}

async fn export(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            text.clear();
            // Writing into a String does not fail.
            writeln!(text, "the metrics cannot be written: {error}").ok();
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}
