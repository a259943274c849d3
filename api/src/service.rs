//! The service on a cluster: the controller, and what answers HTTP. `careen serve` and `careen demo` run it alike.

use std::time::Duration;

use careen_core::{
    clock::Clock,
    cluster::Cluster,
    controller::{Controller, Delivery, Settings},
    metrics::Metrics,
    operation::Operations,
};
use kube::Client;

use crate::{
    auth::Auth,
    door::Door,
    error::Error,
    graphql::{self, GraphQl},
    health,
    parts::Parts,
    prerequisites,
    rest::{self, Api, Frame, HttpMetrics, Limits},
    shutdown::Shutdown,
};

/// Requests that are being answered when the server is told to stop have this time to finish.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The service, before it runs.
pub(crate) struct Service {
    /// The connection to its cluster.
    pub(crate) client: Client,
    /// Where the requests of that connection are counted.
    pub(crate) metrics: Metrics,
    /// How the controller works.
    pub(crate) settings: Settings,
    /// Who calls, and what they may do.
    pub(crate) auth: Auth,
    /// Who is told what becomes of maintenances.
    pub(crate) delivery: Option<Delivery>,
    /// Where HTTP is answered.
    pub(crate) door: Door,
    /// How much one question of GraphQL may ask for.
    pub(crate) graphql: graphql::Limits,
}

impl Service {
    /// Starts its parts, and gives what they see of the cluster.
    pub(crate) fn start(self, parts: &mut Parts, shutdown: &Shutdown) -> Result<Cluster, Error> {
        let Self { client, metrics, settings, auth, delivery, door, graphql } = self;
        let cluster = Cluster::with_orders(client.clone(), &settings.namespace, metrics);
        let identity = &settings.identity;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), identity, "listening on {}", door.url());
        let (clock, own_pod) = (Clock::system(), settings.own_pod.clone());
        let operations = Operations::new(cluster.clone(), clock, &*settings.namespace, &*settings.drain_taint_key);
        let controller = Controller::new(cluster.clone(), settings, clock).telling(delivery);
        parts.start("controller", controller.run(shutdown.requested()));
        let http_metrics = HttpMetrics::default();
        let frame = Frame::new(auth.clone(), http_metrics.clone(), Limits::default());
        let api = Api::new(operations, auth, clock, own_pod, http_metrics.clone(), shutdown);
        parts.start_endless("event log", api.tell_what_happens(), shutdown);
        let graphql = GraphQl::new(api.clone(), frame.clone(), graphql, shutdown.clone());
        let graphql = graphql.map_err(|error| Error::Schema(error.0))?;
        let router =
            health::router(cluster.clone(), &http_metrics).merge(rest::router(api, &frame)).merge(graphql.router());
        parts.start("HTTP server", door.answer_in(frame, router, shutdown.clone(), ANSWER_WITHIN));
        parts.start_beside(prerequisites::tell_when_ready(cluster.clone()));
        parts.start_beside(prerequisites::tell_of_missing_definition(cluster.clone()));
        parts.start_beside(prerequisites::tell_of_missing_lease_namespace(client));
        Ok(cluster)
    }
}
