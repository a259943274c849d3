//! `careen serve`: what runs, and how it ends.

use std::{collections::BTreeSet, time::Duration};

use axum::Router;
use careen_core::{
    clock::Clock,
    cluster::{Cluster, Connection},
    controller::{Controller, Settings},
    metrics::Metrics,
};
use tokio::{
    net::TcpListener,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

use crate::{args::ServeArgs, error::Error, health, identity, prerequisites, shutdown::Shutdown};

/// The server ends within this time of being told to; the Deployment gives it twice as much.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// Requests that are being answered when the server is told to stop have this time to finish.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Runs until a signal ends it, or until it cannot go on.
pub(crate) async fn serve(args: ServeArgs) -> Result<(), Error> {
    let ServeArgs { kubeconfig, context, listen, namespace, drain_taint_key, log_format: _, identity } = args;
    let shutdown = Shutdown::on_signals()?;
    let metrics = Metrics::default();
    let no_listener = |source| Error::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(no_listener)?;
    let address = listener.local_addr().map_err(no_listener)?;
    let connection = Connection { kubeconfig, context };
    let client = tokio::select! {
        client = connection.client(&metrics) => client?,
        () = shutdown.requested() => return Ok(()),
    };
    let cluster = Cluster::with_orders(client.clone(), &namespace, metrics);
    let settings = Settings {
        identity: identity.unwrap_or_else(identity::of_this_replica),
        namespace,
        drain_taint_key,
        own_pod: identity::own_pod(),
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), identity = settings.identity, "listening on http://{address}");

    let mut parts = Parts::default();
    let controller = Controller::new(cluster.clone(), settings, Clock::system());
    parts.start("controller", controller.run(shutdown.requested()));
    parts.start("HTTP server", answer(listener, health::router(cluster.clone()), shutdown.clone()));
    let advice = tokio::spawn(async move {
        tokio::join!(
            prerequisites::tell_when_ready(cluster.clone()),
            prerequisites::tell_of_missing_definition(cluster),
            prerequisites::tell_of_missing_lease_namespace(client)
        )
    });
    let result = parts.run(shutdown).await;
    advice.abort();
    result
}

/// Answers HTTP until the server is told to stop, and finishes what is being answered then.
async fn answer(listener: TcpListener, router: Router, shutdown: Shutdown) {
    let late = async {
        shutdown.requested().await;
        sleep(ANSWER_WITHIN).await;
    };
    tokio::select! {
        // It never fails: axum tries again when a connection cannot be accepted.
        _ = axum::serve(listener, router).with_graceful_shutdown(shutdown.requested()) => {}
        () = late => tracing::warn!("requests were cut off that had not been answered in {} s", ANSWER_WITHIN.as_secs()),
    }
}

/// The parts of the server. None ends before the server does.
#[derive(Default)]
struct Parts {
    tasks: JoinSet<&'static str>,
    running: BTreeSet<&'static str>,
}

impl Parts {
    fn start(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.running.insert(name);
        self.tasks.spawn(async move {
            part.await;
            name
        });
    }

    /// Waits for the server to be told to stop, or for a part to end by itself; then for all of them.
    async fn run(mut self, shutdown: Shutdown) -> Result<(), Error> {
        let result = tokio::select! {
            biased;
            () = shutdown.requested() => Ok(()),
            Some(ended) = self.tasks.join_next() => {
                // Asked for just now, on another thread, and a part was quick.
                let in_order = ended.is_ok() && shutdown.is_requested();
                let fault = self.fault(ended);
                if in_order { Ok(()) } else { Err(fault) }
            }
        };
        shutdown.request();
        let stopped = timeout(STOP_WITHIN, self.stopped()).await;
        let late = || self.running.iter().copied().collect::<Vec<_>>().join(" and the ");
        result.and(stopped.unwrap_or_else(|_| Err(Error::DidNotStop { parts: late(), after: STOP_WITHIN })))
    }

    async fn stopped(&mut self) -> Result<(), Error> {
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(name) => drop(self.running.remove(name)),
                Err(_) => result = Err(self.fault(ended)),
            }
        }
        tracing::info!("stopped");
        result
    }

    fn fault(&mut self, ended: Result<&'static str, JoinError>) -> Error {
        match ended {
            Ok(part) => {
                self.running.remove(part);
                Error::Ended { part, message: None }
            }
            Err(error) => Error::Ended { part: "server", message: Some(error.to_string()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn when_a_part_ends_by_itself_the_others_are_stopped_and_it_is_named() {
        let shutdown = Shutdown::default();
        let mut parts = Parts::default();
        parts.start("HTTP server", shutdown.requested());
        parts.start("controller", async {});
        let error = parts.run(shutdown).await.unwrap_err().to_string();
        assert!(error.starts_with("the controller ended by itself"), "{error}");
    }

    #[tokio::test]
    async fn a_part_that_panics_ends_the_server() {
        let shutdown = Shutdown::default();
        let mut parts = Parts::default();
        parts.start("controller", async { panic!("a fault") });
        let error = parts.run(shutdown).await.unwrap_err().to_string();
        assert!(error.contains("panicked"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_does_not_stop_is_left_behind_and_named() {
        let shutdown = Shutdown::default();
        let mut parts = Parts::default();
        parts.start("HTTP server", shutdown.requested());
        parts.start("controller", pending());
        shutdown.request();
        let error = parts.run(shutdown).await.unwrap_err().to_string();
        assert!(error.starts_with("was told to stop, and the controller did not within 15 s"), "{error}");
    }
}
