//! `careen serve`: the service on the cluster of a kubeconfig.

use careen_core::{clock::Clock, cluster::Connection, controller::Settings, metrics::Metrics};

use crate::{
    args::ServeArgs, auth::Auth, door::Door, error::Error, graphql, identity, notify, parts::Parts, service::Service,
    shutdown::Shutdown, tls::Tls,
};

/// Runs until a signal ends it, or until it cannot go on.
pub(crate) async fn serve(args: ServeArgs) -> Result<(), Error> {
    let tls = transport(&args)?;
    let delivery = notify::open(&args.notify)?;
    let ServeArgs { kubeconfig, context, listen, allowed_hosts, token_audiences, namespace, .. } = args;
    let (drain_taint_key, identity) = (args.drain_taint_key, args.identity);
    let shutdown = Shutdown::on_signals()?;
    let metrics = Metrics::default();
    let door = Door::open(listen, allowed_hosts).await?.with_tls(tls);
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
    let auth = Auth::by_kubernetes(client.clone(), token_audiences, Clock::system());
    let graphql = graphql::Limits::with_introspection(!args.no_graphql_introspection);
    Service { client, metrics, settings, auth, delivery, door, graphql }.start(&mut parts, &shutdown)?;
    parts.run(shutdown).await
}

/// TLS where it is wanted. Tokens do not go over a network in the clear.
fn transport(args: &ServeArgs) -> Result<Option<Tls>, Error> {
    match (&args.tls_certificate, &args.tls_key) {
        (Some(certificate), Some(key)) => Ok(Some(Tls::load(certificate.clone(), key.clone())?)),
        _ if args.listen.ip().is_loopback() || args.behind_tls_proxy => Ok(None),
        _ => Err(Error::InTheClear { address: args.listen }),
    }
}
