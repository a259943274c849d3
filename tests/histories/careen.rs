//! Careen on the cluster of a history: the real engine in this process, on a connection that is written down.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use careen_core::{
    clock::Clock,
    cluster::{Cluster, client_on},
    controller::{Controller, Settings},
    metrics::Metrics,
    names,
};
use careen_sim::api_server::{ApiServer, Connection, User};
use http::Request;
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;
use tokio::{sync::oneshot, task::JoinHandle};
use tower::Service;

use crate::story::Sent;

/// Careen's own namespace.
pub const NAMESPACE: &str = "careen";

/// So many requests of Careen's are answered in one history. A usual one has 200; the longest with the most faults,
/// 2,000.
pub const MOST_REQUESTS: usize = 10_000;

/// All that Careen sent, in order; shared by one Careen after the other.
pub type Log = Arc<Mutex<Vec<Sent>>>;

/// One replica of Careen that runs.
pub struct Careen {
    cluster: Cluster,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Careen {
    /// Starts it, as `careen serve` does.
    pub fn start(server: &ApiServer, log: &Log, wall: Timestamp) -> Self {
        let clock = Clock::starting_at(wall);
        let metrics = Metrics::default();
        let connection = server.as_user(User::service_account(NAMESPACE, "careen"));
        let wire = Wire { connection, log: log.clone() };
        let cluster = Cluster::with_orders(client_on(wire, &metrics), NAMESPACE, metrics);
        let settings = Settings {
            identity: format!("careen-{wall}"),
            namespace: NAMESPACE.to_owned(),
            drain_taint_key: names::DRAIN_TAINT_KEY.to_owned(),
            own_pod: None,
        };
        let (stop, stopped) = oneshot::channel();
        let controller = Controller::new(cluster.clone(), settings, clock);
        let task = tokio::spawn(controller.run(async { drop(stopped.await) }));
        Self { cluster, stop, task }
    }

    /// Stops it, as on SIGTERM.
    pub async fn stop(self) {
        drop(self.stop);
        self.task.await.expect("the controller ends without a panic");
        drop(self.cluster);
    }

    /// Ends it in the middle of whatever it does.
    pub async fn crash(self) {
        self.task.abort();
        // An abort that came too late is no panic.
        assert!(self.task.await.err().is_none_or(|error| !error.is_panic()), "the controller panicked");
    }

    /// Whether its controller goes on.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}

/// A connection whose requests are written down before they are sent.
#[derive(Clone)]
struct Wire {
    connection: Connection,
    log: Log,
}

impl Service<Request<Body>> for Wire {
    type Response = <Connection as Service<Request<Body>>>::Response;
    type Error = <Connection as Service<Request<Body>>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        <Connection as Service<Request<Body>>>::poll_ready(&mut self.connection, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { mut connection, log } = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("a body in memory").to_bytes();
            let count = {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.push(Sent {
                    method: head.method.to_string(),
                    uri: head.uri.to_string(),
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                });
                log.len()
            };
            // Who asks without end would keep the time from passing, and the story from being told.
            if count > MOST_REQUESTS {
                std::future::pending::<()>().await;
            }
            connection.call(Request::from_parts(head, Body::from(body))).await
        })
    }
}
