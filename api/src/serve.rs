//! `careen serve`: the service on the cluster of a kubeconfig.

use careen_core::{cluster::Connection, controller::Settings, metrics::Metrics};

use crate::{
    args::ServeArgs,
    error::Error,
    identity,
    parts::Parts,
    service::{Door, Service},
    shutdown::Shutdown,
};

/// Runs until a signal ends it, or until it cannot go on.
pub(crate) async fn serve(args: ServeArgs) -> Result<(), Error> {
    let ServeArgs { kubeconfig, context, listen, allowed_hosts, namespace, drain_taint_key, log_format: _, identity } =
        args;
    let shutdown = Shutdown::on_signals()?;
    let metrics = Metrics::default();
    let door = Door::open(listen, allowed_hosts).await?;
    let connection = Connection { kubeconfig, context };
    let client = tokio::select! {
        client = connection.client(&metrics) => client?,
        () = shutdown.requested() => return Ok(()),
    };
    let settings = Settings {
        identity: identity.unwrap_or_else(identity::of_this_replica),
        namespace,
        drain_taint_key,
        own_pod: identity::own_pod(),
    };
    let mut parts = Parts::default();
    Service { client, metrics, settings, door }.start(&mut parts, &shutdown);
    parts.run(shutdown).await
}
