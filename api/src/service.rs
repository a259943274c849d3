//! The service on a cluster: the controller, and what answers HTTP. `careen serve` and `careen demo` run it alike.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use careen_core::{
    clock::Clock,
    cluster::Cluster,
    maintenance::{Controller, Settings},
    metrics::Metrics,
};
use kube::Client;
use tokio::{net::TcpListener, time::sleep};
use tower::Layer;

use crate::{
    error::Error,
    guard::{Guard, Hosts},
    health,
    parts::Parts,
    prerequisites,
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
    /// Where HTTP is answered.
    pub(crate) door: Door,
}

impl Service {
    /// Starts its parts, and gives what they see of the cluster.
    pub(crate) fn start(self, parts: &mut Parts, shutdown: &Shutdown) -> Cluster {
        let Self { client, metrics, settings, door } = self;
        let cluster = Cluster::whole(client.clone(), metrics);
        let identity = &settings.identity;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), identity, "listening on http://{}", door.address);
        let controller = Controller::new(cluster.clone(), settings, Clock::system());
        parts.start("controller", controller.run(shutdown.requested()));
        let router = health::router(cluster.clone());
        parts.start("HTTP server", door.answer(router, shutdown.clone(), ANSWER_WITHIN));
        parts.start_beside(prerequisites::tell_when_ready(cluster.clone()));
        parts.start_beside(prerequisites::tell_of_missing_definition(cluster.clone()));
        parts.start_beside(prerequisites::tell_of_missing_lease_namespace(client));
        cluster
    }
}

/// Where HTTP is answered, and by which names.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    /// The address that was taken.
    pub(crate) address: SocketAddr,
    hosts: Hosts,
}

impl Door {
    /// Takes the address.
    pub(crate) async fn open(
        listen: SocketAddr,
        allowed_hosts: impl IntoIterator<Item = String>,
    ) -> Result<Self, Error> {
        let no_listener = |source| Error::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(no_listener)?;
        let address = listener.local_addr().map_err(no_listener)?;
        Ok(Self { listener, address, hosts: Hosts::of(address, allowed_hosts) })
    }

    /// Answers until the server is told to stop; what is being answered then has so long to finish. Nothing that a
    /// foreign web page could have sent comes through.
    pub(crate) async fn answer(self, router: Router, shutdown: Shutdown, finish_within: Duration) {
        let late = async {
            shutdown.requested().await;
            sleep(finish_within).await;
        };
        // Around the router, not a layer of it: what no route answers is guarded too.
        let guarded = Router::new().fallback_service(Guard::new(self.hosts).layer(router));
        tokio::select! {
            // It never fails: axum tries again when a connection cannot be accepted.
            _ = axum::serve(self.listener, guarded).with_graceful_shutdown(shutdown.requested()) => {}
            () = late => if !finish_within.is_zero() {
                tracing::warn!("requests were cut off that had not been answered in {} s", finish_within.as_secs());
            }
        }
    }
}
