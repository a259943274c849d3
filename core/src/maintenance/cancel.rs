//! Takes back what a maintenance has asked of KubeVirt: marks first, then migrations.

use std::time::Duration;

use super::context::Context;
use crate::{
    cluster::Snapshot,
    drain::DrainOptions,
    migration::{self, CancelStep, Outcome, RequestError, next_cancel_steps},
    model::NodeName,
    node::Record,
};

/// It is tried for so long; then the rest is reported, and the node restored all the same.
const CANCEL_FOR: Duration = Duration::from_secs(30);
/// KubeVirt shows the effect of a cancel in milliseconds.
const CANCEL_PAUSE: Duration = Duration::from_millis(500);

/// Works until nothing is left to take back, or for half a minute; returns what is left, in sentences.
pub(super) async fn take_back(
    context: &Context,
    node: &NodeName,
    record: &Record,
    options: &DrainOptions,
) -> Vec<String> {
    let now = || context.clock.now();
    let deadline = now() + CANCEL_FOR;
    let mut refused = Vec::new();
    let mut given_up: Vec<CancelStep> = Vec::new();
    loop {
        let snapshot = look(context, node, record).await;
        let mut cancellation = next_cancel_steps(node, &record.evacuations, &record.actor.uid, &snapshot, options);
        cancellation.next.retain(|step| !given_up.contains(step));
        if cancellation.next.is_empty() {
            let left = cancellation.left.into_iter();
            refused.extend(
                left.map(|left| {
                    format!("migration {} of VMI {} goes on ({:?})", left.migration, left.vmi, left.reason)
                }),
            );
            return refused;
        }
        for step in cancellation.next {
            match perform(context, node, &step).await {
                Ok(_) => {}
                Err(error) if error.is_worth_repeating() && now() < deadline => {
                    tracing::warn!(%error, "cancelling is tried again");
                }
                Err(error) => {
                    refused.push(error.to_string());
                    given_up.push(step);
                }
            }
        }
        if now() >= deadline {
            refused.push(format!("KubeVirt did not take everything back within {} s", CANCEL_FOR.as_secs()));
            return refused;
        }
        tokio::time::sleep(CANCEL_PAUSE).await;
    }
}

/// The cluster, with the VMIs that were asked to leave as the API server has them now: the mark of an eviction that was
/// answered just before may not be in the cache yet.
async fn look(context: &Context, node: &NodeName, record: &Record) -> Snapshot {
    let cluster = &context.cluster;
    let mut snapshot = cluster.snapshot();
    let asked = snapshot.virtual_machine_instances_on(node);
    let asked: Vec<_> = asked.filter(|vmi| record.evacuations.contains(&vmi.uid)).map(|vmi| vmi.key.clone()).collect();
    for key in asked {
        match migration::get_instance(cluster.client(), &key).await {
            Ok(Some(vmi)) => {
                snapshot.put(vmi);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(vmi = %key, %error, "the VMI cannot be read; what the cache shows counts"),
        }
    }
    snapshot
}

async fn perform(context: &Context, node: &NodeName, step: &CancelStep) -> Result<Outcome, RequestError> {
    let client = context.cluster.client();
    let outcome = match step {
        CancelStep::CancelEvacuation { vmi } => migration::cancel_evacuation(client, vmi, node).await,
        CancelStep::DeleteMigration { key, uid } => migration::delete_migration(client, key, uid).await,
    };
    tracing::info!(%node, ?step, ?outcome, "took back");
    outcome
}
