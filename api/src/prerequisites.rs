//! Says when the server is ready, what the cluster lacks, and the command that adds it. Nothing here stops the server:
//! it goes on by itself as soon as what was missing is there.

use std::time::Duration;

use careen_core::{cluster::Cluster, names};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::time::{Instant, interval, sleep};

/// A thing that is missing is named again after this time.
const AGAIN: Duration = Duration::from_secs(60);
/// What has to be asked for is asked for this often while it is missing.
const ASK: Duration = Duration::from_secs(5);

/// Says once that the caches are filled.
pub(crate) async fn tell_when_ready(cluster: Cluster) {
    cluster.ready().await;
    tracing::info!("ready: the cluster's objects are known");
}

/// Says that the `NodeMaintenance` kind is missing, whenever it is. Never returns.
pub(crate) async fn tell_of_missing_definition(cluster: Cluster) {
    loop {
        cluster.until_served("NodeMaintenance", false).await;
        let mut again = interval(AGAIN);
        loop {
            tokio::select! {
                () = cluster.until_served("NodeMaintenance", true) => break,
                _ = again.tick() => tracing::warn!(
                    "the cluster has no NodeMaintenance resource; install it with: careen crd | kubectl apply -f -"
                ),
            }
        }
        tracing::info!("the cluster has the NodeMaintenance resource now");
    }
}

/// Says that the namespace of the node Leases is missing, until a Lease could be made there.
pub(crate) async fn tell_of_missing_lease_namespace(client: Client) {
    let leases = Api::<Lease>::namespaced(client, names::NODE_LEASE_NAMESPACE);
    let mut told: Option<Instant> = None;
    loop {
        match try_to_lease(&leases).await {
            Err(kube::Error::Api(refusal)) if refusal.is_not_found() || refusal.is_forbidden() => {
                if told.is_none_or(|told| told.elapsed() >= AGAIN) {
                    told = Some(Instant::now());
                    tracing::warn!(
                        answer = refusal.message,
                        "nodes cannot be leased in the namespace {}; install it with: kubectl apply -f deploy/namespace.yaml -f deploy/rbac.yaml",
                        names::NODE_LEASE_NAMESPACE
                    );
                }
            }
            Err(error) => tracing::debug!(%error, "cannot see whether nodes can be leased"),
            Ok(_) if told.is_some() => return tracing::info!("nodes can be leased now"),
            Ok(_) => return,
        }
        sleep(ASK).await;
    }
}

/// Asks whether a Lease could be made, and makes none. This takes no right that the node Leases do not take, and in a
/// namespace that is missing the answer is 404 for those who may do everything and 403 for those whom a Role there
/// lets.
async fn try_to_lease(leases: &Api<Lease>) -> kube::Result<Lease> {
    let name = Some("careen-dry-run".to_owned());
    let lease = Lease { metadata: ObjectMeta { name, ..ObjectMeta::default() }, spec: None };
    let dry_run = PostParams { dry_run: true, field_manager: Some(names::FIELD_MANAGER.to_owned()) };
    leases.create(&dry_run, &lease).await
}
