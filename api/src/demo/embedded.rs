//! The cluster in memory.

use axum::Router;
use careen_core::metrics::Metrics;
use kube::Client;

/// A cluster in memory, as long as it is kept.
pub(super) struct Embedded;

impl Embedded {
    /// Starts it, empty.
    pub(super) fn start() -> Self {
        Self
    }

    /// A client, as Careen's connections are.
    pub(super) fn client(&self, metrics: &Metrics) -> Client {
        careen_core::cluster::client_on(axum::routing::any(async || "to come").with_state::<()>(()), metrics)
    }

    /// Its API, for others.
    pub(super) fn router(&self) -> Router {
        Router::new()
    }
}
